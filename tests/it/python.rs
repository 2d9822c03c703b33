//! Python for the independent tests: a virtual environment under the build folder, and processes that do not outlive
//! their test.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// How long moto may take until it listens, on a machine that is busy with other tests.
const STARTS: Duration = Duration::from_mins(3);

/// A Python in which boto3, moto and the `aws` CLI are installed.
#[derive(Debug)]
pub struct Python {
    bin: PathBuf,
}

impl Python {
    /// The environment, made on first use. `None` when it cannot be made: then standard error says why and that the test
    /// is skipped; in CI, where `CI` is set, that is a failure.
    pub fn ready() -> Option<&'static Self> {
        static READY: OnceLock<Result<Python, String>> = OnceLock::new();
        match READY.get_or_init(make) {
            Ok(python) => Some(python),
            Err(cause) => {
                let in_ci = std::env::var("CI").is_ok_and(|ci| !matches!(ci.as_str(), "" | "0" | "false"));
                assert!(!in_ci, "the independent tests need Python: {cause}");
                // Past the capture of the test harness: a test that did not run has to be seen.
                let _ = writeln!(io::stderr(), "SKIPPED, independent tests: {cause}");
                None
            }
        }
    }

    /// A program of the environment: `python`, `aws`, `moto_server`.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        without_aws_of_the_user(&mut command);
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
        command
    }

    /// A script of tests/python.
    pub fn script(&self, name: &str) -> Command {
        let mut command = self.program("python");
        command.arg(source("tests/python").join(name)).env("PATH", self.path());
        command
    }

    /// `PATH` with the environment's programs in front.
    pub fn path(&self) -> std::ffi::OsString {
        let others = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(self.bin.clone()).chain(std::env::split_paths(&others));
        std::env::join_paths(all).expect("a PATH without separators in its parts")
    }
}

/// A file of the source tree.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Takes away what could lead a client to the account of whoever runs the tests.
pub fn without_aws_of_the_user(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") || name.to_string_lossy().starts_with("QUELL_") {
            command.env_remove(name);
        }
    }
    command
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_PAGER", "");
}

/// Makes the environment, or finds the one that was made for these requirements.
fn make() -> Result<Python, String> {
    let version = said(Command::new("python3").arg("--version")).map_err(|cause| {
        format!("python3 is missing or does not run ({cause}); install Python 3.11 or newer with its venv module")
    })?;
    let key = hex::encode(&Sha256::digest(format!("{version}\n{REQUIREMENTS}"))[..8]);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{key}"));
    let python = Python { bin: folder.join("bin") };
    let done = folder.join("complete");

    let cannot = |error: io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).map_err(cannot)?;
    let lock = File::create(folder.with_extension("lock")).map_err(cannot)?;
    lock.lock().map_err(cannot)?; // until it is dropped; other test processes wait here
    if done.exists() {
        return Ok(python);
    }
    let _ = writeln!(io::stderr(), "making a virtual environment for the independent tests (once, about a minute)");
    said(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)).map_err(|cause| {
        format!("{} cannot make a virtual environment; its venv module may be missing: {cause}", version.trim())
    })?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r"];
    said(python.program("python").args(pip).arg(source("tests/python/requirements.txt")))
        .map_err(|cause| format!("pip cannot install tests/python/requirements.txt: {cause}"))?;
    File::create(done).map_err(cannot)?;
    Ok(python)
}

fn said(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

/// A process that ends with its owner.
#[derive(Debug)]
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// moto's server in a process of its own.
#[derive(Debug)]
pub struct Moto {
    /// Its address.
    pub endpoint: String,
    _process: Guarded,
    _log: tempfile::TempDir,
}

impl Moto {
    /// Starts it on a free port, and waits until it is ready.
    pub fn start(python: &Python) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("moto.log");
        let file = File::create(&log).expect("a log file");
        let mut command = python.program("moto_server");
        command.env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true");
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let mut process =
            Guarded(command.spawn().unwrap_or_else(|error| panic!("moto_server does not start: {error}")));
        let begun = Instant::now();
        let endpoint = loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if let Some(address) = said.lines().find_map(|line| line.split("Running on ").nth(1)) {
                break address.trim().to_owned();
            }
            let ended = process.0.try_wait().expect("the state of a child");
            let late = begun.elapsed() > STARTS;
            assert!(ended.is_none() && !late, "moto does not listen after {:?} ({ended:?}):\n{said}", begun.elapsed());
            std::thread::sleep(Duration::from_millis(50));
        };
        Self { endpoint, _process: process, _log: folder }
    }
}

/// Runs a script to its end, and fails with all that it printed unless it succeeds.
pub fn succeed(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("the script starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
}
