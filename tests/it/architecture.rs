//! What the compiler does not check: who knows whom, and that no action is forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom: the table of `src/lib.rs`, row by row.
const MAY_KNOW: [(&str, &[&str]); 18] = [
    ("bounded", &[]),
    ("model", &[]),
    ("policy", &["bounded"]),
    ("runbook", &["bounded", "model"]),
    ("chained", &[]),
    ("journal", &["bounded", "chained", "model"]),
    ("evidence", &["bounded", "chained", "model"]),
    ("story", &["bounded", "chained", "model", "policy", "evidence"]),
    ("cost", &["model", "evidence", "story"]),
    ("posture", &["model", "evidence"]),
    ("engine", &["bounded", "model", "policy", "runbook", "journal"]),
    ("approval", &["bounded", "model", "policy", "runbook", "journal", "engine"]),
    ("report", &["bounded", "model", "policy", "runbook", "journal", "engine", "evidence", "story", "cost", "posture"]),
    ("cloud", &["bounded", "model", "policy", "runbook", "journal", "engine"]),
    ("capture", &["model", "engine", "cloud", "evidence"]),
    ("actions", &["bounded", "model", "policy", "runbook", "journal", "engine", "cloud", "capture", "evidence"]),
    ("bucket", &["bounded", "model", "engine", "cloud", "evidence"]),
    ("sim", &["bounded", "model", "policy"]),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("a folder can be read").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The files of a top-level module.
fn module(name: &str) -> Vec<PathBuf> {
    let mut all = files(&source().join(name));
    all.push(source().join(format!("{name}.rs")));
    all.retain(|path| path.extension().is_some_and(|extension| extension == "rs") && path.exists());
    all
}

/// The top-level modules that a file names.
fn imports(text: &str) -> BTreeSet<&str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let paths = code.flat_map(|line| line.split("crate::").skip(1));
    paths.filter_map(|path| path.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()).collect()
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (name, may_know) in MAY_KNOW {
        for file in module(name) {
            let text = fs::read_to_string(&file).unwrap();
            let strangers = imports(&text).into_iter().filter(|import| *import != name && !may_know.contains(import));
            wrong.extend(strangers.map(|import| format!("{} imports {import}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn service_sdks_stay_in_cloud_actions_and_capture() {
    for (name, _) in MAY_KNOW.iter().filter(|(name, _)| !["cloud", "actions", "capture", "bucket"].contains(name)) {
        for file in module(name) {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
            let uses = code.filter(|line| line.contains("aws_sdk_")).count();
            assert_eq!(uses, 0, "{} uses a service's SDK", file.display());
        }
    }
}

/// Services of whose features not every build has all.
const OPTIONAL: [(&str, bool); 13] = [
    ("amplify", cfg!(feature = "amplify")),
    ("apprunner", cfg!(feature = "apprunner")),
    ("batch", cfg!(feature = "batch")),
    ("codebuild", cfg!(feature = "codebuild")),
    ("ecs", cfg!(feature = "ecs")),
    ("emr", cfg!(feature = "emr")),
    ("glue", cfg!(feature = "glue")),
    ("identitystore", cfg!(all(feature = "ssoadmin", feature = "identitystore"))),
    ("lambda", cfg!(feature = "lambda")),
    ("lightsail", cfg!(feature = "lightsail")),
    ("rolesanywhere", cfg!(feature = "rolesanywhere")),
    ("sagemaker", cfg!(feature = "sagemaker")),
    ("sso", cfg!(all(feature = "ssoadmin", feature = "identitystore"))),
];

#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
#[test]
fn every_action_is_a_file_and_a_line_in_the_table() {
    let folder = source().join("actions");
    let named = |path: PathBuf| {
        let inside = path.strip_prefix(&folder).unwrap().with_extension("");
        let mut parts = inside.iter().map(|part| part.to_str().unwrap().replace('_', "-"));
        Some(format!("{}.{}", parts.next()?, parts.next()?))
    };
    let built =
        |name: &String| OPTIONAL.iter().all(|(service, built)| *built || name.split('.').next() != Some(service));
    let on_disk: BTreeSet<String> = files(&folder).into_iter().filter_map(named).filter(built).collect();
    let catalog = quell::actions::table().catalog();
    let in_table: BTreeSet<String> = catalog.actions.keys().chain(catalog.sources.keys()).cloned().collect();
    assert_eq!(on_disk, in_table);
}

#[test]
fn no_test_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(name == "main" || main.lines().any(|line| line == format!("mod {name};")), "{name} is not run");
    }
}
