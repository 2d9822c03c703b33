//! The other services that miners use: found, stopped, proven, taken back; and the wrong order loses.

#[cfg(all(feature = "batch", feature = "cloudtrail"))]
pub mod batch;
#[cfg(feature = "glue")]
pub mod glue;
#[cfg(feature = "glue")]
mod run;

use quell::actions;
use quell::model::Runbook;
use quell::runbook;

use crate::launchers::Lab;

/// A runbook for the intruder's region, with these sets and steps.
fn of(lab: &Lab, sets: &str, steps: &str) -> Runbook {
    let text = format!(
        "quell: 1\nname: test\ntitle: Miners in other services\n\
         targets: {{ accounts: [\"{}\"], regions: [{}], role: ir/IRResponder }}\n\
         sets:\n{sets}\nsteps:\n{steps}\n\
         until: {{ clean_sweeps: 2, every: 60s, at_most: 6, newcomers: contain }}\n",
        lab.facts.breached_account, lab.target.region
    );
    match runbook::load("test", &text, &actions::table().catalog()) {
        Ok((runbook, _)) => runbook,
        Err(found) => panic!("{text}\n{:#?}", found.errors),
    }
}
