//! `quell policy explain`.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::evaluate::AbsentKeys;
use crate::bounded::{self, POLICY};
use crate::cli::carry_out::new_run;
use crate::cli::error::Failure;
use crate::cli::options::{AwsOptions, name_and_value};
use crate::cli::screen::{Output, Screen};
use crate::cli::session;
use crate::engine::ports::Access;
use crate::model::{AccountId, Role, Target};
use crate::policy::{Case, Effect, Explanation, Told, Truth, explain};
use crate::report::text::shown;

/// Explain, statement by statement, whether a principal may do something
///
/// Without --policy the account is asked, by reading calls: for the policies of the user and its groups or of the role, its
/// boundary, the service control policies of the account, the resource control policies of the resource's account for the
/// services that they bind, and the trust policy of a role that is to be assumed; what could not be read makes the answer
/// unknown. Session policies and the policies of other resources are not looked at: give them by --policy.
///
/// With --policy no account is asked: give every policy that has a say by --policy KIND=FILE. The kinds are identity, boundary, session, resource (for
/// sts:AssumeRole the role's trust policy), scp and rcp. Policies of an organisation belong to a level, counted from the root:
/// scp:1=FILE is attached to the root, scp:2=FILE to what lies below it; scp=FILE is a level of its own, below the others.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_long_help = "Examples:\n  quell policy explain --principal arn:aws:iam::111122223333:role/ir/IRResponder --action ec2:StopInstances\n  quell policy explain --principal arn:aws:iam::111122223333:role/ir/IRResponder \\\n    --action ec2:StopInstances --policy identity=responder.json --policy scp:1=full.json --policy scp:1=quarantine.json"
)]
pub struct Args {
    /// Who asks: the ARN of a user, role, session or root user, or a service
    #[arg(long, value_name = "ARN")]
    pub principal: String,
    /// What for, as service:Action
    #[arg(long, value_name = "ACTION")]
    pub action: String,
    /// On what
    #[arg(long, value_name = "ARN", default_value = "*")]
    pub resource: String,
    /// A condition key of the request; several values by repeating it, a key that the request lacks by an empty KEY=
    #[arg(long, value_name = "KEY=VALUE", value_parser = name_and_value)]
    pub context: Vec<(String, String)>,
    /// A policy that has a say, instead of those of the account
    #[arg(long = "policy", value_name = "KIND=FILE", value_parser = given)]
    pub policies: Vec<Given>,
    /// What it means that a condition key is not given
    #[arg(long, value_enum, value_name = "MEANING", default_value_t)]
    pub absent_keys: AbsentKeys,
    /// The role to enter the principal's account by, with its path, where that is not the caller's own
    #[arg(long, value_name = "NAME", conflicts_with = "policies")]
    pub role: Option<String>,
    #[command(flatten)]
    aws: AwsOptions,
}

/// A policy in a file, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    kind: Kind,
    file: PathBuf,
}

/// What a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Identity,
    Boundary,
    Session,
    Resource,
    /// At a level, counted from 1, or at one of its own.
    Scp(Option<usize>),
    Rcp(Option<usize>),
}

/// Organisational units nest five deep, between the root and the account.
const MOST_LEVELS: usize = 7;

fn given(text: &str) -> Result<Given, String> {
    let (kind, file) = name_and_value(text).map_err(|_| "give it as KIND=FILE".to_owned())?;
    let (name, level) = match kind.split_once(':') {
        Some((name, level)) => (name, Some(level)),
        None => (kind.as_str(), None),
    };
    let number = |level: &str| level.parse().ok().filter(|level| (1..=MOST_LEVELS).contains(level));
    let level = level
        .map(|level| number(level).ok_or_else(|| format!("`{level}` is no level; there are 1 to {MOST_LEVELS}")))
        .transpose()?;
    let kind = match (name, level) {
        ("identity", None) => Kind::Identity,
        ("boundary", None) => Kind::Boundary,
        ("session", None) => Kind::Session,
        ("resource", None) => Kind::Resource,
        ("scp", level) => Kind::Scp(level),
        ("rcp", level) => Kind::Rcp(level),
        _ => return Err(format!("`{kind}` is no kind; there are identity, boundary, session, resource, scp, rcp")),
    };
    Ok(Given { kind, file: file.into() })
}

/// Reads the policies, decides, and tells why.
pub async fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let explanation = if args.policies.is_empty() { of_account(args, screen).await? } else { of_files(args)? };
    match screen.output {
        Output::Text => screen.print(&text(&explanation))?,
        Output::Json | Output::Jsonl => screen.document(&document(&explanation))?,
    }
    Ok(0)
}

fn of_files(args: &Args) -> Result<Explanation, Failure> {
    let (request, layers) = case(args)?.read(args.absent_keys.into()).map_err(Failure::usage)?;
    Ok(explain(&request, &layers))
}

#[cfg(all(feature = "iam", feature = "organizations"))]
async fn of_account(args: &Args, screen: &Screen) -> Result<Explanation, Failure> {
    let account = args.principal.split(':').nth(4).unwrap_or_default();
    let account = AccountId::new(account).map_err(|_| {
        Failure::usage(format!(
            "--principal must be the ARN of a user, role or session, not `{}`",
            shown(&args.principal)
        ))
    })?;
    let now = jiff::Timestamp::now();
    let (engine, _) = session::open(&args.aws, (&new_run(now), now), None, screen).await?;
    if let Some(name) = &args.role {
        let role: Role = serde_json::from_value(json!({ "name": name })).map_err(Failure::usage)?;
        engine.sessions.assume(Some(&role));
    }
    let cx = engine.sessions.enter(&Target::global(account), Access::Read).await?;
    let policies = crate::cloud::policies::of_request(&cx, &args.principal, &args.action, &args.resource).await?;
    let mut case = case(args)?;
    if !case.context.keys().any(|key| key.eq_ignore_ascii_case("aws:PrincipalArn")) {
        case.context.insert("aws:PrincipalArn".to_owned(), json!(policies.arn));
    }
    let (request, _) = case.read(args.absent_keys.into()).map_err(Failure::usage)?;
    Ok(explain(&request, &policies.layers).without(&policies.unread))
}

#[cfg(not(all(feature = "iam", feature = "organizations")))]
async fn of_account(_: &Args, _: &Screen) -> Result<Explanation, Failure> {
    Err(Failure::usage("this quell was built without IAM: give the policies by --policy"))
}

fn case(args: &Args) -> Result<Case, Failure> {
    let mut case = Case {
        principal: args.principal.clone(),
        action: args.action.clone(),
        resource: args.resource.clone(),
        context: context(&args.context),
        scps: Vec::new(),
        rcps: Vec::new(),
        identity: Vec::new(),
        boundary: None,
        session: None,
        resource_policy: None,
    };
    let mut session = Vec::new();
    for given in &args.policies {
        let policy = Value::String(
            bounded::text(&given.file, &POLICY)
                .map_err(|error| Failure::unreadable("the policy", &given.file.display().to_string(), &error))?,
        );
        let twice = |what: &str| Failure::usage(format!("--policy {what}=FILE can be given once"));
        match given.kind {
            Kind::Identity => case.identity.push(policy),
            Kind::Session => session.push(policy),
            Kind::Boundary if case.boundary.is_some() => return Err(twice("boundary")),
            Kind::Boundary => case.boundary = Some(policy),
            Kind::Resource if case.resource_policy.is_some() => return Err(twice("resource")),
            Kind::Resource => case.resource_policy = Some(policy),
            Kind::Scp(level) => attach(&mut case.scps, level, policy),
            Kind::Rcp(level) => attach(&mut case.rcps, level, policy),
        }
    }
    case.session = Some(Value::Array(session));
    Ok(case)
}

/// A level that nothing is attached to is one that AWS's own full-access policy was taken from: it allows nothing.
fn attach(levels: &mut Vec<Value>, level: Option<usize>, policy: Value) {
    let level = level.unwrap_or(levels.len() + 1);
    if levels.len() < level {
        levels.resize(level, json!([]));
    }
    if let Value::Array(policies) = &mut levels[level - 1] {
        policies.push(policy);
    }
}

fn context(given: &[(String, String)]) -> Map<String, Value> {
    let mut context = Map::new();
    for (key, value) in given {
        let values = context.entry(key.clone()).or_insert_with(|| json!([]));
        if let Value::Array(values) = values
            && !value.is_empty()
        {
            values.push(json!(value));
        }
    }
    context
}

fn text(explanation: &Explanation) -> String {
    let mut text = format!("{}\n", explanation.verdict.as_str());
    for because in &explanation.because {
        let _ = writeln!(text, "  {}", shown(because));
    }
    text.push_str("\nstatements\n");
    for told in &explanation.statements {
        let why = if told.why.is_empty() { String::new() } else { format!(": {}", told.why.join("; ")) };
        let _ = writeln!(text, "  {}", shown(&format!("{}, {}, {}{why}", told.place, effect(told), applies(told))));
    }
    text
}

fn effect(told: &Told) -> &'static str {
    match told.effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    }
}

fn applies(told: &Told) -> &'static str {
    match told.applies {
        Truth::Yes => "applies",
        Truth::No => "does not apply",
        Truth::Unknown => "may apply",
    }
}

fn document(explanation: &Explanation) -> Value {
    let told = |told: &Told| json!({ "statement": told.place, "effect": effect(told), "applies": told.applies, "why": told.why });
    json!({
        "decision": explanation.verdict.as_str(),
        "because": explanation.because,
        "statements": explanation.statements.iter().map(told).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_given_by_kind_and_level() {
        let kind = |text: &str| given(text).map(|given| given.kind);
        assert_eq!(kind("identity=a.json"), Ok(Kind::Identity));
        assert_eq!(kind("scp:2=a=b.json"), Ok(Kind::Scp(Some(2))));
        assert_eq!(kind("rcp=a.json"), Ok(Kind::Rcp(None)));
        assert!(kind("scp:0=a.json").unwrap_err().contains("no level"));
        assert!(kind("boundary:1=a.json").unwrap_err().contains("no kind"));
        assert!(kind("a.json").unwrap_err().contains("KIND=FILE"));
        let mut levels = Vec::new();
        attach(&mut levels, Some(2), json!("b"));
        attach(&mut levels, None, json!("c"));
        assert_eq!(levels, [json!([]), json!(["b"]), json!(["c"])]);
    }

    #[test]
    fn a_key_without_a_value_is_one_that_the_request_lacks() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let context = context(&[pair("k", ""), pair("v", "1"), pair("v", "2")]);
        assert_eq!(Value::Object(context), json!({ "k": [], "v": ["1", "2"] }));
    }
}
