//! Amazon GuardDuty: a region's detector and its findings.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::pages::part;
use super::world::World;

/// What an account has in one region: one detector at most.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GuardDuty {
    /// The detector.
    pub detector: Option<Detector>,
}

/// A detector.
#[derive(Debug, Clone, Serialize)]
pub struct Detector {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Whether it looks.
    pub enabled: bool,
    /// Since when it is there.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
    /// What it found, as GetFindings answers it.
    pub findings: Vec<Value>,
}

/// What the call needs to be allowed.
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let action = format!("guardduty:{}", call.operation);
    match call.operation.as_str() {
        "CreateDetector" | "ListDetectors" => Ok(vec![Permission::new(action, "*")]),
        "CreateSampleFindings"
        | "DeleteDetector"
        | "GetDetector"
        | "GetFindings"
        | "ListFindings"
        | "UpdateDetector" => {
            let id = call.params.json()["detectorId"].as_str().unwrap_or_default();
            let arn = format!("arn:{}:guardduty:{}:{}:detector/{id}", world.partition, call.region, call.account);
            Ok(vec![Permission::new(action, arn)])
        }
        _ => Err(call.unknown()),
    }
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    match call.operation.as_str() {
        "CreateDetector" => create(world, call),
        "CreateSampleFindings" => create_findings(world, call),
        "DeleteDetector" => delete(world, call),
        "GetDetector" => get(world, call),
        "GetFindings" => get_findings(world, call),
        "ListDetectors" => list(world, call),
        "ListFindings" => list_findings(world, call),
        "UpdateDetector" => update(world, call),
        _ => Err(call.unknown()),
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequestException", message)
}

/// The detector that a call names.
fn detector<'w>(world: &'w mut World, call: &Call) -> Result<&'w mut Detector, Refusal> {
    let id = call.params.json()["detectorId"].as_str().unwrap_or_default();
    let held = world.region_mut(&call.account, &call.region).guardduty.detector.as_mut();
    let message = "The request is rejected because the input detectorId is not owned by the current account.";
    held.filter(|detector| detector.id == id).ok_or_else(|| bad(message))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    enable: bool,
    #[serde(rename = "clientToken")]
    _client_token: Option<String>,
    #[serde(rename = "findingPublishingFrequency")]
    _frequency: Option<String>,
}

fn create(world: &mut World, call: &Call) -> Reply {
    let Create { enable, .. } = call.params.read()?;
    let id = world.rng.hex(32);
    let held = &mut world.region_mut(&call.account, &call.region).guardduty.detector;
    if held.is_some() {
        return Err(bad("The request is rejected because a detector already exists for the current account."));
    }
    let detector =
        Detector { id: id.clone(), enabled: enable, created: call.now, updated: call.now, findings: Vec::new() };
    *held = Some(detector);
    Ok(Body::Json(json!({ "detectorId": id })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Update {
    #[serde(rename = "detectorId")]
    _detector_id: String,
    enable: Option<bool>,
}

fn update(world: &mut World, call: &Call) -> Reply {
    let asked: Update = call.params.read()?;
    let detector = detector(world, call)?;
    detector.enabled = asked.enable.unwrap_or(detector.enabled);
    detector.updated = call.now;
    Ok(Body::Json(json!({})))
}

fn delete(world: &mut World, call: &Call) -> Reply {
    detector(world, call)?;
    world.region_mut(&call.account, &call.region).guardduty.detector = None;
    Ok(Body::Json(json!({})))
}

fn list(world: &World, call: &Call) -> Reply {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct List {
        #[serde(rename = "maxResults")]
        _max_results: Option<Value>,
        #[serde(rename = "nextToken")]
        _next_token: Option<String>,
    }
    let _: List = call.params.read()?;
    let held = &world.region(&call.account, &call.region).guardduty.detector;
    Ok(Body::Json(json!({ "detectorIds": held.iter().map(|detector| &detector.id).collect::<Vec<_>>() })))
}

fn get(world: &mut World, call: &Call) -> Reply {
    let (partition, account) = (world.partition.clone(), call.account.clone());
    let detector = detector(world, call)?;
    let role = "role/aws-service-role/guardduty.amazonaws.com/AWSServiceRoleForAmazonGuardDuty";
    Ok(Body::Json(json!({
        "createdAt": date(detector.created),
        "findingPublishingFrequency": "SIX_HOURS",
        "serviceRole": format!("arn:{partition}:iam::{account}:{role}"),
        "status": if detector.enabled { "ENABLED" } else { "DISABLED" },
        "updatedAt": date(detector.updated),
        "tags": {},
    })))
}

fn list_findings(world: &mut World, call: &Call) -> Reply {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct List {
        #[serde(rename = "detectorId")]
        _detector_id: String,
        max_results: Option<usize>,
        next_token: Option<String>,
    }
    let asked: List = call.params.read()?;
    let ids = detector(world, call)?.findings.iter().map(|finding| finding["id"].clone()).collect();
    let token = asked.next_token.as_deref().filter(|token| !token.is_empty());
    let (ids, next) = part(ids, token, asked.max_results.unwrap_or(50))?;
    // The last page has an empty token, not none (GuardDuty API reference, "ListFindings").
    Ok(Body::Json(json!({ "findingIds": ids, "nextToken": next.unwrap_or_default() })))
}

fn get_findings(world: &mut World, call: &Call) -> Reply {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Get {
        #[serde(rename = "detectorId")]
        _detector_id: String,
        finding_ids: Vec<String>,
    }
    let Get { finding_ids, .. } = call.params.read()?;
    if finding_ids.len() > 50 {
        return Err(bad("The request is rejected because more than 50 findings were asked for."));
    }
    let wanted = |finding: &&Value| finding_ids.iter().any(|id| finding["id"] == id.as_str());
    let found: Vec<Value> = detector(world, call)?.findings.iter().filter(wanted).cloned().collect();
    Ok(Body::Json(json!({ "findings": found })))
}

/// CreateSampleFindings: one of each type that is named, as if the detector had found it.
fn create_findings(world: &mut World, call: &Call) -> Reply {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Create {
        detector_id: String,
        #[serde(default)]
        finding_types: Vec<String>,
    }
    let Create { detector_id, finding_types } = call.params.read()?;
    detector(world, call)?;
    for kind in finding_types {
        let id = world.rng.hex(32);
        let head = format!("arn:{}:guardduty:{}:{}", world.partition, call.region, call.account);
        let finding = json!({
            "accountId": call.account, "arn": format!("{head}:detector/{detector_id}/finding/{id}"),
            "createdAt": date(call.now), "id": id, "partition": world.partition, "region": call.region,
            "resource": { "resourceType": "Instance" }, "schemaVersion": "2.0",
            "service": { "archived": false, "count": 1, "detectorId": detector_id, "serviceName": "guardduty",
                "eventFirstSeen": date(call.now), "eventLastSeen": date(call.now) },
            "severity": 8.0, "title": format!("[SAMPLE] {kind}"), "type": kind, "updatedAt": date(call.now),
        });
        detector(world, call)?.findings.push(finding);
    }
    Ok(Body::Json(json!({})))
}

fn date(at: Timestamp) -> String {
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::call::test_call;
    use crate::sim::wire::params::Params;

    fn ask(world: &mut World, operation: &str, with: Value) -> Result<Value, String> {
        let mut call = test_call("guardduty", operation, "");
        call.params = Params::Json(with);
        match handle(world, &call).map_err(|refusal| refusal.code)? {
            Body::Json(json) => Ok(json),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_region_has_one_detector_with_findings_in_pages() {
        let mut world = World::new(1);
        world.add_account(test_call("guardduty", "", "").account, "development");
        assert_eq!(ask(&mut world, "ListDetectors", json!({})).unwrap(), json!({ "detectorIds": [] }));
        let made = ask(&mut world, "CreateDetector", json!({ "enable": true })).unwrap();
        assert_eq!(ask(&mut world, "CreateDetector", json!({ "enable": true })).unwrap_err(), "BadRequestException");
        let id = made["detectorId"].clone();
        assert_eq!(ask(&mut world, "GetDetector", json!({ "detectorId": id })).unwrap()["status"], "ENABLED");
        let kinds = ["CryptoCurrency:EC2/BitcoinTool.B!DNS", "Recon:IAMUser/MaliciousIPCaller"];
        let with = json!({ "detectorId": id, "findingTypes": kinds });
        ask(&mut world, "CreateSampleFindings", with).unwrap();
        let first = ask(&mut world, "ListFindings", json!({ "detectorId": id, "maxResults": 1 })).unwrap();
        assert_eq!(first["nextToken"], "1");
        let with = json!({ "detectorId": id, "findingIds": first["findingIds"] });
        assert_eq!(ask(&mut world, "GetFindings", with).unwrap()["findings"][0]["type"], kinds[0]);
        ask(&mut world, "UpdateDetector", json!({ "detectorId": id, "enable": false })).unwrap();
        assert_eq!(ask(&mut world, "GetDetector", json!({ "detectorId": id })).unwrap()["status"], "DISABLED");
        assert_eq!(ask(&mut world, "GetDetector", json!({ "detectorId": "x" })).unwrap_err(), "BadRequestException");
    }
}
