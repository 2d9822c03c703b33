//! A cluster, and how it looks after its machines.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::sim::ec2::Ec2;
use crate::sim::ec2::launch::LaunchSpec;

/// From the request until a cluster works.
const STARTING_TAKES: SignedDuration = SignedDuration::from_secs(60);
/// From the word to end until it has.
const ENDING_TAKES: SignedDuration = SignedDuration::from_secs(30);

/// A cluster.
#[derive(Debug, Clone, Serialize)]
pub struct Cluster {
    /// `j-…`.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Since when.
    pub created: Timestamp,
    /// Where it has got to.
    pub state: State,
    /// How many steps it works on.
    pub steps: usize,
    /// Termination protection.
    pub protected: bool,
    /// Its machines, by role.
    pub groups: Vec<Group>,
    /// Where it launches.
    pub subnet: Option<String>,
    /// Where it writes its logs.
    pub log_uri: Option<String>,
    /// `emr-7.3.0`.
    pub release: String,
    /// EMR's role.
    pub service_role: String,
    /// The instance profile of its machines.
    pub profile: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// Machines of one role.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// `ig-…`.
    pub id: String,
    /// `MASTER`, `CORE` or `TASK`.
    pub role: String,
    /// What they are.
    pub instance_type: String,
    /// How many there are to be.
    pub count: u32,
    /// Their ids.
    pub machines: Vec<String>,
}

/// Where a cluster has got to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Being made.
    Starting {
        /// When it will work.
        until: Timestamp,
    },
    /// Works, or waits for work.
    Up,
    /// Being terminated.
    Terminating {
        /// When it will have ended.
        until: Timestamp,
        /// `USER_REQUEST`, `INSTANCE_FAILURE`.
        reason: String,
    },
    /// Ended.
    Terminated {
        /// Why.
        reason: String,
    },
}

impl State {
    /// At its beginning.
    pub fn starting(now: Timestamp) -> Self {
        Self::Starting { until: now + STARTING_TAKES }
    }
}

impl Cluster {
    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Terminated { .. })
    }

    /// Begins to end it.
    pub fn terminate(&mut self, now: Timestamp, reason: &str) {
        if matches!(self.state, State::Starting { .. } | State::Up) {
            self.state = State::Terminating { until: now + ENDING_TAKES, reason: reason.to_owned() };
        }
    }

    /// As on the wire.
    pub fn shown_state(&self) -> &'static str {
        match &self.state {
            State::Starting { .. } => "STARTING",
            State::Up if self.steps > 0 => "RUNNING",
            State::Up => "WAITING",
            State::Terminating { .. } => "TERMINATING",
            State::Terminated { reason } if reason == "USER_REQUEST" => "TERMINATED",
            State::Terminated { .. } => "TERMINATED_WITH_ERRORS",
        }
    }

    /// `Status`.
    pub fn status(&self) -> Value {
        let reason = match &self.state {
            State::Terminating { reason, .. } | State::Terminated { reason } => json!({ "Code": reason }),
            _ => json!({}),
        };
        json!({
            "State": self.shown_state(),
            "StateChangeReason": reason,
            "Timeline": { "CreationDateTime": self.created.as_duration().as_secs_f64() },
        })
    }

    /// As DescribeCluster shows it.
    pub fn shown(&self) -> Value {
        let tags = self.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
        let mut json = json!({
            "Id": self.id,
            "Name": self.name,
            "Status": self.status(),
            "ClusterArn": self.arn,
            "InstanceCollectionType": "INSTANCE_GROUP",
            "ReleaseLabel": self.release,
            "AutoTerminate": false,
            "TerminationProtected": self.protected,
            "VisibleToAllUsers": true,
            "ServiceRole": self.service_role,
            "NormalizedInstanceHours": 0,
            "Ec2InstanceAttributes": { "IamInstanceProfile": self.profile },
            "Tags": tags.collect::<Vec<_>>(),
        });
        if let Some(uri) = &self.log_uri {
            json["LogUri"] = json!(uri);
        }
        json
    }

    /// Lets time do its work: replaces lost machines, or ends them.
    pub fn settle(&mut self, ec2: &mut Ec2, now: Timestamp) {
        if let State::Starting { until } = self.state
            && until <= now
        {
            self.state = State::Up;
        }
        match self.state.clone() {
            State::Starting { .. } | State::Up => self.look_after(ec2, now),
            State::Terminating { until, reason } => {
                self.end_machines(ec2, now);
                if until <= now {
                    self.state = State::Terminated { reason };
                }
            }
            State::Terminated { .. } => {}
        }
    }

    fn look_after(&mut self, ec2: &mut Ec2, now: Timestamp) {
        let lost = |ec2: &Ec2, id: &String| {
            ec2.instances.get(id).is_none_or(|machine| !matches!(machine.state.name(), "pending" | "running"))
        };
        let master = self.groups.iter().find(|group| group.role == "MASTER");
        if master.is_some_and(|group| group.machines.iter().any(|id| lost(ec2, id))) {
            self.protected = false;
            return self.terminate(now, "INSTANCE_FAILURE");
        }
        let mut groups = std::mem::take(&mut self.groups);
        for group in &mut groups {
            let gone: Vec<String> = group.machines.iter().filter(|id| lost(ec2, id)).cloned().collect();
            for id in &gone {
                ec2.terminate_instance(id, now, "Client.UserInitiatedShutdown", "User initiated shutdown");
            }
            group.machines.retain(|id| !gone.contains(id));
            while group.machines.len() < group.count as usize {
                let Ok(id) = ec2.launch(&self.machine(group, ec2, now)) else { break };
                group.machines.push(id);
            }
        }
        self.groups = groups;
    }

    fn machine(&self, group: &Group, ec2: &Ec2, now: Timestamp) -> LaunchSpec {
        let amazon = ec2.images.values().find(|image| image.owner_alias.as_deref() == Some("amazon"));
        let tags = [("job-flow-id", &self.id), ("instance-group-role", &group.role)];
        let tags = tags.map(|(key, value)| (format!("aws:elasticmapreduce:{key}"), value.clone()));
        LaunchSpec {
            launched: now,
            image_id: amazon.map(|image| image.id.clone()).unwrap_or_default(),
            instance_type: group.instance_type.clone(),
            subnet_id: self.subnet.clone(),
            tags: self.tags.clone().into_iter().chain(tags).collect(),
            disable_api_termination: self.protected,
            requester_id: Some("192583519112".to_owned()),
            ..LaunchSpec::default()
        }
    }

    /// Terminates its machines. Where EC2 protects one and EMR does not, EMR's setting counts ("Using termination protection").
    fn end_machines(&mut self, ec2: &mut Ec2, now: Timestamp) {
        for id in self.groups.iter().flat_map(|group| &group.machines) {
            if let Some(machine) = ec2.instances.get_mut(id) {
                machine.disable_api_termination = false;
            }
            ec2.terminate_instance(id, now, "Client.UserInitiatedShutdown", "User initiated shutdown");
        }
    }
}
