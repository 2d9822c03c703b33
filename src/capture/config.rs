//! AWS Config, in a region: whether it records.

use aws_sdk_config::Client;
use aws_sdk_config::config::Builder;

use super::questions::Questions;
use crate::cloud::retry;
use crate::engine::action::Ctx;

/// Asks.
pub(super) async fn ask(cx: &Ctx, questions: &Questions) {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    let client = Client::from_conf(config.build());
    futures::join!(
        questions.one("config:DescribeConfigurationRecorders", client.describe_configuration_recorders().send()),
        questions
            .one("config:DescribeConfigurationRecorderStatus", client.describe_configuration_recorder_status().send()),
    );
}
