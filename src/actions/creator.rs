//! Who made something, or changed it last, as the event history of the last 90 days tells.

use std::collections::BTreeMap;

use crate::engine::action::{Ctx, Wanted};
use crate::model::ActionError;

/// Callers by the name of what they made.
#[derive(Debug, Default)]
pub(super) struct Creators(BTreeMap<String, String>);

impl Creators {
    /// The last caller for each name, of these events of IAM, where a predicate reads `field`: they take requests of their
    /// own, two in a second. An error where the history cannot be read, because then nobody knows who is a member.
    pub async fn wanted(
        cx: &Ctx,
        wanted: &Wanted<'_>,
        field: &str,
        events: &[&'static str],
    ) -> Result<Self, ActionError> {
        if !wanted.fields.contains(&field) {
            return Ok(Self::default());
        }
        #[cfg(feature = "cloudtrail")]
        return super::event_history::last_callers(cx, events).await.map(Self);
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
