//! The mistakes that other simulators make with EC2, each as a test, through `permissions` and `handle`.

use jiff::{SignedDuration, Timestamp};

use super::launch::LaunchSpec;
use super::*;
use crate::sim::call::{Body, Principal, RawRequest};
use crate::sim::wire::params::{Form, Params};
use crate::sim::{autoscaling, world};

struct Bench {
    world: World,
    now: Timestamp,
    region: Region,
}

impl Bench {
    fn new() -> Self {
        let mut world = World::new(1);
        world.add_account(account(), "development");
        Self { world, now: "2026-11-23T14:00:00Z".parse().unwrap(), region: Region::new("eu-west-3").unwrap() }
    }

    fn call(&self, service: &str, operation: &str, form: &str) -> Call {
        Call {
            now: self.now,
            account: account(),
            region: self.region.clone(),
            service: service.to_owned(),
            operation: operation.to_owned(),
            principal: Principal {
                arn: "arn:aws:iam::111122223333:user/ada".to_owned(),
                principal_arn: "arn:aws:iam::111122223333:user/ada".to_owned(),
                user_id: "AIDAEXAMPLE".to_owned(),
                issued: None,
            },
            access_key: "AKIAEXAMPLE".to_owned(),
            params: Params::Form(Form::parse(form.as_bytes())),
            request_id: "1".to_owned(),
            http: RawRequest::default(),
        }
    }

    /// The answer as XML, or the code of the refusal.
    fn ask(&mut self, operation: &str, form: &str) -> Result<String, String> {
        let call = self.call("ec2", operation, form);
        permissions(&self.world, &call).map_err(|refusal| refusal.code)?;
        written(handle(&mut self.world, &call))
    }

    fn scale(&mut self, operation: &str, form: &str) -> Result<String, String> {
        let call = self.call("autoscaling", operation, form);
        autoscaling::permissions(&self.world, &call).map_err(|refusal| refusal.code)?;
        written(autoscaling::handle(&mut self.world, &call))
    }

    fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    fn ec2(&mut self) -> &mut Ec2 {
        self.ask("DescribeVpcs", "").unwrap();
        &mut self.world.region_mut(&account(), &self.region).ec2
    }

    fn spec(&mut self) -> LaunchSpec {
        let launched = self.now - SignedDuration::from_hours(1);
        let image_id = self.ec2().images.keys().next().unwrap().clone();
        LaunchSpec { launched, image_id, instance_type: "c5.4xlarge".to_owned(), ..LaunchSpec::default() }
    }

    fn launch(&mut self) -> String {
        let spec = self.spec();
        self.ec2().launch(&spec).unwrap()
    }

    fn state(&mut self, id: &str) -> String {
        self.ec2().instances[id].state.name().to_owned()
    }
}

fn account() -> AccountId {
    AccountId::new("111122223333").unwrap()
}

fn written(reply: Reply) -> Result<String, String> {
    match reply.map_err(|refusal| refusal.code)? {
        Body::Xml(children) => Ok(children.iter().fold(String::new(), |mut out, child| {
            child.write(&mut out);
            out
        })),
        other => Err(format!("{other:?}")),
    }
}

fn refused(code: &str) -> Result<String, String> {
    Err(code.to_owned())
}

#[test]
fn every_operation_that_asks_for_permission_is_carried_out() {
    let mut bench = Bench::new();
    for operation in OPERATIONS {
        let answer = bench.ask(operation, "");
        assert_ne!(answer, refused("InvalidAction"), "{operation}");
    }
    assert_eq!(bench.ask("CreateVpnGateway", ""), refused("InvalidAction"));
}

#[test]
fn counts_are_numbers_and_a_client_token_launches_once() {
    let mut bench = Bench::new();
    let image = bench.spec().image_id;
    let form = format!("ImageId={image}&MinCount=3&MaxCount=3&ClientToken=t1");
    let first = bench.ask("RunInstances", &form).unwrap();
    assert_eq!(first.matches("<instanceId>").count(), 3);
    bench.ask("RunInstances", &form).unwrap();
    assert_eq!(bench.ec2().instances.len(), 3);
    let other = form.replace("=3", "=2");
    assert_eq!(bench.ask("RunInstances", &other), refused("IdempotentParameterMismatch"));
}

#[test]
fn stopping_takes_time_and_takes_the_public_address() {
    let mut bench = Bench::new();
    let id = bench.launch();
    assert!(bench.ec2().instances[&id].public_ip.is_some());
    bench.ask("StopInstances", &format!("InstanceId.1={id}")).unwrap();
    assert_eq!(bench.state(&id), "stopping");
    assert_eq!(bench.ask("StartInstances", &format!("InstanceId.1={id}")), refused("IncorrectInstanceState"));
    bench.wait(41);
    assert_eq!(bench.state(&id), "stopped");
    assert_eq!(bench.ec2().instances[&id].public_ip, None);
    bench.ask("StartInstances", &format!("InstanceId.1={id}")).unwrap();
    let now = bench.now;
    assert_eq!(bench.ec2().instances[&id].launch_time, now);
}

#[test]
fn protection_is_enforced_and_spoils_the_batch() {
    let mut bench = Bench::new();
    let (free, held) = (bench.launch(), bench.launch());
    bench.ask("ModifyInstanceAttribute", &format!("InstanceId={held}&DisableApiStop.Value=true")).unwrap();
    let both = format!("InstanceId.1={free}&InstanceId.2={held}");
    assert_eq!(bench.ask("StopInstances", &both), refused("OperationNotPermitted"));
    assert_eq!(bench.state(&free), "running");
    // Stop protection also blocks termination, for all in the same zone.
    assert_eq!(bench.ask("TerminateInstances", &both), refused("OperationNotPermitted"));
    assert_eq!(bench.state(&free), "running");
    let two = format!("InstanceId={held}&DisableApiStop.Value=false&DisableApiTermination.Value=false");
    assert_eq!(bench.ask("ModifyInstanceAttribute", &two), refused("InvalidParameterCombination"));
}

#[test]
fn unknown_ids_filters_and_parameters_are_refused() {
    let mut bench = Bench::new();
    let id = bench.launch();
    let unknown = format!("InstanceId.1={id}&InstanceId.2=i-0123456789abcdef0");
    assert_eq!(bench.ask("StopInstances", &unknown), refused("InvalidInstanceID.NotFound"));
    assert_eq!(bench.ask("StopInstances", "InstanceId.1=i-x"), refused("InvalidInstanceID.Malformed"));
    let filter = "Filter.1.Name=colour&Filter.1.Value.1=red";
    assert_eq!(bench.ask("DescribeInstances", filter), refused("InvalidParameterValue"));
    let both = format!("InstanceId.1={id}&MaxResults=5");
    assert_eq!(bench.ask("DescribeInstances", &both), refused("InvalidParameterCombination"));
    assert_eq!(bench.ask("DescribeInstances", "Colour=red"), refused("UnknownParameter"));
    let without = "AssociationId=iip-assoc-0123456789abcdef0&DryRun=true";
    assert_eq!(bench.ask("DisassociateIamInstanceProfile", without), refused("UnknownParameter"));
}

#[test]
fn regions_do_not_see_each_other() {
    let mut bench = Bench::new();
    bench.launch();
    bench.region = Region::new("us-east-1").unwrap();
    assert_eq!(bench.ask("DescribeInstances", "").unwrap(), "<reservationSet/>");
}

#[test]
fn filters_with_wildcards_and_tags() {
    let mut bench = Bench::new();
    let id = bench.launch();
    bench.ask("CreateTags", &format!("ResourceId.1={id}&Tag.1.Key=owner&Tag.1.Value=ada")).unwrap();
    let mut found = |form: &str| bench.ask("DescribeInstances", form).unwrap().contains(&id);
    assert!(found("Filter.1.Name=instance-type&Filter.1.Value.1=c5.*&Filter.2.Name=tag:owner&Filter.2.Value.1=a?a"));
    assert!(found(
        "Filter.1.Name=tag-key&Filter.1.Value.1=owner&Filter.2.Name=instance-state-name&Filter.2.Value.1=running"
    ));
    assert!(!found("Filter.1.Name=tag:owner&Filter.1.Value.1=bob"));
}

#[test]
fn one_snapshot_per_volume_pending_then_completed_and_limited() {
    let mut bench = Bench::new();
    let id = bench.launch();
    let form = format!("InstanceSpecification.InstanceId={id}");
    let made = bench.ask("CreateSnapshots", &form).unwrap();
    assert_eq!(made.matches("<snapshotId>").count(), 1);
    assert!(made.contains("<state>pending</state>"));
    assert_eq!(bench.ask("CreateSnapshots", &form), refused("SnapshotCreationPerVolumeRateExceeded"));
    bench.wait(60);
    assert!(bench.ask("DescribeSnapshots", "Owner.1=self").unwrap().contains("<progress>100%</progress>"));
}

#[test]
fn five_snapshots_of_a_volume_may_be_pending() {
    let mut bench = Bench::new();
    bench.world.settings =
        world::Settings { snapshot_per_gib: SignedDuration::from_hours(1), ..world::Settings::default() };
    let id = bench.launch();
    let volume = bench.ec2().instances[&id].block_devices[0].volume_id.clone();
    for _ in 0..5 {
        bench.ask("CreateSnapshot", &format!("VolumeId={volume}")).unwrap();
        bench.wait(16);
    }
    assert_eq!(bench.ask("CreateSnapshot", &format!("VolumeId={volume}")), refused("ConcurrentSnapshotLimitExceeded"));
}

#[test]
fn a_locked_snapshot_is_not_deleted() {
    let mut bench = Bench::new();
    let id = bench.launch();
    let volume = bench.ec2().instances[&id].block_devices[0].volume_id.clone();
    bench.ask("CreateSnapshot", &format!("VolumeId={volume}")).unwrap();
    let snapshot = bench.ec2().snapshots.keys().next().unwrap().clone();
    bench.ask("LockSnapshot", &format!("SnapshotId={snapshot}&LockMode=governance&LockDuration=1")).unwrap();
    assert_eq!(bench.ask("DeleteSnapshot", &format!("SnapshotId={snapshot}")), refused("SnapshotLocked"));
    bench.ask("UnlockSnapshot", &format!("SnapshotId={snapshot}")).unwrap();
    bench.ask("DeleteSnapshot", &format!("SnapshotId={snapshot}")).unwrap();
}

#[test]
fn spot_lives_as_documented() {
    let mut bench = Bench::new();
    let image = bench.spec().image_id;
    let run = |kind: &str| {
        format!(
            "ImageId={image}&MinCount=1&MaxCount=1&InstanceMarketOptions.MarketType=spot&InstanceMarketOptions.SpotOptions.SpotInstanceType={kind}"
        )
    };
    bench.ask("RunInstances", &run("one-time")).unwrap();
    bench.wait(20);
    let once = bench.ec2().instances.keys().next().unwrap().clone();
    assert_eq!(bench.ask("StopInstances", &format!("InstanceId.1={once}")), refused("UnsupportedOperation"));
    bench.ask("RunInstances", &run("persistent")).unwrap();
    bench.wait(20);
    let lasting = bench.ec2().instances.keys().find(|id| **id != once).unwrap().clone();
    bench.ask("StopInstances", &format!("InstanceId.1={lasting}")).unwrap();
    bench.wait(60);
    assert!(bench.ask("DescribeSpotInstanceRequests", "").unwrap().contains("<state>disabled</state>"));
    bench.ask("TerminateInstances", &format!("InstanceId.1={lasting}")).unwrap();
    bench.wait(120);
    let alive = bench.ec2().instances.values().filter(|i| !i.state.is_ending()).count();
    assert_eq!(alive, 2, "the persistent request launched another");
}

#[test]
fn termination_keeps_the_volumes_that_it_is_told_to_keep() {
    let mut bench = Bench::new();
    let (kept, lost) = (bench.launch(), bench.launch());
    let device = bench.ec2().instances[&kept].block_devices[0].clone();
    let change = format!(
        "InstanceId={kept}&BlockDeviceMapping.1.DeviceName={}&BlockDeviceMapping.1.Ebs.DeleteOnTermination=false",
        device.device_name
    );
    bench.ask("ModifyInstanceAttribute", &change).unwrap();
    bench.ask("TerminateInstances", &format!("InstanceId.1={kept}&InstanceId.2={lost}")).unwrap();
    bench.wait(60);
    assert_eq!(bench.ec2().volumes.keys().collect::<Vec<_>>(), [&device.volume_id]);
    assert_eq!(bench.state(&kept), "terminated");
    bench.wait(3700);
    assert!(bench.ec2().instances.is_empty());
}

#[test]
fn a_group_is_unique_in_its_vpc_and_is_not_deleted_while_in_use() {
    let mut bench = Bench::new();
    let form = "GroupName=isolation&GroupDescription=x";
    bench.ask("CreateSecurityGroup", form).unwrap();
    assert_eq!(bench.ask("CreateSecurityGroup", form), refused("InvalidGroup.Duplicate"));
    let group = bench.ec2().group_named("isolation", None).unwrap().id.clone();
    let all = "IpPermissions.1.IpProtocol=-1&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0";
    bench.ask("RevokeSecurityGroupEgress", &format!("GroupId={group}&{all}")).unwrap();
    let again = bench.ask("RevokeSecurityGroupEgress", &format!("GroupId={group}&{all}"));
    assert_eq!(again, refused("InvalidPermission.NotFound"));
    let id = bench.launch();
    let eni = bench.ec2().enis_of(&id).next().unwrap().id.clone();
    bench
        .ask("ModifyNetworkInterfaceAttribute", &format!("NetworkInterfaceId={eni}&SecurityGroupId.1={group}"))
        .unwrap();
    assert_eq!(bench.ask("DeleteSecurityGroup", &format!("GroupId={group}")), refused("DependencyViolation"));
}

#[test]
fn a_group_that_is_named_by_its_name_is_named_in_the_permission() {
    let mut bench = Bench::new();
    let default = bench.ec2().group_named("default", None).unwrap().id.clone();
    let call = bench.call("ec2", "DeleteSecurityGroup", "GroupName=default");
    let needed = permissions(&bench.world, &call).unwrap();
    assert_eq!(needed[0].resource, format!("arn:aws:ec2:eu-west-3:111122223333:security-group/{default}"));
}

#[test]
fn permissions_name_the_resource_and_its_tags() {
    let mut bench = Bench::new();
    let id = bench.launch();
    bench.ask("CreateTags", &format!("ResourceId.1={id}&Tag.1.Key=owner&Tag.1.Value=ada")).unwrap();
    let call = bench.call("ec2", "StopInstances", &format!("InstanceId.1={id}"));
    let needed = permissions(&bench.world, &call).unwrap();
    assert_eq!(needed[0].resource, format!("arn:aws:ec2:eu-west-3:111122223333:instance/{id}"));
    assert!(needed[0].context.contains(&("ec2:ResourceTag/owner".to_owned(), "ada".to_owned())));
}

#[test]
fn a_group_relaunches_unless_it_is_suspended() {
    let mut bench = Bench::new();
    let image = bench.spec().image_id;
    bench.ask("CreateLaunchTemplate", &format!("LaunchTemplateName=miner&LaunchTemplateData.ImageId={image}")).unwrap();
    let create = "AutoScalingGroupName=g&MinSize=0&MaxSize=3&DesiredCapacity=2&LaunchTemplate.LaunchTemplateName=miner\
                  &AvailabilityZones.member.1=eu-west-3a";
    bench.scale("CreateAutoScalingGroup", create).unwrap();
    bench.wait(30);
    let alive = |bench: &mut Bench| {
        let running = bench.ec2().instances.values().filter(|i| i.state.name() == "running");
        running.map(|i| i.id.clone()).collect::<Vec<_>>()
    };
    let first = alive(&mut bench);
    assert_eq!(first.len(), 2);
    bench.ask("StopInstances", &format!("InstanceId.1={}", first[0])).unwrap();
    bench.wait(120);
    assert_eq!(alive(&mut bench).len(), 2, "the stopped one was replaced");
    bench.scale("SuspendProcesses", "AutoScalingGroupName=g").unwrap();
    let second = alive(&mut bench);
    bench.ask("StopInstances", &format!("InstanceId.1={}", second[0])).unwrap();
    bench.wait(120);
    assert_eq!(alive(&mut bench).len(), 1);
    assert_eq!(bench.state(&second[0]), "stopped");
}

#[test]
fn the_world_settles_groups_too() {
    let mut bench = Bench::new();
    let image = bench.spec().image_id;
    bench.ask("CreateLaunchTemplate", &format!("LaunchTemplateName=miner&LaunchTemplateData.ImageId={image}")).unwrap();
    let create = "AutoScalingGroupName=g&MinSize=0&MaxSize=1&DesiredCapacity=1&LaunchTemplate.LaunchTemplateName=miner\
                  &AvailabilityZones.member.1=eu-west-3a";
    bench.scale("CreateAutoScalingGroup", create).unwrap();
    bench.wait(30);
    let first = bench.ec2().instances.keys().next().unwrap().clone();
    let (now, region) = (bench.now, bench.region.clone());
    let ec2 = &mut bench.world.region_mut(&account(), &region).ec2;
    ec2.terminate_instance(&first, now, "Server.InternalError", "the hardware failed");
    bench.world.settle(now + SignedDuration::from_mins(10));
    let instances = &bench.world.region(&account(), &region).ec2.instances;
    assert!(instances.values().any(|instance| instance.id != first && !instance.state.is_ending()));
}

#[test]
fn the_first_call_in_a_region_is_authorised_for_that_region() {
    let bench = Bench::new();
    let tags = "TagSpecification.1.ResourceType=volume&TagSpecification.1.Tag.1.Key=case";
    let needed = permissions(&bench.world, &bench.call("ec2", "CreateVolume", tags)).unwrap();
    let arns: Vec<&str> = needed.iter().map(|permission| permission.resource.as_str()).collect();
    assert_eq!(arns, ["arn:aws:ec2:eu-west-3:111122223333:volume/*"; 2]);
}

/// The form that empties a fleet, by its id and a policy.
type Quiet<'a> = &'a dyn Fn(&str, &str) -> String;

#[test]
fn a_fleet_replaces_what_ends_until_it_has_no_capacity_and_lets_the_rest_go_on() {
    let mut bench = Bench::new();
    let image = bench.spec().image_id;
    bench.ask("CreateLaunchTemplate", &format!("LaunchTemplateName=miner&LaunchTemplateData.ImageId={image}")).unwrap();
    let template = "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName=miner";
    let ec2 = format!("{template}&Type=maintain&TargetCapacitySpecification.TotalTargetCapacity=2");
    let spot = format!(
        "SpotFleetRequestConfig.{template}&SpotFleetRequestConfig.TargetCapacity=2\
         &SpotFleetRequestConfig.IamFleetRole=arn:aws:iam::111122223333:role/fleet"
    );
    let quiet_ec2 = |id: &str, policy: &str| {
        format!(
            "FleetId={id}&TargetCapacitySpecification.TotalTargetCapacity=0&ExcessCapacityTerminationPolicy={policy}"
        )
    };
    let quiet_spot = |id: &str, policy: &str| {
        format!("SpotFleetRequestId={id}&TargetCapacity=0&ExcessCapacityTerminationPolicy={policy}")
    };
    let kinds: [(&str, String, &str, Quiet<'_>, [&str; 2]); 2] = [
        ("CreateFleet", ec2, "ModifyFleet", &quiet_ec2, ["no-termination", "noTermination"]),
        ("RequestSpotFleet", spot, "ModifySpotFleetRequest", &quiet_spot, ["noTermination", "no-termination"]),
    ];
    for (create, form, modify, quiet, [right, wrong]) in kinds {
        bench.ask(create, &form).unwrap();
        let id = bench.ec2().fleets.keys().next().unwrap().clone();
        bench.wait(60);
        let up = |bench: &mut Bench| {
            let up = bench.ec2().instances.values().filter(|i| i.state.name() == "running");
            up.map(|i| i.id.clone()).collect::<Vec<_>>()
        };
        let first = up(&mut bench);
        assert_eq!(first.len(), 2, "{create}");
        assert_eq!(bench.ask("StopInstances", &format!("InstanceId.1={}", first[0])), refused("UnsupportedOperation"));
        bench.ask("TerminateInstances", &format!("InstanceId.1={}", first[0])).unwrap();
        bench.wait(60);
        assert_eq!(up(&mut bench).len(), 2, "{create}: it launched another");
        // Each kind has a spelling of its own.
        assert_eq!(bench.ask(modify, &quiet(&id, wrong)), refused("InvalidParameterValue"));
        bench.ask(modify, &quiet(&id, right)).unwrap();
        bench.wait(60);
        let rest = up(&mut bench);
        assert_eq!(rest.len(), 2, "{create}: they go on");
        bench.ask("TerminateInstances", &format!("InstanceId.1={}&InstanceId.2={}", rest[0], rest[1])).unwrap();
        bench.wait(300);
        assert_eq!(up(&mut bench).len(), 0, "{create}: nothing replaces them");
        bench.ec2().fleets.clear();
    }
}

#[test]
fn a_fleet_that_is_given_up_ends_its_machines_only_when_it_is_told_to() {
    let mut bench = Bench::new();
    let image = bench.spec().image_id;
    bench.ask("CreateLaunchTemplate", &format!("LaunchTemplateName=miner&LaunchTemplateData.ImageId={image}")).unwrap();
    let template = "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName=miner";
    let create = |kind: &str| format!("{template}&Type={kind}&TargetCapacitySpecification.TotalTargetCapacity=1");
    for (kind, terminate, code, left) in
        [("maintain", false, "", 1), ("request", true, "", 0), ("instant", false, "fleetNotInDeletableState", 1)]
    {
        bench.ask("CreateFleet", &create(kind)).unwrap();
        let id = bench.ec2().fleets.keys().next().unwrap().clone();
        let answer = bench.ask("DeleteFleets", &format!("FleetId.1={id}&TerminateInstances={terminate}")).unwrap();
        assert!(answer.contains(code), "{answer}");
        bench.wait(300);
        let up = bench.ec2().instances.values().filter(|i| !i.state.is_ending()).count();
        assert_eq!(up, left, "{kind}");
        bench.ec2().instances.clear();
        bench.ec2().fleets.clear();
    }
}
