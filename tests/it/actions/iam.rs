//! Users, roles and what they sign in with.

use jiff::Timestamp;
use quell::engine::action::Wanted;
use quell::engine::ports::Access;
use quell::model::Resource;
use quell::sim::iam;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::drive::Drive;
use super::lab::{Lab, TRUST, object};
use super::stage::{Scene, Stage};

/// Everything that the account's administrators may do.
pub const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

pub const STAGES: &[Stage] = &[
    Stage { action: "iam.deactivate-access-keys", on: "a user", set_up: |lab| Box::pin(async move { owner(lab) }) },
    Stage { action: "iam.deny-all", on: "a user", set_up: |lab| Box::pin(async move { owner(lab) }) },
    Stage { action: "iam.deny-all", on: "a role", set_up: |lab| Box::pin(async move { backdoor(lab, "iam.roles") }) },
    Stage { action: "iam.revoke-sessions", on: "a user", set_up: |lab| Box::pin(async move { owner(lab) }) },
    Stage {
        action: "iam.revoke-sessions",
        on: "a role",
        set_up: |lab| Box::pin(async move { backdoor(lab, "iam.roles") }),
    },
    Stage { action: "iam.remove-login-profile", on: "a user", set_up: |lab| Box::pin(async move { owner(lab) }) },
    Stage { action: "iam.deactivate-signing-certificates", on: "a user", set_up: |lab| Box::pin(well_equipped(lab)) },
    Stage { action: "iam.deactivate-ssh-keys", on: "a user", set_up: |lab| Box::pin(well_equipped(lab)) },
    Stage { action: "iam.deactivate-service-credentials", on: "a user", set_up: |lab| Box::pin(well_equipped(lab)) },
    Stage { action: "iam.deactivate-mfa-devices", on: "a user", set_up: |lab| Box::pin(second_factor(lab)) },
    Stage {
        action: "iam.close-trust",
        on: "a role",
        set_up: |lab| Box::pin(async move { backdoor(lab, "iam.trusts") }),
    },
    Stage { action: "iam.remove-identity-providers", on: "SAML", set_up: |lab| Box::pin(provider(lab, "saml")) },
    Stage {
        action: "iam.remove-identity-providers",
        on: "OpenID Connect",
        set_up: |lab| Box::pin(provider(lab, "oidc")),
    },
    Stage {
        action: "iam.delete-root-credentials",
        on: "a root user",
        set_up: |lab| Box::pin(async move { root(lab) }),
    },
    Stage { action: "iam.restore-policy-version", on: "a policy", set_up: |lab| Box::pin(wider(lab)) },
];

/// The user whose key leaked.
fn owner(lab: &Lab) -> Scene {
    Scene::in_account(lab, format!("{{ from: iam.owner-of-key, with: {{ key: {} }} }}", lab.facts.leaked_key))
}

/// The same, with whatever else one can sign in with.
async fn well_equipped(lab: &Lab) -> Scene {
    lab.other_credentials().await;
    owner(lab)
}

async fn second_factor(lab: &Lab) -> Scene {
    let since = lab.sim.now().to_string();
    sleep(Duration::from_secs(1)).await;
    lab.enable_mfa("intruder").await;
    owner(lab).with(json!({ "since": since }))
}

async fn provider(lab: &Lab, kind: &str) -> Scene {
    lab.add_providers().await;
    Scene::in_account(lab, format!("{{ from: iam.identity-providers, where: type == \"{kind}\" }}"))
}

/// A root user with an access key, in an organisation that may delete it.
fn root(lab: &Lab) -> Scene {
    lab.add_root_key();
    lab.may_enter_roots();
    Scene::in_account(lab, "{ from: iam.root-credentials, where: keys_now }")
}

/// A policy whose newest version allows more than the one before.
async fn wider(lab: &Lab) -> Scene {
    let since = lab.widen_policy().await;
    let set = "{ from: iam.policy-versions, where: name == \"developers\" }";
    Scene::in_account(lab, set).with(json!({ "before": since.to_string() }))
}

/// A role that an account of the intruder's may assume.
fn backdoor(lab: &Lab, source: &str) -> Scene {
    lab.add_role("backup", "arn:aws:iam::999988887777:root");
    Scene::in_account(lab, format!("{{ from: {source}, where: name == \"backup\" }}"))
}

/// A metadata document is at least 1,000 characters long.
pub fn metadata() -> String {
    let certificate = "MIIB".repeat(300);
    format!("<EntityDescriptor entityID=\"https://idp.example.com\">{certificate}</EntityDescriptor>")
}

/// What a policy allows.
pub fn allowing(actions: &str) -> String {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }] })
        .to_string()
}

impl Lab {
    pub fn role_arn(&self, name: &str) -> String {
        format!("arn:aws:iam::{}:role/{name}", self.facts.breached_account)
    }

    /// An administrator's role that `principal` may assume.
    pub fn add_role(&self, name: &str, principal: &str) {
        let (account, now) = (self.facts.breached_account.clone(), self.sim.now());
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": principal } },
        ] });
        self.sim.change(|world| {
            let role = iam::create_role(world, &account, "/", name, &trust.to_string(), now).unwrap();
            role.policies.managed.insert(ADMINISTRATOR.to_owned());
        });
    }

    /// Gives the compromised user everything that IAM lets somebody sign in with.
    pub async fn other_credentials(&self) -> Vec<Resource> {
        let client = aws_sdk_iam::Client::new(&self.enter(&self.global(), Access::Write).await.sdk);
        let user = self.facts.compromised_user.as_str();
        let body = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
        client.upload_signing_certificate().user_name(user).certificate_body(body).send().await.unwrap();
        client.upload_ssh_public_key().user_name(user).ssh_public_key_body("ssh-rsa AAAA").send().await.unwrap();
        for service in ["bedrock.amazonaws.com", "codecommit.amazonaws.com"] {
            client.create_service_specific_credential().user_name(user).service_name(service).send().await.unwrap();
        }
        self.intruder().await
    }

    /// IAM as the responder.
    pub async fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.enter(&self.global(), Access::Write).await.sdk)
    }

    /// The ARN of what the breached account has in IAM.
    pub fn arn(&self, rest: &str) -> String {
        format!("arn:aws:iam::{}:{rest}", self.facts.breached_account)
    }

    /// A SAML provider that a role trusts, and an OpenID Connect provider.
    pub async fn add_providers(&self) {
        let client = self.iam().await;
        let tag = aws_sdk_iam::types::Tag::builder().key("team").value("web").build().unwrap();
        let saml = client.create_saml_provider().name("corporate").saml_metadata_document(metadata());
        saml.tags(tag).send().await.unwrap();
        let oidc = client.create_open_id_connect_provider().url("https://token.example.com/ci");
        oidc.client_id_list("sts.amazonaws.com").thumbprint_list("a".repeat(40)).send().await.unwrap();
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "sts:AssumeRoleWithSAML", "Principal": { "Federated": self.arn("saml-provider/corporate") } },
        ] });
        let request = client.create_role().role_name("federated").assume_role_policy_document(trust.to_string());
        request.send().await.unwrap();
    }

    /// A policy of the intruder's user that only reads S3, and the moment at which the intruder widened it.
    pub async fn widen_policy(&self) -> Timestamp {
        let (account, user) = (self.facts.breached_account.clone(), self.facts.compromised_user.clone());
        let made = self.sim.now();
        self.sim.change(|world| {
            let arn = iam::create_policy(world, &account, "/team/", "developers", &allowing("s3:Get*"), made).unwrap();
            let user = world.account_mut(&account).iam.users.get_mut(&user).unwrap();
            user.policies.managed.insert(arn);
        });
        sleep(Duration::from_hours(1)).await;
        let since = self.sim.now();
        sleep(Duration::from_secs(5)).await;
        let request = self.iam().await.create_policy_version().policy_arn(self.arn("policy/team/developers"));
        request.policy_document(allowing("*")).set_as_default(true).send().await.unwrap();
        since
    }

    /// Gives the root user of the breached account an access key.
    pub fn add_root_key(&self) {
        let now = self.sim.now();
        self.sim.change(|world| iam::add_access_key(world, &self.facts.breached_account, None, now).unwrap());
    }

    /// Switches central root access on.
    pub fn may_enter_roots(&self) {
        self.sim.change(|world| {
            let features = ["RootCredentialsManagement", "RootSessions"].map(str::to_owned);
            world.organization.as_mut().unwrap().features.extend(features);
        });
    }

    /// Gives the compromised user a virtual MFA device.
    pub async fn enable_mfa(&self, name: &str) {
        let client = aws_sdk_iam::Client::new(&self.enter(&self.global(), Access::Write).await.sdk);
        let serial = format!("arn:aws:iam::{}:mfa/{name}", self.facts.breached_account);
        let request = client.enable_mfa_device().user_name(&self.facts.compromised_user).serial_number(serial);
        request.authentication_code1("123456").authentication_code2("654321").send().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_nobody_owns_is_named_with_the_way_out() {
    let lab = Lab::new().await;
    let cx = lab.enter(&lab.global(), Access::Read).await;
    let with = object(json!({ "key": "AKIAIOSFODNN7EXAMPLE" }));
    let error = lab.table.source("iam.owner-of-key").unwrap().list(&cx, &with, &Wanted::default()).await.unwrap_err();
    for word in ["AKIAIOSFODNN7EXAMPLE", lab.facts.breached_account.as_str(), "credential report"] {
        assert!(error.message.contains(word), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_owner_of_the_leaked_key_is_among_the_users() {
    let lab = Lab::new().await;
    let owner = lab.intruder().await;
    assert_eq!(owner[0].fields["name"], lab.facts.compromised_user);
    let users = lab.list("iam.users", json!({}), &lab.global()).await;
    let same = users.iter().find(|user| user.id == owner[0].id).expect("the owner is a user");
    assert_eq!(same.fields, owner[0].fields);
    let roles = lab.list("iam.roles", json!({}), &lab.global()).await;
    assert!(roles.iter().any(|role| role.fields["name"] == "IRResponder" && role.fields["path"] == "/ir/"));
}

#[tokio::test(start_paused = true)]
async fn keys_go_off_and_on() {
    let lab = Lab::new().await;
    let intruder = lab.intruder().await;
    let drive = Drive::new(&lab, "iam.deactivate-access-keys", json!({}), &lab.global(), &intruder);
    assert_eq!(drive.items().await.len(), 2, "the leaked key, and the one that the intruder made");
    drive.there_and_back().await;
    drive.back_without_effects().await;
}

#[tokio::test(start_paused = true)]
async fn denies_and_revocations_of_users_and_roles_go_on_and_off() {
    let lab = Lab::new().await;
    let intruder = lab.intruder().await;
    for action in ["iam.deny-all", "iam.revoke-sessions"] {
        let drive = Drive::new(&lab, action, json!({}), &lab.global(), &intruder);
        drive.there_and_back().await;
        drive.back_without_effects().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_would_lock_out_whom_quell_works_as_is_refused() {
    for action in ["iam.deny-all", "iam.revoke-sessions"] {
        for (name, path) in [("IRResponder", "role/ir/IRResponder"), ("BreakGlass", "role/emergency/BreakGlass")] {
            let lab = Lab::new().await;
            let iam = aws_sdk_iam::Client::new(&lab.enter(&lab.global(), Access::Write).await.sdk);
            let made = iam.create_role().role_name("BreakGlass").path("/emergency/");
            made.assume_role_policy_document(TRUST).send().await.unwrap();
            tokio::time::sleep(std::time::Duration::from_mins(1)).await;

            let account = format!("[\"{}\"]", lab.facts.breached_account);
            let rest = format!(
                "sets: {{ roles: {{ from: iam.roles, where: name == \"{name}\" }} }}\n\
                 steps: [{{ id: shut, uses: {action}, on: roles }}]"
            );
            let refused = lab.refusals(&account, &rest).await;
            assert_eq!(refused.len(), 1, "{action} {name}: {refused:?}");
            assert!(refused[0].contains(path) && refused[0].contains("would lock out"), "{refused:?}");
            assert!(refused[0].contains("take it out of the set"), "{refused:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_against_the_caller_itself_is_refused() {
    for action in ["iam.deny-all", "iam.revoke-sessions", "iam.deactivate-access-keys"] {
        let rest = format!(
            "sets: {{ people: {{ from: iam.users, where: name == \"noa.lindqvist\" }} }}\n\
             steps: [{{ id: shut, uses: {action}, on: people }}]"
        );
        let refused = Lab::new().await.refusals("self", &rest).await;
        assert_eq!(refused.len(), 1, "{action}: {refused:?}");
        assert!(refused[0].contains("quell") && refused[0].contains("use another principal"), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_password_goes_and_its_loss_is_said() {
    let lab = Lab::new().await;
    let intruder = lab.intruder().await;
    let drive = Drive::new(&lab, "iam.remove-login-profile", json!({}), &lab.global(), &intruder);
    let items = drive.items().await;
    drive.apply(&items).await;
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
    let cx = lab.enter(&lab.global(), Access::Write).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &Value::Null).await.unwrap_err();
    assert!(error.message.contains("set a new one"), "{error}");
}
