//! What an intruder leaves in IAM so as to come back, over the simulated AWS: found, taken away, and put back.

use jiff::Timestamp;
use quell::engine::action::{Decision, Found, Wanted};
use quell::engine::ports::Access;
use quell::model::{ErrorKind, Resource, ResourceId};
use serde_json::{Map, Value, json};
use tokio::time::{Duration, sleep};

use crate::actions::{Drive, Lab, allowing, metadata};
use crate::binary::{changed, code, json as json_of, quell};

impl Lab {
    async fn providers(&self) -> Vec<Resource> {
        self.list("iam.identity-providers", json!({}), &self.global()).await
    }

    async fn policies(&self) -> Vec<Resource> {
        self.list("iam.policy-versions", json!({}), &self.global()).await
    }
}

#[tokio::test(start_paused = true)]
async fn identity_providers_are_found_with_the_roles_that_trust_them() {
    let lab = Lab::new().await;
    assert_eq!(lab.providers().await, []);
    let before = lab.sim.now();
    lab.add_providers().await;
    let found = lab.providers().await;
    let seen: Vec<_> = found.iter().map(|member| (&member.fields["type"], &member.fields["name"])).collect();
    assert_eq!(seen, [(&json!("saml"), &json!("corporate")), (&json!("oidc"), &json!("token.example.com/ci"))]);
    assert_eq!(found[0].fields["trusted_by"], json!([lab.arn("role/federated")]));
    assert_eq!(found[0].fields["tags"], json!({ "team": "web" }));
    assert_eq!(found[1].fields["clients"], json!(["sts.amazonaws.com"]));
    for member in &found {
        let created: Timestamp = member.fields["created"].as_str().unwrap().parse().unwrap();
        assert!(created.as_second() >= before.as_second(), "{member:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn identity_providers_go_and_come_back_whole() {
    let lab = Lab::new().await;
    lab.add_providers().await;
    let members = lab.providers().await;
    let drive = Drive::new(&lab, "iam.remove-identity-providers", json!({}), &lab.global(), &members);
    let Decision::Change(proposal) = drive.decide(&drive.look().await[0]).await else { panic!("no change") };
    assert_eq!(proposal.notes[0], format!("trusted by {}", lab.arn("role/federated")));
    drive.there_and_back().await;
    drive.back_without_effects().await;

    let items = drive.items().await;
    drive.apply(&items).await;
    assert_eq!(lab.providers().await, []);
    let client = lab.iam().await;
    let other =
        client.create_saml_provider().name("corporate").saml_metadata_document(metadata().replace("idp", "evil"));
    other.send().await.unwrap();
    let cx = lab.enter(&lab.global(), Access::Write).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &json!(null)).await.unwrap_err();
    assert!(error.message.contains("made again by somebody"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_could_not_be_made_again_stays() {
    let lab = Lab::new().await;
    let client = lab.iam().await;
    let saml = client.create_saml_provider().name("sealed").saml_metadata_document(metadata()).add_private_key("key");
    saml.assertion_encryption_mode("Required".into()).send().await.unwrap();
    let members = lab.providers().await;
    let drive = Drive::new(&lab, "iam.remove-identity-providers", json!({}), &lab.global(), &members);
    let Decision::Skip(why) = drive.decide(&drive.look().await[0]).await else { panic!("not skipped") };
    assert!(why.contains("iam.close-trust"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn the_provider_by_which_the_caller_came_is_refused() {
    let lab = Lab::new().await;
    let cx = lab.enter(&lab.global(), Access::Read).await;
    let provider = ResourceId::new(lab.arn("saml-provider/corporate")).unwrap();
    let saved = json!({ "type": "saml", "metadata": metadata(), "tags": {} });
    let prior = json!({ "saved": saved, "trusted_by": [cx.view.caller.principal_arn()] });
    let found = Found { member: provider.clone(), resource: provider, prior };
    let action = lab.table.action("iam.remove-identity-providers").unwrap();
    let decision = action.plan(&cx.view, &Map::new(), &found).unwrap();
    assert!(matches!(&decision, Decision::Refuse(why) if why.contains("use another principal")), "{decision:?}");
}

#[tokio::test(start_paused = true)]
async fn a_widened_policy_is_found_by_the_date_of_its_version_and_put_back() {
    let lab = Lab::new().await;
    let since = lab.widen_policy().await;
    let mut members = lab.policies().await;
    let date = |member: &Resource, field: &str| member.fields[field].as_str().unwrap().parse::<Timestamp>().unwrap();
    members.retain(|member| date(member, "version_created") >= since && date(member, "created") < since);
    let seen: Vec<_> = members.iter().map(|member| (member.id.as_str(), &member.fields["version"])).collect();
    assert_eq!(seen, [(lab.arn("policy/team/developers").as_str(), &json!("v2"))]);
    assert_eq!((&members[0].fields["versions"], &members[0].fields["attached"]), (&json!(2), &json!(1)));

    let with = json!({ "before": since.to_string() });
    let drive = Drive::new(&lab, "iam.restore-policy-version", with, &lab.global(), &members);
    let Decision::Change(proposal) = drive.decide(&drive.look().await[0]).await else { panic!("no change") };
    assert_eq!(proposal.notes, [format!("attached to user/{}", lab.facts.compromised_user)]);
    drive.there_and_back().await;
    drive.back_without_effects().await;

    let items = drive.items().await;
    drive.apply(&items).await;
    let world = lab.sim.world();
    let iam = &world.account(&lab.facts.breached_account).iam;
    assert_eq!(iam.managed_document(members[0].id.as_str()), Some(allowing("s3:Get*").as_str()), "what counts again");
    assert_eq!(iam.policies[members[0].id.as_str()].versions.len(), 2, "the intruder's version stays as evidence");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_somebody_else_put_in_force_is_left_by_the_way_back() {
    let lab = Lab::new().await;
    let since = lab.widen_policy().await;
    let members = lab.policies().await;
    let with = json!({ "before": since.to_string() });
    let drive = Drive::new(&lab, "iam.restore-policy-version", with, &lab.global(), &members);
    let items = drive.items().await;
    drive.apply(&items).await;
    let request = lab.iam().await.create_policy_version().policy_arn(lab.arn("policy/team/developers"));
    request.policy_document(allowing("s3:List*")).set_as_default(true).send().await.unwrap();
    let cx = lab.enter(&lab.global(), Access::Write).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &json!(null)).await.unwrap_err();
    assert!(error.message.contains("put v3 of"), "{error}");
}

impl Lab {
    /// What the account holds now, as the `aws` CLI would print it: documents decoded.
    async fn baseline(&self) -> tempfile::NamedTempFile {
        let client = self.iam().await;
        let decoded = |text: &str| -> Value {
            serde_json::from_str(&percent_encoding::percent_decode_str(text).decode_utf8().unwrap()).unwrap()
        };
        let (mut users, mut roles, mut policies) = (Vec::new(), Vec::new(), Vec::new());
        let mut pages = client.get_account_authorization_details().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            users.extend(page.user_detail_list().iter().map(|user| {
                let attached =
                    user.attached_managed_policies().iter().map(|held| json!({ "PolicyArn": held.policy_arn() }));
                json!({ "Arn": user.arn(), "AttachedManagedPolicies": attached.collect::<Vec<_>>() })
            }));
            roles.extend(page.role_detail_list().iter().map(|role| {
                let inline = role.role_policy_list().iter().map(|held| {
                    json!({ "PolicyName": held.policy_name(), "PolicyDocument": decoded(held.policy_document().unwrap()) })
                });
                let attached = role.attached_managed_policies().iter().map(|held| json!({ "PolicyArn": held.policy_arn() }));
                json!({
                    "Arn": role.arn(),
                    "AssumeRolePolicyDocument": decoded(role.assume_role_policy_document().unwrap()),
                    "RolePolicyList": inline.collect::<Vec<_>>(),
                    "AttachedManagedPolicies": attached.collect::<Vec<_>>(),
                })
            }));
            policies.extend(page.policies().iter().map(|policy| {
                let versions = policy.policy_version_list().iter().map(|version| {
                    json!({ "IsDefaultVersion": version.is_default_version(), "Document": decoded(version.document().unwrap()) })
                });
                json!({ "Arn": policy.arn(), "PolicyVersionList": versions.collect::<Vec<_>>() })
            }));
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let details = json!({ "UserDetailList": users, "RoleDetailList": roles, "Policies": policies });
        let providers = json!({ "SAMLProviderList": [] }).to_string() + r#"{ "OpenIDConnectProviderList": [] }"#;
        std::fs::write(file.path(), format!("{details:#}\n{providers}")).unwrap();
        file
    }

    async fn beside(&self, source: &str, baseline: &tempfile::NamedTempFile) -> Vec<(String, Value)> {
        let members = self.list(source, json!({ "baseline": baseline.path() }), &self.global()).await;
        let read =
            |member: &Resource| (member.fields["name"].as_str().unwrap().to_owned(), member.fields["differs"].clone());
        members.iter().map(read).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn beside_a_baseline_only_what_is_new_or_differs_is_a_member() {
    let lab = Lab::new().await;
    lab.widen_policy().await;
    let client = lab.iam().await;
    let service = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "ec2.amazonaws.com" } },
    ] });
    let request = client.create_role().role_name("deploy").assume_role_policy_document(service.to_string());
    request.send().await.unwrap();
    let baseline = lab.baseline().await;
    for source in ["iam.users", "iam.roles", "iam.trusts", "iam.policy-versions", "iam.identity-providers"] {
        assert_eq!(lab.beside(source, &baseline).await, [], "{source}: nothing has changed yet");
    }

    lab.add_providers().await;
    client.create_user().user_name("night").send().await.unwrap();
    let administrator = "arn:aws:iam::aws:policy/AdministratorAccess";
    client.attach_user_policy().user_name("ci").policy_arn(administrator).send().await.unwrap();
    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": "999988887777" } },
    ] });
    let request = client.update_assume_role_policy().role_name("deploy").policy_document(trust.to_string());
    request.send().await.unwrap();
    let version = client.create_policy_version().policy_arn(lab.arn("policy/team/developers"));
    version.policy_document(allowing("iam:*")).set_as_default(true).send().await.unwrap();

    let seen = lab.beside("iam.users", &baseline).await;
    assert_eq!(seen, [("ci".to_owned(), json!(["attached policies"])), ("night".to_owned(), json!(["new"]))]);
    let changed = ("deploy".to_owned(), json!(["trust policy"]));
    let roles = lab.beside("iam.roles", &baseline).await;
    assert_eq!(roles, [changed.clone(), ("federated".to_owned(), json!(["new"]))]);
    assert!(lab.beside("iam.trusts", &baseline).await.contains(&changed));
    let policies = lab.beside("iam.policy-versions", &baseline).await;
    assert_eq!(policies, [("developers".to_owned(), json!(["version in force"]))]);
    assert_eq!(lab.beside("iam.identity-providers", &baseline).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_baseline_that_says_nothing_of_the_account_is_an_error_and_not_a_clean_account() {
    let lab = Lab::new().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{ "UserDetailList": [], "RoleDetailList": [], "Policies": [] }"#).unwrap();
    let cx = lab.enter(&lab.global(), Access::Read).await;
    for (path, said) in [(file.path().to_str().unwrap(), "says nothing of account"), ("/nowhere", "cannot be read")] {
        let with = json!({ "baseline": path }).as_object().cloned().unwrap();
        let source = lab.table.source("iam.roles").unwrap();
        let error = source.list(&cx, &with, &Wanted::default()).await.unwrap_err();
        assert!(error.message.contains(said), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_event_history_tells_who_made_it_where_a_predicate_asks() {
    let lab = Lab::new().await;
    lab.add_providers().await;
    lab.widen_policy().await;
    sleep(Duration::from_hours(1)).await;
    let cx = lab.enter(&lab.global(), Access::Read).await;
    let asked = async |source: &str, field: &'static str, name: &str| {
        let wanted = Wanted { fields: vec![field], known: Vec::new() };
        let members = lab.table.source(source).unwrap().list(&cx, &Map::new(), &wanted).await.unwrap().members;
        members.into_iter().find(|member| member.fields["name"] == name).unwrap().fields[field].clone()
    };
    let responder = |arn: Value| arn.as_str().unwrap().contains(":assumed-role/IRResponder/");
    assert!(responder(asked("iam.roles", "creator", "federated").await));
    assert!(responder(asked("iam.trusts", "changed_by", "federated").await));
    assert!(responder(asked("iam.policy-versions", "changed_by", "developers").await));
    assert!(responder(asked("iam.identity-providers", "changed_by", "corporate").await));
    assert!(responder(asked("iam.identity-providers", "changed_by", "token.example.com/ci").await));
    assert_eq!(asked("iam.roles", "creator", "IRResponder").await, "", "older than the history");
    let unasked =
        lab.table.source("iam.roles").unwrap().list(&cx, &Map::new(), &Wanted::default()).await.unwrap().members;
    assert!(unasked.iter().all(|member| member.fields["creator"] == ""), "not read where nobody asks");
}

impl Lab {
    async fn root(&self) -> Vec<Resource> {
        self.list("iam.root-credentials", json!({}), &self.global()).await
    }

    fn root_keys(&self) -> usize {
        let world = self.sim.world();
        let keys = &world.account(&self.facts.breached_account).iam.access_keys;
        keys.values().filter(|key| key.user.is_none()).count()
    }
}

#[tokio::test(start_paused = true)]
async fn root_is_read_from_the_credential_report_and_its_age_is_said() {
    let lab = Lab::new().await;
    let made = lab.sim.now();
    let clean = lab.root().await;
    assert_eq!((&clean[0].fields["keys"], &clean[0].fields["keys_now"]), (&json!(0), &json!(false)));
    sleep(Duration::from_hours(1)).await;
    lab.add_root_key();
    let old = lab.root().await;
    assert_eq!(old[0].id.as_str(), lab.arn("root"));
    assert_eq!(old[0].fields["keys_now"], true, "the summary is never old");
    let generated: Timestamp = old[0].fields["generated"].as_str().unwrap().parse().unwrap();
    assert!(generated.duration_since(made).as_secs() < 60, "no new report within four hours");
    sleep(Duration::from_hours(4)).await;
    assert_eq!(lab.root().await[0].fields["keys"], 1);
}

#[tokio::test(start_paused = true)]
async fn root_keys_are_deleted_from_the_management_account_before_the_account_is_closed() {
    let lab = Lab::new().await;
    lab.add_root_key();
    let members = lab.root().await;
    let drive = Drive::new(&lab, "iam.delete-root-credentials", json!({}), &lab.global(), &members);
    let Decision::ByHand(work) = drive.decide(&drive.look().await[0]).await else { panic!("not by hand") };
    assert!(work.what.contains("has not enabled RootCredentialsManagement"), "{}", work.what);

    lab.may_enter_roots();
    let items = drive.items().await;
    let deny = json!({ "exempt": ["role/ir/IRResponder"] });
    let lock = Drive::new(&lab, "organizations.deny-all", deny, &lab.global(), &[lab.account()]);
    let locked = lock.items().await;
    lock.apply(&locked).await;
    sleep(Duration::from_mins(1)).await;
    let cx = lab.enter(&lab.global(), Access::Write).await;
    let error = drive.action.apply(&cx, &drive.with, &items).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "the wrong order: {error}");
    assert_eq!(lab.root_keys(), 1);

    lock.undo(&locked, &[Value::Null]).await;
    sleep(Duration::from_mins(1)).await;
    let effects = drive.apply(&items).await;
    drive.assert_proven(&items).await;
    assert_eq!(effects[0]["deleted"].as_array().unwrap().len(), 1);
    assert_eq!(lab.root_keys(), 0);
    drive.apply(&items).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &effects[0]).await.unwrap_err();
    assert!(error.message.contains("deleted for good"), "{error}");
}

#[test]
fn work_for_a_person_is_shown_and_never_counted_as_done() {
    let home = tempfile::tempdir().unwrap();
    let work = "by_hand:\n  - what: Tell the owner of ${{ inputs.leaked_key }}\n    steps: [Call them, Change the password]\nsteps:";
    let runbook = changed(home.path(), "runbooks/leaked-key.yaml", &[("\nsteps:", &format!("\n{work}"))]);
    let drill = |format: &str| {
        let mut command = quell(home.path());
        command.args([
            "drill",
            "cryptojack-small",
            "--approve",
            "reversible,disruptive",
            "--output",
            format,
            "--runbook",
        ]);
        command.arg(&runbook).output().unwrap()
    };
    let output = drill("json");
    let ended = json_of(&output);
    assert_eq!(code(&output), 0, "{ended:#}");
    let left = &ended["by_hand"][0];
    assert!(left["what"].as_str().unwrap().starts_with("Tell the owner of AKIA"), "{left}");
    assert_eq!(left["steps"], json!(["Call them", "Change the password"]));
    assert_eq!(ended["changes"]["planned"], ended["changes"]["done"], "it is no change");
    let said = String::from_utf8(drill("text").stdout).unwrap();
    assert_eq!(said.matches("For a person, quell cannot: 1 task").count(), 2, "{said}");
    assert!(said.contains("    2. Change the password"), "{said}");
}
