//! Entering accounts: a device's code once, a source identity that stays, and what sessions of users are not for.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use quell::cloud::{CloudSessions, Options};
use quell::engine::ports::{Access, Sessions as _};
use quell::model::{ActionError, ErrorKind, Role, Targets};
use quell::sim::iam;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::actions::{ADMINISTRATOR, Lab, case};
use crate::binary::{code, quell};
use crate::site::stderr;

/// The user `ada` of the management account with a device, and the role `incident`, which demands it.
struct Ada {
    lab: Lab,
    keys: Credentials,
    role: String,
    device: String,
}

impl Ada {
    async fn new() -> Self {
        let lab = Lab::new().await;
        let (now, breached) = (lab.sim.now(), lab.facts.breached_account.clone());
        let (keys, management) = lab.sim.change(|world| {
            let management = world.organization.as_ref().unwrap().management.parse().unwrap();
            let ada = iam::create_user(world, &management, "/", "ada", now).unwrap();
            ada.policies.managed.insert(ADMINISTRATOR.to_owned());
            ada.credentials.mfa.insert(format!("arn:aws:iam::{management}:mfa/ada"), now);
            let (id, secret) = iam::add_access_key(world, &management, Some("ada"), now).unwrap();
            let demands = json!({ "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": { "AWS": format!("arn:aws:iam::{management}:user/ada") },
                "Condition": { "Bool": { "aws:MultiFactorAuthPresent": "true" } },
            }] });
            let role = iam::create_role(world, &management, "/", "incident", &demands.to_string(), now).unwrap();
            role.policies.managed.insert(ADMINISTRATOR.to_owned());
            let carries = json!({ "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
                "Principal": { "AWS": format!("arn:aws:iam::{management}:root") },
            }] });
            let role = iam::create_role(world, &breached, "/", "carrier", &carries.to_string(), now).unwrap();
            role.policies.managed.insert(ADMINISTRATOR.to_owned());
            (Credentials::new(id.as_str(), secret.0.clone(), None, None, "ada"), management)
        });
        let role = format!("arn:aws:iam::{management}:role/incident");
        Self { lab, keys, role, device: format!("arn:aws:iam::{management}:mfa/ada") }
    }

    async fn sessions(&self) -> CloudSessions {
        let options = Options {
            profile: None,
            region: Some("us-east-1".into()),
            http: Some(self.lab.sim.http_client()),
            credentials: Some(SharedCredentialsProvider::new(self.keys.clone())),
            endpoint_url: None,
            evidence: None,
            clock: Arc::new(self.lab.clock),
            case: case(),
            now: self.lab.sim.now(),
        };
        CloudSessions::new(options).await.unwrap()
    }

    async fn works_as(&self, code: Option<&str>) -> Result<CloudSessions, ActionError> {
        let mut sessions = self.sessions().await;
        sessions.work_as(&self.role, code.map(|code| (self.device.as_str(), code))).await?;
        Ok(sessions)
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_that_demands_a_device_is_entered_by_its_code_once_and_accounts_from_there() {
    let ada = Ada::new().await;
    for code in [None, Some("12345"), Some("abcdef")] {
        assert_eq!(ada.works_as(code).await.err().unwrap().kind, ErrorKind::Denied, "{code:?}");
    }
    let sessions = ada.works_as(Some("123456")).await.unwrap();
    let caller = sessions.caller().await.unwrap();
    assert!(caller.arn.contains(":assumed-role/incident/quell-case-1"), "{}", caller.arn);
    sessions.assume(Some(&Role { name: "carrier".into(), external_id: None, source_identity: None }));
    sessions.enter(&ada.lab.global(), Access::Read).await.unwrap();
    let again = ada.works_as(Some("123456")).await.err().unwrap();
    assert!(again.message.contains("one time pass code"), "{again}");
}

/// The request parameters of the last event of this name in the breached account.
fn asked_for(lab: &Lab, name: &str) -> Value {
    let world = lab.sim.world();
    let region = quell::model::Region::new("us-east-1").unwrap();
    let events = &world.region(&lab.facts.breached_account, &region).cloudtrail.events;
    events.iter().rev().find(|event| event.name == name).unwrap().request.clone()
}

#[tokio::test(start_paused = true)]
async fn every_session_carries_the_case_where_the_runbook_says_so() {
    let ada = Ada::new().await;
    let carrying = |identity: &str| {
        Some(Role { name: "carrier".into(), external_id: None, source_identity: Some(identity.into()) })
    };
    for (identity, expected) in [("case", "case-1"), ("INC-4711", "INC-4711")] {
        let sessions = ada.sessions().await;
        sessions.assume(carrying(identity).as_ref());
        sessions.enter(&ada.lab.global(), Access::Read).await.unwrap();
        assert_eq!(asked_for(&ada.lab, "AssumeRole")["sourceIdentity"], expected);
    }
    let sessions = ada.sessions().await;
    let closed = Role { name: "ir/IRResponder".into(), external_id: None, source_identity: Some("case".into()) };
    sessions.assume(Some(&closed));
    let error = sessions.enter(&ada.lab.global(), Access::Read).await.err().unwrap();
    assert!(error.message.contains("sts:SetSourceIdentity"), "its trust policy allows sts:AssumeRole alone: {error}");
}

#[tokio::test(start_paused = true)]
async fn sessions_of_users_are_not_for_iam_unless_a_device_was_used() {
    let ada = Ada::new().await;
    let lab = &ada.lab;
    sleep(Duration::from_mins(1)).await;
    let sts = lab.sts(&ada.keys, "us-east-1");
    let held = async |serial: Option<&str>| {
        let code = serial.map(|_| "654321".to_owned());
        let request = sts.get_session_token().set_serial_number(serial.map(str::to_owned)).set_token_code(code);
        let made = request.send().await.unwrap().credentials.unwrap();
        let token = Some(made.session_token().to_owned());
        Credentials::new(made.access_key_id(), made.secret_access_key(), token, None, "session")
    };
    let plain = held(None).await;
    assert!(!lab.gets_in(&plain).await, "IAM without a device");
    let info = lab.sts(&plain, "us-east-1").get_access_key_info().access_key_id(plain.access_key_id()).send().await;
    assert!(info.is_err(), "STS beyond AssumeRole and GetCallerIdentity");
    assert!(lab.sts(&plain, "us-east-1").get_caller_identity().send().await.is_ok());
    let with_device = held(Some(&ada.device)).await;
    assert!(lab.gets_in(&with_device).await, "IAM with a device");
}

#[test]
fn a_code_that_nobody_can_be_asked_for_is_a_mistake_before_anything_is_sent() {
    let home = tempfile::tempdir().unwrap();
    let role = "arn:aws:iam::111122223333:role/incident";
    let mut doctor = quell(home.path());
    doctor.args(["doctor", "--work-as", role, "--mfa", "arn:aws:iam::111122223333:mfa/ada", "--region", "us-east-1"]);
    doctor.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "none");
    let output = doctor.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(stderr(&output).contains("QUELL_MFA_CODE"), "{}", stderr(&output));
}

#[test]
fn a_runbook_may_name_a_source_identity_and_its_policy_then_allows_to_set_it() {
    let text = "quell: 1\nname: a\ntitle: A\ntargets: { accounts: [\"111122223333\"], role: { name: ir/R, source_identity: case } }\n\
                steps: [{ id: lock, uses: organizations.deny-all, with: { exempt: [role/ir/R] } }]\n";
    let catalog = quell::actions::table().catalog();
    let (runbook, _) = quell::runbook::load("a", text, &catalog).unwrap();
    let Targets { role: Some(role), .. } = &runbook.targets else { panic!("no role") };
    assert_eq!(role.source_identity.as_deref(), Some("case"));
    let policy = quell::cli::policy::policy(
        &runbook,
        &catalog,
        quell::cli::policy::Rollback::Included,
        quell::cli::policy::Holder::Caller,
    );
    assert!(policy.to_string().contains("sts:SetSourceIdentity"), "{policy:#}");
}
