//! GuardDuty, in a region: its detector and what that found.

use aws_sdk_guardduty::Client;
use aws_sdk_guardduty::config::Builder;
use aws_sdk_guardduty::operation::list_detectors::ListDetectorsOutput;
use aws_sdk_guardduty::operation::list_findings::ListFindingsOutput;

use super::questions::Questions;
use crate::cloud::retry;
use crate::engine::action::Ctx;

/// How many findings one question may name.
const FINDINGS: usize = 50;

/// Asks.
pub(super) async fn ask(cx: &Ctx, questions: &Questions) {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    let client = Client::from_conf(config.build());
    let pages = questions.all("guardduty:ListDetectors", client.list_detectors().into_paginator().send()).await;
    for detector in pages.iter().flat_map(ListDetectorsOutput::detector_ids) {
        questions.one("guardduty:GetDetector", client.get_detector().detector_id(detector).send()).await;
        let pages = client.list_findings().detector_id(detector).max_results(50).into_paginator().send();
        let pages = questions.all("guardduty:ListFindings", pages).await;
        let ids: Vec<String> = pages.iter().flat_map(ListFindingsOutput::finding_ids).map(ToOwned::to_owned).collect();
        for ids in ids.chunks(FINDINGS) {
            let question = client.get_findings().detector_id(detector).set_finding_ids(Some(ids.to_vec()));
            questions.one("guardduty:GetFindings", question.send()).await;
        }
    }
}
