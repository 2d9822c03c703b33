//! The decision with its reasons, statement by statement.

use super::document::{Document, Effect};
use super::evaluate::{Layer, Layers, Request, Verdict, crosses_accounts, evaluate, has_the_last_word};
use super::statement::Asked;
use super::{Statement, Truth};

/// A decision and what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision.
    pub verdict: Verdict,
    /// What decided, a sentence each.
    pub because: Vec<String>,
    /// Every statement, in the order of the kinds of policies.
    pub statements: Vec<Told>,
}

/// What one statement says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The policy and the statement, such as "identity-based policy `admin`, statement 1".
    pub place: String,
    /// `Allow` or `Deny`.
    pub effect: Effect,
    /// Whether it applies to the request.
    pub applies: Truth,
    /// Why it does not, or why that is not known.
    pub why: Vec<String>,
}

impl Verdict {
    /// One word: `allowed`, `explicit-deny`, `implicit-deny` or `unknown`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::ExplicitDeny { .. } => "explicit-deny",
            Self::ImplicitDeny { .. } => "implicit-deny",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// Decides for a resource whose policy is given as far as it has one, and says why: unlike [`evaluate`], it does not allow
/// what another account's resource, a role that is assumed or a key would have to allow and nothing is known to.
pub fn explain(request: &Request, layers: &Layers) -> Explanation {
    let asked = &Asked::read(request);
    let mut verdict = evaluate(request, layers);
    let mut because = Vec::new();
    if layers.resource.is_none() && !matches!(verdict, Verdict::ExplicitDeny { .. } | Verdict::ImplicitDeny { .. }) {
        if crosses_accounts(asked) {
            verdict = Verdict::ImplicitDeny { layer: Layer::Resource };
            because.push("the resource is another account's, and has no policy that allows it".to_owned());
        } else if has_the_last_word(&request.action, &request.resource) && verdict.is_allowed() {
            let missing = "the policy of the role or key has the last word, and was not given".to_owned();
            verdict = Verdict::Unknown { because: vec![missing] };
        }
    }
    let statements = told(asked, layers);
    let applying = |effect: Effect| {
        let found = statements.iter().filter(move |told| told.effect == effect && told.applies == Truth::Yes);
        found.map(|told| told.place.clone())
    };
    match &verdict {
        Verdict::Allowed => because.extend(applying(Effect::Allow).map(|place| format!("{place} allows it"))),
        Verdict::ExplicitDeny { .. } => {
            because.extend(applying(Effect::Deny).map(|place| format!("{place} denies it")));
        }
        Verdict::ImplicitDeny { layer } if because.is_empty() => because.push(nobody_allows(*layer, asked, layers)),
        Verdict::ImplicitDeny { .. } => {}
        Verdict::Unknown { because: doubts } => because.extend(doubts.iter().cloned()),
    }
    Explanation { verdict, because, statements }
}

impl Explanation {
    /// The same where some policies that may bind the principal could not be read: then nothing is allowed for certain.
    #[must_use]
    pub fn without(mut self, unread: &[String]) -> Self {
        if self.verdict.is_allowed() && !unread.is_empty() {
            self.verdict = Verdict::Unknown { because: unread.to_vec() };
        }
        self.because.extend(unread.iter().cloned());
        self
    }
}

fn told(asked: &Asked, layers: &Layers) -> Vec<Told> {
    let of_document = |(layer, level, document): (Layer, Option<usize>, &Document)| {
        let at = level.map(|level| format!(" (level {})", level + 1)).unwrap_or_default();
        let policy = format!("{} `{}`{at}", layer.as_str(), document.name);
        let tell = |(index, statement): (usize, &Statement)| Told {
            place: format!("{policy}, {}", statement.place(index)),
            effect: statement.effect,
            applies: statement.applies(asked),
            why: statement.why_not(asked),
        };
        document.statements.iter().enumerate().map(tell).collect::<Vec<_>>()
    };
    layers.documents(&asked.who).flat_map(of_document).collect()
}

fn nobody_allows(layer: Layer, asked: &Asked, layers: &Layers) -> String {
    let action = &asked.request.action;
    let levels = match layer {
        Layer::ServiceControl => layers.scps_for(&asked.who),
        Layer::ResourceControl => layers.rcps_for(&asked.who),
        _ => return format!("no {} allows {action}", layer.as_str()),
    };
    let allows = |level: &&[Document]| {
        let statements = level.iter().flat_map(|document| document.statements.iter());
        Truth::any(statements.filter(|s| s.effect == Effect::Allow).map(|s| s.applies(asked))) != Truth::No
    };
    let level = levels.iter().position(|level| !allows(&level.as_slice())).map_or(0, |level| level + 1);
    format!("no {} of level {level} allows {action}", layer.as_str())
}

impl Statement {
    /// What keeps it from applying, or leaves that open.
    fn why_not(&self, asked: &Asked) -> Vec<String> {
        let mut why = Vec::new();
        for (truth, element) in [
            (self.covers_action(asked), "action"),
            (self.covers_principal(asked), "principal"),
            (self.covers_resource(asked), "resource"),
        ] {
            if truth == Truth::No {
                why.push(format!("it does not cover the {element}"));
            }
        }
        let failing = self.conditions.iter().filter(|condition| condition.holds(&asked.request.context) == Truth::No);
        why.extend(failing.map(|condition| format!("the condition does not hold: {condition}")));
        why.extend(self.doubts(asked));
        why
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Case, Others};

    fn explained(case: &str) -> Explanation {
        let case: Case = serde_json::from_str(case).unwrap();
        let (request, layers) = case.read(Others::Unknown).unwrap();
        explain(&request, &layers)
    }

    #[test]
    fn each_decision_names_what_decided() {
        let case = |more: &str| {
            explained(&format!(
                r#"{{"principal": "arn:aws:iam::111122223333:user/eve", "action": "ec2:StopInstances",
                "identity": [{{"Version": "2012-10-17", "Statement":
                    {{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}}}}]{more}}}"#
            ))
        };
        let allowed = case("");
        assert_eq!(allowed.because, ["identity-based policy `identity[0]`, statement `All` allows it"]);
        let scp = |statement: &str| {
            case(&format!(r#", "scps": [[{{"Version": "2012-10-17", "Statement": {{{statement}}}}}]]"#))
        };
        assert_eq!(allowed.clone().without(&[]).verdict.as_str(), "allowed");
        assert_eq!(allowed.without(&["the SCPs".to_owned()]).verdict.as_str(), "unknown");
        let denied = scp(r#""Effect": "Deny", "Action": "ec2:*", "Resource": "*""#);
        assert_eq!(denied.verdict.as_str(), "explicit-deny");
        assert_eq!(denied.because, ["service control policy `scps[0][0]` (level 1), statement 1 denies it"]);
        let other = scp(r#""Effect": "Allow", "Action": "s3:*", "Resource": "*""#);
        assert_eq!(other.because, ["no service control policy of level 1 allows ec2:StopInstances"]);
        assert_eq!(other.statements[0].why, ["it does not cover the action"]);
        let open = scp(
            r#""Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#,
        );
        assert_eq!(open.verdict.as_str(), "unknown");
        assert_eq!(
            open.because,
            ["service control policy `scps[0][0]`, statement 1: the value of `aws:SourceIp` is not known"]
        );
    }

    #[test]
    fn a_role_or_another_account_has_to_allow_it_too() {
        let case = |resource: &str| {
            explained(&format!(
                r#"{{"principal": "arn:aws:iam::111122223333:user/eve", "action": "sts:AssumeRole", "resource": "{resource}",
                "identity": [{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "*", "Resource": "*"}}}}]}}"#
            ))
        };
        assert_eq!(case("arn:aws:iam::111122223333:role/x").verdict.as_str(), "unknown");
        assert_eq!(case("arn:aws:iam::444455556666:role/x").verdict.as_str(), "implicit-deny");
    }
}
