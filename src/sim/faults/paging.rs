//! Lists whose pages do not end, or not well: a page that repeats, one without anything, a token that is refused.

use std::borrow::Cow;

use serde_json::Value;

use super::{FaultKind, Faults, Struck};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::params::{Form, Params};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// The beginning of a token that the simulator made up; behind it stands, after a colon, the one that it stands for.
const MADE_UP: &str = "more-";

/// The names of the tokens of a service: in the request and in the answer.
#[derive(Debug, Clone, Copy)]
pub struct Paging {
    asked: &'static str,
    given: &'static str,
}

impl Paging {
    /// How the list of an operation comes in pages; none if it does not.
    pub(super) fn of(service: &str, operation: &str) -> Option<Self> {
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| operation.starts_with(prefix));
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| operation.ends_with(suffix));
        let (asked, given, is_paged) = match service {
            "ec2" => {
                let whole = ["Attribute", "Attributes", "Regions", "AvailabilityZones", "KeyPairs", "Addresses"];
                ("NextToken", "nextToken", begins(&["Describe"]) && !ends(&whole))
            }
            "iam" => ("Marker", "Marker", begins(&["List"])),
            "autoscaling" => ("NextToken", "NextToken", begins(&["DescribeAutoScaling", "DescribePolicies"])),
            "account" | "organizations" | "sagemaker" => ("NextToken", "NextToken", begins(&["List"])),
            "apprunner" => ("NextToken", "NextToken", operation == "ListServices"),
            "cloudtrail" => ("NextToken", "NextToken", begins(&["Lookup", "List"])),
            "glue" => ("NextToken", "NextToken", matches!(operation, "GetJobs" | "GetTriggers" | "GetJobRuns")),
            "codebuild" | "ecs" => ("nextToken", "nextToken", begins(&["List"]) && !ends(&["TagsForResource"])),
            "batch" => ("nextToken", "nextToken", begins(&["Describe", "List"]) && operation != "DescribeJobs"),
            "amplify" => ("nextToken", "nextToken", begins(&["List"])),
            "lambda" => ("Marker", "NextMarker", begins(&["List"]) && operation != "ListTags"),
            "elasticmapreduce" => ("Marker", "Marker", begins(&["List"])),
            "lightsail" => ("pageToken", "nextPageToken", operation == "GetInstances"),
            _ => return None,
        };
        is_paged.then_some(Self { asked, given })
    }

    /// The token that a call sends.
    fn sent(self, call: &Call) -> Option<String> {
        match &call.params {
            Params::Form(Form::Tree(tree)) => match tree.get(self.asked) {
                Some(Form::Text(token)) => Some(token.clone()),
                _ => None,
            },
            Params::Form(Form::Text(_)) => None,
            Params::Json(json) => json.get(self.asked).and_then(Value::as_str).map(str::to_owned),
        }
    }

    /// The same call with another token, or with none.
    fn with(self, call: &Call, token: Option<&str>) -> Call {
        let mut call = call.clone();
        match (&mut call.params, token) {
            (Params::Form(Form::Tree(tree)), Some(token)) => {
                tree.insert(self.asked.to_owned(), Form::Text(token.to_owned()));
            }
            (Params::Form(Form::Tree(tree)), None) => drop(tree.remove(self.asked)),
            (Params::Json(Value::Object(members)), Some(token)) => {
                members.insert(self.asked.to_owned(), Value::from(token));
            }
            (Params::Json(Value::Object(members)), None) => drop(members.remove(self.asked)),
            (Params::Form(Form::Text(_)) | Params::Json(_), _) => {}
        }
        call
    }

    /// Whether an answer names a further page.
    fn goes_on(self, body: &Body) -> bool {
        match body {
            Body::Xml(children) => children.iter().any(|child| child.name() == self.given),
            Body::Json(json) => json.get(self.given).is_some_and(|token| !token.is_null()),
            Body::Raw(_) => false,
        }
    }

    /// The answer with another token.
    fn giving(self, body: Body, token: String) -> Body {
        match body {
            Body::Xml(mut children) => {
                children.retain(|child| child.name() != self.given && child.name() != "IsTruncated");
                if self.given == "Marker" {
                    children.push(Xml::text("IsTruncated", true));
                }
                children.push(Xml::text(self.given, token));
                Body::Xml(children)
            }
            Body::Json(Value::Object(mut members)) => {
                members.insert(self.given.to_owned(), Value::from(token));
                Body::Json(Value::Object(members))
            }
            other => other,
        }
    }
}

impl Faults {
    /// Carries a call out; if it asks for a list, page by page as the faults want it.
    pub(in crate::sim) fn carry_out(
        &mut self,
        world: &mut World,
        call: &Call,
        struck: &Struck,
        handle: fn(&mut World, &Call) -> Reply,
    ) -> Reply {
        let Some(paging) = Paging::of(&call.service, &call.operation) else {
            return self.handle(world, call, struck, handle);
        };
        let sent = paging.sent(call);
        let is_made_up = sent.as_ref().is_some_and(|token| token.starts_with(MADE_UP));
        let real = match &sent {
            Some(token) if is_made_up => token.split_once(':').map(|(_, real)| real.to_owned()),
            other => other.clone(),
        };
        let asked = if is_made_up { Cow::Owned(paging.with(call, real.as_deref())) } else { Cow::Borrowed(call) };
        match struck.kind {
            Some(FaultKind::RepeatPage) => {
                let first = paging.with(call, None);
                let body = self.handle(world, &first, struck, handle)?;
                Ok(paging.giving(body, sent.unwrap_or_else(|| self.token(None))))
            }
            Some(FaultKind::EmptyPage) => {
                let nothing = match self.handle(world, &asked, struck, handle)? {
                    Body::Json(_) => Body::Json(Value::Object(serde_json::Map::new())),
                    _ => Body::empty(),
                };
                Ok(paging.giving(nothing, self.token(real.as_deref())))
            }
            Some(FaultKind::RefuseToken) if sent.is_some() => Err(refused(call)),
            Some(FaultKind::RefuseToken) => {
                let body = self.handle(world, call, struck, handle)?;
                Ok(if paging.goes_on(&body) { body } else { paging.giving(body, self.token(None)) })
            }
            _ => self.handle(world, &asked, struck, handle),
        }
    }

    /// A token that nobody was given before.
    fn token(&mut self, real: Option<&str>) -> String {
        self.pages += 1;
        let real = real.map(|real| format!(":{real}")).unwrap_or_default();
        format!("{MADE_UP}{}{real}", self.pages)
    }
}

/// How a service says that it does not take a token any more (the errors of the operations in AWS's service models; for EC2
/// "Error codes for the Amazon EC2 API").
fn refused(call: &Call) -> Refusal {
    let code = match call.service.as_str() {
        "ec2" => "InvalidPaginationToken",
        "iam" => "ValidationError",
        "autoscaling" => "InvalidNextToken",
        "cloudtrail" => "InvalidNextTokenException",
        "ecs" => "InvalidParameterException",
        "lambda" => "InvalidParameterValueException",
        "account" | "sagemaker" => "ValidationException",
        "apprunner" | "elasticmapreduce" => "InvalidRequestException",
        "amplify" => "BadRequestException",
        "batch" => "ClientException",
        _ => "InvalidInputException",
    };
    Refusal::new(400, code, "The token is invalid or has expired.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::call::test_call;

    /// A list of one page, for a call that sends no token.
    #[expect(clippy::unnecessary_wraps, reason = "the form of every handler")]
    fn list(_: &mut World, call: &Call) -> Reply {
        let paging = Paging::of(&call.service, &call.operation).unwrap();
        match paging.sent(call) {
            None => Ok(Body::Xml(vec![Xml::text("user", "mara")])),
            Some(token) => panic!("a made-up token reached the service: {token}"),
        }
    }

    fn ask(faults: &mut Faults, kind: Option<FaultKind>, token: Option<&str>) -> Reply {
        let form = token.map(|token| format!("Marker={token}")).unwrap_or_default();
        let struck = Struck { kind, ..Struck::default() };
        faults.carry_out(&mut World::new(1), &test_call("iam", "ListUsers", &form), &struck, list)
    }

    fn texts(reply: Reply) -> Vec<String> {
        let Ok(Body::Xml(children)) = reply else { panic!("{reply:?}") };
        children.iter().map(|child| child.as_text().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_page_repeats_with_the_same_token() {
        let mut faults = Faults::default();
        let repeat = Some(FaultKind::RepeatPage);
        assert_eq!(texts(ask(&mut faults, repeat, None)), ["mara", "true", "more-1"]);
        assert_eq!(texts(ask(&mut faults, repeat, Some("more-1"))), ["mara", "true", "more-1"]);
        assert_eq!(texts(ask(&mut faults, None, Some("more-1"))), ["mara"]);
    }

    #[test]
    fn an_empty_page_leads_on_with_a_new_token() {
        let mut faults = Faults::default();
        let empty = Some(FaultKind::EmptyPage);
        assert_eq!(texts(ask(&mut faults, empty, None)), ["true", "more-1"]);
        assert_eq!(texts(ask(&mut faults, empty, Some("more-1"))), ["true", "more-2"]);
        assert_eq!(texts(ask(&mut faults, None, Some("more-2"))), ["mara"]);
    }

    #[test]
    fn a_token_is_refused() {
        let mut faults = Faults::default();
        let refuse = Some(FaultKind::RefuseToken);
        assert_eq!(texts(ask(&mut faults, refuse, None)), ["mara", "true", "more-1"]);
        assert_eq!(ask(&mut faults, refuse, Some("more-1")).unwrap_err().code, "ValidationError");
    }
}
