//! The simulated EC2 through the real SDK.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{
    Filter, InstanceInterruptionBehavior, InstanceStateName, InstanceType, OperationType, RequestLaunchTemplateData,
    RequestSpotLaunchSpecification, RuleAction, SnapshotAttributeName, SpotInstanceState, SpotInstanceType,
};
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use quell::model::AccountId;
use quell::sim::world::World;
use quell::sim::{Sim, iam};

/// Two accounts, and the keys of their root users.
struct Lab {
    sim: Sim,
    keys: [Credentials; 2],
}

impl Lab {
    fn new() -> Self {
        let now: jiff::Timestamp = "2026-11-23T14:00:00Z".parse().unwrap();
        let begin = tokio::time::Instant::now();
        let mut world = World::new(7);
        let keys = ["111122223333", "444455556666"].map(|account| {
            let account = AccountId::new(account).unwrap();
            world.add_account(account.clone(), "development");
            let created = now - jiff::SignedDuration::from_hours(1);
            let (id, secret) = iam::add_access_key(&mut world, &account, None, created).unwrap();
            Credentials::new(id.as_str(), secret.0, None, None, "test")
        });
        let sim = Sim::new(world, move || now + jiff::SignedDuration::try_from(begin.elapsed()).unwrap());
        Self { sim, keys }
    }

    fn sdk(&self, account: usize, region: &'static str) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(aws_sdk_ec2::config::BehaviorVersion::latest())
            .region(Region::from_static(region))
            .credentials_provider(SharedCredentialsProvider::new(self.keys[account].clone()))
            .http_client(self.sim.http_client())
            .time_source(self.sim.time_source())
            .retry_config(RetryConfig::disabled())
            .build()
    }

    fn ec2(&self) -> Client {
        Client::new(&self.sdk(0, "eu-west-3"))
    }
}

fn code<T, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code().unwrap_or("no code").to_owned(),
    }
}

async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn linux(ec2: &Client) -> String {
    let images = ec2.describe_images().owners("amazon").send().await.unwrap();
    let image = images.images().iter().find(|image| image.platform().is_none()).unwrap();
    image.image_id().unwrap().to_owned()
}

async fn launch(ec2: &Client, count: i32) -> Vec<String> {
    let run = ec2.run_instances().image_id(linux(ec2).await).instance_type(InstanceType::C5Large);
    let launched = run.min_count(count).max_count(count).send().await.unwrap();
    let ids = launched.instances().iter().map(|instance| instance.instance_id().unwrap().to_owned());
    ids.collect()
}

async fn state(ec2: &Client, id: &str) -> InstanceStateName {
    let answer = ec2.describe_instances().instance_ids(id).send().await.unwrap();
    answer.reservations()[0].instances()[0].state().unwrap().name().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_launched_read_snapshotted_and_stopped() {
    let ec2 = Lab::new().ec2();
    let images = ec2.describe_images().owners("amazon").send().await.unwrap();
    let image = images.images().iter().find(|image| image.platform().is_some()).unwrap();
    let launched = ec2
        .run_instances()
        .image_id(image.image_id().unwrap())
        .instance_type(InstanceType::C54xlarge)
        .min_count(2)
        .max_count(2)
        .send()
        .await
        .unwrap();
    assert_eq!(launched.instances().len(), 2);
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    let described = ec2.describe_instances().send().await.unwrap();
    let machine = &described.reservations()[0].instances()[0];
    let id = machine.instance_id().unwrap();
    assert_eq!(machine.state().unwrap().name(), Some(&InstanceStateName::Running));
    assert_eq!(machine.platform_details(), Some("Windows"));
    assert_eq!(machine.security_groups().len(), 1);
    assert_eq!(machine.network_interfaces()[0].attachment().unwrap().device_index(), Some(0));
    assert!(machine.block_device_mappings()[0].ebs().unwrap().attach_time().is_some());
    assert_eq!(machine.cpu_options().unwrap().core_count(), Some(8));
    let wanted = aws_sdk_ec2::types::InstanceSpecification::builder().instance_id(id).build();
    let snapshots = ec2.create_snapshots().instance_specification(wanted).send().await.unwrap();
    assert_eq!(snapshots.snapshots()[0].volume_size(), Some(30));
    let allowed = ec2.stop_instances().instance_ids(id).dry_run(true).send().await.unwrap_err();
    assert_eq!(allowed.code(), Some("DryRunOperation"));
    let stopped = ec2.stop_instances().instance_ids(id).send().await.unwrap();
    let state = stopped.stopping_instances()[0].current_state().unwrap();
    assert_eq!(state.name(), Some(&InstanceStateName::Stopping));
}

#[tokio::test(start_paused = true)]
async fn pages_have_five_items_at_least_and_end() {
    let ec2 = Lab::new().ec2();
    let launched = launch(&ec2, 12).await;
    assert_eq!(code(ec2.describe_instances().max_results(4).send().await), "InvalidParameterValue");
    assert_eq!(code(ec2.describe_instances().max_results(5).next_token("2").send().await), "InvalidPaginationToken");
    let pages = ec2.describe_instances().max_results(5).into_paginator().send();
    let pages: Vec<_> = pages.try_collect().await.unwrap();
    let instances = pages
        .iter()
        .map(|page| page.reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances).count());
    assert_eq!(instances.collect::<Vec<_>>(), [5, 5, 2]);
    // Each machine has a snapshot, but only those of the last page pass the filter: the first pages are empty.
    let volumes = ec2.describe_volumes().send().await.unwrap();
    for volume in volumes.volumes() {
        ec2.create_snapshot().volume_id(volume.volume_id().unwrap()).send().await.unwrap();
    }
    let snapshots = ec2.describe_snapshots().owner_ids("self").send().await.unwrap();
    assert_eq!(snapshots.snapshots().len(), launched.len());
    let last = snapshots.snapshots().iter().filter_map(|snapshot| snapshot.snapshot_id()).max().unwrap();
    let of_last = Filter::builder().name("snapshot-id").values(last).build();
    let pages = ec2.describe_snapshots().owner_ids("self").filters(of_last).max_results(5).into_paginator().send();
    let pages: Vec<_> = pages.try_collect().await.unwrap();
    assert_eq!(pages.iter().map(|page| page.snapshots().len()).collect::<Vec<_>>(), [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn persistent_spot_is_disabled_by_a_stop_and_reopened_by_a_termination() {
    let ec2 = Lab::new().ec2();
    let image = linux(&ec2).await;
    let request = |kind: SpotInstanceType, count: i32| {
        let what = RequestSpotLaunchSpecification::builder().image_id(&image).instance_type(InstanceType::C5Large);
        ec2.request_spot_instances()
            .launch_specification(what.build())
            .r#type(kind.clone())
            .instance_interruption_behavior(InstanceInterruptionBehavior::Stop)
            .instance_count(count)
            .client_token(format!("{kind:?}"))
            .send()
    };
    let made = request(SpotInstanceType::Persistent, 1).await.unwrap();
    let id = made.spot_instance_requests()[0].spot_instance_request_id().unwrap().to_owned();
    let again = request(SpotInstanceType::Persistent, 1).await.unwrap();
    assert_eq!(again.spot_instance_requests()[0].spot_instance_request_id(), Some(id.as_str()));
    assert_eq!(code(request(SpotInstanceType::Persistent, 2).await), "IdempotentParameterMismatch");
    let look = || async {
        let answer = ec2.describe_spot_instance_requests().spot_instance_request_ids(&id).send().await.unwrap();
        let request = &answer.spot_instance_requests()[0];
        (request.state().unwrap().clone(), request.instance_id().map(str::to_owned))
    };
    assert_eq!(look().await, (SpotInstanceState::Open, None));
    wait(40).await;
    let (active, first) = look().await;
    let first = first.unwrap();
    assert_eq!(active, SpotInstanceState::Active);
    ec2.stop_instances().instance_ids(&first).send().await.unwrap();
    wait(60).await;
    assert_eq!(look().await, (SpotInstanceState::Disabled, Some(first.clone())));
    assert_eq!(state(&ec2, &first).await, InstanceStateName::Stopped);
    ec2.terminate_instances().instance_ids(&first).send().await.unwrap();
    wait(120).await;
    let (reopened, second) = look().await;
    let second = second.unwrap();
    assert_eq!(reopened, SpotInstanceState::Active);
    assert_ne!(second, first, "a terminated machine of a living request comes back as another");
    ec2.cancel_spot_instance_requests().spot_instance_request_ids(&id).send().await.unwrap();
    assert_eq!(code(ec2.stop_instances().instance_ids(&second).send().await), "UnsupportedOperation");
    assert_eq!(state(&ec2, &second).await, InstanceStateName::Running, "it outlives its request");
    ec2.terminate_instances().instance_ids(&second).send().await.unwrap();
    wait(120).await;
    assert_eq!(look().await.0, SpotInstanceState::Cancelled);

    let once = request(SpotInstanceType::OneTime, 1).await.unwrap();
    let id = once.spot_instance_requests()[0].spot_instance_request_id().unwrap().to_owned();
    wait(40).await;
    let answer = ec2.describe_spot_instance_requests().spot_instance_request_ids(&id).send().await.unwrap();
    let machine = answer.spot_instance_requests()[0].instance_id().unwrap();
    assert_eq!(code(ec2.stop_instances().instance_ids(machine).send().await), "UnsupportedOperation");
}

#[tokio::test(start_paused = true)]
async fn launch_templates_have_versions() {
    let ec2 = Lab::new().ec2();
    let image = linux(&ec2).await;
    let data = |kind: Option<InstanceType>, image: Option<&str>| {
        RequestLaunchTemplateData::builder().set_instance_type(kind).set_image_id(image.map(str::to_owned)).build()
    };
    let create = |kind: InstanceType| {
        let create = ec2.create_launch_template().launch_template_name("web").client_token("t-1");
        create.launch_template_data(data(Some(kind), Some(&image))).send()
    };
    let id = create(InstanceType::C5Large).await.unwrap().launch_template.unwrap().launch_template_id.unwrap();
    let again = create(InstanceType::C5Large).await.unwrap().launch_template.unwrap();
    assert_eq!(again.launch_template_id(), Some(id.as_str()));
    assert_eq!(code(create(InstanceType::M5Large).await), "IdempotentParameterMismatch");
    let second = ec2.create_launch_template_version().launch_template_id(&id).source_version("1");
    let second = second.launch_template_data(data(Some(InstanceType::M5Large), None)).version_description("larger");
    let second = second.send().await.unwrap().launch_template_version.unwrap();
    assert_eq!((second.version_number(), second.default_version()), (Some(2), Some(false)));
    assert_eq!(second.launch_template_data().unwrap().image_id(), Some(image.as_str()), "from the source version");
    let launch = |version: &'static str| {
        let template = aws_sdk_ec2::types::LaunchTemplateSpecification::builder().launch_template_id(&id);
        ec2.run_instances().launch_template(template.version(version).build()).min_count(1).max_count(1).send()
    };
    for (version, kind) in [("$Default", InstanceType::C5Large), ("$Latest", InstanceType::M5Large)] {
        assert_eq!(launch(version).await.unwrap().instances()[0].instance_type(), Some(&kind), "{version}");
    }
    assert_eq!(code(launch("3").await), "InvalidLaunchTemplateId.VersionNotFound");
    let modified = ec2.modify_launch_template().launch_template_id(&id).default_version("2").send().await.unwrap();
    assert_eq!(modified.launch_template().unwrap().default_version_number(), Some(2));
    assert_eq!(launch("$Default").await.unwrap().instances()[0].instance_type(), Some(&InstanceType::M5Large));
    let versions = ec2.describe_launch_template_versions().launch_template_id(&id).send().await.unwrap();
    let numbers: Vec<_> = versions
        .launch_template_versions()
        .iter()
        .filter_map(aws_sdk_ec2::types::LaunchTemplateVersion::version_number)
        .collect();
    assert_eq!(numbers, [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn snapshots_are_copied_by_those_they_are_shared_with() {
    let lab = Lab::new();
    let (ec2, other) = (lab.ec2(), Client::new(&lab.sdk(1, "eu-central-1")));
    let machine = launch(&ec2, 1).await.remove(0);
    let attached = Filter::builder().name("attachment.instance-id").values(&machine).build();
    let volumes = ec2.describe_volumes().filters(attached).send().await.unwrap();
    let volume = volumes.volumes()[0].volume_id().unwrap();
    let snapshot = ec2.create_snapshot().volume_id(volume).send().await.unwrap().snapshot_id.unwrap();
    wait(600).await;
    let copy = || other.copy_snapshot().source_region("eu-west-3").source_snapshot_id(&snapshot).send();
    assert_eq!(code(copy().await), "InvalidSnapshot.NotFound");
    let share = ec2.modify_snapshot_attribute().snapshot_id(&snapshot).operation_type(OperationType::Add);
    let share = share.attribute(SnapshotAttributeName::CreateVolumePermission).user_ids("444455556666");
    share.send().await.unwrap();
    let copied = copy().await.unwrap().snapshot_id.unwrap();
    let described = other.describe_snapshots().snapshot_ids(&copied).send().await.unwrap();
    assert_eq!(described.snapshots()[0].owner_id(), Some("444455556666"));
}

#[tokio::test(start_paused = true)]
async fn network_acls_deny_until_they_are_told_otherwise_and_replace_each_other() {
    let ec2 = Lab::new().ec2();
    let vpcs = ec2.describe_vpcs().send().await.unwrap();
    let vpc = vpcs.vpcs()[0].vpc_id().unwrap();
    let made = ec2.create_network_acl().vpc_id(vpc).send().await.unwrap().network_acl.unwrap();
    let id = made.network_acl_id().unwrap();
    assert!(made.entries().iter().all(|entry| entry.rule_action() == Some(&RuleAction::Deny)));
    let entry = || {
        let entry = ec2.create_network_acl_entry().network_acl_id(id).rule_number(100).protocol("-1").egress(true);
        entry.rule_action(RuleAction::Allow).cidr_block("10.0.0.0/8").send()
    };
    entry().await.unwrap();
    assert_eq!(code(entry().await), "NetworkAclEntryAlreadyExists");
    let default = Filter::builder().name("default").values("true").build();
    let before = ec2.describe_network_acls().filters(default).send().await.unwrap();
    let association = before.network_acls()[0].associations()[0].network_acl_association_id().unwrap();
    let replaced = ec2.replace_network_acl_association().association_id(association).network_acl_id(id).send().await;
    let replaced = replaced.unwrap().new_association_id.unwrap();
    let after = ec2.describe_network_acls().network_acl_ids(id).send().await.unwrap();
    assert_eq!(after.network_acls()[0].associations()[0].network_acl_association_id(), Some(replaced.as_str()));
    assert_eq!(after.network_acls()[0].entries().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_services_manage_is_listed_only_on_demand_where_it_is_hidden() {
    let lab = Lab::new();
    let ec2 = lab.ec2();
    let ids = launch(&ec2, 2).await;
    lab.sim.change(|world| {
        let account = AccountId::new("111122223333").unwrap();
        let state = world.region_mut(&account, &quell::model::Region::new("eu-west-3").unwrap());
        state.ec2.hides_managed_resources = true;
        state.ec2.instances.get_mut(&ids[0]).unwrap().operator = Some("eks.amazonaws.com".to_owned());
    });
    let instances = |include: bool| async move {
        let pages = lab.ec2().describe_instances().include_managed_resources(include).send().await.unwrap();
        pages.reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances).cloned().collect::<Vec<_>>()
    };
    let all = instances(true).await;
    assert_eq!(all.iter().filter(|instance| instance.operator().unwrap().managed() == Some(true)).count(), 1);
    assert_eq!(all.len(), 2);
    let volumes = ec2.describe_volumes().send().await.unwrap().volumes().len();
    let interfaces = ec2.describe_network_interfaces().send().await.unwrap().network_interfaces().len();
    let machines = ec2.describe_instances().send().await.unwrap().reservations()[0].instances().len();
    assert_eq!((machines, volumes, interfaces), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_auto_scaling_group_from_launch_to_detachment() {
    let lab = Lab::new();
    let (ec2, scaling) = (lab.ec2(), aws_sdk_autoscaling::Client::new(&lab.sdk(0, "eu-west-3")));
    let data = RequestLaunchTemplateData::builder().image_id(linux(&ec2).await).instance_type(InstanceType::C5Large);
    let template = ec2.create_launch_template().launch_template_name("miner").launch_template_data(data.build());
    template.send().await.unwrap();
    let template = aws_sdk_autoscaling::types::LaunchTemplateSpecification::builder().launch_template_name("miner");
    let create = scaling.create_auto_scaling_group().auto_scaling_group_name("g").launch_template(template.build());
    create.min_size(1).max_size(4).desired_capacity(3).availability_zones("eu-west-3a").send().await.unwrap();
    wait(60).await;
    let group = || async {
        let answer = scaling.describe_auto_scaling_groups().auto_scaling_group_names("g").send().await.unwrap();
        answer.auto_scaling_groups()[0].clone()
    };
    let members = group().await.instances().to_vec();
    let ids: Vec<&str> = members.iter().filter_map(|member| member.instance_id()).collect();
    assert_eq!(ids.len(), 3);
    let details = scaling.describe_auto_scaling_instances().instance_ids(ids[0]).send().await.unwrap();
    assert_eq!(details.auto_scaling_instances()[0].lifecycle_state(), Some("InService"));

    scaling.suspend_processes().auto_scaling_group_name("g").scaling_processes("Launch").send().await.unwrap();
    let suspended = group().await;
    assert_eq!(suspended.suspended_processes()[0].process_name(), Some("Launch"));
    let detach = scaling.detach_instances().auto_scaling_group_name("g").instance_ids(ids[0]);
    let activities = detach.should_decrement_desired_capacity(true).send().await.unwrap();
    assert_eq!(activities.activities().len(), 1);
    let standby = scaling.enter_standby().auto_scaling_group_name("g").instance_ids(ids[1]);
    standby.should_decrement_desired_capacity(true).send().await.unwrap();
    let smaller = group().await;
    let states: Vec<_> = smaller.instances().iter().filter_map(|member| member.lifecycle_state()).collect();
    assert_eq!((smaller.desired_capacity(), states.len()), (Some(1), 2));
    assert!(states.iter().any(|state| state.as_str() == "Standby"));
    let last = scaling.detach_instances().auto_scaling_group_name("g").instance_ids(ids[2]);
    let refused = last.should_decrement_desired_capacity(true).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("ValidationError"), "the group would be smaller than it may be");
    scaling.exit_standby().auto_scaling_group_name("g").instance_ids(ids[1]).send().await.unwrap();
    ec2.stop_instances().instance_ids(ids[2]).send().await.unwrap();
    wait(120).await;
    assert_eq!(state(&ec2, ids[2]).await, InstanceStateName::Terminated, "unhealthy, and not replaced: no launches");
    assert_eq!(state(&ec2, ids[0]).await, InstanceStateName::Running, "detached");
    scaling.resume_processes().auto_scaling_group_name("g").send().await.unwrap();
    wait(120).await;
    assert_eq!(group().await.instances().len(), 2);
    let activities = scaling.describe_scaling_activities().auto_scaling_group_name("g").send().await.unwrap();
    assert!(activities.activities().len() >= 4);
}
