//! Auto Scaling, in a region: groups, what they launch from, and what they did.

use super::questions::Questions;
use crate::actions::autoscaling::client;
use crate::engine::action::Ctx;

/// Asks.
pub(super) async fn ask(cx: &Ctx, questions: &Questions) {
    let client = client(cx);
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
