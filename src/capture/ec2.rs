//! EC2, in a region: machines and what belongs to them, what launches them, and how the region is set up.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::Builder;
use aws_sdk_ec2::operation::describe_images::DescribeImagesOutput;
use aws_sdk_ec2::operation::describe_instances::DescribeInstancesOutput;
use aws_sdk_ec2::operation::describe_snapshots::DescribeSnapshotsOutput;
use aws_sdk_ec2::types::{ImageAttributeName, InstanceAttributeName, Reservation, SnapshotAttributeName};
use futures::stream::{self, StreamExt as _};

use super::questions::Questions;
use crate::cloud::retry;
use crate::engine::action::Ctx;

/// The largest page; a call without a page size has half the request rate.
const PAGE: i32 = 1_000;
/// How many questions about single resources are open at once.
const SIDE_BY_SIDE: usize = 16;

/// Asks. `IncludeManagedResources` shows also what AWS hides because a service manages it (fact B1).
pub(super) async fn ask(cx: &Ctx, questions: &Questions) {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    let client = &Client::from_conf(config.build());
    futures::join!(
        instances(client, questions),
        images(client, questions),
        snapshots(client, questions),
        launchers(client, questions),
        network(client, questions),
        settings(client, questions),
    );
}

async fn instances(client: &Client, questions: &Questions) {
    let pages = client.describe_instances().include_managed_resources(true).max_results(PAGE).into_paginator().send();
    let volumes = client.describe_volumes().include_managed_resources(true).max_results(PAGE).into_paginator().send();
    let (pages, _) =
        futures::join!(questions.all("ec2:DescribeInstances", pages), questions.all("ec2:DescribeVolumes", volumes));
    let instances = pages.iter().flat_map(DescribeInstancesOutput::reservations).flat_map(Reservation::instances);
    let ids = instances.filter_map(|instance| instance.instance_id()).map(str::to_owned).collect::<Vec<_>>();
    stream::iter(ids).for_each_concurrent(SIDE_BY_SIDE, |id| instance(client, questions, id)).await;
}

/// What has to be asked machine by machine. User data is what the machine was told to do when it began.
async fn instance(client: &Client, questions: &Questions, id: String) {
    let attribute = |name| client.describe_instance_attribute().instance_id(&id).attribute(name).send();
    futures::join!(
        questions.one("ec2:DescribeInstanceAttribute", attribute(InstanceAttributeName::UserData)),
        questions.one("ec2:GetConsoleOutput", client.get_console_output().instance_id(&id).send()),
        questions.one("ec2:GetConsoleScreenshot", client.get_console_screenshot().instance_id(&id).send()),
    );
}

async fn images(client: &Client, questions: &Questions) {
    let pages = client.describe_images().owners("self").max_results(PAGE).into_paginator().send();
    let pages = questions.all("ec2:DescribeImages", pages).await;
    let ids = pages.iter().flat_map(DescribeImagesOutput::images).filter_map(|image| image.image_id());
    let ids = ids.map(str::to_owned).collect::<Vec<_>>();
    let shared = |id: String| async move {
        let attribute = ImageAttributeName::LaunchPermission;
        let question = client.describe_image_attribute().image_id(id).attribute(attribute).send();
        questions.one("ec2:DescribeImageAttribute", question).await;
    };
    stream::iter(ids).for_each_concurrent(SIDE_BY_SIDE, shared).await;
}

async fn snapshots(client: &Client, questions: &Questions) {
    let pages = client.describe_snapshots().owner_ids("self").max_results(PAGE).into_paginator().send();
    let pages = questions.all("ec2:DescribeSnapshots", pages).await;
    let ids = pages.iter().flat_map(DescribeSnapshotsOutput::snapshots).filter_map(|snapshot| snapshot.snapshot_id());
    let ids = ids.map(str::to_owned).collect::<Vec<_>>();
    let shared = |id: String| async move {
        let attribute = SnapshotAttributeName::CreateVolumePermission;
        let question = client.describe_snapshot_attribute().snapshot_id(id).attribute(attribute).send();
        questions.one("ec2:DescribeSnapshotAttribute", question).await;
    };
    stream::iter(ids).for_each_concurrent(SIDE_BY_SIDE, shared).await;
}

async fn launchers(client: &Client, questions: &Questions) {
    let templates = client.describe_launch_templates().max_results(200).into_paginator().send();
    let versions = client.describe_launch_template_versions().versions("$Latest").versions("$Default");
    futures::join!(
        questions.all("ec2:DescribeLaunchTemplates", templates),
        questions.all("ec2:DescribeLaunchTemplateVersions", versions.into_paginator().send()),
        questions.all("ec2:DescribeFleets", client.describe_fleets().into_paginator().send()),
        questions.all("ec2:DescribeSpotFleetRequests", client.describe_spot_fleet_requests().into_paginator().send()),
        questions.all(
            "ec2:DescribeSpotInstanceRequests",
            client.describe_spot_instance_requests().max_results(PAGE).into_paginator().send()
        ),
        questions.all(
            "ec2:DescribeCapacityReservations",
            client.describe_capacity_reservations().max_results(PAGE).into_paginator().send()
        ),
        questions.one("ec2:DescribeKeyPairs", client.describe_key_pairs().send()),
    );
}

async fn network(client: &Client, questions: &Questions) {
    let interfaces = client.describe_network_interfaces().include_managed_resources(true).max_results(PAGE);
    futures::join!(
        questions.all("ec2:DescribeNetworkInterfaces", interfaces.into_paginator().send()),
        questions.all(
            "ec2:DescribeSecurityGroups",
            client.describe_security_groups().max_results(PAGE).into_paginator().send()
        ),
        questions.all("ec2:DescribeVpcs", client.describe_vpcs().max_results(PAGE).into_paginator().send()),
        questions.all("ec2:DescribeSubnets", client.describe_subnets().max_results(PAGE).into_paginator().send()),
        questions
            .all("ec2:DescribeNetworkAcls", client.describe_network_acls().max_results(PAGE).into_paginator().send()),
        questions.one("ec2:DescribeAddresses", client.describe_addresses().send()),
    );
}

/// How the region is set up, for a posture.
async fn settings(client: &Client, questions: &Questions) {
    futures::join!(
        questions.one("ec2:GetEbsEncryptionByDefault", client.get_ebs_encryption_by_default().send()),
        questions.one("ec2:GetInstanceMetadataDefaults", client.get_instance_metadata_defaults().send()),
        questions.one("ec2:GetSnapshotBlockPublicAccessState", client.get_snapshot_block_public_access_state().send()),
        questions.one("ec2:GetImageBlockPublicAccessState", client.get_image_block_public_access_state().send()),
        questions.one("ec2:GetManagedResourceVisibility", client.get_managed_resource_visibility().send()),
    );
}
