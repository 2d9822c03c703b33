//! Which permissions are missing, as far as IAM can say beforehand.

use aws_sdk_iam::config::Builder;
use aws_sdk_iam::types::{EvaluationResult, PolicyEvaluationDecisionType as Decision};
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;

use super::retry;
use crate::model::{ActionError, Caller, ErrorKind, Finding, Severity, Target};

/// How many actions go into one simulation.
const BATCH: usize = 100;

/// Simulates `permissions` for a principal, which is given as its user's or role's ARN.
pub(super) async fn lacking(sdk: &SdkConfig, target: &Target, arn: &str, permissions: &[&'static str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for names in permissions.chunks(BATCH) {
        match simulate(sdk, target, arn, names).await {
            Ok(results) => findings.extend(results.iter().filter_map(|result| missing(target, arn, result))),
            Err(error) => return vec![unchecked(target, arn, &error)],
        }
    }
    findings
}

/// The caller's user or role. The role's ARN is asked for, because a simulation needs its path and a session's ARN does
/// not carry it.
pub(super) async fn principal(sdk: &SdkConfig, target: &Target, caller: &Caller) -> String {
    let arn = caller.principal_arn();
    let Some((_, name)) = arn.split_once(":role/") else { return arn };
    let config = Builder::from(sdk).retry_partition(retry::partition(target)).retry_classifier(retry::WhenBusy).build();
    let answer = aws_sdk_iam::Client::from_conf(config).get_role().role_name(name).send().await;
    answer.ok().and_then(|answer| answer.role).map_or(arn, |role| role.arn)
}

async fn simulate(
    sdk: &SdkConfig,
    target: &Target,
    arn: &str,
    names: &[&'static str],
) -> Result<Vec<EvaluationResult>, ActionError> {
    // A simulation that fails with a 500 (`PolicyEvaluation`) fails again: it is asked once.
    let config = Builder::from(sdk)
        .retry_partition(retry::partition(target))
        .retry_classifier(retry::WhenBusy)
        .retry_config(RetryConfig::disabled());
    let client = aws_sdk_iam::Client::from_conf(config.build());
    let mut results = client
        .simulate_principal_policy()
        .policy_source_arn(arn)
        .set_action_names(Some(names.iter().map(ToString::to_string).collect()))
        .into_paginator()
        .items()
        .send();
    let mut all = Vec::new();
    while let Some(result) = results.next().await {
        all.push(result?);
    }
    Ok(all)
}

fn missing(target: &Target, arn: &str, result: &EvaluationResult) -> Option<Finding> {
    let organization = result
        .organizations_decision_detail()
        .is_none_or(aws_sdk_iam::types::OrganizationsDecisionDetail::allowed_by_organizations);
    let boundary = result
        .permissions_boundary_decision_detail()
        .is_none_or(aws_sdk_iam::types::PermissionsBoundaryDecisionDetail::allowed_by_permissions_boundary);
    let why = match result.eval_decision() {
        _ if !organization => "a service control policy does not allow it",
        _ if !boundary => "its permissions boundary does not allow it",
        Decision::Allowed => return None,
        Decision::ExplicitDeny => "a policy denies it",
        _ => "no policy allows it",
    };
    let message = format!(
        "{arn} may not {} in account {}: {why}; add it, or take the step out",
        result.eval_action_name(),
        target.account
    );
    Some(Finding { severity: Severity::Warning, step: None, target: Some(target.clone()), message })
}

fn unchecked(target: &Target, arn: &str, error: &ActionError) -> Finding {
    let way_out = match error.kind {
        ErrorKind::Denied => "; allow iam:SimulatePrincipalPolicy to have it checked",
        _ => "",
    };
    let message = format!("could not check the permissions of {arn} in account {}: {error}{way_out}", target.account);
    Finding { severity: Severity::Note, step: None, target: Some(target.clone()), message }
}
