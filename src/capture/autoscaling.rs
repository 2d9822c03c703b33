//! Auto Scaling, in a region: groups, what they launch from, and what they did.

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::config::Builder;

use super::questions::Questions;
use crate::cloud::retry;
use crate::engine::action::Ctx;

/// Asks.
pub(super) async fn ask(cx: &Ctx, questions: &Questions) {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    let client = Client::from_conf(config.build());
    futures::join!(
        questions.all(
            "autoscaling:DescribeAutoScalingGroups",
            client.describe_auto_scaling_groups().include_instances(true).max_records(100).into_paginator().send()
        ),
        questions.all(
            "autoscaling:DescribeScalingActivities",
            client.describe_scaling_activities().include_deleted_groups(true).max_records(100).into_paginator().send()
        ),
        questions.all(
            "autoscaling:DescribeLaunchConfigurations",
            client.describe_launch_configurations().max_records(100).into_paginator().send()
        ),
    );
}
