//! The decision: one statement, one policy, all layers.

use super::document::{Document, Effect, Kind, Matched, Statement};
use super::pattern::Pattern;
use super::{Context, Malformed, allow_all};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The ARN of who asks, as a `Principal` element names it: a user, a role, a session.
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
    /// Service control policies by level: root, organisational units, account. Every level must allow; within a level the
    /// policies are a union. Empty when none apply: in the management account, without an organisation.
    pub scps: Vec<Vec<Document>>,
    /// The permissions boundary.
    pub boundary: Option<Vec<Document>>,
    /// Policies of the user and its groups, or of the role.
    pub identity: Vec<Document>,
    /// The session policy.
    pub session: Option<Vec<Document>>,
    /// The policy of the resource.
    pub resource: Option<Document>,
}

/// A kind of policy, in the order in which AWS names it in a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Service control policies.
    ServiceControl,
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

impl Statement {
    /// Whether it speaks about the request, the principal aside.
    pub(super) fn applies(&self, request: &Request) -> bool {
        let action = |name: &String| Pattern::plain(name).matches_ignoring_case(&request.action);
        let resource = |name: &String| self.pattern(name, request).is_some_and(|name| name.matches(&request.resource));
        self.actions.covers(action)
            && self.resources.as_ref().is_none_or(|resources| resources.covers(resource))
            && self.conditions.iter().all(|condition| condition.holds(&request.context))
    }

    fn pattern(&self, text: &str, request: &Request) -> Option<Pattern> {
        if self.has_variables { Pattern::expand(text, &request.context) } else { Some(Pattern::plain(text)) }
    }

    fn principal(&self, request: &Request) -> bool {
        let names = |pair: &(String, String)| reach(pair, &request.principal).is_some();
        self.principals.as_ref().is_none_or(|principals| principals.covers(names))
    }
}

impl Document {
    /// The first statement with this effect that applies to the request.
    pub fn find(&self, effect: Effect, request: &Request) -> Option<&Statement> {
        let applies = |statement: &&Statement| {
            statement.effect == effect && statement.principal(request) && statement.applies(request)
        };
        self.statements.iter().find(applies)
    }
}

fn allows(documents: &[Document], request: &Request) -> bool {
    documents.iter().any(|document| document.find(Effect::Allow, request).is_some())
}

/// Decides as AWS does within one account: an explicit deny anywhere wins; every level of service control policies, the
/// boundary and the session policy must allow; and so must an identity policy or the policy of the resource.
pub fn evaluate(request: &Request, layers: &Layers) -> Verdict {
    let documents = layers
        .scps
        .iter()
        .flatten()
        .map(|document| (Layer::ServiceControl, document))
        .chain(layers.resource.iter().map(|document| (Layer::Resource, document)))
        .chain(layers.identity.iter().map(|document| (Layer::Identity, document)))
        .chain(layers.boundary.iter().flatten().map(|document| (Layer::Boundary, document)))
        .chain(layers.session.iter().flatten().map(|document| (Layer::Session, document)));
    for (layer, document) in documents {
        if let Some(statement) = document.find(Effect::Deny, request) {
            return Verdict::ExplicitDeny { layer, policy: document.name.clone(), sid: statement.sid.clone() };
        }
    }
    if !layers.scps.iter().all(|level| allows(level, request)) {
        return Verdict::ImplicitDeny { layer: Layer::ServiceControl };
    }
    let by_resource = layers.resource.as_ref().is_some_and(|document| document.find(Effect::Allow, request).is_some());
    if !by_resource && !allows(&layers.identity, request) {
        return Verdict::ImplicitDeny { layer: Layer::Identity };
    }
    let narrowed = [(Layer::Boundary, &layers.boundary), (Layer::Session, &layers.session)];
    for (layer, documents) in narrowed {
        if documents.as_ref().is_some_and(|documents| !allows(documents, request)) {
            return Verdict::ImplicitDeny { layer };
        }
    }
    Verdict::Allowed
}

/// What a trust policy says about a principal that asks for `request.action` (`sts:AssumeRole`).
pub fn trust(document: &Document, request: &Request) -> Trust {
    if document.find(Effect::Deny, request).is_some() {
        return Trust::Denied;
    }
    let allowing = document.statements.iter().filter(|s| s.effect == Effect::Allow && s.applies(request));
    let mut best = Trust::None;
    for statement in allowing {
        match &statement.principals {
            Some(Matched::Any(pairs)) => {
                for found in pairs.iter().filter_map(|pair| reach(pair, &request.principal)) {
                    if found == Trust::Principal {
                        return Trust::Principal;
                    }
                    best = found;
                }
            }
            Some(Matched::AllBut(_)) if statement.principal(request) => best = Trust::Account,
            _ => {}
        }
    }
    best
}

/// Whether an entry of a `Principal` element means `principal`, and how closely.
fn reach((kind, name): &(String, String), principal: &str) -> Option<Trust> {
    if kind != "AWS" {
        return (name == principal).then_some(Trust::Principal);
    }
    let account = principal.split(':').nth(4).unwrap_or_default();
    let is_account = name == account || name.strip_suffix(":root").is_some_and(|head| head.ends_with(account));
    match () {
        () if name == principal => Some(Trust::Principal),
        () if name == "*" || (!account.is_empty() && is_account) => Some(Trust::Account),
        () => None,
    }
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
                    resource: None,
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
                resource: None,
            };
            let is_explicit = matches!(evaluate(&request("ec2:StopInstances", EVE), &layers), Verdict::ExplicitDeny { .. });
            prop_assert!(is_explicit);
            prop_assert!(evaluate(&request("ec2:StartInstances", EVE), &layers).is_allowed());
        }
    }
}
