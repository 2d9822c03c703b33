//! Times as the JSON protocols write them.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Seconds since 1970, with milliseconds behind the point.
pub fn seconds(time: Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "exact until the year 287396")]
    let milliseconds = time.as_millisecond() as f64;
    json!(milliseconds / 1000.0)
}
