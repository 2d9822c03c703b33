//! `account.capture`

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::capture::{self, Recorder, Wanted};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::evidence::item::VERSION;
use crate::evidence::{EvidenceError, Header, Store};
use crate::model::{
    AccountId, Accounts, ActionError, Effect, ErrorKind, Regions, Resource, ResourceId, RunId, Span, Targets, Tier,
    Undo, Verdict,
};

/// Captures the state of an account as evidence.
pub struct Capture;

/// What is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How far back CloudTrail's event history is read, 90d at most; by default not at all: AWS keeps it for 90 days, and
    /// answers two questions per second
    #[serde(default)]
    pub history: Option<Span>,
    /// What is to happen where AWS does not answer everything
    #[serde(default)]
    pub gaps: Gaps,
}

/// What a capture with gaps is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gaps {
    /// It counts; the gaps are named in the store.
    #[default]
    Accepted,
    /// The step fails; with `on_failure: hold` what needs it is held. A run that is resumed asks again.
    Refused,
}

/// What the case has captured of the account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The last hash of the manifest, when the capture has come to its end.
    pub head: Option<String>,
    /// What could not be captured, of such a capture.
    pub gaps: u64,
}

impl Action for Capture {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "account.capture";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["account"];
    const TITLE: &'static str = "Capture the state of the account as evidence";
    const DESCRIPTION: &'static str = "Asks AWS for the state of the account in all its regions, as `quell capture` does, and \
        keeps every answer in the evidence store of the state folder. Nothing is changed in AWS. Written before the first step \
        that changes something, with `needs` at those, it keeps what they are about to change. The capture is named after the \
        run and the account; a run that is resumed goes on with it. What AWS does not answer is a gap, which is named; with \
        `gaps: refused` it fails the step. Write `on_failure: hold` as well where nothing may be done without the capture. Each \
        question to Cost Explorer costs a cent.\n\n\
        AWS pages: those of the operations under *Permissions*.";
    const UNDO: &'static str = "Nothing: nothing was changed, and the evidence stays.";
    const PERMISSIONS: &'static [&'static str] = &[
        "account:ListRegions",
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeLaunchConfigurations",
        "autoscaling:DescribeScalingActivities",
        "budgets:ViewBudget",
        "ce:GetAnomalyMonitors",
        "ce:GetCostAndUsage",
        "cloudtrail:DescribeTrails",
        "cloudtrail:GetEventSelectors",
        "cloudtrail:GetTrailStatus",
        "cloudtrail:LookupEvents",
        "config:DescribeConfigurationRecorderStatus",
        "config:DescribeConfigurationRecorders",
        "ec2:DescribeAddresses",
        "ec2:DescribeCapacityReservations",
        "ec2:DescribeFleets",
        "ec2:DescribeImageAttribute",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceAttribute",
        "ec2:DescribeInstances",
        "ec2:DescribeKeyPairs",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeLaunchTemplates",
        "ec2:DescribeNetworkAcls",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeRegions",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSnapshotAttribute",
        "ec2:DescribeSnapshots",
        "ec2:DescribeSpotFleetRequests",
        "ec2:DescribeSpotInstanceRequests",
        "ec2:DescribeSubnets",
        "ec2:DescribeVolumes",
        "ec2:DescribeVpcs",
        "ec2:GetConsoleOutput",
        "ec2:GetConsoleScreenshot",
        "ec2:GetEbsEncryptionByDefault",
        "ec2:GetImageBlockPublicAccessState",
        "ec2:GetInstanceMetadataDefaults",
        "ec2:GetManagedResourceVisibility",
        "ec2:GetSnapshotBlockPublicAccessState",
        "guardduty:GetDetector",
        "guardduty:GetFindings",
        "guardduty:ListDetectors",
        "guardduty:ListFindings",
        "iam:GenerateCredentialReport",
        "iam:GetAccessKeyLastUsed",
        "iam:GetAccountAuthorizationDetails",
        "iam:GetAccountPasswordPolicy",
        "iam:GetAccountSummary",
        "iam:GetCredentialReport",
        "iam:GetLoginProfile",
        "iam:ListAccessKeys",
        "iam:ListAccountAliases",
        "iam:ListMFADevices",
        "iam:ListOpenIDConnectProviders",
        "iam:ListSAMLProviders",
        "iam:ListSSHPublicKeys",
        "iam:ListServiceSpecificCredentials",
        "iam:ListSigningCertificates",
        "iam:ListUsers",
        "organizations:DescribeOrganization",
        "organizations:DescribePolicy",
        "organizations:ListAccounts",
        "organizations:ListDelegatedAdministrators",
        "organizations:ListPolicies",
        "organizations:ListRoots",
        "organizations:ListTargetsForPolicy",
        "s3:GetBucketAcl",
        "s3:GetBucketLocation",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetBucketPolicy",
        "s3:GetBucketPolicyStatus",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetBucketVersioning",
        "s3:GetEncryptionConfiguration",
        "s3:ListAllMyBuckets",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: capture, uses: account.capture }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let store = folder(cx)?;
        let found = members.iter().map(|member| {
            let account = AccountId::new(member.id.as_str()).map_err(|error| failed(&error))?;
            Ok(Found { member: member.id.clone(), resource: member.id.clone(), prior: taken(store, cx, &account)? })
        });
        found.collect()
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        if found.prior.head.is_some() {
            return Decision::Already;
        }
        let undo = Undo::by("nothing to take back: the evidence stays");
        let summary = format!("capture the state of account {}", found.resource);
        Decision::Change(Proposal::new(summary, "not captured", "captured", undo))
    }

    fn drift(&self, _: &Prior, _: &Prior) -> Option<String> {
        None
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        try_join_all(items.iter().map(|item| take(cx, params, &item.resource))).await
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        match found.prior.head {
            None => Verdict::Unproven { why: "it did not come to its end".to_owned() },
            Some(_) => Verdict::Proven,
        }
    }

    fn made(&self, found: &Found<Prior>) -> Effect {
        json!({ "head": found.prior.head, "gaps": found.prior.gaps })
    }

    /// Nothing is taken back, so nothing has to be as before.
    fn restored(&self, _: &Prior, _: &Prior) -> Verdict {
        Verdict::Proven
    }

    async fn undo(&self, _: &Ctx, _: &Params, _: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        Ok(())
    }
}

fn folder(cx: &Ctx) -> Result<&Path, ActionError> {
    cx.evidence.as_deref().ok_or_else(|| {
        let why = "there is no evidence store here: account.capture works in `quell run` and `quell drill`";
        ActionError::new(ErrorKind::Unsupported, why)
    })
}

fn failed(error: &dyn std::error::Error) -> ActionError {
    ActionError::new(ErrorKind::Other, error.to_string())
}

/// What the capture of an account in this case is called.
fn name(cx: &Ctx, account: &AccountId) -> Result<RunId, ActionError> {
    RunId::new(format!("{}-{account}", cx.view.case)).map_err(|error| failed(&error))
}

fn taken(store: &Path, cx: &Ctx, account: &AccountId) -> Result<Prior, ActionError> {
    let nothing = Prior { head: None, gaps: 0 };
    let id = name(cx, account)?;
    let captured = Store::open(store).and_then(|store| store.capture(&id));
    match captured {
        Ok(captured) => Ok(match captured.ended() {
            Some(ended) => Prior { head: Some(captured.head.clone()), gaps: ended.gaps },
            None => nothing,
        }),
        Err(EvidenceError::NoStore { .. } | EvidenceError::Unknown { .. }) => Ok(nothing),
        Err(error) => Err(failed(&error)),
    }
}

/// Captures an account, or goes on with it.
async fn take(cx: &Ctx, params: &Params, account: &ResourceId) -> Result<Effect, ActionError> {
    let account = AccountId::new(account.as_str()).map_err(|error| failed(&error))?;
    let id = name(cx, &account)?;
    let store = Store::make(folder(cx)?).map_err(|error| failed(&error))?;
    let mut done = BTreeSet::new();
    let manifest = match store.take_up(&id) {
        Ok((_, captured)) if captured.ended().is_some() => return Ok(Value::Null),
        Ok((manifest, captured)) => {
            done = captured.done().map(str::to_owned).collect();
            manifest
        }
        Err(EvidenceError::Unknown { .. }) => {
            store.begin(&header(cx, &id, &account)).map_err(|error| failed(&error))?
        }
        Err(error) => return Err(failed(&error)),
    };
    let now = cx.clock.now();
    let targets =
        Targets { accounts: Accounts::Listed(vec![account.to_string()]), regions: Regions::Enabled, role: None };
    let history = params.history.as_ref().map(|span| now - span.std());
    let recorder = Arc::new(Recorder::new(store, manifest, cx.clock.clone()));
    let wanted = Wanted { targets, history, now, only: None, done };
    // What was answered stays in any case.
    if let Err(error) = capture::of_account(cx, &recorder, &wanted).await {
        recorder.stop().map_err(|error| failed(&error))?;
        return Err(error);
    }
    let ended = match params.gaps {
        Gaps::Accepted => recorder.end(),
        Gaps::Refused => recorder.end_if_whole(),
    };
    let recorded = ended.map_err(|error| failed(&error))?;
    if let (Gaps::Refused, Some(gap)) = (params.gaps, recorded.gaps.first()) {
        let message = format!("{} of {} was not captured: {}", gap.what, gap.region, gap.why);
        return Err(ActionError::new(gap.kind, message));
    }
    Ok(json!({ "capture": id, "head": recorded.head, "answers": recorded.items, "gaps": recorded.gaps.len() }))
}

fn header(cx: &Ctx, id: &RunId, account: &AccountId) -> Header {
    let quell = env!("CARGO_PKG_VERSION").to_owned();
    let (by, accounts) = (cx.view.caller.arn.clone(), vec![account.clone()]);
    Header { quell_capture: VERSION, id: id.clone(), began: cx.clock.now(), by, quell, accounts }
}
