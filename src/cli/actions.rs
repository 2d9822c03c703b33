//! `quell actions`.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::model::{ActionSpec, Catalog, FieldType, KindSpec, SourceSpec};
use crate::runbook::did_you_mean;

/// List what runbooks can do, or explain one action or source
///
/// Without a name: all actions with their tiers, and all sources of sets. With a name: what it changes, how that is taken
/// back, the IAM permissions and parameters it needs, and an example.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// An action (`ec2.stop-instances`) or a source (`ec2.instances`)
    pub name: Option<String>,
}

/// Explains for a person.
pub fn text(args: &Args, catalog: &Catalog, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let Some(name) = &args.name else {
        list(catalog, out)?;
        return Ok(0);
    };
    if let Some(spec) = catalog.actions.get(name) {
        action(spec, out)?;
    } else if let Some(spec) = catalog.sources.get(name) {
        source(spec, catalog.kinds.get(spec.kind), out)?;
    } else {
        return unknown(name, catalog, err);
    }
    Ok(0)
}

/// The same as one JSON document.
pub fn json(args: &Args, catalog: &Catalog, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let document = match &args.name {
        None => serde_json::to_value(catalog),
        Some(name) => match (catalog.actions.get(name), catalog.sources.get(name)) {
            (Some(action), _) => serde_json::to_value(action),
            (None, Some(source)) => serde_json::to_value(source),
            (None, None) => return unknown(name, catalog, err),
        },
    };
    writeln!(out, "{:#}", document?)?;
    Ok(0)
}

fn unknown(name: &str, catalog: &Catalog, err: &mut dyn Write) -> io::Result<u8> {
    let names = catalog.actions.keys().chain(catalog.sources.keys()).map(String::as_str);
    writeln!(err, "error: there is no action and no source `{name}`: {}", did_you_mean(name, names))?;
    Ok(2)
}

fn list(catalog: &Catalog, out: &mut dyn Write) -> io::Result<()> {
    let mut actions = table(["ACTION", "TIER", "ON", "WHAT IT DOES"]);
    for spec in catalog.actions.values() {
        actions.add_row([spec.name, spec.tier.as_str(), &spec.kinds.join(", "), spec.title]);
    }
    let mut sources = table(["SOURCE OF SETS", "MEMBERS", "WHAT IT LISTS"]);
    for spec in catalog.sources.values() {
        sources.add_row([spec.name, spec.kind, spec.title]);
    }
    writeln!(out, "{}\n\n{}\n", trimmed(&actions), trimmed(&sources))?;
    writeln!(out, "`quell actions NAME` explains one of them.")
}

fn action(spec: &ActionSpec, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}\n{}\n", spec.name, spec.title)?;
    writeln!(out, "Tier: {}\nOn:   {}\n", spec.tier, spec.kinds.join(", "))?;
    writeln!(out, "{}\n", spec.description.trim())?;
    writeln!(out, "Undo\n{}\n", indented(spec.undo))?;
    parameters(spec.params.as_value(), out)?;
    permissions("Permissions", spec.permissions, out)?;
    permissions("Permissions of a rollback", spec.undo_permissions, out)?;
    writeln!(out, "Example\n{}", indented(spec.example))
}

fn source(spec: &SourceSpec, kind: Option<&KindSpec>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}\n{}\n", spec.name, spec.title)?;
    parameters(spec.params.as_value(), out)?;
    permissions("Permissions", spec.permissions, out)?;
    let Some(kind) = kind else { return Ok(()) };
    writeln!(out, "Its members are of the kind {}, with these fields for `where`:", kind.name)?;
    let mut fields = table(["FIELD", "TYPE", "WHAT IT HOLDS"]);
    for field in kind.fields {
        fields.add_row([field.name, cel(field.field_type), field.help]);
    }
    writeln!(out, "{}", trimmed(&fields))
}

fn parameters(schema: &Value, out: &mut dyn Write) -> io::Result<()> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
        return writeln!(out, "Parameters\n  none\n");
    };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
    let mut parameters = table(["PARAMETER", "TYPE", "WHAT IT IS"]);
    for (name, schema) in properties {
        let help = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let need = if is_required(name) { "" } else { "Optional. " };
        parameters.add_row([name.clone(), json_type(schema), format!("{need}{help}")]);
    }
    writeln!(out, "Parameters\n{}\n", indented(&trimmed(&parameters)))
}

fn permissions(title: &str, permissions: &[&str], out: &mut dyn Write) -> io::Result<()> {
    if permissions.is_empty() {
        return Ok(());
    }
    writeln!(out, "{title}\n{}\n", indented(&permissions.join("\n")))
}

fn json_type(schema: &Value) -> String {
    match schema.get("type") {
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(some)) => {
            let real = some.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            real.collect::<Vec<_>>().join(" or ")
        }
        _ => "object".to_owned(),
    }
}

fn cel(field_type: FieldType) -> &'static str {
    match field_type {
        FieldType::Text => "string",
        FieldType::Integer => "int",
        FieldType::Bool => "bool",
        FieldType::Timestamp => "timestamp",
        FieldType::TextList => "list(string)",
        FieldType::TextMap => "map(string, string)",
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    if table.width().is_none() {
        table.set_width(120);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// The table without the white space at the ends of its lines.
fn trimmed(table: &Table) -> String {
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn indented(text: &str) -> String {
    let lines = text.trim_matches('\n').lines();
    lines.map(|line| if line.is_empty() { String::new() } else { format!("  {line}") }).collect::<Vec<_>>().join("\n")
}
