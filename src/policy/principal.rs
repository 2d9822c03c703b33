//! Who asks, and which entries of a `Principal` element mean them.

use super::{Context, Truth};

/// Who asks, read from an ARN or the name of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Who<'a> {
    pub name: &'a str,
    pub species: Species<'a>,
    /// The account, where there is one.
    pub account: Option<&'a str>,
}

/// What asks. The policies that bind it, and how far a resource's policy reaches, depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Species<'a> {
    Root,
    User(&'a str),
    /// A session of a role, of which only the role is known.
    Role(&'a str),
    /// A session of the role of this name; its ARN leaves out the role's path.
    RoleSession(&'a str),
    FederatedUser,
    /// An AWS service.
    Service,
    Other,
}

/// How closely an entry of a `Principal` element means who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// By its own ARN: the user, the session, the service.
    Itself,
    /// By the ARN of the role whose session it is.
    Role,
    /// As one of its account: the rest is left to its own policies.
    Account,
    /// As everybody.
    Everyone,
}

impl<'a> Who<'a> {
    pub(super) fn read(name: &'a str) -> Self {
        let mut parts = name.splitn(6, ':');
        let species = match (parts.next(), parts.nth(1), parts.nth(1), parts.next()) {
            (Some("arn"), Some(service), Some(account), Some(resource)) => {
                let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
                let last = rest.rsplit('/').next().unwrap_or(rest);
                let species = match (service, kind) {
                    ("iam", "root") => Species::Root,
                    ("iam", "user") => Species::User(last),
                    ("iam", "role") => Species::Role(last),
                    ("sts", "assumed-role") => Species::RoleSession(rest.split('/').next().unwrap_or(rest)),
                    ("sts", "federated-user") => Species::FederatedUser,
                    _ => Species::Other,
                };
                return Self { name, species, account: Some(account).filter(|account| is_account(account)) };
            }
            _ if name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn") => Species::Service,
            _ => Species::Other,
        };
        Self { name, species, account: None }
    }

    /// Neither service nor resource control policies bind these roles (AWS Organizations User Guide, "Service control
    /// policies", "Tasks and entities not restricted by SCPs").
    pub(super) fn is_service_linked(&self) -> bool {
        match self.species {
            Species::Role(_) => self.name.contains(":role/aws-service-role/"),
            Species::RoleSession(role) => role.starts_with("AWSServiceRoleFor"),
            _ => false,
        }
    }

    /// Whether an entry means who asks, and how closely.
    pub(super) fn is_meant(&self, kind: &str, entry: &str, context: &Context) -> (Truth, Reach) {
        let itself = |truth: Truth| (truth, Reach::Itself);
        match kind {
            "AWS" if entry == "*" => (Truth::Yes, Reach::Everyone),
            "AWS" => self.is_meant_by_arn(entry, context),
            "Service" => itself((entry == self.name || (entry == "*" && self.species == Species::Service)).into()),
            "Federated" => {
                let provider = context.get("aws:FederatedProvider");
                let by_key = provider.map_or(Truth::Unknown, |given| given.iter().any(|one| one == entry).into());
                let may_be = matches!(self.species, Species::RoleSession(_) | Species::Role(_) | Species::Other);
                itself(Truth::any([(entry == self.name).into(), if may_be { by_key } else { Truth::No }]))
            }
            // The canonical id of an account cannot be derived from its number.
            _ => match context.others() {
                super::Others::Absent => itself(Truth::No),
                super::Others::Unknown => itself(Truth::Unknown),
            },
        }
    }

    fn is_meant_by_arn(&self, entry: &str, context: &Context) -> (Truth, Reach) {
        if entry == self.name {
            let reach = if matches!(self.species, Species::Role(_)) { Reach::Role } else { Reach::Itself };
            return (Truth::Yes, reach);
        }
        let named = Who::read(entry);
        let is_account =
            is_account(entry).then_some(entry).or(named.account.filter(|_| named.species == Species::Root));
        if let Some(account) = is_account {
            let reach = if self.species == Species::Root { Reach::Itself } else { Reach::Account };
            return ((self.account == Some(account)).into(), reach);
        }
        if named.account != self.account {
            return (Truth::No, Reach::Role);
        }
        match (self.species, named.species) {
            // A session's ARN lacks the path that the role's may have; `aws:PrincipalArn` has it.
            (Species::RoleSession(role), Species::Role(name)) if role == name => {
                let given = context.get("aws:PrincipalArn").and_then(<[String]>::first);
                let plain = entry.ends_with(&format!(":role/{role}"));
                let truth = match given {
                    Some(given) => (given == entry).into(),
                    None if plain => Truth::Yes,
                    None => Truth::Unknown,
                };
                (truth, Reach::Role)
            }
            // Which session of the role it is is not known.
            (Species::Role(role), Species::RoleSession(name)) if role == name => {
                let truth = if context.others() == super::Others::Unknown { Truth::Unknown } else { Truth::No };
                (truth, Reach::Itself)
            }
            _ => (Truth::No, Reach::Itself),
        }
    }
}

/// Whether a text is the number of an account.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Others;

    const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/Responder/ada";

    fn meant(who: &str, entry: &str, context: &Context) -> (Truth, Reach) {
        Who::read(who).is_meant("AWS", entry, context)
    }

    #[test]
    fn a_session_is_meant_by_itself_its_role_its_account_and_everybody() {
        let unknown = Context::new(Others::Unknown);
        let role = "arn:aws:iam::111122223333:role/ir/Responder";
        assert_eq!(meant(SESSION, SESSION, &unknown), (Truth::Yes, Reach::Itself));
        assert_eq!(meant(SESSION, "arn:aws:iam::111122223333:role/Responder", &unknown), (Truth::Yes, Reach::Role));
        assert_eq!(meant(SESSION, role, &unknown), (Truth::Unknown, Reach::Role), "the path is not known");
        let known = Context::new(Others::Unknown).with("aws:PrincipalArn", role);
        assert_eq!(meant(SESSION, role, &known), (Truth::Yes, Reach::Role));
        assert_eq!(meant(SESSION, "arn:aws:iam::111122223333:role/Responder", &known), (Truth::No, Reach::Role));
        assert_eq!(meant(SESSION, "111122223333", &known), (Truth::Yes, Reach::Account));
        assert_eq!(meant(SESSION, "arn:aws:iam::999999999999:root", &known).0, Truth::No);
        assert_eq!(meant(SESSION, "*", &known), (Truth::Yes, Reach::Everyone));
    }

    #[test]
    fn which_session_of_a_role_asks_may_not_be_known() {
        let role = "arn:aws:iam::111122223333:role/Responder";
        assert_eq!(meant(role, role, &Context::default()), (Truth::Yes, Reach::Role));
        assert_eq!(meant(role, SESSION, &Context::default()).0, Truth::No);
        assert_eq!(meant(role, SESSION, &Context::new(Others::Unknown)).0, Truth::Unknown);
    }

    #[test]
    fn service_linked_roles_are_known_by_their_names() {
        for (name, is) in [
            ("arn:aws:iam::111122223333:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS", true),
            ("arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForECS/ecs", true),
            ("arn:aws:iam::111122223333:role/AWSServiceRole", false),
            ("arn:aws:iam::111122223333:user/aws-service-role/x", false),
        ] {
            assert_eq!(Who::read(name).is_service_linked(), is, "{name}");
        }
    }
}
