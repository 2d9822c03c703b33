//! The decision of all policies that have a say.

use super::document::{Document, Effect, Kind};
use super::principal::{Reach, Species, Who};
use super::statement::Asked;
use super::{Context, Malformed, Truth, allow_all};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Who asks: the ARN of a user, a role (for one of its sessions), a session, a root user; or the name of a service.
    pub principal: String,
    /// `ec2:StopInstances`.
    pub action: String,
    /// An ARN, or `*`.
    pub resource: String,
    /// Condition keys.
    pub context: Context,
}

/// Every policy that has a say.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// Service control policies of the principal's account by level: root, organisational units, account. Every level must
    /// allow; within a level the policies are a union. Empty when none apply: in the management account, without an
    /// organisation.
    pub scps: Vec<Vec<Document>>,
    /// Resource control policies of the resource's account by level, likewise; AWS attaches `RCPFullAWSAccess` to each.
    pub rcps: Vec<Vec<Document>>,
    /// The permissions boundary.
    pub boundary: Option<Vec<Document>>,
    /// Policies of the user and its groups, or of the role.
    pub identity: Vec<Document>,
    /// The session policy.
    pub session: Option<Vec<Document>>,
    /// The policy of the resource. Without one the resource is taken as one of the principal's account.
    pub resource: Option<Document>,
}

/// A kind of policy, in the order in which AWS names it in a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Service control policies.
    ServiceControl,
    /// Resource control policies.
    ResourceControl,
    /// The policy of the resource.
    Resource,
    /// Policies of the user, its groups, the role.
    Identity,
    /// The permissions boundary.
    Boundary,
    /// The session policy.
    Session,
}

impl Layer {
    /// As AWS words it: "service control policy".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceControl => "service control policy",
            Self::ResourceControl => "resource control policy",
            Self::Resource => "resource-based policy",
            Self::Identity => "identity-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
        }
    }
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed.
    Allowed,
    /// A statement denies it.
    ExplicitDeny {
        /// The kind of the policy.
        layer: Layer,
        /// The name of the policy.
        policy: String,
        /// The statement's `Sid`.
        sid: Option<String>,
    },
    /// No statement of this kind of policy allows it.
    ImplicitDeny {
        /// The kind that should have.
        layer: Layer,
    },
    /// It hangs on something that is not known. Never to be taken for an allowance.
    Unknown {
        /// What that is: each statement that decides and cannot be decided, with its reasons.
        because: Vec<String>,
    },
}

impl Verdict {
    /// Whether it is allowed.
    pub fn is_allowed(&self) -> bool {
        *self == Self::Allowed
    }
}

/// How far a trust policy goes for a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It names the principal itself.
    Principal,
    /// It names the principal's account (or everybody's), which leaves the rest to the principal's own policies.
    Account,
    /// It does not allow it.
    None,
    /// It denies it.
    Denied,
}

impl Document {
    fn says(&self, effect: Effect, asked: &Asked) -> Truth {
        let statements = self.statements.iter().filter(|statement| statement.effect == effect);
        Truth::any(statements.map(|statement| statement.applies(asked)))
    }
}

fn allow(documents: &[Document], asked: &Asked) -> Truth {
    Truth::any(documents.iter().map(|document| document.says(Effect::Allow, asked)))
}

/// What the policy of the resource gives to who asks.
struct Grants {
    /// To the session or the user itself: nothing but an explicit deny stands against it.
    direct: Truth,
    /// To the role: the boundary and the session policy must allow it too.
    role: Truth,
    /// To the account: its policies must allow it too.
    account: Truth,
}

impl Grants {
    /// A grant to everybody, also one that conditions narrow to a role, is one to the session itself (IAM User Guide,
    /// "How AWS enforcement code logic evaluates requests to allow or deny access", "IAM role").
    fn of(resource: Option<&Document>, asked: &Asked) -> Self {
        let mut grants = Self { direct: Truth::No, role: Truth::No, account: Truth::No };
        let statements = resource.iter().flat_map(|document| document.statements.iter());
        for statement in statements.filter(|statement| statement.effect == Effect::Allow) {
            let applies = statement.applies(asked);
            if applies == Truth::No {
                continue;
            }
            for (truth, reach) in statement.reaches(asked) {
                let grant = match reach {
                    Reach::Itself | Reach::Everyone => &mut grants.direct,
                    Reach::Role => &mut grants.role,
                    Reach::Account => &mut grants.account,
                };
                *grant = Truth::any([*grant, Truth::all([applies, truth])]);
            }
        }
        grants
    }

    fn any(&self) -> Truth {
        Truth::any([self.direct, self.role, self.account])
    }
}

impl Layers {
    /// The documents that bind who asks, with their kinds and, for the policies of an organisation, their levels.
    pub(super) fn documents(&self, who: &Who) -> impl Iterator<Item = (Layer, Option<usize>, &Document)> {
        let one = |layer: Layer| move |document| (layer, None, document);
        of_levels(Layer::ServiceControl, self.scps_for(who))
            .chain(of_levels(Layer::ResourceControl, self.rcps_for(who)))
            .chain(self.resource.iter().map(one(Layer::Resource)))
            .chain(self.identity.iter().map(one(Layer::Identity)))
            .chain(self.boundary.iter().flatten().map(one(Layer::Boundary)))
            .chain(self.session.iter().flatten().map(one(Layer::Session)))
    }

    /// The service control policies that bind who asks.
    pub(super) fn scps_for(&self, who: &Who) -> &[Vec<Document>] {
        if who.is_service_linked() || who.species == Species::Service { &[] } else { &self.scps }
    }

    pub(super) fn rcps_for(&self, who: &Who) -> &[Vec<Document>] {
        if who.is_service_linked() { &[] } else { &self.rcps }
    }
}

fn of_levels(layer: Layer, levels: &[Vec<Document>]) -> impl Iterator<Item = (Layer, Option<usize>, &Document)> {
    levels
        .iter()
        .enumerate()
        .flat_map(move |(level, documents)| documents.iter().map(move |document| (layer, Some(level), document)))
}

/// Decides as AWS does (IAM User Guide, "Policy evaluation logic"): an explicit deny anywhere wins; every level of service
/// and resource control policies must allow. Within an account, a policy of the principal or of the resource must allow,
/// and what the principal's policies allow, the boundary and the session policy must allow too. Across accounts both sides
/// must. What hangs on something that is not known is [`Verdict::Unknown`].
pub fn evaluate(request: &Request, layers: &Layers) -> Verdict {
    let asked = &Asked::read(request);
    let mut denied = Truth::No;
    for (layer, _, document) in layers.documents(&asked.who) {
        for statement in document.statements.iter().filter(|statement| statement.effect == Effect::Deny) {
            match statement.applies(asked) {
                Truth::Yes => {
                    let (policy, sid) = (document.name.clone(), statement.sid.clone());
                    return Verdict::ExplicitDeny { layer, policy, sid };
                }
                applies => denied = denied.max(applies),
            }
        }
    }
    let needed = needed(asked, layers);
    if let Some((layer, _)) = needed.iter().find(|(_, truth)| *truth == Truth::No) {
        return Verdict::ImplicitDeny { layer: *layer };
    }
    if denied == Truth::No && needed.iter().all(|(_, truth)| *truth == Truth::Yes) {
        return Verdict::Allowed;
    }
    Verdict::Unknown { because: doubts(asked, layers) }
}

/// What must hold for an allowance, each with the kind of policy that fails when it does not.
fn needed(asked: &Asked, layers: &Layers) -> Vec<(Layer, Truth)> {
    let every = |levels: &[Vec<Document>]| Truth::all(levels.iter().map(|level| allow(level, asked)));
    let mut needed = vec![
        (Layer::ServiceControl, every(layers.scps_for(&asked.who))),
        (Layer::ResourceControl, every(layers.rcps_for(&asked.who))),
    ];
    let narrowed = |documents: Option<&Vec<Document>>| documents.map_or(Truth::Yes, |all| allow(all, asked));
    let (boundary, session) = (narrowed(layers.boundary.as_ref()), narrowed(layers.session.as_ref()));
    let grants = Grants::of(layers.resource.as_ref(), asked);
    let identity = allow(&layers.identity, asked);
    match Relation::of(asked, layers) {
        Relation::Service => needed.push((Layer::Resource, grants.any())),
        Relation::BothSides => needed.extend([
            (Layer::Resource, grants.any()),
            (Layer::Identity, identity),
            (Layer::Boundary, boundary),
            (Layer::Session, session),
        ]),
        relation => {
            let trusted = if relation == Relation::Delegated { grants.account } else { Truth::Yes };
            let by_identity = Truth::all([identity, trusted]);
            let either = Truth::any([grants.direct, grants.role, by_identity]);
            let layer = if trusted == Truth::No { Layer::Resource } else { Layer::Identity };
            needed.push((layer, either));
            for (layer, limit) in [(Layer::Boundary, boundary), (Layer::Session, session)] {
                needed.push((layer, Truth::any([grants.direct, limit])));
            }
        }
    }
    needed
}

/// How the principal and the resource stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// In one account: either side may allow.
    OneAccount,
    /// In one account, but the resource's policy must let the account's own policies count: the trust policies of roles and
    /// the policies of keys.
    Delegated,
    /// In two accounts: both sides must allow.
    BothSides,
    /// A service: it has no policies of its own.
    Service,
}

impl Relation {
    fn of(asked: &Asked, layers: &Layers) -> Self {
        if asked.who.species == Species::Service {
            return Self::Service;
        }
        if layers.resource.is_none() {
            return Self::OneAccount;
        }
        if crosses_accounts(asked) {
            return Self::BothSides;
        }
        if has_the_last_word(&asked.request.action, &asked.request.resource) {
            return Self::Delegated;
        }
        Self::OneAccount
    }
}

/// Whether the resource is known to be in another account than who asks: by `aws:ResourceAccount`, or by its ARN.
pub(super) fn crosses_accounts(asked: &Asked) -> bool {
    let given = asked.request.context.get("aws:ResourceAccount").and_then(<[String]>::first).map(String::as_str);
    let of_resource = given.or_else(|| Who::read(&asked.request.resource).account);
    of_resource.zip(asked.who.account).is_some_and(|(resource, principal)| resource != principal)
}

/// Whether the policy of the resource must allow whatever the principal's policies say: roles that are assumed, and keys.
pub(super) fn has_the_last_word(action: &str, resource: &str) -> bool {
    let action = action.to_ascii_lowercase();
    let is = |service: &str, kind: &str| {
        let mut parts = resource.splitn(6, ':').skip(2);
        parts.next() == Some(service) && parts.nth(2).is_some_and(|name| name.starts_with(kind))
    };
    (action.starts_with("sts:") && is("iam", "role/")) || (action.starts_with("kms:") && is("kms", "key/"))
}

/// The statements that leave the decision open, with what is not known about each.
fn doubts(asked: &Asked, layers: &Layers) -> Vec<String> {
    let mut doubts = Vec::new();
    for (layer, _, document) in layers.documents(&asked.who) {
        for (index, statement) in document.statements.iter().enumerate() {
            if statement.applies(asked) == Truth::Unknown {
                let reasons = statement.doubts(asked).join(", ");
                let place = statement.place(index);
                doubts.push(format!("{} `{}`, {place}: {reasons}", layer.as_str(), document.name));
            }
        }
    }
    doubts
}

/// What a trust policy says about a principal that asks for `request.action` (`sts:AssumeRole`). What is not known is not
/// trusted.
pub fn trust(document: &Document, request: &Request) -> Trust {
    let asked = &Asked::read(request);
    if document.says(Effect::Deny, asked) != Truth::No {
        return Trust::Denied;
    }
    let allowing = document.statements.iter().filter(|statement| statement.effect == Effect::Allow);
    let mut best = Trust::None;
    for statement in allowing.filter(|statement| statement.applies(asked) == Truth::Yes) {
        for (_, reach) in statement.reaches(asked).iter().filter(|(truth, _)| *truth == Truth::Yes) {
            match reach {
                Reach::Itself | Reach::Role => return Trust::Principal,
                Reach::Account | Reach::Everyone => best = Trust::Account,
            }
        }
    }
    best
}

impl Layers {
    /// Layers in which only service control policies and a full administrator's policy have a say: what an SCP leaves to
    /// somebody who may otherwise do everything. Texts by name, level by level.
    pub fn of_scps<'a>(levels: impl IntoIterator<Item = Vec<(&'a str, &'a str)>>) -> Result<Self, Malformed> {
        let mut layers = Self { identity: vec![allow_all()], ..Self::default() };
        for level in levels {
            let read = |(name, text)| Document::parse(name, text, Kind::ServiceControl);
            layers.scps.push(level.into_iter().map(read).collect::<Result<_, _>>()?);
        }
        Ok(layers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{deny_all_except_roles, revoke_older_sessions};
    use super::*;

    const FULL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    const EVE: &str = "arn:aws:iam::111122223333:user/eve";
    const RESPONDER: &str = "arn:aws:iam::111122223333:role/ir/IRResponder";

    fn document(name: &str, statements: &str) -> Document {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        Document::parse(name, &text, Kind::Identity).unwrap()
    }

    fn allow(actions: &str) -> Document {
        document(actions, &format!(r#"{{"Effect":"Allow","Action":"{actions}","Resource":"*"}}"#))
    }

    fn deny(actions: &str) -> Document {
        document(actions, &format!(r#"{{"Sid":"No","Effect":"Deny","Action":"{actions}","Resource":"*"}}"#))
    }

    fn request(action: &str, principal: &str) -> Request {
        Request {
            principal: principal.to_owned(),
            action: action.to_owned(),
            resource: "*".to_owned(),
            context: Context::default().with("aws:PrincipalArn", principal),
        }
    }

    fn implicit(layer: Layer) -> Verdict {
        Verdict::ImplicitDeny { layer }
    }

    fn explicit(layer: Layer, policy: &str) -> Verdict {
        Verdict::ExplicitDeny { layer, policy: policy.to_owned(), sid: Some("No".to_owned()) }
    }

    /// The flow chart of the IAM User Guide, "How AWS enforcement code logic evaluates requests", row by row.
    #[test]
    fn the_decision_follows_the_documented_flow() {
        let all = || vec![allow("*")];
        let cases = [
            ("nothing allows", Layers::default(), implicit(Layer::Identity)),
            ("identity allows", Layers { identity: all(), ..Layers::default() }, Verdict::Allowed),
            (
                "identity allows something else",
                Layers { identity: vec![allow("s3:*")], ..Layers::default() },
                implicit(Layer::Identity),
            ),
            (
                "identity denies too",
                Layers { identity: vec![allow("*"), deny("EC2:stop*")], ..Layers::default() },
                explicit(Layer::Identity, "EC2:stop*"),
            ),
            (
                "one level does not allow",
                Layers { scps: vec![all(), vec![allow("s3:*")]], identity: all(), ..Layers::default() },
                implicit(Layer::ServiceControl),
            ),
            (
                "one level is a union",
                Layers { scps: vec![all(), vec![allow("s3:*"), allow("ec2:*")]], identity: all(), ..Layers::default() },
                Verdict::Allowed,
            ),
            (
                "a level without policies allows nothing",
                Layers { scps: vec![all(), vec![]], identity: all(), ..Layers::default() },
                implicit(Layer::ServiceControl),
            ),
            ("an SCP grants nothing", Layers { scps: vec![all()], ..Layers::default() }, implicit(Layer::Identity)),
            (
                "a deny at the root",
                Layers { scps: vec![vec![allow("*"), deny("ec2:*")], all()], identity: all(), ..Layers::default() },
                explicit(Layer::ServiceControl, "ec2:*"),
            ),
            (
                "the boundary does not allow",
                Layers { boundary: Some(vec![allow("s3:*")]), identity: all(), ..Layers::default() },
                implicit(Layer::Boundary),
            ),
            (
                "the boundary grants nothing",
                Layers { boundary: Some(all()), ..Layers::default() },
                implicit(Layer::Identity),
            ),
            (
                "the boundary denies",
                Layers { boundary: Some(vec![deny("*")]), identity: all(), ..Layers::default() },
                explicit(Layer::Boundary, "*"),
            ),
            (
                "the session policy does not allow",
                Layers { session: Some(vec![allow("s3:*")]), identity: all(), ..Layers::default() },
                implicit(Layer::Session),
            ),
            (
                "all allow",
                Layers {
                    scps: vec![all()],
                    boundary: Some(all()),
                    session: Some(all()),
                    identity: all(),
                    ..Layers::default()
                },
                Verdict::Allowed,
            ),
        ];
        for (name, layers, expected) in cases {
            assert_eq!(evaluate(&request("ec2:StopInstances", EVE), &layers), expected, "{name}");
        }
    }

    #[test]
    fn a_deny_only_policy_beside_full_access_leaves_the_exempt_role_alone() {
        let quarantine = deny_all_except_roles(&["arn:aws:iam::*:role/ir/IRResponder"]);
        let layers =
            Layers::of_scps([vec![("Full", FULL)], vec![("Full", FULL), ("quarantine", &quarantine)]]).unwrap();
        assert!(evaluate(&request("ec2:StopInstances", RESPONDER), &layers).is_allowed());
        let denied = evaluate(&request("ec2:StopInstances", EVE), &layers);
        assert!(
            matches!(denied, Verdict::ExplicitDeny { layer: Layer::ServiceControl, ref policy, .. } if policy == "quarantine")
        );
    }

    #[test]
    fn older_sessions_are_revoked_and_newer_ones_and_keys_are_not() {
        let revoke = revoke_older_sessions("2026-11-23T14:50:00Z".parse().unwrap());
        let revoke = Document::parse("AWSRevokeOlderSessions", &revoke, Kind::Identity).unwrap();
        let layers = Layers { identity: vec![allow("*"), revoke], ..Layers::default() };
        let issued = |at: &str| {
            let mut request = request("ec2:StopInstances", RESPONDER);
            request.context.add("aws:TokenIssueTime", at);
            evaluate(&request, &layers).is_allowed()
        };
        assert!(!issued("2026-11-23T14:49:59Z"));
        assert!(issued("2026-11-23T14:50:00Z"));
        assert!(evaluate(&request("ec2:StopInstances", EVE), &layers).is_allowed());
    }

    #[test]
    fn not_action_and_not_resource_cover_the_rest() {
        let text = r#"{"Effect":"Deny","NotAction":["iam:*","sts:*"],"NotResource":"arn:aws:s3:::keep/*"}"#;
        let layers = Layers { identity: vec![allow("*"), document("rest", text)], ..Layers::default() };
        assert!(evaluate(&request("iam:GetUser", EVE), &layers).is_allowed());
        assert!(!evaluate(&request("s3:GetObject", EVE), &layers).is_allowed());
        let kept = Request { resource: "arn:aws:s3:::keep/a".to_owned(), ..request("s3:GetObject", EVE) };
        assert!(evaluate(&kept, &layers).is_allowed());
        let other_case = Request { resource: "arn:aws:s3:::KEEP/a".to_owned(), ..kept };
        assert!(!evaluate(&other_case, &layers).is_allowed());
    }

    #[test]
    fn a_trust_policy_names_principals_or_accounts() {
        let trusts = |principal: &str, who: &str| {
            let text = format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}}}"#
            );
            trust(&Document::parse("trust", &text, Kind::Trust).unwrap(), &request("sts:AssumeRole", who))
        };
        assert_eq!(trusts(&format!(r#"{{"AWS":"{EVE}"}}"#), EVE), Trust::Principal);
        assert_eq!(trusts(r#"{"AWS":"arn:aws:iam::111122223333:root"}"#, EVE), Trust::Account);
        assert_eq!(trusts(r#"{"AWS":["999999999999","111122223333"]}"#, EVE), Trust::Account);
        assert_eq!(trusts(r#""*""#, EVE), Trust::Account);
        assert_eq!(trusts(r#"{"AWS":"999999999999"}"#, EVE), Trust::None);
        assert_eq!(trusts(r#"{"Service":"ec2.amazonaws.com"}"#, EVE), Trust::None);
        assert_eq!(trusts(r#"{"Service":"ec2.amazonaws.com"}"#, "ec2.amazonaws.com"), Trust::Principal);
    }

    proptest! {
        #[test]
        fn a_matching_deny_wins_wherever_it_stands(place in 0usize..4, position in 0usize..3) {
            let level = |with_deny: bool| {
                let mut documents = vec![allow("*"), allow("ec2:*")];
                if with_deny {
                    documents.insert(position, deny("ec2:Stop*"));
                }
                documents
            };
            let layers = Layers {
                scps: vec![level(place == 0)],
                boundary: Some(level(place == 1)),
                identity: level(place == 2),
                session: Some(level(place == 3)),
                ..Layers::default()
            };
            let is_explicit = matches!(evaluate(&request("ec2:StopInstances", EVE), &layers), Verdict::ExplicitDeny { .. });
            prop_assert!(is_explicit);
            prop_assert!(evaluate(&request("ec2:StartInstances", EVE), &layers).is_allowed());
        }
    }
}
