//! DeleteObjects: many objects, or versions, in one call.

use quick_xml::escape::unescape;

use super::objects::{Deleted, bypasses, remove};
use super::{bucket_mut, checksums, document};
use crate::sim::call::{Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// An object that is to be deleted: its key, and a version of it.
type Named = (String, Option<String>);

fn malformed() -> Refusal {
    let message = "The XML you provided was not well-formed or did not validate against our published schema";
    Refusal::new(400, "MalformedXML", message)
}

fn leaf(object: &str, name: &str) -> Result<Option<String>, Refusal> {
    let Some((_, rest)) = object.split_once(&format!("<{name}>")) else { return Ok(None) };
    let (text, _) = rest.split_once(&format!("</{name}>")).ok_or_else(malformed)?;
    unescape(text).map(|text| Some(text.into_owned())).map_err(|_| malformed())
}

/// The objects that a call names: 1 to 1,000.
pub(super) fn named(call: &Call) -> Result<Vec<Named>, Refusal> {
    let body = std::str::from_utf8(&call.http.body).map_err(|_| malformed())?;
    let mut named = Vec::new();
    for object in body.split("<Object>").skip(1) {
        let (object, _) = object.split_once("</Object>").ok_or_else(malformed)?;
        named.push((leaf(object, "Key")?.ok_or_else(malformed)?, leaf(object, "VersionId")?));
    }
    if (1..=1000).contains(&named.len()) { Ok(named) } else { Err(malformed()) }
}

/// Deletes what can be deleted. What is locked is named among the errors, and the rest goes.
pub(super) fn delete(world: &mut World, call: &Call) -> Reply {
    checksums::required(call, "DeleteObjects requests")?;
    checksums::stated(call)?;
    let quiet = call.http.body.windows(18).any(|text| text == b"<Quiet>true</Quiet");
    let mut answers = Vec::new();
    for (key, version) in named(call)? {
        let marker = world.rng.hex(32);
        let result = remove(bucket_mut(world, call)?, &key, version.as_deref(), marker, bypasses(call), call.now);
        let mut xml = vec![Xml::text("Key", &key)];
        xml.extend(version.map(|version| Xml::text("VersionId", version)));
        match result {
            Ok(_) if quiet => {}
            Ok(deleted) => {
                if let Deleted::Hidden { marker } = deleted {
                    xml.extend([Xml::text("DeleteMarker", true), Xml::text("DeleteMarkerVersionId", marker)]);
                }
                answers.push(Xml::node("Deleted", xml));
            }
            Err(refusal) => {
                xml.extend([Xml::text("Code", refusal.code), Xml::text("Message", refusal.message)]);
                answers.push(Xml::node("Error", xml));
            }
        }
    }
    Ok(document("DeleteResult", answers))
}
