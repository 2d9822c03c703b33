use serde::{Deserialize, Serialize};

use super::{Digest, Phase, Plan, RunId};

/// The content of a plan file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    quell_plan: u32,
    /// The run that the plan is for: its id is in the plan, as the case that evidence is tagged with.
    pub run: RunId,
    /// The digest that approvals are bound to.
    digest: Digest,
    /// How long it took to make, by phase.
    pub timed: Vec<(Phase, f64)>,
    /// The plan.
    pub plan: Plan,
}

/// Why the content of a file is no plan to be carried out.
#[derive(Debug, thiserror::Error)]
pub enum NoPlan {
    /// It has another form.
    #[error("it is not a plan file of this quell: {0}")]
    Malformed(serde_json::Error),
    /// Another version of quell wrote it.
    #[error("it has plan format {0}, and this quell reads {ours}", ours = PlanFile::VERSION)]
    Version(u32),
    /// It is not what was shown.
    #[error("it was edited: it does not have its digest {}", .0.short())]
    Edited(Digest),
}

impl PlanFile {
    /// The format's version.
    const VERSION: u32 = 1;

    /// A file for this plan.
    pub fn new(run: RunId, timed: Vec<(Phase, f64)>, plan: Plan) -> Self {
        Self { quell_plan: Self::VERSION, run, digest: plan.digest(), timed, plan }
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// When it is of another form or version, or was edited.
    pub fn parse(text: &[u8]) -> Result<Self, NoPlan> {
        let file: Self = serde_json::from_slice(text).map_err(NoPlan::Malformed)?;
        if file.quell_plan != Self::VERSION {
            return Err(NoPlan::Version(file.quell_plan));
        }
        if file.plan.digest() != file.digest {
            return Err(NoPlan::Edited(file.digest));
        }
        Ok(file)
    }
}
