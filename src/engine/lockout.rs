//! The lockout guard: before a policy is attached, its effect on those who must stay able to act is evaluated.

use std::collections::BTreeSet;

use crate::model::{AccountId, AttachedPolicy, Change, Finding, Plan, PolicyHolder, Severity};
use crate::policy::{Context, Document, Kind, Layers, Request, Verdict, allow_all, evaluate};

/// What whoever contains a breach must be able to do, one action for each way out: undo an SCP, act in IAM and EC2, go
/// on to other accounts.
const MUST_WORK: [&str; 4] =
    ["organizations:DetachPolicy", "iam:UpdateAccessKey", "ec2:StopInstances", "sts:AssumeRole"];

/// A refusal for every policy of the plan that would lock out the caller, the role that quell works with, or a break-glass
/// role of the runbook.
pub fn findings(plan: &Plan) -> Vec<Finding> {
    plan.changes.iter().flat_map(|change| of_change(plan, change)).collect()
}

/// The refusals of one change; those who must stay able to act are the plan's.
pub fn of_change(plan: &Plan, change: &Change) -> Vec<Finding> {
    change.attaches.iter().flat_map(|policy| judge(plan, change, policy)).collect()
}

fn judge(plan: &Plan, change: &Change, policy: &AttachedPolicy) -> Vec<Finding> {
    let refusal = |message: String| Finding {
        severity: Severity::Refusal,
        step: Some(change.step.clone()),
        target: Some(change.target.clone()),
        message,
    };
    match &policy.holder {
        PolicyHolder::Principal(arn) => {
            let protected = protected(plan, &change.target.account);
            let hit = protected.iter().find(|pattern| same_principal(pattern, arn));
            let message = |who: &String| {
                format!(
                    "{arn}: `{}` would lock out {who}, who must stay able to act (the caller, targets.role or break_glass); \
                     take it out of the set by its `where`",
                    change.summary
                )
            };
            hit.map(|who| refusal(message(who))).into_iter().collect()
        }
        PolicyHolder::Resources(account) => {
            let entered = plan.runbook.targets.role.as_ref().filter(|_| plan.caller.account != *account);
            let role = entered.map(|role| protected_arn(plan, account, &format!("role/{}", role.name)));
            let judged = read(change, policy, Kind::ResourceControl).map(|document| {
                let rcps = vec![vec![allow_all(), document]];
                role.and_then(|role| cannot_enter(plan, &role, Layers { rcps, ..Layers::default() }))
            });
            judged.unwrap_or_else(Some).map(refusal).into_iter().collect()
        }
        PolicyHolder::Trust(role) => {
            let protected = protected(plan, &change.target.account);
            if !protected.iter().any(|known| same_principal(known, role)) {
                return Vec::new();
            }
            let judged = read(change, policy, Kind::Trust)
                .map(|document| cannot_enter(plan, role, Layers { resource: Some(document), ..Layers::default() }));
            judged.unwrap_or_else(Some).map(refusal).into_iter().collect()
        }
        PolicyHolder::Account(account) => {
            let document = match read(change, policy, Kind::ServiceControl) {
                Ok(document) => document,
                Err(message) => return vec![refusal(message)],
            };
            let locked = |who: &String| Some((who.clone(), denied(&document, who)?));
            let message = |(who, why): (String, String)| {
                format!("would lock out {who}: {why}; name the role under `exempt` of step `{}`", change.step)
            };
            protected(plan, account).iter().filter_map(locked).map(|found| refusal(message(found))).collect()
        }
    }
}

fn read(change: &Change, policy: &AttachedPolicy, kind: Kind) -> Result<Document, String> {
    Document::parse(change.step.as_str(), &policy.document.to_string(), kind)
        .map_err(|error| format!("the policy cannot be evaluated, so it is not attached: {error}"))
}

/// Why the caller could not, or may not be able to, enter a role under these policies.
fn cannot_enter(plan: &Plan, role: &str, layers: Layers) -> Option<String> {
    // A trust policy may name the session; what denies by a key sees its role.
    let session = Request { principal: plan.caller.arn.clone(), ..Request::default() };
    let mut request = Request {
        action: "sts:AssumeRole".to_owned(),
        resource: role.to_owned(),
        context: Context::of(&plan.caller.principal_arn()),
        ..session
    };
    if let Some(id) = plan.runbook.targets.role.as_ref().and_then(|role| role.external_id.as_ref()) {
        request.context.add("sts:ExternalId", id);
    }
    let why = match evaluate(&request, &Layers { identity: vec![allow_all()], ..layers }) {
        Verdict::Allowed => return None,
        Verdict::ExplicitDeny { sid, .. } => format!("statement `{}` denies it", name_of(sid.as_deref())),
        Verdict::ImplicitDeny { .. } => "no statement allows it".to_owned(),
        Verdict::Unknown { because } => format!("whether it may is not known ({})", because.join("; ")),
    };
    Some(format!("would keep {} from assuming {role}: {why}; exempt the caller", plan.caller.arn))
}

fn name_of(sid: Option<&str>) -> &str {
    sid.unwrap_or("without a Sid")
}

/// Why a principal could not do, or may not be able to do, the first thing that it must be able to. Of its requests nothing is
/// known but who makes them: a deny that hangs on anything else counts.
fn denied(document: &Document, principal: &str) -> Option<String> {
    let layers =
        Layers { scps: vec![vec![allow_all(), document.clone()]], identity: vec![allow_all()], ..Layers::default() };
    MUST_WORK.into_iter().find_map(|action| {
        let request = Request {
            principal: principal.to_owned(),
            action: action.to_owned(),
            resource: "*".to_owned(),
            context: Context::of(principal),
        };
        match evaluate(&request, &layers) {
            Verdict::Allowed => None,
            Verdict::ExplicitDeny { sid, .. } => {
                Some(format!("statement `{}` denies it {action}", name_of(sid.as_deref())))
            }
            Verdict::ImplicitDeny { .. } => Some(format!("no statement allows it {action}")),
            Verdict::Unknown { because } => {
                Some(format!("whether it may still {action} is not known ({})", because.join("; ")))
            }
        }
    })
}

/// The principals in an account that must stay able to act, by ARN.
fn protected(plan: &Plan, account: &AccountId) -> BTreeSet<String> {
    let arn = |role: &str| protected_arn(plan, account, role);
    let mut principals = BTreeSet::new();
    let role = plan.runbook.targets.role.as_ref().map(|role| format!("role/{}", role.name));
    for name in plan.runbook.break_glass.iter().chain(&role) {
        if !name.starts_with("arn:") {
            principals.insert(arn(name));
        } else if name.split(':').nth(4).is_some_and(|of| of == account.as_str()) {
            principals.insert(name.clone());
        }
    }
    if plan.caller.account == *account {
        let caller = plan.caller.principal_arn();
        // A session's ARN leaves out its role's path: a protected role of the same name stands for it.
        if !principals.iter().any(|known| same_principal(known, &caller)) {
            principals.insert(caller);
        }
    }
    principals
}

fn protected_arn(plan: &Plan, account: &AccountId, role: &str) -> String {
    format!("arn:{}:iam::{account}:{role}", plan.caller.partition())
}

/// Whether two ARNs name the same user or role. Paths do not count: a session's ARN lacks them, and no two users or roles
/// of an account share a name, whatever their paths and capitals (IAM, "Names and identifiers").
fn same_principal(a: &str, b: &str) -> bool {
    let parts = |arn: &str| {
        let (account, resource) = arn.rsplit_once(':')?;
        let (kind, path) = resource.split_once('/')?;
        let name = path.rsplit('/').next()?;
        Some((account.to_owned(), kind.to_owned(), name.to_ascii_lowercase()))
    };
    parts(a).map_or(a == b, |a| Some(a) == parts(b))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::test_plans::{change, plan, runbook};
    use crate::model::Role;
    use crate::policy::deny_all_except_roles;

    fn with_policy(document: &str, holder: PolicyHolder) -> Plan {
        let mut runbook = runbook(r#"[{"id": "lock", "uses": "toy.set"}]"#);
        runbook.targets.role = Some(Role { name: "ir/IRResponder".into(), external_id: None, source_identity: None });
        runbook.break_glass = vec!["role/BreakGlass".into()];
        let mut change = change("lock", "111122223333");
        change.attaches = Some(AttachedPolicy { document: serde_json::from_str(document).unwrap(), holder });
        plan(runbook, vec![change])
    }

    fn messages(plan: &Plan) -> Vec<String> {
        findings(plan).into_iter().map(|finding| finding.message).collect()
    }

    fn account() -> PolicyHolder {
        PolicyHolder::Account(AccountId::new("111122223333").unwrap())
    }

    #[test]
    fn an_scp_that_exempts_everybody_who_must_act_passes() {
        let exempt =
            ["arn:aws:iam::*:role/ir/IRResponder", "arn:aws:iam::*:role/BreakGlass", "arn:aws:iam::*:user/responder"];
        assert_eq!(messages(&with_policy(&deny_all_except_roles(&exempt), account())), [""; 0]);
    }

    #[test]
    fn an_scp_that_forgets_one_names_it_and_its_statement() {
        let exempt = ["arn:aws:iam::*:role/ir/IRResponder", "arn:aws:iam::*:user/responder"];
        let messages = messages(&with_policy(&deny_all_except_roles(&exempt), account()));
        assert_eq!(
            messages,
            ["would lock out arn:aws:iam::111122223333:role/BreakGlass: statement `IRDenyAll` denies it \
              organizations:DetachPolicy; name the role under `exempt` of step `lock`"]
        );
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_refused() {
        let document = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": {"SomethingNew": {"aws:PrincipalArn": "*"}}}]});
        let messages = messages(&with_policy(&document.to_string(), account()));
        assert!(messages[0].starts_with("the policy cannot be evaluated"), "{messages:?}");
    }

    #[test]
    fn a_deny_that_hangs_on_what_is_not_known_is_refused() {
        let scp = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*",
            "Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}"#;
        let messages = messages(&with_policy(scp, account()));
        assert_eq!(messages.len(), 3, "the role, the break-glass role and the caller: {messages:?}");
        assert!(messages.iter().all(|message| message.contains("the value of `aws:SourceIp` is not known")));
    }

    #[test]
    fn an_rcp_that_keeps_the_caller_out_of_an_account_is_refused() {
        let other = PolicyHolder::Resources(AccountId::new("444455556666").unwrap());
        let rcp = |condition: &str| {
            let text = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"Outside","Effect":"Deny","Principal":"*",
                "Action":"sts:AssumeRole*","Resource":"*","Condition":{condition}}}]}}"#
            );
            messages(&with_policy(&text, other.clone()))
        };
        assert_eq!(rcp(r#"{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/responder"}}"#), [""; 0]);
        assert_eq!(rcp(r#"{"StringNotEquals":{"aws:PrincipalAccount":"111122223333"}}"#), [""; 0]);
        assert_eq!(
            rcp(r#"{"StringNotEquals":{"aws:PrincipalAccount":"444455556666"}}"#),
            ["would keep arn:aws:iam::111122223333:user/responder from assuming \
              arn:aws:iam::444455556666:role/ir/IRResponder: statement `Outside` denies it; exempt the caller"]
        );
        let by_organization = rcp(r#"{"StringNotEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}"#);
        assert!(by_organization[0].contains("the value of `aws:PrincipalOrgID` is not known"), "{by_organization:?}");
    }

    #[test]
    fn a_protected_role_goes_on_trusting_the_caller() {
        let trusting = |role: &str, who: &str| {
            let text = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{who}"}},
                "Action":"sts:AssumeRole"}}]}}"#
            );
            messages(&with_policy(&text, PolicyHolder::Trust(format!("arn:aws:iam::111122223333:role/{role}"))))
        };
        assert_eq!(trusting("ir/IRResponder", "111122223333"), [""; 0]);
        assert_eq!(trusting("other", "999999999999"), [""; 0], "not one that must be entered");
        assert!(trusting("ir/IRResponder", "999999999999")[0].contains("no statement allows it"));
    }

    #[test]
    fn nobody_denies_himself() {
        let me = PolicyHolder::Principal("arn:aws:iam::111122223333:user/responder".into());
        assert_eq!(messages(&with_policy("{}", me)).len(), 1);
        let other = PolicyHolder::Principal("arn:aws:iam::111122223333:user/mallory".into());
        assert!(messages(&with_policy("{}", other)).is_empty());
    }
}
