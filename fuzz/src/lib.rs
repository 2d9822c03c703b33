//! What every reader of outside text is put through: by the fuzzer with what it makes up, by `cargo test` with the seeds and
//! with all that was ever found. Each function panics where a promise is broken.

use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use http::Request;
use indexmap::IndexMap;
use jiff::Timestamp;
use quell::engine::rollback;
use quell::engine::state::State;
use quell::journal;
use quell::model::{
    ActionSpec, Catalog, FieldSpec, FieldType, Input, InputType, KindSpec, PlanFile, RunId, Scope, SourceSpec, Tier,
};
use quell::policy::{Case, Context, Document, Kind, Layers, Others, Request as Asked, Verdict, evaluate, explain};
use quell::report::plan_text::{self, Detail};
use quell::report::record::Record;
use quell::report::style::Colour;
use quell::report::text::shown;
use quell::report::{plan_json, show};
use quell::runbook::predicate::Predicate;
use quell::runbook::{self, graph, inputs};
use quell::sim::Sim;
use quell::sim::authenticate::sign::{AccessKey, sign};
use quell::sim::scenario::Scenario;
use quell::sim::world::World;
use schemars::json_schema;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// The longest line that anything prints.
const LONGEST_LINE: usize = 20_000;

fn now() -> Timestamp {
    "2026-11-23T14:43:00Z".parse().expect("it is a time")
}

/// Every line is fit for a terminal.
#[track_caller]
fn fit(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= LONGEST_LINE, "a line of {} characters", line.chars().count());
        for piece in line.as_bytes().chunks(500).filter_map(|piece| std::str::from_utf8(piece).ok()) {
            assert_eq!(shown(piece), piece, "not fit for a terminal");
        }
    }
}

/// A runbook is read, checked, filled in and explained, or its mistakes are told.
pub fn runbook(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match runbook::load("fuzz.yaml", text, &CATALOG) {
        Err(found) => {
            assert!(!found.errors.is_empty(), "refused without a reason");
            for mistake in found.errors.iter().chain(&found.warnings) {
                assert!(mistake.line() >= 1 && mistake.column() >= 1 && !mistake.message.is_empty());
                assert!(text.get(mistake.at.clone()).is_some(), "a place inside of a character");
            }
        }
        Ok((runbook, _)) => {
            let given: Vec<(String, String)> = runbook
                .inputs
                .iter()
                .filter(|(_, input)| input.default.is_none())
                .map(|(name, input)| (name.clone(), input.example.clone().unwrap_or_else(|| "1".to_owned())))
                .collect();
            graph::explain(&runbook);
            if let Ok(values) = inputs::read(&runbook, &given, now()) {
                let _ = runbook::resolve(&runbook, &values);
            }
        }
    }
}

/// A predicate that compiles gives an answer for every member, whatever an intruder made of its fields.
pub fn predicate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let kind = KindSpec { name: "fuzz.kind", scope: Scope::Regional, fields: FIELDS };
    let input = |input_type| Input { input_type, help: String::new(), default: None, example: None };
    let declared = IndexMap::from([
        ("since".to_owned(), input(InputType::Timestamp)),
        ("window".to_owned(), input(InputType::Duration)),
        ("names".to_owned(), input(InputType::StringList)),
        ("name".to_owned(), input(InputType::String)),
        ("count".to_owned(), input(InputType::Integer)),
    ]);
    match Predicate::compile(text, &kind, &declared) {
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a reason");
            for fault in faults {
                assert!(text.get(fault.at).is_some(), "a place inside of a character");
            }
        }
        Ok(predicate) => {
            for member in MEMBERS.iter() {
                if let Err(error) = predicate.matches(member, &GIVEN, now()) {
                    assert!(error.contains("out of its range"), "it was compiled, and then failed: {error}");
                }
            }
        }
    }
}

/// A plan is refused, or is shown as it is.
pub fn plan(data: &[u8]) {
    // The plan alone too: what was edited is refused long before it is shown.
    let plan = PlanFile::parse(data).map(|file| file.plan).or_else(|_| serde_json::from_slice(data));
    let Ok(plan) = plan else { return };
    fit(&plan_text::render(&plan, Detail::Counts, Colour::Plain));
    fit(&plan_text::render(&plan, Detail::Changes, Colour::Plain));
    plan_json::document(&plan);
    let text = serde_json::to_vec(&plan).expect("a plan is always JSON");
    let again: quell::model::Plan = serde_json::from_slice(&text).expect("what was written is read");
    assert_eq!(again.digest(), plan.digest());
}

/// A journal is refused, or is shown, taken up again and rolled back. The events are also read as ones of a journal that was
/// written again from its first line, with all its hashes.
pub fn journal(data: &[u8]) {
    let run = RunId::new("20261123-145000-cryptojack").expect("it is a run's id");
    let _ = journal::parse(data, &run, Path::new("journal.jsonl"));
    let Ok(text) = std::str::from_utf8(data) else { return };
    let rewritten = rewritten(&run, text.lines());
    let Ok(recorded) = journal::parse(rewritten.as_bytes(), &run, Path::new("journal.jsonl")) else { return };
    if let Some(record) = Record::of(&recorded.events) {
        fit(&show::render(&record, &recorded.events, Colour::Plain));
        show::document(&record, &recorded.events);
    }
    if let Ok(state) = State::fold_all(&recorded.events) {
        let back = rollback::plan(&state, state.caller().clone(), now());
        fit(&plan_text::render(&back, Detail::Changes, Colour::Plain));
    }
}

/// A journal of these events whose hashes are all right.
fn rewritten<'t>(run: &RunId, events: impl Iterator<Item = &'t str>) -> String {
    let mut journal = json!({ "quell_journal": 1, "run": run }).to_string();
    let mut hash = hex::encode(Sha256::digest(&journal));
    journal.push('\n');
    for event in events {
        hash = hex::encode(Sha256::new().chain_update(hash).chain_update(event).finalize());
        journal.extend(["{\"hash\":\"", &hash, "\",\"event\":", event, "}\n"]);
    }
    journal
}

/// A policy document is refused, or decides; and so does a case with several of them.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for kind in [Kind::Identity, Kind::ServiceControl, Kind::ResourceControl, Kind::Trust, Kind::Resource] {
        let Ok(document) = Document::parse_as_far_as_known("fuzz", text, kind) else { continue };
        for others in [Others::Absent, Others::Unknown] {
            let mut layers = Layers::default();
            match kind {
                Kind::Identity => layers.identity = vec![document.clone()],
                Kind::ServiceControl => layers.scps = vec![vec![document.clone()]],
                Kind::ResourceControl => layers.rcps = vec![vec![document.clone()]],
                Kind::Trust | Kind::Resource => layers.resource = Some(document.clone()),
            }
            let hostile = "a".repeat(500);
            for (action, resource) in [
                ("sts:AssumeRole", "arn:aws:iam::111122223333:role/ir/IRResponder"),
                ("s3:GetObject", hostile.as_str()),
            ] {
                let asked = Asked {
                    principal: "arn:aws:sts::111122223333:assumed-role/IRResponder/anna".to_owned(),
                    action: action.to_owned(),
                    resource: resource.to_owned(),
                    context: Context::new(others).with("aws:username", hostile.as_str()).with("k", "a").with("k", "b"),
                };
                let (decided, explained) = (evaluate(&asked, &layers), explain(&asked, &layers).verdict);
                let denies = |verdict: &Verdict| matches!(verdict, Verdict::ExplicitDeny { .. });
                assert_eq!(denies(&decided), denies(&explained));
                assert!(decided.is_allowed() || !explained.is_allowed(), "an explanation is never milder");
            }
        }
    }
    if let Ok(case) = serde_json::from_str::<Case>(text)
        && let Ok((asked, layers)) = case.read(Others::Unknown)
    {
        explain(&asked, &layers);
    }
}

/// A request that is signed by somebody who may do everything is answered. The first line names service and region, the
/// second method and path, then come headers, an empty line and the body.
pub fn wire(data: &[u8]) {
    let (world, key) = &*WORLD;
    let (Some((service, region)), Some(request)) = asked(data) else { return };
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime of one thread");
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let sim = Sim::new(world.clone(), now);
            sim.set_latency(std::time::Duration::ZERO);
            let mut signed = request.clone();
            // One that states another body's digest cannot be signed.
            let signed = sign(&mut signed, key, (region, service), now()).ok().map(|()| signed);
            for request in signed.into_iter().chain([request]) {
                if let Ok(answer) = sim.request(request).await {
                    assert!(answer.status().as_u16() >= 200);
                }
            }
            let _ = sim.world();
        });
    });
}

fn asked(data: &[u8]) -> (Option<(&str, &str)>, Option<Request<Bytes>>) {
    let (head, body) = match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&data[..end], &data[end + 2..]),
        None => (data, &[][..]),
    };
    let Ok(head) = std::str::from_utf8(head) else { return (None, None) };
    let mut lines = head.lines();
    let scope = lines.next().and_then(|line| line.split_once(' '));
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b',');
    let scope = scope.filter(|(service, region)| is_name(service) && is_name(region));
    let (method, path) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or(("POST", "/"));
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for line in lines {
        if let Some((name, value)) = line.split_once(": ") {
            request = request.header(name, value);
        }
    }
    (scope, request.body(Bytes::copy_from_slice(body)).ok())
}

/// A small breached organisation, and who answers for it.
static WORLD: LazyLock<(World, AccessKey)> = LazyLock::new(|| {
    let built =
        Scenario::named("cryptojack-small").and_then(|scenario| scenario.build(1, now())).expect("it is shipped");
    let responder = &built.credentials["responder"];
    let key =
        AccessKey { id: responder.access_key_id.to_string(), secret: responder.secret_access_key.clone(), token: None };
    (built.world, key)
});

const fn field(name: &'static str, field_type: FieldType) -> FieldSpec {
    FieldSpec { name, field_type, help: "A field." }
}

/// A field of every type.
const FIELDS: &[FieldSpec] = &[
    field("id", FieldType::Text),
    field("launched", FieldType::Timestamp),
    field("vcpus", FieldType::Integer),
    field("encrypted", FieldType::Bool),
    field("groups", FieldType::TextList),
    field("tags", FieldType::TextMap),
];

const NAME: &[FieldSpec] = &[field("name", FieldType::Text)];

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Members as an intruder makes them, and one of which nothing is known.
static MEMBERS: LazyLock<Vec<Map<String, Value>>> = LazyLock::new(|| {
    let tags: Map<String, Value> = (0..50).map(|n| (format!("key {n}"), "x".repeat(256).into())).collect();
    let groups: Vec<String> = (0..50).map(|n| format!("sg-{n}")).collect();
    vec![
        Map::new(),
        object(json!({
            "id": "i-1", "launched": "2026-11-20T12:00:00Z", "vcpus": 96, "encrypted": true, "groups": groups, "tags": tags,
        })),
        object(json!({
            "id": "\") || true || (\"", "launched": "9999-12-30T22:00:00Z", "vcpus": i64::MAX, "groups": ["${{ inputs.name }}"],
            "tags": { "Name": "\u{1b}[2J\u{202e}", "\"": "\u{0}", "": "", "a": "x".repeat(100_000) },
        })),
        object(json!({ "launched": "-009999-01-02T01:59:59Z", "vcpus": i64::MIN })),
    ]
});

/// The inputs of a predicate.
static GIVEN: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    object(json!({
        "since": "2026-11-09T00:00:00Z", "window": "3d", "names": ["a", "b"], "name": "\" || true", "count": i64::MAX,
    }))
});

/// A small catalog with the shape of the real one.
static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let params = json_schema!({
        "type": "object",
        "properties": {
            "exempt": { "type": "array", "items": { "type": "string" } },
            "name": { "type": ["string", "null"] },
            "limit": { "type": "integer", "minimum": 1 },
            "tags": { "type": "object", "additionalProperties": { "type": "string" } },
            "mode": { "oneOf": [{ "const": "all" }, { "const": "writes" }] },
        },
        "additionalProperties": false,
    });
    let action = |name, tier, kinds| ActionSpec {
        name,
        tier,
        kinds,
        title: "Does something.",
        description: "What it does.",
        undo: "Takes it back.",
        permissions: &["ec2:DescribeInstances"],
        undo_permissions: &["ec2:StartInstances"],
        only_on: &[],
        params: params.clone(),
        example: "{ id: a, uses: b }",
    };
    let source = |name, kind| SourceSpec {
        name,
        kind,
        title: "Some.",
        permissions: &["ec2:DescribeInstances"],
        params: json_schema!({
            "type": "object", "properties": { "key": { "type": "string" } }, "additionalProperties": false,
        }),
    };
    let actions = [
        action("organizations.deny-all", Tier::Disruptive, &["account"]),
        action("iam.deactivate-access-keys", Tier::Reversible, &["iam.user"]),
        action("ec2.tag", Tier::Reversible, &["ec2.instance"]),
        action("ec2.stop-instances", Tier::Disruptive, &["ec2.instance"]),
        action("ec2.terminate-instances", Tier::Destructive, &["ec2.instance"]),
    ];
    let sources = [source("ec2.instances", "ec2.instance"), source("iam.owner-of-key", "iam.user")];
    let kinds = [
        KindSpec { name: "ec2.instance", scope: Scope::Regional, fields: FIELDS },
        KindSpec { name: "iam.user", scope: Scope::Global, fields: NAME },
    ];
    Catalog {
        actions: actions.into_iter().map(|action| (action.name.to_owned(), action)).collect(),
        sources: sources.into_iter().map(|source| (source.name.to_owned(), source)).collect(),
        kinds: kinds.into_iter().map(|kind| (kind.name.to_owned(), kind)).collect(),
    }
});
