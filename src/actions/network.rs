//! EC2's network interfaces: who has them.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, NetworkInterface};
use serde::{Deserialize, Serialize};

use crate::model::ActionError;

/// The largest page.
const PAGE: i32 = 1000;
/// How many instances are named one by one.
const NAMED: usize = 8;

/// The network interfaces that a filter lets pass, also those of what a service manages and AWS hides by default.
pub(super) async fn interfaces(client: &Client, filter: Filter) -> Result<Vec<NetworkInterface>, ActionError> {
    let request = client.describe_network_interfaces().include_managed_resources(true).max_results(PAGE);
    let mut items = request.filters(filter).into_paginator().items().send();
    let mut interfaces = Vec::new();
    while let Some(interface) = items.next().await {
        interfaces.push(interface?);
    }
    Ok(interfaces)
}

/// The instance that an interface is attached to.
pub(super) fn instance(interface: &NetworkInterface) -> Option<&str> {
    interface.attachment()?.instance_id()
}

/// Who uses a network: so many interfaces of each kind, and the first instances by id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Users {
    /// `instance`, `nat_gateway`, `lambda`, …: how many interfaces.
    pub kinds: BTreeMap<String, usize>,
    /// Instances, the first few.
    pub instances: Vec<String>,
}

impl Users {
    /// Counts an interface.
    pub(super) fn add(&mut self, interface: &NetworkInterface) {
        let kind = match instance(interface) {
            Some(_) => "instance",
            None => interface.interface_type().map_or("interface", |kind| kind.as_str()),
        };
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        let named = instance(interface).filter(|_| self.instances.len() < NAMED);
        self.instances.extend(named.map(str::to_owned));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

/// `12 instances (i-1, i-2, …), 1 nat gateway`.
impl fmt::Display for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (kind, count)) in self.kinds.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let plural = if *count == 1 { "" } else { "s" };
            write!(f, "{comma}{count} {}{plural}", kind.replace('_', " "))?;
            if kind == "instance" {
                let more = if *count > self.instances.len() { ", …" } else { "" };
                write!(f, " ({}{more})", self.instances.join(", "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_counted_and_the_first_instances_named() {
        let attached = |id: String| aws_sdk_ec2::types::NetworkInterfaceAttachment::builder().instance_id(id).build();
        let mut users = Users::default();
        for n in 0..10 {
            users.add(&NetworkInterface::builder().attachment(attached(format!("i-{n}"))).build());
        }
        users.add(&NetworkInterface::builder().interface_type("nat_gateway".into()).build());
        assert_eq!(users.to_string(), "10 instances (i-0, i-1, i-2, i-3, i-4, i-5, i-6, i-7, …), 1 nat gateway");
    }
}
