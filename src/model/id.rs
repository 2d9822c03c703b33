//! Names and numbers, checked once while they are parsed.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A text that is not what its type demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct InvalidId {
    /// What was given.
    pub text: String,
    /// What would have been right, with its article: "an account id (12 digits)".
    pub expected: &'static str,
}

/// Declares a checked text type.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks `text` and wraps it.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { text: text.to_owned(), expected: $expected })
                }
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

checked!(
    /// An AWS account number: 12 digits.
    AccountId,
    "an account id (12 digits)",
    |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
);
checked!(
    /// An AWS region such as `eu-west-3`, or [`Region::global`] for services that have no region.
    Region,
    "a region (such as eu-west-3)",
    |text| !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);
checked!(
    /// The id of an access key: `AKIA…` (long-term) or `ASIA…` (temporary).
    AccessKeyId,
    "an access key id (16 to 128 capital letters and digits, such as AKIAIOSFODNN7EXAMPLE)",
    |text| (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
);
checked!(
    /// The name of a step, unique in its runbook.
    StepId,
    "a step id (letters, digits, - and _, beginning with a letter)",
    is_name
);
checked!(
    /// The name of a set, unique in its runbook.
    SetName,
    "a set name (letters, digits, - and _, beginning with a letter)",
    is_name
);
checked!(
    /// The name of an action or of the source of a set: `service.verb-noun`.
    ActionName,
    "an action name (service.verb-noun, such as ec2.stop-instances)",
    |text| text.split_once('.').is_some_and(|(service, rest)| is_name(service) && is_name(rest))
);
checked!(
    /// The id of a resource as AWS spells it: an instance id, an access key id, an ARN, a user name.
    ResourceId,
    "a resource id",
    |text| !text.is_empty()
);
checked!(
    /// The id of a run; it also names its folder.
    RunId,
    "a run id (as `quell runs` lists them)",
    |text| !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);
checked!(
    /// The id of a change: 16 hexadecimal digits, derived from step, target and resource.
    ChangeId,
    "a change id (16 hexadecimal digits)",
    |text| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
);
checked!(
    /// A SHA-256 in hexadecimal digits.
    Digest,
    "a SHA-256 digest (64 hexadecimal digits)",
    |text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
);

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl Region {
    /// The regions that every account of the `aws` partition has and cannot switch off (AWS Account Management, "Enable or
    /// disable AWS Regions in your account").
    pub const DEFAULT: [&str; 17] = [
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ca-central-1",
        "eu-central-1",
        "eu-north-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    ];

    /// The lane of services that are one per account: IAM, Organizations.
    pub fn global() -> Self {
        Self("global".into())
    }

    /// Whether this is [`Region::global`].
    pub fn is_global(&self) -> bool {
        self.as_str() == "global"
    }
}

impl Digest {
    /// The SHA-256 of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(hex::encode(Sha256::digest(bytes.as_ref())).into())
    }

    /// The first eight digits, to show.
    pub fn short(&self) -> &str {
        &self.as_str()[..8]
    }
}

impl ChangeId {
    /// The id of the change that `step` makes to `resource` in a target. The same question always gives the same id, so
    /// that names and client tokens made from it survive a crash.
    pub fn of(step: &StepId, target: &super::Target, resource: &ResourceId) -> Self {
        let digest = Digest::of(format!("{step}\n{}\n{}\n{resource}", target.account, target.region));
        Self(digest.as_str()[..16].into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_has_twelve_digits() {
        assert!(AccountId::new("123456789012").is_ok());
        let error = AccountId::new("12345678901x").unwrap_err();
        assert_eq!(error.to_string(), "`12345678901x` is not an account id (12 digits)");
    }

    #[test]
    fn action_names_have_a_service_and_a_verb() {
        assert!(ActionName::new("ec2.stop-instances").is_ok());
        assert!(ActionName::new("stop-instances").is_err());
    }

    #[test]
    fn deserialising_checks() {
        assert!(serde_json::from_str::<AccessKeyId>("\"akia\"").is_err());
    }
}
