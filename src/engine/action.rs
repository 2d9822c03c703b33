//! What an action is, and what a source of sets is.
//!
//! An action is one file and one line in the table (`crate::actions::table`). It says what it finds, what it would change,
//! how it changes, and how it takes that back. Everything else (order, approvals, batches, journal, drift, proof, resume,
//! rollback) is the engine's.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use aws_types::SdkConfig;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Duration;

use super::ports::Clock;
use crate::model::{
    ActionError, AttachedPolicy, ByHand, Caller, Effect, Finding, KindSpec, Region, Resource, ResourceId, RunId,
    Target, Tier, Undo, Verdict,
};

/// What an action may use: a session in one account and region, and what is known of the run.
#[derive(Clone)]
pub struct Ctx {
    /// The lane: account and region.
    pub target: Target,
    /// What the run knows without asking.
    pub view: View,
    /// The session in the lane's account and region (for a global lane: the partition's home region).
    pub sdk: SdkConfig,
    /// The caller's own session, in the partition's home region: for Organizations, and for STS.
    pub home: SdkConfig,
    /// The run's clock; the only source of time, and the only way to wait.
    pub clock: Arc<dyn Clock>,
    /// The folder of the evidence store; none where the run keeps no evidence of its own.
    pub evidence: Option<PathBuf>,
}

impl Ctx {
    /// The session in another region of the same account.
    #[must_use]
    pub fn in_region(&self, region: &Region) -> Self {
        let sdk = self.sdk.to_builder().region(aws_types::region::Region::new(region.to_string())).build();
        let target = Target { account: self.target.account.clone(), region: region.clone() };
        Self { target, sdk, ..self.clone() }
    }
}

/// What planning knows of the run. Plain data.
#[derive(Debug, Clone)]
pub struct View {
    /// The run, whose id is the case that evidence is tagged with.
    pub case: RunId,
    /// Who runs quell.
    pub caller: Caller,
    /// The `now` of the plan.
    pub now: Timestamp,
}

/// When the look right before a change is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookBefore {
    /// When the turn of the change has come: when all that it needs has ended.
    AtItsTurn,
    /// Already while what it needs is under way, so that nothing waits for the look. Only for an action whose look sees
    /// nothing that other steps change. A look that is more than [`FRESH`] old by the turn of the change is taken anew.
    Ahead,
}

/// How old the look before a change may be when the change is made.
pub const FRESH: Duration = Duration::from_secs(2);

/// Something that an action found for a member of its set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found<P> {
    /// The member for which it was found.
    pub member: ResourceId,
    /// What would be changed: the member itself, or something that belongs to it.
    pub resource: ResourceId,
    /// Its state as far as the action needs it, for the decision, the drift check and the way back.
    pub prior: P,
}

/// What is to be done about something found.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Change it.
    Change(Proposal),
    /// It is as wished.
    Already,
    /// It cannot be changed: why, and what a person can do instead.
    Skip(String),
    /// quell cannot do it: what a person does instead, and how.
    ByHand(ByHand),
    /// It must not be changed, and the whole plan with it: why.
    Refuse(String),
    /// It could not be looked at: what needs it for this member is left alone.
    Unseen(ActionError),
}

/// A change as an action proposes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// One line in the imperative.
    pub summary: String,
    /// The state before, in a few words.
    pub before: String,
    /// The state after, in a few words.
    pub after: String,
    /// The way back.
    pub undo: Undo,
    /// What the approver should know.
    pub notes: Vec<String>,
    /// A policy that it attaches.
    pub attaches: Option<AttachedPolicy>,
    /// What it leaves to a person.
    pub by_hand: Vec<ByHand>,
}

impl Proposal {
    /// A proposal without notes.
    pub fn new(summary: impl Into<String>, before: impl Into<String>, after: impl Into<String>, undo: Undo) -> Self {
        Self {
            summary: summary.into(),
            before: before.into(),
            after: after.into(),
            undo,
            notes: Vec::new(),
            attaches: None,
            by_hand: Vec::new(),
        }
    }

    /// Adds something that the approver should know.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds work that the change leaves to a person.
    #[must_use]
    pub fn leaving(mut self, work: ByHand) -> Self {
        self.by_hand.push(work);
        self
    }

    /// Names the policy that the change attaches, for the lockout guard.
    #[must_use]
    pub fn attaching(mut self, policy: AttachedPolicy) -> Self {
        self.attaches = Some(policy);
        self
    }
}

/// A change that is being carried out or taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Item<P> {
    /// The change's id: the same in every attempt, so names and client tokens are made from it.
    pub change: crate::model::ChangeId,
    /// The member of the set.
    pub member: ResourceId,
    /// What is changed.
    pub resource: ResourceId,
    /// For `apply` the state as just read again; for `undo` the state before the run.
    pub prior: P,
}

/// An action: what it finds, what it would change, how, and back.
pub trait Action: Send + Sync + 'static {
    /// The type of `with`.
    type Params: DeserializeOwned + JsonSchema + Send + Sync;
    /// The state that is found, compared and restored.
    type Prior: Serialize + DeserializeOwned + PartialEq + Clone + Send + Sync;

    /// `service.verb-noun`.
    const NAME: &'static str;
    /// What must be approved.
    const TIER: Tier;
    /// The kinds of members it works on; `["account"]` for a step without `on`.
    const KINDS: &'static [&'static str];
    /// What it does, in the imperative.
    const TITLE: &'static str;
    /// What it changes, what AWS does then, traps and sources. Markdown.
    const DESCRIPTION: &'static str;
    /// How it is taken back, and what is not.
    const UNDO: &'static str;
    /// IAM permissions of discover, apply and verify.
    const PERMISSIONS: &'static [&'static str];
    /// IAM permissions that only undo needs.
    const UNDO_PERMISSIONS: &'static [&'static str];
    /// The permissions, of both lists, that only members of one kind need: the kind and its permissions.
    const ONLY_ON: &'static [(&'static str, &'static [&'static str])] = &[];
    /// A step that uses it, in YAML.
    const EXAMPLE: &'static str;
    /// How many changes one `apply` may carry. More than one only where one *request* carries them all: when such a
    /// request fails, the engine halves the batch until what spoils it stands alone.
    const BATCH: usize = 1;
    /// When the look right before a change is taken.
    const LOOK_BEFORE: LookBefore = LookBefore::AtItsTurn;

    /// Looks. Every member of `members` is in `cx.target`. A member that is gone is simply not found. In a survey the members
    /// come with their fields as just listed, in all later looks without any.
    fn discover(
        &self,
        cx: &Ctx,
        params: &Self::Params,
        members: &[Resource],
    ) -> impl Future<Output = Result<Vec<Found<Self::Prior>>, ActionError>> + Send;

    /// Looks once more at members whose changes were approved, right before they are made or taken back. By default all of
    /// [`Action::discover`]. An action that needs a request per member for something that neither voids the approval nor is
    /// about to be changed takes that from the approved state instead.
    fn look_again(
        &self,
        cx: &Ctx,
        params: &Self::Params,
        members: &[Resource],
        approved: &[Item<Self::Prior>],
    ) -> impl Future<Output = Result<Vec<Found<Self::Prior>>, ActionError>> + Send {
        let _ = approved;
        self.discover(cx, params, members)
    }

    /// Decides; sees nothing but its arguments.
    fn plan(&self, view: &View, params: &Self::Params, found: &Found<Self::Prior>) -> Decision;

    /// What is different in a way that voids the approval, if anything is. By default any difference of the priors.
    /// An action whose prior holds what *earlier steps* of a runbook change narrows this to what voids its own plan.
    fn drift(&self, approved: &Self::Prior, now: &Self::Prior) -> Option<String> {
        (approved != now).then(|| "its state is not the approved one any more".to_owned())
    }

    /// Asks AWS whether the changes would be permitted, without making them (EC2's `DryRun`). One finding per missing
    /// permission; none where AWS offers no such question.
    fn preflight(
        &self,
        cx: &Ctx,
        params: &Self::Params,
        items: &[Item<Self::Prior>],
    ) -> impl Future<Output = Vec<Finding>> + Send {
        let _ = (cx, params, items);
        async { Vec::new() }
    }

    /// Makes the changes: at most [`Action::BATCH`] of them. Idempotent: a second call after an unknown outcome does no
    /// harm. Returns one effect per item, in order.
    fn apply(
        &self,
        cx: &Ctx,
        params: &Self::Params,
        items: &[Item<Self::Prior>],
    ) -> impl Future<Output = Result<Vec<Effect>, ActionError>> + Send;

    /// What a look after the change says. By default proven when `plan` finds nothing left to change.
    fn verify(&self, view: &View, params: &Self::Params, found: &Found<Self::Prior>) -> Verdict {
        match self.plan(view, params, found) {
            Decision::Already => Verdict::Proven,
            Decision::Change(proposal) => Verdict::Unproven { why: format!("still {}", proposal.before) },
            Decision::Skip(why) | Decision::Refuse(why) => Verdict::Unproven { why },
            Decision::ByHand(work) => Verdict::Unproven { why: format!("left to a person: {}", work.what) },
            Decision::Unseen(error) => Verdict::Unproven { why: error.to_string() },
        }
    }

    /// What an earlier attempt made, read from what it left behind: the effect of a change whose `apply` was cut off before
    /// it could say so. By default nothing is remembered.
    fn made(&self, found: &Found<Self::Prior>) -> Effect {
        let _ = found;
        Effect::Null
    }

    /// What a look after the way back says. By default proven when nothing differs that [`Action::drift`] minds.
    fn restored(&self, prior: &Self::Prior, now: &Self::Prior) -> Verdict {
        self.drift(prior, now).map_or(Verdict::Proven, |why| Verdict::Pending { why })
    }

    /// Takes one change back. Accepts that it never happened, happened by half, or was taken back before. `effect` is what
    /// `apply` returned, `null` if the run was cut off before it did or it took more than one attempt.
    fn undo(
        &self,
        cx: &Ctx,
        params: &Self::Params,
        item: &Item<Self::Prior>,
        effect: &Effect,
    ) -> impl Future<Output = Result<(), ActionError>> + Send;
}

/// What is wanted of the members of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The fields that the set's predicate reads.
    pub fields: Vec<&'static str>,
    /// Members that the run knows already: only whether they still belong to the set is of interest.
    pub known: Vec<&'a ResourceId>,
}

impl Wanted<'_> {
    /// Whether a member that the run knows may come without its fields.
    pub fn only_whether_it_is_there(&self, member: impl Fn(&ResourceId) -> bool) -> Option<ResourceId> {
        let known = self.known.iter().find(|id| member(id)).filter(|_| self.fields.is_empty())?;
        Some((*known).clone())
    }
}

/// What a source lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// The members.
    pub members: Vec<Resource>,
    /// The other services that were asked who belongs to it, and whether they told: a cell of the ledger each.
    pub asked: Vec<(&'static str, Result<(), ActionError>)>,
}

/// A source of sets: a named query.
pub trait Source: Send + Sync + 'static {
    /// The type of `with`.
    type Params: DeserializeOwned + JsonSchema + Send + Sync;

    /// `service.noun`.
    const NAME: &'static str;
    /// The kind of its members; the kind says whether the source is asked per region or once per account.
    const KIND: &'static KindSpec;
    /// What it lists.
    const TITLE: &'static str;
    /// The IAM permissions it needs.
    const PERMISSIONS: &'static [&'static str];

    /// Lists the members in `cx.target`, each with every field of its kind. What takes a request of its own may be left out
    /// where it is not `wanted`.
    fn list(
        &self,
        cx: &Ctx,
        params: &Self::Params,
        wanted: &Wanted<'_>,
    ) -> impl Future<Output = Result<Vec<Resource>, ActionError>> + Send;

    /// The members, with what else was asked for them. By default nothing was.
    fn ask(
        &self,
        cx: &Ctx,
        params: &Self::Params,
        wanted: &Wanted<'_>,
    ) -> impl Future<Output = Result<Listed, ActionError>> + Send {
        async { Ok(Listed { members: self.list(cx, params, wanted).await?, asked: Vec::new() }) }
    }

    /// Why this caller must not go on at all, for a source that names who is compromised. Asked for the caller's own
    /// account.
    fn refuse(&self, view: &View, params: &Self::Params, members: &[Resource]) -> Option<String> {
        let _ = (view, params, members);
        None
    }
}
