//! What passwords have to be like.

use serde::{Deserialize, Serialize};

use super::{DONE, no_such_entity, read};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// The password policy of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all(deserialize = "PascalCase"))]
pub struct PasswordPolicy {
    /// 6 to 128.
    pub minimum_password_length: u32,
    /// At least one of these.
    pub require_symbols: bool,
    /// At least one digit.
    pub require_numbers: bool,
    /// At least one capital.
    pub require_uppercase_characters: bool,
    /// At least one small letter.
    pub require_lowercase_characters: bool,
    /// Whether users may change their own.
    pub allow_users_to_change_password: bool,
    /// After how many days a password ends.
    pub max_password_age: Option<u32>,
    /// How many passwords are remembered.
    pub password_reuse_prevention: Option<u32>,
    /// Whether an administrator has to let in a user whose password ended.
    pub hard_expiry: bool,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self {
            minimum_password_length: 6,
            require_symbols: false,
            require_numbers: false,
            require_uppercase_characters: false,
            require_lowercase_characters: false,
            allow_users_to_change_password: false,
            max_password_age: None,
            password_reuse_prevention: None,
            hard_expiry: false,
        }
    }
}

fn missing(call: &Call) -> Refusal {
    no_such_entity(format!("The Password Policy with domain name {} cannot be found.", call.account))
}

pub(super) fn get(world: &World, call: &Call) -> Reply {
    let policy = world.account(&call.account).iam.password_policy.as_ref().ok_or_else(|| missing(call))?;
    let mut xml = vec![
        Xml::text("MinimumPasswordLength", policy.minimum_password_length),
        Xml::text("RequireSymbols", policy.require_symbols),
        Xml::text("RequireNumbers", policy.require_numbers),
        Xml::text("RequireUppercaseCharacters", policy.require_uppercase_characters),
        Xml::text("RequireLowercaseCharacters", policy.require_lowercase_characters),
        Xml::text("AllowUsersToChangePassword", policy.allow_users_to_change_password),
        Xml::text("ExpirePasswords", policy.max_password_age.is_some()),
        Xml::text("HardExpiry", policy.hard_expiry),
    ];
    xml.extend(policy.max_password_age.map(|days| Xml::text("MaxPasswordAge", days)));
    xml.extend(policy.password_reuse_prevention.map(|many| Xml::text("PasswordReusePrevention", many)));
    Ok(Body::Xml(vec![Xml::node("PasswordPolicy", xml)]))
}

/// UpdateAccountPasswordPolicy: what is not named gets its usual value, whatever it was.
pub(super) fn update(world: &mut World, call: &Call) -> Reply {
    let asked: PasswordPolicy = read(call)?;
    if !(6..=128).contains(&asked.minimum_password_length) {
        let message = "Value at 'minimumPasswordLength' failed to satisfy constraint: from 6 to 128";
        return Err(Refusal::new(400, "ValidationError", message));
    }
    world.account_mut(&call.account).iam.password_policy = Some(asked);
    DONE
}

pub(super) fn delete(world: &mut World, call: &Call) -> Reply {
    world.account_mut(&call.account).iam.password_policy.take().ok_or_else(|| missing(call))?;
    DONE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::call::test_call;
    use crate::sim::iam::handle;

    #[test]
    fn a_policy_is_set_as_a_whole() {
        let mut world = World::new(1);
        world.add_account(test_call("iam", "", "").account, "development");
        let mut ask = |operation: &str, form: &str| {
            handle(&mut world, &test_call("iam", operation, form)).map_err(|refusal| refusal.code)
        };
        assert_eq!(ask("GetAccountPasswordPolicy", "").unwrap_err(), "NoSuchEntity");
        ask("UpdateAccountPasswordPolicy", "MinimumPasswordLength=14&RequireSymbols=true").unwrap();
        ask("UpdateAccountPasswordPolicy", "MinimumPasswordLength=16").unwrap();
        assert_eq!(ask("UpdateAccountPasswordPolicy", "MinimumPasswordLength=5").unwrap_err(), "ValidationError");
        ask("GetAccountPasswordPolicy", "").unwrap();
        let held = world.accounts.values().next().unwrap().iam.password_policy.clone().unwrap();
        assert_eq!((held.minimum_password_length, held.require_symbols), (16, false));
    }
}
