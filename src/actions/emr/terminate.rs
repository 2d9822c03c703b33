//! `emr.terminate`

use aws_sdk_emr::types::Cluster;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AT_ONCE;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};

/// Terminates clusters.
pub struct Terminate;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A cluster before it is terminated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Its name.
    pub name: String,
    /// `RUNNING`, …
    pub state: String,
    /// Whether it has termination protection.
    pub protected: bool,
    /// Where it writes its logs, if it does.
    pub logs: Option<String>,
}

impl Action for Terminate {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "emr.terminate";
    const TIER: Tier = Tier::Destructive;
    const KINDS: &'static [&'static str] = &["emr.cluster"];
    const TITLE: &'static str = "Terminate EMR clusters";
    const DESCRIPTION: &'static str = "Switches termination protection off, then terminates clusters, up to ten in one \
        call. A cluster cannot be stopped: as long as it lives it launches again every core and task node that is stopped or \
        terminated, so this is what ends its machines. Its steps end with it, and so do managed scaling and auto-termination \
        policies. Where EC2 protects a machine and EMR the cluster not, EMR's setting counts: machines that an earlier step \
        protected as evidence end, too. Their disks go with them: snapshots come first \
        (`ec2.snapshot-volumes` on instances with the tag `aws:elasticmapreduce:job-flow-id`). A cluster counts as pending \
        until it has ended. The milder way, fewer nodes by ModifyInstanceGroups or ModifyInstanceFleet, leaves the master \
        and what runs on it.\n\n\
        AWS pages: *TerminateJobFlows*, *SetTerminationProtection*, *Using termination protection to protect your Amazon EMR \
        clusters*, *Terminate an Amazon EMR cluster*. Facts B12.";
    const UNDO: &'static str = "Not possible: a terminated cluster does not come back. EMR shows its configuration for two \
        months, from which another can be made.";
    const PERMISSIONS: &'static [&'static str] = &[
        "elasticmapreduce:DescribeCluster",
        "elasticmapreduce:SetTerminationProtection",
        "elasticmapreduce:TerminateJobFlows",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: emr, uses: emr.terminate, on: clusters, needs: [evidence] }";
    const BATCH: usize = AT_ONCE;

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let ids: Vec<String> = members.iter().map(|member| member.id.to_string()).collect();
        let clusters = super::described(&super::client(cx), &ids).await?;
        Ok(clusters.iter().filter_map(found).collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Prior { name, state, protected, logs } = &found.prior;
        if state.starts_with("TERMINAT") {
            return Decision::Already;
        }
        let undo = Undo::impossible("the cluster: another can be made from its configuration")
            .losing("what is on its disks, HDFS among it")
            .losing("its steps");
        let summary = format!("terminate the EMR cluster {} ({name})", found.resource);
        let mut proposal = Proposal::new(summary, state, "TERMINATED", undo);
        if *protected {
            proposal = proposal.noting("its termination protection is switched off first");
        }
        proposal = proposal.noting(match logs {
            Some(logs) => format!("its logs are kept: {logs}"),
            None => "it keeps no logs: what is on its disks is all there is".to_owned(),
        });
        Decision::Change(proposal)
    }

    /// What it does meanwhile changes nothing: its id is its own.
    fn drift(&self, _: &Prior, _: &Prior) -> Option<String> {
        None
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        // One that has ended by now would spoil the whole call.
        let ids: Vec<String> = items.iter().map(|item| item.resource.to_string()).collect();
        let mut live = super::described(&client, &ids).await?;
        live.retain(|cluster| !super::state(cluster).starts_with("TERMINAT"));
        let (protected, open): (Vec<_>, Vec<_>) =
            live.into_iter().partition(|cluster| cluster.termination_protected().unwrap_or_default());
        let ids = |clusters: Vec<Cluster>| clusters.into_iter().filter_map(|cluster| cluster.id).collect::<Vec<_>>();
        let (protected, open) = (ids(protected), ids(open));
        if !protected.is_empty() {
            let protection = client.set_termination_protection().set_job_flow_ids(Some(protected.clone()));
            protection.termination_protected(false).send().await?;
        }
        let live = [protected, open].concat();
        if !live.is_empty() {
            client.terminate_job_flows().set_job_flow_ids(Some(live)).send().await?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        match found.prior.state.as_str() {
            "TERMINATED" | "TERMINATED_WITH_ERRORS" => Verdict::Proven,
            "TERMINATING" => Verdict::Pending { why: "it is TERMINATING".to_owned() },
            state => Verdict::Unproven { why: format!("it is {state}") },
        }
    }

    async fn undo(&self, _: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let message = format!("{} is terminated: make another from its configuration if it is needed", item.resource);
        Err(ActionError::new(ErrorKind::WrongState, message))
    }
}

fn found(cluster: &Cluster) -> Option<Found<Prior>> {
    let resource = ResourceId::new(cluster.id()?).ok()?;
    let prior = Prior {
        name: cluster.name().unwrap_or_default().to_owned(),
        state: super::state(cluster),
        protected: cluster.termination_protected().unwrap_or_default(),
        logs: cluster.log_uri().map(str::to_owned),
    };
    Some(Found { member: resource.clone(), resource, prior })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(state: &str, protected: bool) -> Found<Prior> {
        let resource = ResourceId::new("j-1").unwrap();
        let prior = Prior { name: "miner".into(), state: state.into(), protected, logs: None };
        Found { member: resource.clone(), resource, prior }
    }

    #[test]
    fn what_cannot_come_back_is_said_before() {
        let Decision::Change(proposal) = Terminate.plan(&view(), &Params {}, &found("WAITING", true)) else {
            panic!("no change")
        };
        assert_eq!(proposal.undo.how, None);
        assert_eq!(
            proposal.notes,
            [
                "its termination protection is switched off first",
                "it keeps no logs: what is on its disks is all there is"
            ]
        );
        assert_eq!(Terminate.plan(&view(), &Params {}, &found("TERMINATED_WITH_ERRORS", true)), Decision::Already);
    }

    #[test]
    fn terminating_is_not_yet_terminated() {
        let verify = |state| Terminate.verify(&view(), &Params {}, &found(state, false));
        assert_eq!(verify("TERMINATED"), Verdict::Proven);
        assert!(matches!(verify("TERMINATING"), Verdict::Pending { .. }));
        assert!(matches!(verify("RUNNING"), Verdict::Unproven { .. }));
    }
}
