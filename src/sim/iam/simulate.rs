//! `SimulatePrincipalPolicy`: the same decision as for a real call.

use serde::Deserialize;

use super::{no_such_entity, read};
use crate::policy::{Context, Layer, Request, Verdict, evaluate};
use crate::sim::authorize::{Actor, layers};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Simulate {
    policy_source_arn: String,
    action_names: Vec<String>,
    #[serde(default)]
    resource_arns: Vec<String>,
    #[serde(default)]
    context_entries: Vec<Entry>,
    caller_arn: Option<String>,
    #[serde(rename = "Marker")]
    _marker: Option<String>,
    #[serde(rename = "MaxItems")]
    _max_items: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    context_key_name: String,
    context_key_values: Vec<String>,
    #[serde(rename = "ContextKeyType")]
    _kind: String,
}

pub(super) fn principal_policy(world: &World, call: &Call) -> Reply {
    let asked: Simulate = read(call)?;
    let source = &asked.policy_source_arn;
    let missing = || no_such_entity(format!("The policy source {source} cannot be found."));
    let actor = Actor::of_arn(world, source).filter(|actor| actor.account == call.account).ok_or_else(missing)?;
    let layers = layers(world, &actor, None, call.now)?;
    let mut context = Context::default().with("aws:PrincipalArn", asked.caller_arn.as_ref().unwrap_or(source));
    for entry in &asked.context_entries {
        for value in &entry.context_key_values {
            context.add(&entry.context_key_name, value);
        }
    }
    let resources = if asked.resource_arns.is_empty() { vec!["*".to_owned()] } else { asked.resource_arns };
    let mut results = Vec::new();
    for action in &asked.action_names {
        let (service, name) = action.split_once(':').unwrap_or_default();
        if service.is_empty() || name.is_empty() {
            return Err(Refusal::new(400, "InvalidInput", format!("Invalid Input Action: {action}")));
        }
        for resource in &resources {
            let request = Request {
                principal: source.clone(),
                action: action.clone(),
                resource: resource.clone(),
                context: context.clone(),
            };
            results.push(result(&request, &evaluate(&request, &layers), layers.boundary.is_some()));
        }
    }
    Ok(Body::Xml(vec![Xml::list("EvaluationResults", "member", results), Xml::text("IsTruncated", false)]))
}

fn result(request: &Request, verdict: &Verdict, has_boundary: bool) -> Vec<Xml> {
    let (decision, matched, denied_by) = match verdict {
        Verdict::Allowed => ("allowed", None, None),
        Verdict::ExplicitDeny { layer, policy, .. } => ("explicitDeny", Some(policy), Some(*layer)),
        Verdict::ImplicitDeny { layer } => ("implicitDeny", None, Some(*layer)),
        Verdict::Unknown { .. } => ("implicitDeny", None, None),
    };
    let statement =
        |policy: &String| vec![Xml::text("SourcePolicyId", policy), Xml::text("SourcePolicyType", "IAM Policy")];
    let by_organization = Xml::text("AllowedByOrganizations", denied_by != Some(Layer::ServiceControl));
    let mut xml = vec![
        Xml::text("EvalActionName", &request.action),
        Xml::text("EvalResourceName", &request.resource),
        Xml::text("EvalDecision", decision),
        Xml::list("MatchedStatements", "member", matched.into_iter().map(statement)),
        Xml::node("MissingContextValues", Vec::new()),
        Xml::node("OrganizationsDecisionDetail", vec![by_organization]),
    ];
    if has_boundary {
        let allowed = Xml::text("AllowedByPermissionsBoundary", denied_by != Some(Layer::Boundary));
        xml.push(Xml::node("PermissionsBoundaryDecisionDetail", vec![allowed]));
    }
    xml
}
