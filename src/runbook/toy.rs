//! A catalog for tests, with the shape of the real one.

use schemars::json_schema;

use crate::model::{ActionSpec, Catalog, FieldSpec, FieldType, KindSpec, Scope, SourceSpec, Tier};

const fn field(name: &'static str, field_type: FieldType) -> FieldSpec {
    FieldSpec { name, field_type, help: "A field." }
}

const INSTANCE: KindSpec = KindSpec {
    name: "ec2.instance",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text),
        field("launched", FieldType::Timestamp),
        field("state", FieldType::Text),
        field("vcpus", FieldType::Integer),
        field("tags", FieldType::TextMap),
    ],
};
const USER: KindSpec = KindSpec { name: "iam.user", scope: Scope::Global, fields: &[field("name", FieldType::Text)] };
const PRINCIPAL: KindSpec = KindSpec {
    name: "iam.principal",
    scope: Scope::Global,
    fields: &[field("arn", FieldType::Text), field("seen", FieldType::Bool), field("type", FieldType::Text)],
};

fn action(name: &'static str, tier: Tier, kinds: &'static [&'static str], params: schemars::Schema) -> ActionSpec {
    ActionSpec {
        name,
        tier,
        kinds,
        title: "Does something.",
        description: "What it does.",
        undo: "Takes it back.",
        permissions: &["ec2:DescribeInstances", "ec2:StopInstances"],
        undo_permissions: &["ec2:StartInstances"],
        only_on: &[],
        params,
        example: "{ id: a, uses: b }",
    }
}

fn none() -> schemars::Schema {
    json_schema!({ "type": "object", "properties": {}, "additionalProperties": false })
}

fn tags(required: bool) -> schemars::Schema {
    let required = if required { vec!["tags"] } else { vec![] };
    json_schema!({
        "type": "object",
        "properties": { "tags": { "$ref": "#/$defs/Tags", "description": "The tags to set." } },
        "$defs": { "Tags": { "type": "object", "additionalProperties": { "type": "string" } } },
        "required": required,
        "additionalProperties": false,
    })
}

/// Actions and sources of the names that the shipped runbooks use.
pub(super) fn catalog() -> Catalog {
    let deny = json_schema!({
        "type": "object",
        "properties": {
            "exempt": { "type": "array", "items": { "type": "string" } },
            "name": { "type": ["string", "null"] },
            "limit": { "type": "integer", "minimum": 1 },
            "mode": { "oneOf": [{ "const": "all" }, { "const": "writes" }] },
        },
        "required": ["exempt"],
        "additionalProperties": false,
    });
    let (instance, user) = (&["ec2.instance"], &["iam.user"]);
    let actions = [
        action("organizations.deny-all", Tier::Disruptive, &["account"], deny),
        action("iam.deactivate-access-keys", Tier::Reversible, user, none()),
        action("iam.deny-all", Tier::Disruptive, &["iam.user", "iam.role"], none()),
        action("iam.revoke-sessions", Tier::Disruptive, &["iam.user", "iam.role", "iam.principal"], none()),
        action("iam.remove-login-profile", Tier::Disruptive, user, none()),
        action("ec2.protect", Tier::Reversible, instance, none()),
        action("ec2.tag", Tier::Reversible, instance, tags(true)),
        action("ec2.snapshot-volumes", Tier::Reversible, instance, tags(false)),
        action("ec2.isolate", Tier::Disruptive, instance, none()),
        action("ec2.stop-instances", Tier::Disruptive, instance, none()),
    ];
    let key = json_schema!({
        "type": "object", "properties": { "key": { "type": "string" } }, "required": ["key"],
        "additionalProperties": false,
    });
    let key_and_since = json_schema!({
        "type": "object",
        "properties": { "key": { "type": "string" }, "since": { "type": "string" } },
        "required": ["key"],
        "additionalProperties": false,
    });
    let source =
        |name, kind, params| SourceSpec { name, kind, title: "Some.", permissions: &["iam:ListUsers"], params };
    let sources = [
        source("ec2.instances", "ec2.instance", none()),
        source("iam.users", "iam.user", none()),
        source("iam.owner-of-key", "iam.user", key),
        source("iam.sessions-of-key", "iam.principal", key_and_since),
    ];
    Catalog {
        actions: actions.into_iter().map(|action| (action.name.to_owned(), action)).collect(),
        sources: sources.into_iter().map(|source| (source.name.to_owned(), source)).collect(),
        kinds: [INSTANCE, USER, PRINCIPAL].into_iter().map(|kind| (kind.name.to_owned(), kind)).collect(),
    }
}
