//! The simulated IAM and Organizations through the real SDK, which reads every answer into its own types.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_iam::error::ProvideErrorMetadata;
use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, EntityType, PolicyEvaluationDecisionType, ReportStateType, StatusType, Tag,
};
use aws_sdk_organizations::types::{PolicyType, TargetType};
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use quell::model::AccountId;
use quell::sim::organizations::Organization;
use quell::sim::world::World;
use quell::sim::{Sim, iam};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const DENY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
const STOP: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:StopInstances","Resource":"*"}]}"#;
const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

/// The management account of an organisation with two members, and the key of its root user.
struct Lab {
    sim: Sim,
    sdk: SdkConfig,
}

impl Lab {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut World)) -> Self {
        let now: Timestamp = "2026-11-23T14:00:00Z".parse().unwrap();
        let begin = tokio::time::Instant::now();
        let mut world = World::new(7);
        let management = AccountId::new("111122223333").unwrap();
        let members = [("444455556666", "development"), ("777788889999", "production")];
        let members = members.map(|(id, name)| (AccountId::new(id).unwrap(), name, Some("workloads")));
        for (id, name) in [(&management, "management"), (&members[0].0, "development"), (&members[1].0, "production")] {
            world.add_account(id.clone(), name);
        }
        let root = (&management, "management");
        world.organization = Some(Organization::new(&mut world.rng, root, &members, &["workloads"], now));
        let (id, secret) =
            iam::add_access_key(&mut world, &management, None, now - SignedDuration::from_hours(1)).unwrap();
        change(&mut world);
        let sim = Sim::new(world, move || now + SignedDuration::try_from(begin.elapsed()).unwrap());
        let credentials = Credentials::new(id.as_str(), secret.0, None, None, "test");
        let sdk = SdkConfig::builder()
            .behavior_version(aws_sdk_iam::config::BehaviorVersion::latest())
            .http_client(sim.http_client())
            .time_source(sim.time_source())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .region(aws_types::region::Region::from_static("us-east-1"))
            .retry_config(RetryConfig::disabled())
            .build();
        Self { sim, sdk }
    }

    fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.sdk)
    }

    fn organizations(&self) -> aws_sdk_organizations::Client {
        aws_sdk_organizations::Client::new(&self.sdk)
    }
}

fn code<T, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code().unwrap_or("no code").to_owned(),
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn users_keys_passwords_and_tags() {
    let lab = Lab::new();
    let iam = lab.iam();
    let user = iam.create_user().user_name("eve").path("/team/").tags(tag("owner", "ada")).send().await.unwrap();
    assert_eq!(user.user().unwrap().arn(), "arn:aws:iam::111122223333:user/team/eve");
    let first = iam.create_access_key().user_name("eve").send().await.unwrap().access_key.unwrap();
    assert_eq!((first.user_name(), first.status(), first.secret_access_key().len()), ("eve", &StatusType::Active, 40));
    iam.create_access_key().user_name("eve").send().await.unwrap();
    assert_eq!(code(iam.create_access_key().user_name("eve").send().await), "LimitExceeded");
    let id = first.access_key_id();
    iam.update_access_key().user_name("eve").access_key_id(id).status(StatusType::Inactive).send().await.unwrap();
    let keys = iam.list_access_keys().user_name("eve").into_paginator().items().send();
    let keys: Vec<_> = keys.try_collect().await.unwrap();
    let inactive = keys.iter().filter(|key| key.status() == Some(&StatusType::Inactive)).count();
    assert_eq!((keys.len(), inactive), (2, 1));
    let unused = iam.get_access_key_last_used().access_key_id(id).send().await.unwrap();
    assert_eq!(unused.user_name(), Some("eve"));
    assert_eq!(unused.access_key_last_used().unwrap().service_name(), "N/A");
    let nobodys = iam.get_access_key_last_used().access_key_id("AKIAIOSFODNN7EXAMPLE").send().await;
    assert_eq!(code(nobodys), "AccessDenied");
    iam.delete_access_key().user_name("eve").access_key_id(id).send().await.unwrap();

    assert_eq!(code(iam.get_login_profile().user_name("eve").send().await), "NoSuchEntity");
    iam.create_login_profile().user_name("eve").password("x").password_reset_required(true).send().await.unwrap();
    let profile = iam.get_login_profile().user_name("eve").send().await.unwrap();
    assert!(profile.login_profile().unwrap().password_reset_required());
    iam.delete_login_profile().user_name("eve").send().await.unwrap();

    iam.tag_user().user_name("eve").tags(tag("case", "7")).send().await.unwrap();
    iam.untag_user().user_name("eve").tag_keys("owner").send().await.unwrap();
    assert_eq!(iam.list_user_tags().user_name("eve").send().await.unwrap().tags(), [tag("case", "7")]);
    for list in [
        iam.list_mfa_devices().user_name("eve").send().await.unwrap().mfa_devices().len(),
        iam.list_ssh_public_keys().user_name("eve").send().await.unwrap().ssh_public_keys().len(),
        iam.list_signing_certificates().user_name("eve").send().await.unwrap().certificates().len(),
        iam.list_service_specific_credentials()
            .user_name("eve")
            .send()
            .await
            .unwrap()
            .service_specific_credentials()
            .len(),
    ] {
        assert_eq!(list, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn inline_policies_boundaries_and_attachments() {
    let lab = Lab::new();
    let iam = lab.iam();
    iam.create_user().user_name("eve").send().await.unwrap();
    iam.put_user_policy().user_name("eve").policy_name("no").policy_document(DENY).send().await.unwrap();
    let policy = iam.get_user_policy().user_name("eve").policy_name("no").send().await.unwrap();
    assert!(policy.policy_document().starts_with("%7B%22Version"), "percent-encoded, as at AWS");
    assert_eq!(decoded(policy.policy_document()), DENY);
    assert_eq!(iam.list_user_policies().user_name("eve").send().await.unwrap().policy_names(), ["no"]);
    iam.delete_user_policy().user_name("eve").policy_name("no").send().await.unwrap();
    assert_eq!(code(iam.get_user_policy().user_name("eve").policy_name("no").send().await), "NoSuchEntity");

    iam.attach_user_policy().user_name("eve").policy_arn(READ_ONLY).send().await.unwrap();
    let attached = iam.list_attached_user_policies().user_name("eve").send().await.unwrap();
    assert_eq!(attached.attached_policies()[0].policy_name(), Some("ReadOnlyAccess"));
    iam.detach_user_policy().user_name("eve").policy_arn(READ_ONLY).send().await.unwrap();
    assert_eq!(code(iam.detach_user_policy().user_name("eve").policy_arn(READ_ONLY).send().await), "NoSuchEntity");

    iam.put_user_permissions_boundary().user_name("eve").permissions_boundary(READ_ONLY).send().await.unwrap();
    let user = iam.get_user().user_name("eve").send().await.unwrap().user.unwrap();
    assert_eq!(user.permissions_boundary().unwrap().permissions_boundary_arn(), Some(READ_ONLY));
    iam.delete_user_permissions_boundary().user_name("eve").send().await.unwrap();
    assert!(iam.get_user().user_name("eve").send().await.unwrap().user.unwrap().permissions_boundary().is_none());
    let malformed = iam.put_user_policy().user_name("eve").policy_name("no").policy_document("{}").send().await;
    assert_eq!(code(malformed), "MalformedPolicyDocument");
}

#[tokio::test(start_paused = true)]
async fn roles_come_in_pages_with_their_trust_policy_percent_encoded() {
    let lab = Lab::new();
    let iam = lab.iam();
    for number in 0..5 {
        let role =
            iam.create_role().role_name(format!("role-{number}")).path("/ir/").assume_role_policy_document(TRUST);
        role.description("a role").max_session_duration(7200).send().await.unwrap();
    }
    let pages: Vec<_> = iam.list_roles().max_items(2).into_paginator().send().try_collect().await.unwrap();
    let sizes: Vec<usize> = pages.iter().map(|page| page.roles().len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(decoded(pages[0].roles()[0].assume_role_policy_document().unwrap()), TRUST);
    assert!(iam.list_roles().path_prefix("/other/").send().await.unwrap().roles().is_empty());
    iam.tag_role().role_name("role-0").tags(tag("a", "1")).tags(tag("b", "2")).send().await.unwrap();
    iam.untag_role().role_name("role-0").tag_keys("a").send().await.unwrap();
    let role = iam.get_role().role_name("role-0").send().await.unwrap().role.unwrap();
    assert_eq!(
        (role.max_session_duration(), role.description(), role.tags()),
        (Some(7200), Some("a role"), &[tag("b", "2")][..])
    );
    assert_eq!(decoded(role.assume_role_policy_document().unwrap()), TRUST);
    assert!(role.role_last_used().is_some());
    assert_eq!(iam.list_role_tags().role_name("role-0").send().await.unwrap().tags().len(), 1);
    iam.update_assume_role_policy().role_name("role-0").policy_document(TRUST).send().await.unwrap();
    iam.put_role_policy().role_name("role-0").policy_name("no").policy_document(DENY).send().await.unwrap();
    assert_eq!(iam.list_role_policies().role_name("role-0").send().await.unwrap().policy_names(), ["no"]);
    let inline = iam.get_role_policy().role_name("role-0").policy_name("no").send().await.unwrap();
    assert_eq!(decoded(inline.policy_document()), DENY);
    assert_eq!(code(iam.delete_role().role_name("role-0").send().await), "DeleteConflict");
    iam.delete_role_policy().role_name("role-0").policy_name("no").send().await.unwrap();
    iam.attach_role_policy().role_name("role-0").policy_arn(READ_ONLY).send().await.unwrap();
    let attached = iam.list_attached_role_policies().role_name("role-0").send().await.unwrap();
    assert_eq!(attached.attached_policies()[0].policy_arn(), Some(READ_ONLY));
    iam.detach_role_policy().role_name("role-0").policy_arn(READ_ONLY).send().await.unwrap();
    iam.put_role_permissions_boundary().role_name("role-0").permissions_boundary(READ_ONLY).send().await.unwrap();
    iam.delete_role_permissions_boundary().role_name("role-0").send().await.unwrap();
    iam.delete_role().role_name("role-0").send().await.unwrap();
    assert_eq!(code(iam.get_role().role_name("role-0").send().await), "NoSuchEntity");
}

#[tokio::test(start_paused = true)]
async fn groups_and_instance_profiles() {
    let lab = Lab::new();
    let iam = lab.iam();
    iam.create_user().user_name("eve").send().await.unwrap();
    iam.create_group().group_name("admins").send().await.unwrap();
    iam.add_user_to_group().group_name("admins").user_name("eve").send().await.unwrap();
    iam.attach_group_policy().group_name("admins").policy_arn(READ_ONLY).send().await.unwrap();
    iam.put_group_policy().group_name("admins").policy_name("stop").policy_document(STOP).send().await.unwrap();
    let group = iam.get_group().group_name("admins").send().await.unwrap();
    assert_eq!((group.group().unwrap().group_name(), group.users()[0].user_name()), ("admins", "eve"));
    let groups = iam.list_groups_for_user().user_name("eve").send().await.unwrap();
    assert_eq!(groups.groups()[0].arn(), "arn:aws:iam::111122223333:group/admins");
    let attached = iam.list_attached_group_policies().group_name("admins").send().await.unwrap();
    assert_eq!(attached.attached_policies().len(), 1);
    assert_eq!(iam.list_group_policies().group_name("admins").send().await.unwrap().policy_names(), ["stop"]);
    assert_eq!(iam.list_groups().send().await.unwrap().groups().len(), 1);
    assert_eq!(code(iam.delete_user().user_name("eve").send().await), "DeleteConflict");
    iam.remove_user_from_group().group_name("admins").user_name("eve").send().await.unwrap();
    iam.delete_user().user_name("eve").send().await.unwrap();

    iam.create_role().role_name("web").assume_role_policy_document(TRUST).send().await.unwrap();
    iam.create_instance_profile().instance_profile_name("web").send().await.unwrap();
    iam.add_role_to_instance_profile().instance_profile_name("web").role_name("web").send().await.unwrap();
    let again = iam.add_role_to_instance_profile().instance_profile_name("web").role_name("web").send().await;
    assert_eq!(code(again), "LimitExceeded");
    let profile = iam.get_instance_profile().instance_profile_name("web").send().await.unwrap();
    let profile = profile.instance_profile().unwrap();
    assert_eq!(profile.roles()[0].role_name(), "web");
    let of_role = iam.list_instance_profiles_for_role().role_name("web").send().await.unwrap();
    assert_eq!(of_role.instance_profiles()[0].arn(), profile.arn());
    assert_eq!(iam.list_instance_profiles().send().await.unwrap().instance_profiles().len(), 1);
    assert_eq!(code(iam.delete_instance_profile().instance_profile_name("web").send().await), "DeleteConflict");
    iam.remove_role_from_instance_profile().instance_profile_name("web").role_name("web").send().await.unwrap();
    iam.delete_instance_profile().instance_profile_name("web").send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_policy_has_up_to_five_versions_whose_numbers_are_given_once() {
    let lab = Lab::new();
    let iam = lab.iam();
    let policy =
        iam.create_policy().policy_name("stop").policy_document(STOP).description("stops").send().await.unwrap();
    let policy = policy.policy().unwrap();
    assert_eq!((policy.default_version_id(), policy.is_attachable()), (Some("v1"), true));
    let arn = policy.arn().unwrap();
    let second = iam.create_policy_version().policy_arn(arn).policy_document(DENY).set_as_default(true).send().await;
    let second = second.unwrap().policy_version.unwrap();
    assert_eq!((second.version_id(), second.is_default_version()), (Some("v2"), true));
    let text = iam.get_policy_version().policy_arn(arn).version_id("v2").send().await.unwrap();
    assert_eq!(decoded(text.policy_version().unwrap().document().unwrap()), DENY);
    assert_eq!(code(iam.delete_policy_version().policy_arn(arn).version_id("v2").send().await), "DeleteConflict");
    iam.set_default_policy_version().policy_arn(arn).version_id("v1").send().await.unwrap();
    iam.delete_policy_version().policy_arn(arn).version_id("v2").send().await.unwrap();
    assert_eq!(code(iam.set_default_policy_version().policy_arn(arn).version_id("v2").send().await), "NoSuchEntity");
    for expected in ["v3", "v4", "v5", "v6"] {
        let made = iam.create_policy_version().policy_arn(arn).policy_document(DENY).send().await.unwrap();
        assert_eq!(made.policy_version().unwrap().version_id(), Some(expected));
    }
    let sixth = iam.create_policy_version().policy_arn(arn).policy_document(DENY).send().await;
    assert_eq!(code(sixth), "LimitExceeded");
    let versions = iam.list_policy_versions().policy_arn(arn).send().await.unwrap();
    let default = versions.versions().iter().filter(|version| version.is_default_version()).count();
    assert_eq!((versions.versions().len(), default), (5, 1));
    assert_eq!(code(iam.delete_policy().policy_arn(arn).send().await), "DeleteConflict");
    for version in ["v3", "v4", "v5", "v6"] {
        iam.delete_policy_version().policy_arn(arn).version_id(version).send().await.unwrap();
    }
    let local = iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await.unwrap();
    assert_eq!(local.policies().len(), 1);
    iam.delete_policy().policy_arn(arn).send().await.unwrap();
    assert_eq!(code(iam.get_policy().policy_arn(arn).send().await), "NoSuchEntity");
}

#[tokio::test(start_paused = true)]
async fn the_account_as_a_whole() {
    let lab = Lab::new();
    let iam = lab.iam();
    iam.create_account_alias().account_alias("acme-management").send().await.unwrap();
    assert_eq!(iam.list_account_aliases().send().await.unwrap().account_aliases(), ["acme-management"]);
    assert_eq!(code(iam.create_account_alias().account_alias("-no-").send().await), "ValidationError");
    iam.create_user().user_name("eve").send().await.unwrap();
    iam.put_user_policy().user_name("eve").policy_name("no").policy_document(DENY).send().await.unwrap();
    iam.create_group().group_name("admins").send().await.unwrap();
    iam.create_role().role_name("web").assume_role_policy_document(TRUST).send().await.unwrap();
    iam.create_policy().policy_name("stop").policy_document(STOP).send().await.unwrap();
    let summary = iam.get_account_summary().send().await.unwrap();
    assert_eq!(summary.summary_map().unwrap()[&aws_sdk_iam::types::SummaryKeyType::Users], 1);

    let pages = iam.get_account_authorization_details().max_items(3).into_paginator().send();
    let pages: Vec<_> = pages.try_collect().await.unwrap();
    assert_eq!(pages.len(), 2);
    let users: Vec<_> = pages.iter().flat_map(aws_sdk_iam::operation::get_account_authorization_details::GetAccountAuthorizationDetailsOutput::user_detail_list).collect();
    let inline = &users[0].user_policy_list()[0];
    assert_eq!((inline.policy_name(), decoded(inline.policy_document().unwrap()).as_str()), (Some("no"), DENY));
    let roles: Vec<_> = pages.iter().flat_map(aws_sdk_iam::operation::get_account_authorization_details::GetAccountAuthorizationDetailsOutput::role_detail_list).collect();
    assert_eq!(decoded(roles[0].assume_role_policy_document().unwrap()), TRUST);
    let policies: Vec<_> = pages
        .iter()
        .flat_map(
            aws_sdk_iam::operation::get_account_authorization_details::GetAccountAuthorizationDetailsOutput::policies,
        )
        .collect();
    assert_eq!(decoded(policies[0].policy_version_list()[0].document().unwrap()), STOP);
    assert_eq!(pages.iter().map(|page| page.group_detail_list().len()).sum::<usize>(), 1);
    let users = iam.get_account_authorization_details().filter(EntityType::User).send().await.unwrap();
    assert_eq!((users.user_detail_list().len(), users.role_detail_list().len()), (1, 0));

    assert_eq!(code(iam.get_credential_report().send().await), "ReportNotPresent");
    assert_eq!(iam.generate_credential_report().send().await.unwrap().state(), Some(&ReportStateType::Started));
    assert_eq!(iam.generate_credential_report().send().await.unwrap().state(), Some(&ReportStateType::Complete));
    let report = iam.get_credential_report().send().await.unwrap();
    let text = String::from_utf8(report.content().unwrap().as_ref().to_vec()).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    let columns: Vec<usize> = rows.iter().map(|row| row.split(',').count()).collect();
    assert_eq!(columns, [columns[0]; 3], "header, root and eve have the same columns");
    assert!(rows[1].starts_with("<root_account>,arn:aws:iam::111122223333:root,") && rows[2].starts_with("eve,"));
}

#[tokio::test(start_paused = true)]
async fn a_simulation_says_why() {
    use PolicyEvaluationDecisionType::{Allowed, ExplicitDeny, ImplicitDeny};
    let lab = Lab::new();
    let iam = lab.iam();
    let arn = iam.create_user().user_name("eve").send().await.unwrap().user.unwrap().arn;
    let only_paris = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"eu-west-3"}}}]}"#;
    iam.put_user_policy().user_name("eve").policy_name("paris").policy_document(only_paris).send().await.unwrap();
    let quarantine = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3";
    iam.attach_user_policy().user_name("eve").policy_arn(quarantine).send().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let region = ContextEntry::builder()
        .context_key_name("aws:RequestedRegion")
        .context_key_values("eu-west-3")
        .context_key_type(ContextKeyTypeEnum::String);
    let answer = iam
        .simulate_principal_policy()
        .policy_source_arn(&arn)
        .set_action_names(Some(
            ["ec2:StopInstances", "ec2:RunInstances", "dynamodb:GetItem"].map(str::to_owned).to_vec(),
        ))
        .context_entries(region.build())
        .send()
        .await
        .unwrap();
    let decisions: Vec<_> = answer.evaluation_results().iter().map(|result| result.eval_decision().clone()).collect();
    assert_eq!(decisions, [Allowed, ExplicitDeny, ImplicitDeny]);
    let nobody = iam.simulate_principal_policy().policy_source_arn(format!("{arn}x")).action_names("ec2:StopInstances");
    assert_eq!(code(nobody.send().await), "NoSuchEntity");
}

#[tokio::test(start_paused = true)]
async fn accounts_come_in_pages_of_which_one_may_be_empty() {
    let lab = Lab::with(|world| world.settings.empty_first_pages = true);
    let organizations = lab.organizations();
    let pages: Vec<_> =
        organizations.list_accounts().max_results(2).into_paginator().send().try_collect().await.unwrap();
    let sizes: Vec<usize> = pages.iter().map(|page| page.accounts().len()).collect();
    assert_eq!(sizes, [0, 2, 1]);
    let account = &pages[1].accounts()[0];
    assert_eq!((account.id(), account.name()), (Some("111122223333"), Some("management")));
    assert_eq!(account.state(), Some(&aws_sdk_organizations::types::AccountState::Active));
}

#[tokio::test(start_paused = true)]
async fn the_tree_and_its_delegated_administrators() {
    let lab = Lab::with(|world| {
        let delegate = AccountId::new("777788889999").unwrap();
        world.organization.as_mut().unwrap().delegated.insert(delegate);
    });
    let organizations = lab.organizations();
    let organization = organizations.describe_organization().send().await.unwrap().organization.unwrap();
    assert_eq!(organization.master_account_id(), Some("111122223333"));
    let roots = organizations.list_roots().send().await.unwrap();
    let root = roots.roots()[0].id().unwrap();
    let units = organizations.list_organizational_units_for_parent().parent_id(root).send().await.unwrap();
    let unit = units.organizational_units()[0].id().unwrap();
    let described = organizations.describe_organizational_unit().organizational_unit_id(unit).send().await.unwrap();
    assert_eq!(described.organizational_unit().unwrap().name(), Some("workloads"));
    let members = organizations.list_accounts_for_parent().parent_id(unit).send().await.unwrap();
    assert_eq!(members.accounts().len(), 2);
    let parents = organizations.list_parents().child_id("444455556666").send().await.unwrap();
    assert_eq!(parents.parents()[0].id(), Some(unit));
    let administrators = organizations.list_delegated_administrators().send().await.unwrap();
    assert_eq!(administrators.delegated_administrators()[0].id(), Some("777788889999"));
    assert!(administrators.delegated_administrators()[0].delegation_enabled_date().is_some());
    let account = organizations.describe_account().account_id("444455556666").send().await.unwrap().account.unwrap();
    assert_eq!(account.name(), Some("development"));
    assert_eq!(
        code(organizations.describe_account().account_id("000000000000").send().await),
        "AccountNotFoundException"
    );
    let move_account = organizations.move_account().account_id("444455556666").source_parent_id(unit);
    move_account.destination_parent_id(root).send().await.unwrap();
    let parents = organizations.list_parents().child_id("444455556666").send().await.unwrap();
    assert_eq!(parents.parents()[0].id(), Some(root));
}

#[tokio::test(start_paused = true)]
async fn a_service_control_policy_from_its_making_to_its_end() {
    let lab = Lab::new();
    let organizations = lab.organizations();
    let kind = PolicyType::ServiceControlPolicy;
    let create = || {
        let create = organizations.create_policy().name("quarantine").description("no").content(DENY);
        create.r#type(PolicyType::ServiceControlPolicy).send()
    };
    let made = create().await.unwrap().policy.unwrap();
    assert_eq!(made.content(), Some(DENY));
    let id = made.policy_summary().unwrap().id().unwrap();
    assert_eq!(code(create().await), "DuplicatePolicyException");
    organizations.attach_policy().policy_id(id).target_id("444455556666").send().await.unwrap();
    let again = organizations.attach_policy().policy_id(id).target_id("444455556666").send().await;
    assert_eq!(code(again), "DuplicatePolicyAttachmentException");
    let attached = organizations.list_policies_for_target().target_id("444455556666").filter(kind.clone()).send().await;
    assert_eq!(attached.unwrap().policies().len(), 2);
    let targets = organizations.list_targets_for_policy().policy_id(id).send().await.unwrap();
    assert_eq!(targets.targets()[0].r#type(), Some(&TargetType::Account));
    assert_eq!(code(organizations.delete_policy().policy_id(id).send().await), "PolicyInUseException");
    organizations.update_policy().policy_id(id).description("not yet").send().await.unwrap();
    let described = organizations.describe_policy().policy_id(id).send().await.unwrap().policy.unwrap();
    assert_eq!(described.policy_summary().unwrap().description(), Some("not yet"));
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let tag = aws_sdk_organizations::types::Tag::builder().key("case").value("7").build().unwrap();
    organizations.tag_resource().resource_id(id).tags(tag).send().await.unwrap();
    assert_eq!(organizations.list_tags_for_resource().resource_id(id).send().await.unwrap().tags().len(), 1);
    organizations.detach_policy().policy_id(id).target_id("444455556666").send().await.unwrap();
    organizations.delete_policy().policy_id(id).send().await.unwrap();
    let left = organizations.list_policies().filter(kind).send().await.unwrap();
    assert_eq!(left.policies().len(), 1);
    let world = lab.sim.world().organization.unwrap();
    assert!(world.policies.values().all(|policy| policy.aws_managed), "AWS's own are left");
}
