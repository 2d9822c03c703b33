//! The simulated EC2 through the real SDK.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{InstanceStateName, InstanceType};
use quell::model::AccountId;
use quell::sim::Sim;
use quell::sim::iam;
use quell::sim::world::World;

fn client() -> Client {
    let now: jiff::Timestamp = "2026-11-23T14:00:00Z".parse().unwrap();
    let begin = tokio::time::Instant::now();
    let mut world = World::new(7);
    let account = AccountId::new("111122223333").unwrap();
    world.add_account(account.clone(), "development");
    let (id, secret) =
        iam::add_access_key(&mut world, &account, None, now - jiff::SignedDuration::from_hours(1)).unwrap();
    let sim = Sim::new(world, move || now + jiff::SignedDuration::try_from(begin.elapsed()).unwrap());
    let config = aws_sdk_ec2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-3"))
        .credentials_provider(Credentials::new(id.as_str(), secret.0, None, None, "test"))
        .http_client(sim.http_client())
        .time_source(sim.time_source());
    Client::from_conf(config.build())
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_launched_read_snapshotted_and_stopped() {
    let ec2 = client();
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
