//! A plan as a file: what was shown is what will be done.

use std::io::Write as _;
use std::path::Path;

use super::error::Failure;
use crate::bounded::{self, PLAN};
use crate::model::{Caller, NoPlan, PlanFile};
use crate::report::text::shown;

impl PlanFile {
    /// Writes it. An existing file is not overwritten: it may be the one that was approved.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let cannot =
            |error: std::io::Error| Failure::usage(format!("cannot write the plan to `{}`: {error}", path.display()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        // A plan names resources and policies of the account.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                cannot(error).hint("name another file, or remove this one")
            } else {
                cannot(error)
            }
        })?;
        let mut file = std::io::BufWriter::new(file);
        serde_json::to_writer_pretty(&mut file, self).map_err(|error| cannot(error.into()))?;
        file.flush().map_err(cannot)
    }

    /// Reads it, and refuses it when it was edited.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let file = path.display().to_string();
        let text = bounded::bytes(path, &PLAN).map_err(|error| {
            Failure::unreadable("the plan", &file, &error).hint("`quell plan RUNBOOK -o FILE` writes one")
        })?;
        let file = shown(&file);
        Self::parse(&text).map_err(|error| match error {
            NoPlan::Malformed(error) => Failure::refused(format!("`{file}` is not a plan file of this quell: {error}"))
                .hint("make it again by `quell plan -o FILE`"),
            NoPlan::Version(_) => {
                Failure::usage(format!("`{file}`: {error}")).hint("make the plan again with this quell")
            }
            NoPlan::Edited(digest) => Failure::refused(format!(
                "the plan in `{file}` was edited: it does not have its digest {}",
                digest.short()
            ))
            .hint("make a new plan; what was not planned and shown is not done"),
        })
    }

    /// Refuses a plan that was made in another account or for another principal: what it would do, and whom its policies
    /// would lock out, was checked for that one.
    pub fn check_caller(&self, caller: &Caller) -> Result<(), Failure> {
        let planned = &self.plan.caller;
        if planned.account != caller.account {
            return Err(Failure::refused(format!(
                "the plan was made in account {}, and the credentials are of account {}",
                planned.account, caller.account
            ))
            .hint("use the credentials the plan was made with (--profile), or plan again"));
        }
        if planned.principal_arn() != caller.principal_arn() {
            return Err(Failure::refused(format!(
                "the plan was made for {}, and {} is calling: that the plan does not lock out its caller was checked for \
                 the former only",
                planned.principal_arn(),
                caller.principal_arn()
            ))
            .hint("use the same role, or plan again"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountId, RunId, example};

    fn written(folder: &tempfile::TempDir) -> std::path::PathBuf {
        let path = folder.path().join("plan.json");
        PlanFile::new(RunId::new("20261123-145000-abcdef").unwrap(), Vec::new(), example::plan()).write(&path).unwrap();
        path
    }

    #[test]
    fn a_plan_reads_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = PlanFile::read(&written(&folder)).unwrap();
        assert_eq!(file.plan, example::plan());
        assert!(file.check_caller(&example::plan().caller).is_ok());
    }

    #[test]
    fn an_edited_plan_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(&folder);
        let text = std::fs::read_to_string(&path).unwrap().replace("i-0b", "i-0f");
        std::fs::write(&path, text).unwrap();
        let failure = PlanFile::read(&path).unwrap_err();
        assert_eq!(failure.exit_code(), 4);
        assert!(failure.message().contains("was edited"));
    }

    #[test]
    fn a_plan_for_another_account_or_role_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = PlanFile::read(&written(&folder)).unwrap();
        let mut caller = example::plan().caller;
        caller.arn = "arn:aws:sts::111122223333:assumed-role/Other/anna".into();
        assert_eq!(file.check_caller(&caller).unwrap_err().exit_code(), 4);
        caller.account = AccountId::new("444455556666").unwrap();
        assert!(file.check_caller(&caller).unwrap_err().message().contains("account 444455556666"));
    }

    #[test]
    fn a_plan_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(&folder);
        let file = PlanFile::read(&path).unwrap();
        assert_eq!(file.write(&path).unwrap_err().exit_code(), 2);
    }
}
