//! CloudTrail, in a region: its trails, and the event history, which is there whatever became of the trails (fact F3).

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::config::Builder;
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use super::Wanted;
use super::questions::Questions;
use crate::cloud::retry;
use crate::engine::action::Ctx;

/// How much of the history is one piece that a capture which was cut off does not read again, in seconds: a week.
const PIECE: i64 = 7 * 24 * 3_600;

/// Asks.
pub(super) async fn ask(cx: &Ctx, questions: &Questions, wanted: &Wanted) {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    let client = &Client::from_conf(config.build());
    futures::join!(trails(client, cx.target.region.as_str(), questions), history(cx, client, questions, wanted));
}

async fn trails(client: &Client, region: &str, questions: &Questions) {
    // A trail of the organisation is a shadow in its members, and nothing else tells that it is there.
    let trails = client.describe_trails().include_shadow_trails(true).send();
    let Some(trails) = questions.one("cloudtrail:DescribeTrails", trails).await else { return };
    let at_home = trails.trail_list().iter().filter(|trail| trail.home_region() == Some(region));
    for arn in at_home.filter_map(|trail| trail.trail_arn()) {
        futures::join!(
            questions.one("cloudtrail:GetTrailStatus", client.get_trail_status().name(arn).send()),
            questions.one("cloudtrail:GetEventSelectors", client.get_event_selectors().trail_name(arn).send()),
        );
    }
}

/// Reads the history piece by piece, newest first, and first what changed something: at two requests a second, what only read
/// may take long.
async fn history(cx: &Ctx, client: &Client, questions: &Questions, wanted: &Wanted) {
    let Some(since) = wanted.history else { return };
    for (reads, what) in [("false", "writes"), ("true", "reads")] {
        for piece in pieces(since, wanted.now) {
            // By its end: the time since when is asked may cut off the beginning of the oldest one.
            let name = format!("cloudtrail {} {what} until {}", cx.target, piece.1);
            // What ends now goes on growing.
            let is_over = piece.1 <= wanted.now;
            if is_over && wanted.done.contains(&name) {
                continue;
            }
            if events(client, questions, reads, piece).await && is_over {
                questions.done(name);
            }
        }
    }
}

/// The pieces of a time, newest first. Their borders are the same whenever it is asked.
fn pieces(since: Timestamp, now: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let (first, last) = (since.as_second().div_euclid(PIECE), now.as_second().div_euclid(PIECE));
    let at = |number: i64| Timestamp::from_second(number * PIECE).unwrap_or(now);
    (first..=last).rev().map(|number| (at(number).max(since), at(number + 1))).collect()
}

/// Reads the events of a piece; says whether all were read.
async fn events(client: &Client, questions: &Questions, reads: &str, (from, to): (Timestamp, Timestamp)) -> bool {
    let attribute =
        LookupAttribute::builder().attribute_key(LookupAttributeKey::ReadOnly).attribute_value(reads).build();
    let Ok(attribute) = attribute else { return false };
    // Both ends count: the second of the next piece is not this one's.
    let mut page = None;
    loop {
        let question = client
            .lookup_events()
            .lookup_attributes(attribute.clone())
            .start_time(DateTime::from_secs(from.as_second()))
            .end_time(DateTime::from_secs(to.as_second() - 1))
            .max_results(50)
            .set_next_token(page);
        let Some(answer) = questions.one("cloudtrail:LookupEvents", question.send()).await else { return false };
        page = answer.next_token;
        if page.is_none() {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_same_borders_whenever_it_is_asked() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let early = pieces(at("2026-03-01T00:00:00Z"), at("2026-03-16T12:00:00Z"));
        let later = pieces(at("2026-03-01T00:00:00Z"), at("2026-03-18T12:00:00Z"));
        assert_eq!(early[1..], later[1..][later.len() - early.len()..]);
        assert_eq!(early.last().unwrap().0, at("2026-03-01T00:00:00Z"));
        assert!(early.windows(2).all(|two| two[0].0 == two[1].1), "newest first, without a gap");
    }
}
