//! Reading what comes from outside, never without a bound.
//!
//! A file may be larger than the memory, or be none at all: a pipe that nobody writes to, a device without an end. None of
//! them may hold up or end a containment, so everything that is read has a kind, and every kind has a bound.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, Read as _};
use std::path::Path;

/// A kind of input and the most that is read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// What it is, with its article: "a runbook".
    pub what: &'static str,
    /// The most bytes.
    pub bytes: usize,
    /// The way out when it is larger.
    pub way_out: &'static str,
}

const MIB: usize = 1 << 20;

/// A runbook.
pub const RUNBOOK: Bound =
    Bound { what: "a runbook", bytes: MIB, way_out: "divide it into several runbooks, one for each purpose" };
/// A scenario of the simulated AWS.
pub const SCENARIO: Bound =
    Bound { what: "a scenario", bytes: 8 * MIB, way_out: "let it count machines and accounts instead of naming them" };
/// What goes wrong in a simulated AWS.
pub const FAULTS: Bound =
    Bound { what: "a fault plan", bytes: MIB, way_out: "join rules: one may hold for several regions and operations" };
/// A plan as a file. It names every change; a plan of 100,000 of them has some 200 MiB.
pub const PLAN: Bound =
    Bound { what: "a plan", bytes: 512 * MIB, way_out: "plan for fewer accounts or regions at a time" };
/// A journal. Its first event holds the plan.
pub const JOURNAL: Bound =
    Bound { what: "a journal", bytes: 2048 * MIB, way_out: "no run of quell's writes as much; look who wrote to it" };
/// A list of accounts.
pub const ACCOUNTS: Bound =
    Bound { what: "a list of accounts", bytes: MIB, way_out: "name the organisation or its units instead of accounts" };
/// How IAM was before: what AWS's own commands printed, of all accounts.
pub const BASELINE: Bound =
    Bound { what: "a baseline", bytes: 256 * MIB, way_out: "give each account, or a few, a file of their own" };
/// The manifest of a capture: a line for every question.
pub const MANIFEST: Bound = Bound {
    what: "a manifest",
    bytes: 1024 * MIB,
    way_out: "no capture of quell's writes as much; look who wrote to it",
};
/// An answer of AWS that is kept as evidence: a page.
pub const EVIDENCE: Bound =
    Bound { what: "an answer of AWS", bytes: 64 * MIB, way_out: "no page of AWS's is as large; look who wrote to it" };
/// A policy document, also the largest that AWS has; white space does not count for AWS, but does here.
pub const POLICY: Bound =
    Bound { what: "a policy document", bytes: 128 * 1024, way_out: "AWS takes none that is nearly as large" };
/// A line of `quell policy evaluate`: a case with all its policies.
pub const CASE: Bound = Bound { what: "a case", bytes: 4 * MIB, way_out: "leave out policies that have no say in it" };

/// Why something cannot be read. Fits after "cannot read …: ".
#[derive(Debug)]
pub enum Unreadable {
    /// The file system said no.
    Io(io::Error),
    /// A folder, pipe, socket or device.
    NoFile(&'static str),
    /// Larger than its kind may be.
    TooLarge {
        /// How large, where that is known.
        bytes: Option<u64>,
        /// The bound.
        bound: Bound,
    },
    /// Bytes that are no text.
    NoText {
        /// The line with the first of them, counted from 1.
        line: usize,
    },
}

impl Unreadable {
    /// The way out, where there is one.
    pub fn way_out(&self) -> Option<&'static str> {
        match self {
            Self::Io(_) => None,
            Self::NoFile(_) => Some("save its content as a file first, and name that"),
            Self::TooLarge { bound, .. } => Some(bound.way_out),
            Self::NoText { .. } => Some("save the file as UTF-8"),
        }
    }

    /// Whether there is nothing of that name.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NoFile(what) => write!(f, "it is {what}, and not a file"),
            Self::TooLarge { bytes: Some(bytes), bound } => {
                write!(f, "it has {bytes} bytes, and {} has at most {}", bound.what, bound.bytes)
            }
            Self::TooLarge { bytes: None, bound } => {
                write!(f, "it has more than {} bytes, the most that {} has", bound.bytes, bound.what)
            }
            Self::NoText { line } => write!(f, "line {line} is no text in UTF-8"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a file of a kind.
///
/// # Errors
/// When it is no file, is larger than its kind may be, or cannot be read.
pub fn bytes(path: &Path, bound: &Bound) -> Result<Vec<u8>, Unreadable> {
    // Before it is opened: opening a pipe waits for somebody who writes to it.
    is_file(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    is_file(&metadata)?;
    if metadata.len() > bound.bytes as u64 {
        return Err(Unreadable::TooLarge { bytes: Some(metadata.len()), bound: *bound });
    }
    let mut read = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // It may grow while it is read, and what the kernel makes up on demand has no length.
    file.take(bound.bytes as u64 + 1).read_to_end(&mut read)?;
    if read.len() > bound.bytes {
        return Err(Unreadable::TooLarge { bytes: None, bound: *bound });
    }
    Ok(read)
}

/// Reads a file of a kind as text.
///
/// # Errors
/// As [`bytes()`], and when it is no text in UTF-8.
pub fn text(path: &Path, bound: &Bound) -> Result<String, Unreadable> {
    String::from_utf8(bytes(path, bound)?).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        Unreadable::NoText { line: valid.split(|byte| *byte == b'\n').count() }
    })
}

/// Reads the next line, without its end. `None` at the end of the input; an error when it is longer than its kind may be,
/// after which the rest of the line has been passed over.
///
/// # Errors
/// When the input cannot be read; the inner one when the line is too long.
pub fn line(input: &mut dyn BufRead, bound: &Bound) -> io::Result<Option<Result<Vec<u8>, Unreadable>>> {
    let mut line = Vec::new();
    if (&mut *input).take(bound.bytes as u64 + 1).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > bound.bytes {
        while !skip_to_line_end(input)? {}
        return Ok(Some(Err(Unreadable::TooLarge { bytes: None, bound: *bound })));
    }
    Ok(Some(Ok(line)))
}

/// Passes over what is at hand of a line; says whether its end has been reached.
fn skip_to_line_end(input: &mut dyn BufRead) -> io::Result<bool> {
    let at_hand = input.fill_buf()?;
    let (used, done) = match at_hand.iter().position(|byte| *byte == b'\n') {
        Some(end) => (end + 1, true),
        None => (at_hand.len(), at_hand.is_empty()),
    };
    input.consume(used);
    Ok(done)
}

fn is_file(metadata: &fs::Metadata) -> Result<(), Unreadable> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return Err(Unreadable::NoFile("a pipe"));
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Err(Unreadable::NoFile("a device"));
        }
    }
    Err(Unreadable::NoFile(if kind.is_dir() { "a folder" } else { "something else" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Bound = Bound { what: "a note", bytes: 8, way_out: "write less" };

    fn read(content: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note");
        fs::write(&path, content).unwrap();
        text(&path, &SMALL).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        assert_eq!(read(b"12345678"), Ok("12345678".to_owned()));
        assert_eq!(read(b"123456789"), Err("it has 9 bytes, and a note has at most 8".to_owned()));
        assert_eq!(read(b"ab\nc\xff"), Err("line 2 is no text in UTF-8".to_owned()));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_does_not_hold_up_anybody() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let refused = |path: &Path| bytes(path, &SMALL).unwrap_err().to_string();
        assert_eq!(refused(&pipe), "it is a pipe, and not a file");
        assert_eq!(refused(Path::new("/dev/zero")), "it is a device, and not a file");
        assert_eq!(refused(folder.path()), "it is a folder, and not a file");
        assert!(bytes(&folder.path().join("absent"), &SMALL).unwrap_err().is_absent());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_without_a_length_is_bounded_too() {
        // The kernel makes it up while it is read, and says that it is empty.
        let error = bytes(Path::new("/proc/self/status"), &SMALL).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 8 bytes, the most that a note has");
        assert_eq!(error.way_out(), Some("write less"));
    }

    #[test]
    fn a_line_too_long_is_passed_over_and_the_next_one_read() {
        let text = format!("12345678\n{}\nlast", "x".repeat(40_000));
        let mut input = io::BufReader::with_capacity(16, text.as_bytes());
        let mut lines = Vec::new();
        while let Some(read) = line(&mut input, &SMALL).unwrap() {
            lines.push(read.map(|line| String::from_utf8(line).unwrap()).map_err(|error| error.to_string()));
        }
        let long = Err("it has more than 8 bytes, the most that a note has".to_owned());
        assert_eq!(lines, [Ok("12345678".to_owned()), long, Ok("last".to_owned())]);
    }
}
