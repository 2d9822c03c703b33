//! The report of a drill: captures before and after, and what they and the journal tell.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::capture::{self, Recorder, Wanted};
use crate::cli::carry_out::{Ended, new_run};
use crate::cli::error::Failure;
use crate::cli::recorded;
use crate::cli::rehearsal::Rehearsal;
use crate::cli::report::{Form, make, write};
use crate::cli::screen::Screen;
use crate::evidence::item::VERSION;
use crate::evidence::{Header, Store};
use crate::journal;
use crate::model::Targets;
use crate::report::text::shown;
use crate::sim::scenario::Facts;

/// As far back as CloudTrail's event history goes.
const HISTORY: Duration = Duration::from_hours(90 * 24);

/// A folder for the report of a drill, and for the evidence that it is told from.
pub struct Reported {
    folder: PathBuf,
    store: Store,
    targets: Targets,
}

impl Reported {
    /// Makes the folder. The evidence of an earlier drill is of another world, so there must be none.
    pub fn begin(folder: &Path, targets: Targets) -> Result<Self, Failure> {
        let evidence = folder.join("evidence");
        if evidence.exists() {
            let message = format!("`{}` holds the evidence of another drill", shown(&folder.display().to_string()));
            return Err(Failure::usage(message).hint("name another folder, or remove this one"));
        }
        Ok(Self { folder: folder.to_owned(), store: Store::make(&evidence)?, targets })
    }

    /// Captures the state of the runbook's accounts as it is now.
    pub async fn capture(&self, rehearsal: &Rehearsal) -> Result<(), Failure> {
        let now = rehearsal.clock.now();
        let id = new_run(now);
        let witness = Arc::new(crate::cli::capture::Late::default());
        let table = crate::actions::table();
        let http = rehearsal.sim.http_client();
        let engine = rehearsal.engine_before(Some(witness.clone()), table, (&id, now), http).await?;
        let caller = engine.sessions.caller().await?;
        let header = Header {
            quell_capture: VERSION,
            id,
            began: now,
            by: caller.arn,
            quell: env!("CARGO_PKG_VERSION").to_owned(),
            accounts: vec![caller.account],
        };
        let manifest = self.store.begin(&header)?;
        let recorder = Arc::new(Recorder::new(self.store.clone(), manifest, Arc::clone(&rehearsal.clock)));
        witness.begin(recorder.clone());
        let targets = self.targets.clone();
        let wanted = Wanted { targets, history: Some(now - HISTORY), now, only: None, done: BTreeSet::new() };
        capture::capture(engine.sessions.as_ref(), &recorder, &wanted, &|_| {}).await?;
        recorder.end()?;
        Ok(())
    }

    /// Writes the report in all forms.
    pub fn write(&self, ended: &Ended, facts: &Facts, screen: &Screen) -> Result<(), Failure> {
        let journal = journal::read(&screen.state()?, &ended.record.run)?;
        let mut known = recorded::known(&ended.record);
        // In a drill nobody has to find out since when.
        known.since = Some(facts.since);
        let report = make(&ended.record, &journal, Some(&self.store), &known)?;
        for (name, form) in [("report.html", Form::Html), ("report.md", Form::Markdown), ("report.json", Form::Json)] {
            write(&report, form, &self.folder.join(name))?;
        }
        screen.remark(&format!(
            "wrote report.html, report.md and report.json to {}",
            shown(&self.folder.display().to_string())
        ));
        Ok(())
    }
}
