//! Ids: made, checked, found.

use std::collections::BTreeMap;

use crate::sim::call::Refusal;

/// Makes ids, always the same ones for the same seed.
#[derive(Debug, Clone)]
pub struct Ids(fastrand::Rng);

impl Default for Ids {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl Ids {
    /// Ids that follow from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// `prefix` and 17 hexadecimal digits, the first a zero, as AWS's are.
    pub fn next(&mut self, prefix: &str) -> String {
        format!("{prefix}0{:016x}", self.0.u64(..))
    }

    /// A number below `limit`, for addresses.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0.u32(..limit)
    }
}

/// A kind of resource: how its ids begin, and the codes for an id that is wrong.
#[derive(Debug)]
pub struct Kind {
    /// `i-`.
    pub prefix: &'static str,
    /// `instance`, as in an ARN.
    pub name: &'static str,
    /// In words: `instance ID`.
    noun: &'static str,
    malformed: &'static str,
    not_found: &'static str,
}

macro_rules! kinds {
    ($($name:ident $prefix:literal $arn:literal $noun:literal $malformed:literal $not_found:literal;)*) => {
        $(
            #[doc = concat!("`", $prefix, "…`.")]
            pub const $name: Kind =
                Kind { prefix: $prefix, name: $arn, noun: $noun, malformed: $malformed, not_found: $not_found };
        )*
        /// Every kind that has ids and tags.
        pub const KINDS: &[Kind] = &[$($name),*];
    };
}

kinds! {
    ACL "acl-" "network-acl" "networkAcl ID" "InvalidNetworkAclId.Malformed" "InvalidNetworkAclID.NotFound";
    ADDRESS "eipalloc-" "elastic-ip" "allocation ID" "InvalidAllocationID.Malformed" "InvalidAllocationID.NotFound";
    CAPACITY_RESERVATION "cr-" "capacity-reservation" "capacity reservation ID" "InvalidCapacityReservationId.Malformed" "InvalidCapacityReservationId.NotFound";
    ENI "eni-" "network-interface" "networkInterface ID" "InvalidNetworkInterfaceId.Malformed" "InvalidNetworkInterfaceID.NotFound";
    GROUP "sg-" "security-group" "security group" "InvalidGroupId.Malformed" "InvalidGroup.NotFound";
    IMAGE "ami-" "image" "image id" "InvalidAMIID.Malformed" "InvalidAMIID.NotFound";
    INSTANCE "i-" "instance" "instance ID" "InvalidInstanceID.Malformed" "InvalidInstanceID.NotFound";
    KEY_PAIR "key-" "key-pair" "key pair" "InvalidKeyPair.Format" "InvalidKeyPair.NotFound";
    LAUNCH_TEMPLATE "lt-" "launch-template" "launch template ID" "InvalidLaunchTemplateId.Malformed" "InvalidLaunchTemplateId.NotFound";
    RULE "sgr-" "security-group-rule" "security group rule ID" "InvalidSecurityGroupRuleId.Malformed" "InvalidSecurityGroupRuleId.NotFound";
    SNAPSHOT "snap-" "snapshot" "snapshot" "InvalidSnapshotID.Malformed" "InvalidSnapshot.NotFound";
    SPOT "sir-" "spot-instances-request" "spot instance request ID" "InvalidSpotInstanceRequestID.Malformed" "InvalidSpotInstanceRequestID.NotFound";
    SUBNET "subnet-" "subnet" "subnet ID" "InvalidSubnetId.Malformed" "InvalidSubnetID.NotFound";
    VOLUME "vol-" "volume" "volume" "InvalidVolumeID.Malformed" "InvalidVolume.NotFound";
    VPC "vpc-" "vpc" "vpc ID" "InvalidVpcId.Malformed" "InvalidVpcID.NotFound";
}

/// Associations of instance profiles. They carry no tags.
pub const PROFILE_ASSOCIATION: Kind = Kind {
    prefix: "iip-assoc-",
    name: "iam-instance-profile-association",
    noun: "association ID",
    malformed: "InvalidAssociationID.Malformed",
    not_found: "InvalidAssociationID.NotFound",
};

impl Kind {
    /// Refuses what is not the id of such a resource at all.
    pub fn check(&self, id: &str) -> Result<(), Refusal> {
        let digits = id.strip_prefix(self.prefix).unwrap_or_default();
        if (8..=17).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(());
        }
        let message = format!("Invalid id: \"{id}\" (expecting \"{}...\")", self.prefix);
        Err(Refusal::new(400, self.malformed, message))
    }

    /// No such resource.
    pub fn not_found(&self, ids: &[&str]) -> Refusal {
        let message = match ids {
            [one] => format!("The {} '{one}' does not exist", self.noun),
            many => format!("The {}s '{}' do not exist", self.noun, many.join(", ")),
        };
        Refusal::new(400, self.not_found, message)
    }

    /// Refuses unless every id exists: one bad id spoils the batch.
    pub fn check_all<T>(&self, map: &BTreeMap<String, T>, ids: &[String]) -> Result<(), Refusal> {
        ids.iter().try_for_each(|id| self.check(id))?;
        let missing: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !map.contains_key(*id)).collect();
        if missing.is_empty() { Ok(()) } else { Err(self.not_found(&missing)) }
    }

    /// The resource with this id.
    pub fn get<'a, T>(&self, map: &'a BTreeMap<String, T>, id: &str) -> Result<&'a T, Refusal> {
        self.check(id)?;
        map.get(id).ok_or_else(|| self.not_found(&[id]))
    }

    /// The resource with this id, to be changed.
    pub fn get_mut<'a, T>(&self, map: &'a mut BTreeMap<String, T>, id: &str) -> Result<&'a mut T, Refusal> {
        self.check(id)?;
        map.get_mut(id).ok_or_else(|| self.not_found(&[id]))
    }

    /// What a describe looks at: all, or those with the ids asked for, all of which must exist.
    pub fn select<'a, T>(&self, map: &'a BTreeMap<String, T>, ids: &[String]) -> Result<Vec<&'a T>, Refusal> {
        self.check_all(map, ids)?;
        Ok(map.iter().filter(|(id, _)| ids.is_empty() || ids.contains(*id)).map(|(_, item)| item).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_the_seed_and_pass_their_own_check() {
        let id = Ids::seeded(7).next(INSTANCE.prefix);
        assert_eq!(id, Ids::seeded(7).next(INSTANCE.prefix));
        assert_ne!(id, Ids::seeded(8).next(INSTANCE.prefix));
        assert_eq!((INSTANCE.check(&id), id.len()), (Ok(()), 19));
    }

    #[test]
    fn one_bad_id_spoils_the_batch() {
        let map = BTreeMap::from([("i-00000000000000001".to_owned(), "a machine")]);
        let ids = ["i-00000000000000001", "i-00000000000000002"].map(str::to_owned);
        assert_eq!(INSTANCE.check_all(&map, &ids).unwrap_err().code, "InvalidInstanceID.NotFound");
        assert_eq!(INSTANCE.check_all(&map, &["i-xyz".to_owned()]).unwrap_err().code, "InvalidInstanceID.Malformed");
    }
}
