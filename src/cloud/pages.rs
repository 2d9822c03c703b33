//! Lists that do not come to an end: a page that repeats, tokens that go round in circles or never stop.
//!
//! The SDK takes a token that comes back unchanged for the end of the list, and loops that ask page by page follow any token.
//! Either would be wrong here: a list that ends too early counts as looked at, and one that never ends holds a lane for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use serde_json::Value;

use super::call::Call;

/// The most pages of a list: with 1,000 resources each, a million.
const MOST: u32 = 1_000;

/// The most pages in a row that hold next to nothing: AWS sends such pages where a filter leaves little.
const MOST_THIN: u32 = 100;
/// A page below this size, in bytes, holds next to nothing.
const THIN: usize = 1_024;

/// What the token of a page is called in requests.
const ASKED: [&str; 5] = ["NextToken", "nextToken", "Marker", "marker", "pageToken"];
/// What the token of the next page is called in answers.
const GIVEN: [&str; 6] = ["nextToken", "NextToken", "Marker", "NextMarker", "nextMarker", "nextPageToken"];

/// A list that does not come to an end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Endless {
    /// The next page is the one that was asked for.
    #[error("the list of {0} does not go on: the answer to a page's token is the same token")]
    Repeats(String),
    /// There is always one more.
    #[error("the list of {0} has not ended after {MOST} pages, or {MOST_THIN} empty ones")]
    Goes(String),
}

/// Where a page stands: account, region, call, and the token that leads there.
type Place = (Arc<str>, String, String, String);

/// How many pages came before those that are known to follow, and how many of the last ones were thin.
#[derive(Debug, Default)]
pub(super) struct Pages(Mutex<HashMap<Place, (u32, u32)>>);

impl Pages {
    /// Takes note of the page that an answer leads to.
    pub fn follow(&self, account: &Arc<str>, call: &Call, answer: &HttpResponse) -> Result<(), Endless> {
        if call.service == "s3" || !answer.status().is_success() {
            return Ok(());
        }
        let body = answer.body().bytes().unwrap_or_default();
        let next = given(body);
        if call.page.is_none() && next.is_none() {
            return Ok(());
        }
        if next == call.page {
            return Err(Endless::Repeats(call.name()));
        }
        let place = |token: String| (account.clone(), call.region.clone(), call.name(), token);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (pages, thin) = call.page.clone().and_then(|page| known.remove(&place(page))).unwrap_or_default();
        let Some(next) = next else { return Ok(()) };
        let (pages, thin) = (pages + 1, if body.len() < THIN { thin + 1 } else { 0 });
        if pages >= MOST || thin >= MOST_THIN {
            return Err(Endless::Goes(call.name()));
        }
        known.insert(place(next), (pages, thin));
        Ok(())
    }
}

/// The token of the page that a request asks for: in its form, its document or its query.
pub(super) fn asked(form: &[(String, String)], request: &HttpRequest) -> Option<String> {
    let named = |name: &str| ASKED.contains(&name);
    if let Some((_, token)) = form.iter().find(|(name, _)| named(name)) {
        return Some(token.clone());
    }
    let query = request.uri().split_once('?').map_or("", |(_, query)| query);
    if let Some((_, token)) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| named(name)) {
        return Some(token.into_owned());
    }
    let body = request.body().bytes().filter(|body| body.starts_with(b"{"))?;
    of_document(body, &ASKED)
}

/// The token of the next page in an answer.
fn given(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    if text.starts_with('{') {
        return of_document(body, &GIVEN);
    }
    let token = GIVEN.iter().find_map(|name| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split('<').next()
    });
    token.filter(|token| !token.is_empty()).map(str::to_owned)
}

fn of_document(body: &[u8], names: &[&str]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    if !text.contains("oken\"") && !text.contains("arker\"") {
        return None;
    }
    let document: Value = serde_json::from_str(text).ok()?;
    let token = names.iter().find_map(|name| document.get(name)?.as_str());
    token.filter(|token| !token.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::super::call::tests::form;
    use super::*;

    fn ask(pages: &Pages, token: Option<&str>, next: Option<&str>) -> Result<(), Endless> {
        page(pages, token, next, THIN)
    }

    fn page(pages: &Pages, token: Option<&str>, next: Option<&str>, size: usize) -> Result<(), Endless> {
        let token = token.map(|token| format!("&NextToken={token}")).unwrap_or_default();
        let call = Call::read(&form("ec2", &format!("Action=DescribeInstances{token}")));
        let next = next.map(|next| format!("<nextToken>{next}</nextToken>")).unwrap_or_default();
        let items = "x".repeat(size);
        let body = SdkBody::from(format!("<DescribeInstancesResponse>{items}{next}</DescribeInstancesResponse>"));
        pages.follow(&"111122223333".into(), &call, &HttpResponse::new(StatusCode::try_from(200).unwrap(), body))
    }

    #[test]
    fn a_list_may_be_asked_for_again_and_again() {
        let pages = Pages::default();
        for _ in 0..5_000 {
            assert_eq!(ask(&pages, None, Some("a")), Ok(()));
            assert_eq!(ask(&pages, Some("a"), Some("b")), Ok(()));
            assert_eq!(ask(&pages, Some("b"), None), Ok(()));
        }
        assert!(pages.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_token_that_comes_back_is_no_end() {
        let pages = Pages::default();
        assert_eq!(ask(&pages, None, Some("a")), Ok(()));
        assert_eq!(ask(&pages, Some("a"), Some("a")), Err(Endless::Repeats("ec2:DescribeInstances".into())));
    }

    #[test]
    fn circles_and_lists_without_end_are_noticed() {
        let pages = Pages::default();
        ask(&pages, None, Some("a")).unwrap();
        let round = |pages: &Pages| ask(pages, Some("a"), Some("b")).and_then(|()| ask(pages, Some("b"), Some("a")));
        assert!((0..1_000).any(|_| round(&pages) == Err(Endless::Goes("ec2:DescribeInstances".into()))));
        ask(&pages, None, Some("0")).unwrap();
        let on = |n: u32| ask(&pages, Some(&n.to_string()), Some(&(n + 1).to_string()));
        assert_eq!((0..2_000).find(|n| on(*n).is_err()), Some(998));
        page(&pages, None, Some("0"), 0).unwrap();
        let on = |n: u32| page(&pages, Some(&n.to_string()), Some(&(n + 1).to_string()), 0);
        assert_eq!((0..2_000).find(|n| on(*n).is_err()), Some(98));
    }

    #[test]
    fn tokens_are_found_in_documents_and_queries() {
        let mut request = form("organizations", "");
        *request.body_mut() = SdkBody::from(r#"{"MaxResults": 20, "NextToken": "x"}"#);
        request.headers_mut().insert("content-type", "application/x-amz-json-1.1");
        assert_eq!(Call::read(&request).page.as_deref(), Some("x"));
        let mut request = form("lambda", "");
        request
            .set_uri("https://lambda.eu-west-3.amazonaws.com/2015-03-31/functions/?Marker=a%2Fb&MaxItems=50")
            .unwrap();
        assert_eq!(Call::read(&request).page.as_deref(), Some("a/b"));
        assert_eq!(given(br#"{"Functions": [], "NextMarker": "y"}"#).as_deref(), Some("y"));
        assert_eq!(given(br#"{"Functions": [], "NextMarker": null}"#), None);
    }
}
