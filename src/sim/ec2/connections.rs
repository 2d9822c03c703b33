//! What becomes of connections that are open when security groups change (*Security group connection tracking*): a
//! connection that is tracked outlives the rule that let it in; one that a group lets to and from everywhere is not tracked,
//! and ends with that rule. A network ACL keeps no state, and ends both.

use serde::Serialize;

use super::Ec2;
use super::security_groups::{Direction, Peer, Rule};

/// The connections of a network interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Connections {
    /// Open, and remembered by the security groups.
    #[default]
    Tracked,
    /// Open, because everything is let through.
    Untracked,
    /// None is open, and none can be opened.
    Broken,
}

/// What groups let through.
enum Passage {
    Everything,
    Something,
    Nothing,
}

impl Connections {
    fn after(self, passage: &Passage) -> Self {
        match (self, passage) {
            (_, Passage::Everything) => Self::Untracked,
            (_, Passage::Something) | (Self::Tracked, Passage::Nothing) => Self::Tracked,
            (Self::Untracked | Self::Broken, Passage::Nothing) => Self::Broken,
        }
    }
}

impl Ec2 {
    /// Puts a network interface into these groups.
    pub(super) fn regroup(&mut self, interface: &str, groups: Vec<String>) {
        let passage = self.passage(&groups);
        if let Some(interface) = self.network_interfaces.get_mut(interface) {
            interface.connections = interface.connections.after(&passage);
            interface.groups = groups;
        }
    }

    fn passage(&self, groups: &[String]) -> Passage {
        let rules = || groups.iter().filter_map(|id| self.security_groups.get(id)).flat_map(|group| &group.rules);
        let everywhere = |direction: Direction| {
            let is_it = |rule: &Rule| {
                let anybody = rule.peer == Peer::Ipv4("0.0.0.0/0".to_owned());
                rule.direction == direction && rule.protocol == "-1" && anybody
            };
            rules().any(is_it)
        };
        match rules().next() {
            None => Passage::Nothing,
            Some(_) if everywhere(Direction::Ingress) && everywhere(Direction::Egress) => Passage::Everything,
            Some(_) => Passage::Something,
        }
    }

    /// Whether a connection to an instance that was open from the beginning can still be: an intruder's, for a drill or a
    /// test to ask. No request tells it.
    pub fn is_connected(&self, instance: &str) -> bool {
        let runs = self.instances.get(instance).is_some_and(|instance| instance.state.name() == "running");
        let closed = |subnet: &String| {
            let acl = self.network_acls.values().find(|acl| acl.associations.values().any(|behind| behind == subnet));
            acl.is_some_and(|acl| acl.entries.iter().all(|entry| entry.action == "deny"))
        };
        let open = |interface: &super::network_interfaces::NetworkInterface| {
            interface.connections != Connections::Broken && !closed(&interface.subnet_id)
        };
        runs && self.enis_of(instance).any(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_could_reach_is_forgotten() {
        use Passage::{Everything, Nothing, Something};
        let after = |steps: &[Passage]| steps.iter().fold(Connections::Tracked, Connections::after);
        assert_eq!(after(&[Nothing]), Connections::Tracked);
        assert_eq!(after(&[Everything, Nothing]), Connections::Broken);
        assert_eq!(after(&[Everything, Something, Nothing]), Connections::Tracked);
        assert_eq!(after(&[Everything, Nothing, Something]), Connections::Tracked);
    }
}
