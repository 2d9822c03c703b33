//! Captures: what is kept, that it is read only, that a changed byte is found, and what differs between two.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::binary;
use crate::site::{Site, stderr};

/// Captures the breached account into a store; gives what the command said.
fn capture(site: &Site, store: &Path, more: &[&str]) -> Value {
    let output = captured(site, store, more);
    // What the simulated AWS does not know is named, and the rest is captured all the same.
    assert!(matches!(binary::code(&output), 0 | 5), "{}", stderr(&output));
    binary::json(&output)
}

fn captured(site: &Site, store: &Path, more: &[&str]) -> Output {
    let account = site.fact("/facts/breached_account");
    let store = store.to_str().unwrap();
    let words = ["capture", "--trust-endpoint", "--accounts", account, "--role", "ir/IRResponder", "--to", store];
    let mut command = site.quell(&words);
    command.args(["--output", "json"]).args(more).output().unwrap()
}

fn evidence(site: &Site, verb: &str, store: &Path) -> Output {
    site.quell(&["evidence", verb, store.to_str().unwrap(), "--output", "json"]).output().unwrap()
}

fn manifest(store: &Path, capture: &Value) -> PathBuf {
    store.join("captures").join(capture["capture"].as_str().unwrap()).join("manifest.jsonl")
}

/// The lines of a manifest after its first.
fn entries(store: &Path, capture: &Value) -> Vec<Value> {
    let text = fs::read_to_string(manifest(store, capture)).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap()["capture"].take()).collect()
}

fn items<'a>(entries: &'a [Value], api: &'a str) -> impl Iterator<Item = &'a Value> {
    entries.iter().filter(move |entry| entry["entry"] == "item" && entry["api"] == api)
}

/// Every file of a store.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

#[test]
fn everything_is_captured_and_nothing_is_changed() {
    let site = Site::open();
    let (store, before) = (site.path("evidence"), site.simulator.world());
    let capture = capture(&site, &store, &["--history", "2d"]);
    let changed = binary::differences(&before, &site.simulator.world());
    // Sessions were started, and the credential report was made.
    let traces = ["/sessions", "/credential_report"];
    let changed: Vec<_> =
        changed.iter().filter(|(path, ..)| !traces.iter().any(|trace| path.contains(trace))).collect();
    assert!(changed.is_empty(), "{changed:#?}");

    let entries = entries(&store, &capture);
    let world = &before["accounts"][site.fact("/facts/breached_account")];
    let regions = world["regions"].as_object().unwrap();
    let enabled = regions.values().filter(|region| region["opt_in"] != "not-opted-in");
    let (regions, machines) = enabled.fold((0, 0), |(regions, machines), region| {
        (regions + 1, machines + region["ec2"]["instances"].as_object().unwrap().len())
    });
    assert!(machines > 0);
    for (api, count) in [
        ("ec2:DescribeInstances", regions),
        ("ec2:DescribeInstanceAttribute", machines),
        ("ec2:GetConsoleOutput", machines),
        ("cloudtrail:DescribeTrails", regions),
        ("iam:GetCredentialReport", 1),
    ] {
        assert_eq!(items(&entries, api).count(), count, "{api}");
    }
    let item = items(&entries, "ec2:DescribeInstances").next().unwrap();
    assert_eq!(item["parameters"]["IncludeManagedResources"], "true");
    for member in ["account", "region", "request", "at", "sha256", "bytes"] {
        assert!(!item[member].is_null(), "{member}: {item}");
    }
    // What STS answers holds credentials.
    let names: BTreeSet<&str> = entries.iter().filter_map(|entry| entry["api"].as_str()).collect();
    assert!(names.iter().all(|name| !name.starts_with("sts:")), "{names:?}");
    assert_eq!(entries.last().unwrap()["entry"], "ended");
    assert_eq!(binary::code(&evidence(&site, "verify", &store)), 0);
}

#[test]
fn what_an_account_does_not_have_is_noted_and_is_no_gap() {
    let home = tempfile::tempdir().unwrap();
    let alone = binary::changed(home.path(), "scenarios/one-region.yaml", &[("count: 300", "count: 2")]);
    let site = Site::of(alone.to_str().unwrap());
    let store = site.path("evidence");
    let words = ["capture", "--trust-endpoint", "--history", "0s", "--output", "json", "--to", store.to_str().unwrap()];
    let output = site.quell(&words).output().unwrap();
    assert_eq!(binary::code(&output), 0, "{}", stderr(&output));
    let entries = entries(&store, &binary::json(&output));
    let absent: Vec<&Value> = entries.iter().filter(|entry| entry["entry"] == "absent").collect();
    let organization = absent.iter().find(|entry| entry["what"] == "organizations:DescribeOrganization").unwrap();
    assert!(organization["why"].as_str().unwrap().contains("AWSOrganizationsNotInUseException"), "{organization}");
    assert!(organization["request"].is_string(), "{organization}");
}

#[cfg(unix)]
#[test]
fn evidence_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::open();
    let store = site.path("evidence");
    capture(&site, &store, &["--history", "0s"]);
    for file in files(&store) {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700), "{}", file.display());
    }
}

#[test]
fn a_second_capture_keeps_only_what_changed() {
    let site = Site::of("cryptojack");
    let store = site.path("evidence");
    let first = capture(&site, &store, &["--history", "0s"]);
    let second = capture(&site, &store, &["--history", "0s"]);
    let figure = |capture: &Value, name: &str| capture[name].as_u64().unwrap();
    assert!(figure(&first, "new") > 0);
    let (new, all) = (figure(&second, "new_bytes"), figure(&first, "new_bytes"));
    assert!(new * 100 < all, "{new} of {all} bytes are new");
}

#[test]
fn what_a_run_changed_is_shown_resource_by_resource() {
    let site = Site::open();
    let store = site.path("evidence");
    let before = capture(&site, &store, &["--history", "0s"]);
    let run = site.contain(&["--trust-endpoint", "--approve", "reversible,disruptive"]).output().unwrap();
    assert_eq!(binary::code(&run), 0, "{}", stderr(&run));
    let after = capture(&site, &store, &["--history", "0s"]);
    let words = ["diff", before["capture"].as_str().unwrap(), after["capture"].as_str().unwrap(), "--store"];
    let mut command = site.quell(&words);
    let output = command.arg(&store).args(["--output", "json"]).output().unwrap();
    let found = binary::json(&output)["differences"].take();
    let found = found.as_array().unwrap();
    let key = found.iter().find(|one| one["kind"] == "iam access key" && one["id"] == site.fact("/facts/leaked_key"));
    let fields = &key.unwrap_or_else(|| panic!("{found:#?}"))["fields"];
    assert_eq!(*fields, json!([{ "path": "Status", "before": "Active", "after": "Inactive" }]));
    assert!(found.iter().any(|one| one["kind"] == "iam user"), "the deny on the user: {found:#?}");
    // Looking leaves traces in the account: the responder's own role was used.
    let known = ["iam access key", "iam user", "iam role", "iam policy", "answer"];
    let others: Vec<_> = found.iter().filter(|one| !known.contains(&one["kind"].as_str().unwrap())).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let site = Site::open();
    let store = site.path("evidence");
    let capture = capture(&site, &store, &["--history", "0s"]);
    let all = files(&store);
    let manifest = manifest(&store, &capture);
    // The ends and the middle of the manifest, and of some of the objects.
    let objects = all.iter().filter(|file| **file != manifest).step_by(all.len() / 12 + 1);
    for file in objects.chain([&manifest]) {
        let whole = fs::read(file).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 2] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(file, &changed).unwrap();
            let output = evidence(&site, "verify", &store);
            let said = binary::json(&output)["wrong"].to_string();
            assert_eq!(binary::code(&output), 4, "byte {at} of {}: {said}", file.display());
            assert!(said.contains(file.file_name().unwrap().to_str().unwrap()), "{said}");
        }
        fs::write(file, &whole).unwrap();
    }
    for file in [&all[all.len() - 1], &manifest] {
        let whole = fs::read(file).unwrap();
        fs::remove_file(file).unwrap();
        assert_eq!(binary::code(&evidence(&site, "verify", &store)), 4, "{} is missing", file.display());
        fs::copy(&all[all.len() - 2], file).unwrap();
        assert_eq!(binary::code(&evidence(&site, "verify", &store)), 4, "another in the place of {}", file.display());
        fs::write(file, whole).unwrap();
    }
    fs::write(store.join("objects/note.txt"), "mine").unwrap();
    assert_eq!(binary::code(&evidence(&site, "verify", &store)), 4, "what does not belong there");
    fs::remove_file(store.join("objects/note.txt")).unwrap();
    assert_eq!(binary::code(&evidence(&site, "verify", &store)), 0);
}

/// A key for signing, and a file that names who may sign with it.
fn signer(site: &Site, name: &str) -> (PathBuf, PathBuf) {
    let key = site.path(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&key).output();
    assert!(made.expect("OpenSSH is installed").status.success());
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let signers = site.write(&format!("{name}-signers"), &format!("{name}@example.com {public}"));
    (key, signers)
}

#[test]
fn a_signature_stands_for_a_capture_and_for_nothing_else() {
    let site = Site::open();
    let store = site.path("evidence");
    let verify = |signers: &Path| {
        let words = ["evidence", "verify", store.to_str().unwrap(), "--signers", signers.to_str().unwrap()];
        let output = site.quell(&words).args(["--output", "json"]).output().unwrap();
        (binary::code(&output), binary::json(&output))
    };
    let capture = capture(&site, &store, &["--history", "0s"]);
    let ((key, signers), (_, strangers)) = (signer(&site, "responder"), signer(&site, "stranger"));
    let (code, said) = verify(&signers);
    assert_eq!((code, said["wrong"].as_array().unwrap().len()), (4, 1), "it is not signed: {said}");
    let words = ["evidence", "sign", "--key", key.to_str().unwrap(), "--store", store.to_str().unwrap()];
    let signed = site.quell(&words).output().unwrap();
    assert_eq!(binary::code(&signed), 0, "{}", stderr(&signed));
    let signature = format!("{}.sig", manifest(&store, &capture).display());
    let before = fs::read(&signature).unwrap();
    let words = ["evidence", "sign", capture["capture"].as_str().unwrap(), "--key", "no-such-key", "--store"];
    let failed = site.quell(&words).arg(&store).output().unwrap();
    assert_eq!(binary::code(&failed), 1, "{}", stderr(&failed));
    assert_eq!(fs::read(&signature).unwrap(), before, "a signature that cannot be made anew stays");

    let (code, said) = verify(&signers);
    assert_eq!((code, said["captures"][0]["signed_by"].as_str()), (0, Some("responder@example.com")), "{said}");
    let (code, said) = verify(&strangers);
    assert!(code == 4 && said["wrong"][0].as_str().unwrap().contains("not signed by anybody"), "{said}");
    // The same without quell.
    let manifest = manifest(&store, &capture);
    let mut other = Command::new("ssh-keygen");
    other.args(["-Y", "verify", "-n", "quell-capture", "-I", "responder@example.com", "-f"]).arg(&signers);
    other.arg("-s").arg(format!("{}.sig", manifest.display())).stdin(fs::File::open(&manifest).unwrap());
    assert!(other.output().unwrap().status.success());

    // A chain that was made anew holds, and the signature does not.
    let text = fs::read_to_string(&manifest).unwrap();
    let header = text.lines().next().unwrap().replace("arn:aws:", "arn:aws: ");
    let mut forged = format!("{header}\n");
    let mut head = quell::chained::follow("", &header);
    for entry in entries(&store, &capture) {
        let (line, hash) = quell::chained::line(&head, "capture", &entry);
        forged.push_str(&line);
        head = hash;
    }
    fs::write(&manifest, forged).unwrap();
    let (code, said) = verify(&signers);
    assert!(code == 4 && said["wrong"].to_string().contains("the signature of capture"), "{said}");
    assert_eq!(binary::code(&evidence(&site, "verify", &store)), 4, "a signature that is there must be good");
}

#[test]
fn a_capture_that_was_cut_off_goes_on_and_reads_no_history_twice() {
    let site = Site::open();
    let store = site.path("evidence");
    let whole = capture(&site, &store, &["--history", "28d"]);
    let path = manifest(&store, &whole);
    let text = fs::read_to_string(&path).unwrap();
    // All but its end, and half of a line.
    let lines: Vec<&str> = text.lines().collect();
    let kept = lines[..lines.len() - 1].join("\n") + "\n" + &lines[lines.len() - 1][..30];
    fs::write(&path, kept).unwrap();
    let torn = evidence(&site, "verify", &store);
    assert_eq!(binary::code(&torn), 4, "{}", String::from_utf8_lossy(&torn.stdout));

    let asked = |site: &Site| {
        let log = site.simulator.log();
        log.as_array().unwrap().iter().filter(|request| request["operation"] == "LookupEvents").count()
    };
    let before = asked(&site);
    let id = whole["capture"].as_str().unwrap();
    let resumed = capture(&site, &store, &["--history", "28d", "--resume", id]);
    assert_eq!(resumed["capture"], whole["capture"]);
    let again = asked(&site) - before;
    assert!(again * 2 < before, "only what goes on is read again: {again} requests, and {before} the first time");
    assert_eq!(binary::code(&evidence(&site, "verify", &store)), 0);
    let refused = captured(&site, &store, &["--resume", id]);
    assert_eq!(binary::code(&refused), 2, "{}", stderr(&refused));
}

#[test]
fn mistakes_are_named_with_the_way_out() {
    let site = Site::open();
    let nowhere = evidence(&site, "verify", &site.path("nowhere"));
    assert_eq!(binary::code(&nowhere), 2, "{}", stderr(&nowhere));
    assert!(stderr(&nowhere).contains("quell capture --to"), "{}", stderr(&nowhere));
    let store = site.path("evidence");
    capture(&site, &store, &["--history", "0s", "--regions", "us-east-1"]);
    let mut command = site.quell(&["diff", "20200101-000000-000000", "20200101-000000-000001", "--store"]);
    let unknown = command.arg(&store).output().unwrap();
    assert_eq!(binary::code(&unknown), 2, "{}", stderr(&unknown));
    assert!(stderr(&unknown).contains("quell evidence list"), "{}", stderr(&unknown));
    let region = captured(&site, &store, &["--regions", "eu-west-33"]);
    assert!(stderr(&region).contains("knows no region `eu-west-33`"), "{}", stderr(&region));
}
