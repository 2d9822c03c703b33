//! The fields of a member, as predicates see them.

use aws_smithy_types::DateTime;
use jiff::Timestamp;
use serde_json::Value;

use crate::engine::action::Ctx;
use crate::model::{FieldSpec, FieldType, Kind, Resource, ResourceId};

/// A field of a kind.
pub(super) const fn field(name: &'static str, field_type: FieldType, help: &'static str) -> FieldSpec {
    FieldSpec { name, field_type, help }
}

/// A time as RFC 3339; one that AWS does not give is 1970-01-01, so that no predicate fails half-way.
pub(super) fn time(time: Option<&DateTime>) -> String {
    time.and_then(timestamp).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A time of the SDK as quell has it; nothing for one beyond all calendars.
pub(super) fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), time.subsec_nanos().cast_signed()).ok()
}

/// A member of the lane; `None` for one without an id.
pub(super) fn resource(cx: &Ctx, kind: &str, id: &str, fields: Value) -> Option<Resource> {
    let Value::Object(fields) = fields else { return None };
    Some(Resource { kind: Kind::new(kind), id: ResourceId::new(id).ok()?, target: cx.target.clone(), fields })
}
