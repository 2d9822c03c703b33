//! Node.js for the independent evaluator of policies: its packages live under the build folder.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

const PACKAGES: &str = include_str!("../node/package.json");

/// The folder in which the packages of tests/node/package.json are installed. `None` when they cannot be: then standard
/// error says why and that the test is skipped. quell needs Rust and Python, not Node.js: this comparison is an extra.
pub fn ready() -> Option<PathBuf> {
    match install() {
        Ok(folder) => Some(folder),
        Err(cause) => {
            let _ = writeln!(io::stderr(), "SKIPPED, comparison of decisions: {cause}");
            None
        }
    }
}

/// A file of the source tree.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A script of tests/node, which is told where the packages are.
pub fn script(name: &str, folder: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(source("tests/node").join(name)).arg(folder);
    command
}

fn install() -> Result<PathBuf, String> {
    let key = hex::encode(&Sha256::digest(PACKAGES)[..8]);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("node-{key}"));
    let done = folder.join("complete");
    let cannot = |error: io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(cannot)?;
    let lock = File::create(folder.with_extension("lock")).map_err(cannot)?;
    lock.lock().map_err(cannot)?; // until it is dropped; other test processes wait here
    if done.exists() {
        return Ok(folder);
    }
    fs::write(folder.join("package.json"), PACKAGES).map_err(cannot)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-package-lock", "--no-audit", "--no-fund"]).current_dir(&folder).stdin(Stdio::null());
    let output = npm.output().map_err(|error| format!("npm does not run ({error}); install Node.js 20 or newer"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("npm cannot install tests/node/package.json: {said}"));
    }
    File::create(done).map_err(cannot)?;
    Ok(folder)
}
