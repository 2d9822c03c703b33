//! The real binary, in processes of its own: quell, and the simulated AWS that it speaks to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A quell that knows nothing of the machine it runs on: no home, no AWS configuration, no terminal.
pub fn quell(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    command.env_clear().env("HOME", home).env("QUELL_STATE", home.join("state")).stdin(Stdio::null());
    command
}

/// A simulated AWS in a process of its own, which ends with this value.
pub struct Simulator {
    process: Child,
    /// The line that it prints when it is ready.
    pub ready: Value,
}

impl Simulator {
    /// Starts a scenario: the name of a shipped one, or a file.
    pub fn start(scenario: impl AsRef<std::ffi::OsStr>, latency: &str) -> Self {
        Self::with(scenario.as_ref(), &["--latency", latency])
    }

    /// Starts a scenario in which every request takes its time, and nobody waits for it: however fast the machine is, its
    /// clients draw on AWS's budgets no faster.
    pub fn skipping(scenario: &str) -> Self {
        Self::with(scenario.as_ref(), &["--latency", "80ms", "--clock", "skipping"])
    }

    fn with(scenario: &std::ffi::OsStr, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
        command.env_clear().arg("sim").arg("--scenario").arg(scenario).args(["--port", "0"]).args(options);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, ready: serde_json::from_str(&line).unwrap() }
    }

    /// A quell that works on it as the responder.
    pub fn quell(&self, home: &Path) -> Command {
        let responder = &self.ready["credentials"]["responder"];
        let mut command = quell(home);
        command
            .env("AWS_ENDPOINT_URL", self.text("endpoint"))
            .env("AWS_REGION", self.text("region"))
            .env("AWS_ACCESS_KEY_ID", responder["access_key_id"].as_str().unwrap())
            .env("AWS_SECRET_ACCESS_KEY", responder["secret_access_key"].as_str().unwrap());
        command
    }

    /// `leaked_key=…`, for `--input`.
    pub fn leaked_key(&self) -> String {
        format!("leaked_key={}", self.ready["facts"]["leaked_key"].as_str().unwrap())
    }

    /// The id of an account, by its name in the scenario.
    pub fn account(&self, name: &str) -> &str {
        self.ready["accounts"][name].as_str().unwrap()
    }

    /// The world as it is now, without the traces that looking leaves.
    pub fn world(&self) -> Value {
        let mut world = self.get("/_sim/world");
        forget(&mut world, "last_used");
        world
    }

    /// Every request so far.
    pub fn log(&self) -> Value {
        self.get("/_sim/log")
    }

    fn get(&self, path: &str) -> Value {
        let address = self.text("endpoint").trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        serde_json::from_str(body).unwrap()
    }

    fn text(&self, member: &str) -> &str {
        self.ready[member].as_str().unwrap()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Removes a member wherever it stands.
pub fn forget(value: &mut Value, member: &str) {
    match value {
        Value::Object(object) => {
            object.remove(member);
            object.values_mut().for_each(|value| forget(value, member));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| forget(value, member)),
        _ => {}
    }
}

/// Where two worlds differ: paths, with what stands there in the one and in the other.
pub fn differences(before: &Value, after: &Value) -> Vec<(String, Value, Value)> {
    let mut found = Vec::new();
    compare(before, after, String::new(), &mut found);
    found
}

fn compare(before: &Value, after: &Value, path: String, found: &mut Vec<(String, Value, Value)>) {
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let of = |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or_default();
                compare(&of(a), &of(b), format!("{path}/{key}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(a, b, format!("{path}/{index}"), found);
            }
        }
        _ if before != after => found.push((path, before.clone(), after.clone())),
        _ => {}
    }
}

/// The exit code of a process that ended by itself.
pub fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

/// What a process printed as one JSON document; shows what it said on the other channel when that is none.
pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// A shipped file, changed by replacing one text with another, in a folder of the test's own.
pub fn changed(folder: &Path, file: &str, changes: &[(&str, &str)]) -> PathBuf {
    let mut text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    for (old, new) in changes {
        assert!(text.contains(old), "{file} has no `{old}`");
        text = text.replace(old, new);
    }
    let path = folder.join(Path::new(file).file_name().unwrap());
    std::fs::write(&path, text).unwrap();
    path
}
