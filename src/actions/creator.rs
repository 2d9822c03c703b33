//! Who made something, or changed it last, as the event history of the last 90 days tells.

use std::collections::BTreeMap;

#[cfg(feature = "cloudtrail")]
use super::creation::{Creation, by_name};
use crate::engine::action::{Ctx, Wanted};
use crate::model::ActionError;

/// Callers by the name of what they made.
#[derive(Debug, Default)]
pub(super) struct Creators(BTreeMap<String, String>);

impl Creators {
    /// The last caller for each name, of these events of IAM with the parameter that names what they are about, where a
    /// predicate reads `field`: they take requests of their own, two in a second. An error where the history cannot be read,
    /// because then nobody knows who is a member.
    pub async fn wanted(
        cx: &Ctx,
        wanted: &Wanted<'_>,
        field: &str,
        events: &[(&str, &str)],
    ) -> Result<Self, ActionError> {
        if !wanted.fields.contains(&field) {
            return Ok(Self::default());
        }
        #[cfg(feature = "cloudtrail")]
        {
            let mut last: BTreeMap<String, Creation> = BTreeMap::new();
            for (event, parameter) in events {
                for (about, made) in by_name(cx, event, parameter).await? {
                    let name = short(&about).to_owned();
                    if last.get(&name).is_none_or(|known| known.created <= made.created) {
                        last.insert(name, made);
                    }
                }
            }
            Ok(Self(last.into_iter().map(|(name, made)| (name, made.creator)).collect()))
        }
        #[cfg(not(feature = "cloudtrail"))]
        {
            let _ = (cx, events);
            let message =
                format!("`{field}` is read from the event history: build quell with its feature `cloudtrail`");
            Err(ActionError::new(crate::model::ErrorKind::Unsupported, message))
        }
    }

    /// Who made it; nobody where the history does not say.
    pub fn of(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// The name by which a set knows what a request names by an ARN or, a provider, by its address.
#[cfg(feature = "cloudtrail")]
fn short(about: &str) -> &str {
    match about.strip_prefix("https://") {
        Some(address) => address,
        None if about.starts_with("arn:") => about.rsplit('/').next().unwrap_or(about),
        None => about,
    }
}
