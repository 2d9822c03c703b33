//! Who stands for a capture: a signature over its manifest, in OpenSSH's form.
//!
//! `ssh-keygen` signs and checks, as it does for git: keys in agents and in hardware work, and anybody can check a signature
//! without quell (`ssh-keygen -Y verify`, ssh-keygen(1)). A manifest names every answer by its SHA-256, so that a signature over
//! it stands for all of them.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What the signature is for: one that was made for something else, such as a commit, does not count.
const NAMESPACE: &str = "quell-capture";

/// What a signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Who: a name among those that may sign, or the fingerprint of a key when nobody said who may.
    pub by: String,
}

/// Why there is no good signature.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("it is not signed")]
    Unsigned,
    /// `ssh-keygen` is not there.
    #[error("`ssh-keygen` cannot be started: {0}; it comes with OpenSSH")]
    NoProgram(io::Error),
    /// The file system said no.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The manifest, or its signature.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// `ssh-keygen` says no.
    #[error("ssh-keygen: {0}")]
    Refused(String),
    /// Nobody of those who may sign has signed.
    #[error("it is not signed by anybody in `{}`", .0.display())]
    Stranger(PathBuf),
}

/// The file that holds the signature of a manifest.
pub fn path(manifest: &Path) -> PathBuf {
    let mut name = manifest.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// Signs a manifest with a private key, or with that of an agent or of hardware whose public key this is.
///
/// # Errors
/// When `ssh-keygen` cannot be started or says no.
pub fn sign(manifest: &Path, key: &Path) -> Result<PathBuf, SignatureError> {
    let mut command = ssh_keygen("sign");
    // Where the key has a passphrase it asks for it on the terminal.
    let signed = accepted(command.arg("-f").arg(key).args(["-n", NAMESPACE]).stdin(over(manifest)?))?;
    let signature = path(manifest);
    let io = |source| SignatureError::Io { path: signature.clone(), source };
    // One that is there is replaced when all of the new one is on the disk, and stays where nothing was signed.
    let folder = signature.parent().unwrap_or(manifest);
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(io)?;
    file.write_all(signed.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(io)?;
    file.as_file().sync_data().map_err(io)?;
    file.persist(&signature).map_err(|error| io(error.error))?;
    Ok(signature)
}

/// Checks the signature of a manifest. `signers` is a file of those who may sign, as OpenSSH has it (ssh-keygen(1), "ALLOWED
/// SIGNERS"); without one, only that the signature is one over this manifest is checked.
///
/// # Errors
/// When there is no signature, or it is not a good one.
pub fn check(manifest: &Path, signers: Option<&Path>) -> Result<Signed, SignatureError> {
    let signature = path(manifest);
    if !signature.exists() {
        return Err(SignatureError::Unsigned);
    }
    let Some(signers) = signers else {
        let mut command = ssh_keygen("check-novalidate");
        let said = accepted(command.args(["-n", NAMESPACE, "-s"]).arg(&signature).stdin(over(manifest)?))?;
        let fingerprint = said.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap_or("an unnamed key");
        return Ok(Signed { by: fingerprint.to_owned() });
    };
    let mut command = ssh_keygen("find-principals");
    let named = accepted(command.arg("-f").arg(signers).arg("-s").arg(&signature).stdin(over(manifest)?));
    let named = named.map_err(|error| match error {
        SignatureError::Refused(_) => SignatureError::Stranger(signers.to_owned()),
        other => other,
    })?;
    let by = named.lines().next().unwrap_or_default().to_owned();
    let mut command = ssh_keygen("verify");
    let command = command.arg("-f").arg(signers).args(["-I", &by, "-n", NAMESPACE, "-s"]).arg(&signature);
    accepted(command.stdin(over(manifest)?))?;
    Ok(Signed { by })
}

/// A manifest as what `ssh-keygen` reads.
fn over(manifest: &Path) -> Result<Stdio, SignatureError> {
    let file = File::open(manifest).map_err(|source| SignatureError::Io { path: manifest.to_owned(), source })?;
    Ok(Stdio::from(file))
}

fn ssh_keygen(what: &str) -> Command {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", what]);
    command
}

/// What it printed, if it agreed.
fn accepted(command: &mut Command) -> Result<String, SignatureError> {
    let Output { status, stdout, stderr } = command.output().map_err(SignatureError::NoProgram)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if status.success() {
        return Ok(text(&stdout));
    }
    let said = text(&stderr);
    Err(SignatureError::Refused(if said.is_empty() { text(&stdout) } else { said }))
}
