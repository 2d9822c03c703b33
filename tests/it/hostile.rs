//! What an intruder names things never reaches a terminal as he wrote it: through the real binary, with the worst names in
//! every place that a person looks at.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use quell::report::text::is_visible;
use quell::sim::world::World;
use serde_json::json;

use crate::site::Hosted;

/// The longest line that is printed.
const LONGEST_LINE: usize = 20_000;

/// The largest file that is written, where everything that can be has a megabyte.
const LARGEST_FILE: usize = 40 << 20;

/// Clears the screen, turns the text round, begins lines of its own, closes quotes and brackets, and does not end. Without
/// those controls that XML cannot carry: no answer of AWS's can hold them.
fn hostile() -> String {
    let marks = "\u{9b}2J\u{202e}\u{2066}x\u{200b}\u{feff}\u{85}\u{2028}\u{7f}";
    let words = format!("{marks}\n\rerror: paste\n\"') || true || ${{{{ inputs.since }}}} ]]>&<b>");
    format!("{words}{}", "\u{202e}a".repeat(30_000))
}

/// As [`hostile`], where AWS or the simulated AWS bounds the length.
fn hostile_name() -> String {
    hostile().chars().take(60).collect()
}

/// Plants the worst in all that an intruder can name.
fn plant(world: &mut World) {
    let (long, short) = (hostile(), hostile_name());
    if let Some(organization) = &mut world.organization {
        organization.units.values_mut().for_each(|unit| unit.name.clone_from(&short));
        organization.members.values_mut().for_each(|member| member.name.clone_from(&short));
        for policy in organization.policies.values_mut().filter(|policy| !policy.aws_managed) {
            policy.description.clone_from(&long);
        }
    }
    for account in world.accounts.values_mut() {
        account.name.clone_from(&short);
        account.iam.alias = Some(short.clone());
        for user in account.iam.users.values_mut() {
            user.tags.insert(short.clone(), long.clone());
            let statement = json!({ "Sid": short, "Effect": "Deny", "Action": "no:Thing", "Resource": long });
            let nothing = json!({ "Version": "2012-10-17", "Statement": statement });
            user.policies.inline.insert(short.clone(), nothing.to_string());
        }
        for role in account.iam.roles.values_mut() {
            role.description = Some(long.clone());
        }
        account.iam.policies.values_mut().for_each(|policy| policy.description = Some(long.clone()));
        for region in account.regions.values_mut() {
            let ec2 = &mut region.ec2;
            for instance in ec2.instances.values_mut() {
                instance.tags.insert("Name".to_owned(), long.clone());
                instance.tags.insert(short.clone(), short.clone());
                instance.key_name = Some(short.clone());
                instance.user_data = Some(base64::engine::general_purpose::STANDARD.encode(&short));
                instance.console.clone_from(&long);
                instance.state_reason = Some((short.clone(), long.clone()));
                instance.transition_reason.clone_from(&long);
            }
            if let Some(instance) = ec2.instances.values_mut().next() {
                instance.tags.insert("Name".to_owned(), long.repeat(10));
            }
            for group in ec2.security_groups.values_mut() {
                group.description.clone_from(&long);
                group.tags.insert("Name".to_owned(), long.clone());
            }
            for image in ec2.images.values_mut() {
                (image.name, image.description) = (long.clone(), long.clone());
                image.tags.insert("Name".to_owned(), long.clone());
            }
            ec2.volumes.values_mut().for_each(|volume| drop(volume.tags.insert("Name".to_owned(), long.clone())));
        }
    }
}

/// Nothing in it but what shows as itself, on lines of a sane length.
#[track_caller]
fn fit(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{what} is no UTF-8: {error}"));
    for line in text.split('\n') {
        let length = line.chars().count();
        let head: String = line.chars().take(300).collect();
        assert!(length <= LONGEST_LINE, "{what} has a line of {length} characters: {head:?}");
        if let Some(place) = line.find(|c: char| !is_visible(c)) {
            let from = line[..place].char_indices().rev().nth(200).map_or(0, |(index, _)| index);
            panic!("{what} holds {:?} after {:?}", line[place..].chars().next(), &line[from..place]);
        }
    }
}

#[track_caller]
fn runs(what: &str, mut command: Command, codes: &[i32]) -> Output {
    let output = command.output().unwrap();
    fit(&format!("standard output of {what}"), &output.stdout);
    fit(&format!("standard error of {what}"), &output.stderr);
    let code = output.status.code().unwrap();
    assert!(codes.contains(&code), "{what} ended with {code}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Sets that name everything that was planted, and steps that speak of it.
const LOOK: &str = r"quell: 1
name: look
title: Protect, tag and list
targets: { accounts: self }
sets:
  all: { from: ec2.instances, where: 'tags.Name != id' }
  images: { from: ec2.images, finding: made by somebody }
  groups: { from: iam.users, finding: look at their policies }
steps:
  - { id: protect, uses: ec2.protect, on: all }
  - { id: mark, uses: ec2.tag, on: all }
";

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_names_are_shown_escaped_and_cut() {
    let hosted = Hosted::open().await;
    hosted.catch_up();
    hosted.sim.change(plant);
    fs::write(hosted.folder.path().join("look.yaml"), LOOK).unwrap();
    let session = hosted.session().await;
    let inside = |arguments: &[&str]| {
        let mut command = hosted.bare(arguments);
        command.env("AWS_ACCESS_KEY_ID", session.access_key_id());
        command.env("AWS_SECRET_ACCESS_KEY", session.secret_access_key());
        command.env("AWS_SESSION_TOKEN", session.session_token().unwrap());
        command
    };
    let leaked = format!("leaked_key={}", hosted.facts.leaked_key);

    runs("doctor", hosted.quell(&["doctor", "leaked-key", "--input", &leaked, "--trust-endpoint", "-vv"]), &[0, 5]);
    runs("plan", inside(&["plan", "look.yaml", "--trust-endpoint", "--changes", "-vv", "-o", "plan.json"]), &[0, 5]);
    let plan_json = ["plan", "look.yaml", "--trust-endpoint", "-vv", "--log-format", "json"];
    let planned = inside(&plan_json).output().unwrap();
    fit("standard error with logs as JSON", &planned.stderr);
    let run = ["run", "--plan", "plan.json", "--trust-endpoint", "--approve", "reversible", "-vv"];
    runs("run", inside(&run), &[0, 5]);
    let ids: Vec<String> = fs::read_dir(hosted.folder.path().join("state/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let id = ids[0].as_str();
    for command in [&["show", id][..], &["report", id], &["runs"], &["resume", id, "--trust-endpoint"]] {
        runs(command[0], inside(command), &[0, 2, 5]);
    }
    let contain =
        ["run", "leaked-key", "--input", &leaked, "--trust-endpoint", "--approve", "reversible,disruptive", "-vv"];
    runs("containment", hosted.quell(&contain), &[0, 3, 4, 5]);
    runs("rollback", inside(&["rollback", id, "--trust-endpoint", "--approve", "reversible", "-vv"]), &[0, 3, 5]);
    for form in ["json", "jsonl"] {
        let shown = inside(&["show", id, "--output", form]).output().unwrap();
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(text.chars().all(|c| is_visible(c) || c == '\n'), "show as {form}");
    }
    for path in files(hosted.folder.path()) {
        let size = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
        assert!(size < LARGEST_FILE, "{} has {size} bytes", path.display());
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Answers every request with a refusal whose every word is hostile.
fn hostile_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let (long, short) = (escaped(&hostile()), escaped(&hostile_name()));
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{long}</Code><Message>{long}</Message></Error>\
         <RequestId>{short}</RequestId></ErrorResponse>"
    );
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), answer) = (stream, answer.clone()) else { continue };
            std::thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                let _ = stream.read(&mut buffer);
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn errors_are_not_as_hostile_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = hostile_endpoint();
    for arguments in [
        &["doctor", "rogue-instances", "--trust-endpoint", "-vv"][..],
        &["plan", "rogue-instances", "--trust-endpoint", "-vvv"],
        &["plan", "rogue-instances", "--trust-endpoint", "--output", "json", "-vv", "--log-format", "json"],
    ] {
        let mut command = crate::binary::quell(folder.path());
        command.args(arguments).current_dir(folder.path());
        command.env("AWS_ENDPOINT_URL", &endpoint).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "x");
        let output = runs(&arguments.join(" "), command, &[1, 2, 4, 5]);
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn hostile_files_are_told_of_harmlessly() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).unwrap();
    let long = hostile();
    let name = hostile_name().replace(['"', '\n', '\r', '\\'], "");
    let names = format!(
        "quell: 1\nname: \"{name}\"\ntitle: \"\u{202e}\u{9b}2J\"\n# \u{202e}\n\
         steps: [{{ id: a, uses: \"\u{202e}x\", on: nobody }}]\nsets: {{ a: {{ from: \"{}\" }} }}\n",
        "\u{202e}y".repeat(5_000)
    );
    write("names.yaml", names.as_bytes());
    write(
        "line.yaml",
        format!("quell: 1\nname: n\ntitle: t\nsteps: [{{ id: a, uses: {} }}]\n", "x".repeat(900_000)).as_bytes(),
    );
    write("bytes.yaml", b"quell: 1\nname: \xff\xfe\n");
    write("huge.yaml", " ".repeat(2 << 20).as_bytes());
    write("deep.json", "[".repeat(1 << 20).as_bytes());
    write(
        "cases.jsonl",
        format!("{{\"principal\": \"{}\"\n{}\n", "\u{202e}".repeat(1_000), "x".repeat(5 << 20)).as_bytes(),
    );
    write(
        "laughs.yaml",
        format!("a: &a [x, x]\n{}\n", (0..60).map(|n| format!("b{n}: &b{n} [*a, *a]")).collect::<Vec<_>>().join("\n"))
            .as_bytes(),
    );
    write("accounts.txt", format!("{long}\n").as_bytes());
    let listed = "quell: 1\nname: n\ntitle: t\ntargets: { accounts: { file: accounts.txt } }\n\
                  sets: { all: { from: ec2.instances } }\nsteps: [{ id: mark, uses: ec2.tag, on: all }]\n";
    write("listed.yaml", listed.as_bytes());
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    let quell = |arguments: &[&str]| {
        let mut command = crate::binary::quell(folder.path());
        command.args(arguments).current_dir(folder.path());
        command
    };
    for (arguments, words) in [
        (&["check", "names.yaml"][..], "mistake"),
        (&["check", "line.yaml"], "line.yaml:4:"),
        (&["check", "bytes.yaml"], "line 2 is no text in UTF-8"),
        (&["check", "huge.yaml"], "a runbook has at most 1048576"),
        (&["check", "pipe"], "it is a pipe, and not a file"),
        (&["check", "/dev/zero"], "it is a device, and not a file"),
        (&["run", "--plan", "pipe"], "it is a pipe"),
        (&["run", "--plan", "/dev/zero"], "it is a device"),
        (&["run", "--plan", "deep.json"], "is not a plan file"),
        (&["drill", "/dev/zero"], "it is a device"),
        (&["drill", "pipe"], "it is a pipe"),
        (&["sim", "--scenario", "pipe"], "it is a pipe"),
        (&["drill", "laughs.yaml"], "scenario"),
        (&["drill", "cryptojack-small", "--runbook", "pipe"], "it is a pipe"),
        (&["drill", "cryptojack-small", "--runbook", "listed.yaml"], "accounts.txt, line 1"),
        (
            &[
                "policy",
                "explain",
                "--principal",
                "arn:aws:iam::111122223333:user/e",
                "--action",
                "s3:GetObject",
                "--policy",
                "identity=pipe",
            ],
            "it is a pipe",
        ),
    ] {
        let output = runs(&arguments.join(" "), quell(arguments), &[2, 4]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let mut evaluate = quell(&["policy", "evaluate"]);
    evaluate.stdin(fs::File::open(folder.path().join("cases.jsonl")).unwrap());
    let output = runs("policy evaluate", evaluate, &[2]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("the most that a case has"));
}
