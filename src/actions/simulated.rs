//! The calls that an intruder wants most, simulated by AWS as that intruder: proof that a deny is in force and not only
//! attached. AWS page: *Testing IAM policies with the IAM policy simulator* (`iam:SimulatePrincipalPolicy`; service control
//! policies are evaluated too).

use aws_sdk_iam::Client;
use aws_sdk_iam::config::Builder;
use aws_sdk_iam::config::retry::RetryConfig;
#[cfg(feature = "organizations")]
use aws_sdk_iam::types::OrganizationsDecisionDetail;
use aws_sdk_iam::types::{EvaluationResult, PolicyEvaluationDecisionType as Decision};

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::Verdict;

/// To start machines, to make credentials, to become somebody else.
const WANTED: [&str; 3] = ["ec2:RunInstances", "iam:CreateAccessKey", "sts:AssumeRole"];

/// The permissions that the simulation needs.
pub(super) const PERMISSION: &str = "iam:SimulatePrincipalPolicy";

/// Those of the calls that are still let through for a user or role of the account. None where AWS does not say: the simulation
/// is not allowed, or fails.
pub(super) async fn let_through(cx: &Ctx, arn: &str) -> Vec<String> {
    simulated(cx, arn, |result| *result.eval_decision() == Decision::Allowed).await
}

/// What is said of a deny that lets something through: it takes a while to reach every region.
pub(super) fn verdict(arn: &str, through: &[String]) -> Verdict {
    match through {
        [] => Verdict::Proven,
        through => {
            Verdict::Pending { why: format!("a simulated call as {arn} is still allowed: {}", through.join(", ")) }
        }
    }
}

/// Those of the calls that the organisation still lets through for a user of the account, whatever the user's own policies
/// say, and that user. None where there is no user, or AWS does not say.
#[cfg(feature = "organizations")]
pub(super) async fn let_through_by_organization(cx: &Ctx) -> Option<(String, Vec<String>)> {
    let users = once(cx).list_users().max_items(1).send().await.ok()?;
    let user = users.users().first()?.arn().to_owned();
    let through = simulated(cx, &user, |result| {
        result.organizations_decision_detail().is_some_and(OrganizationsDecisionDetail::allowed_by_organizations)
    });
    let through = through.await;
    Some((user, through))
}

async fn simulated(cx: &Ctx, arn: &str, is_let_through: impl Fn(&EvaluationResult) -> bool) -> Vec<String> {
    let names = WANTED.map(str::to_owned).to_vec();
    let request = once(cx).simulate_principal_policy().policy_source_arn(arn).set_action_names(Some(names));
    let Ok(answer) = request.send().await else { return Vec::new() };
    let through = answer.evaluation_results().iter().filter(|result| is_let_through(result));
    through.map(|result| result.eval_action_name().to_owned()).collect()
}

/// A client that asks once: a simulation that fails with a 500 fails again.
fn once(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.retry_config(RetryConfig::disabled()).build())
}
