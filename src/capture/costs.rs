//! Cost Explorer and Budgets: what was used, day by day, and who is told when it becomes too much.

use aws_sdk_costexplorer::Client;
use aws_sdk_costexplorer::config::Builder;
use aws_sdk_costexplorer::types::{DateInterval, Granularity, GroupDefinition, GroupDefinitionType};
use jiff::tz::TimeZone;

use super::Wanted;
use super::questions::Questions;
use crate::cloud::retry;
use crate::engine::action::Ctx;

/// How many days of usage are read.
const DAYS: i64 = 45;

/// Asks. Cost Explorer lives in the partition's home region, lags by about a day and bills each request (fact F5).
pub(super) async fn ask(cx: &Ctx, questions: &Questions, wanted: &Wanted) {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    let client = Client::from_conf(config.build());
    let today = TimeZone::UTC.to_datetime(wanted.now).date();
    let day = |days: i64| today.checked_add(jiff::Span::new().days(days)).unwrap_or(today).to_string();
    let Ok(period) = DateInterval::builder().start(day(-DAYS)).end(day(1)).build() else { return };
    let by_type = GroupDefinition::builder().r#type(GroupDefinitionType::Dimension).key("USAGE_TYPE").build();
    let by_service = GroupDefinition::builder().r#type(GroupDefinitionType::Dimension).key("SERVICE").build();
    let mut page = None;
    loop {
        let question = client
            .get_cost_and_usage()
            .time_period(period.clone())
            .granularity(Granularity::Daily)
            .metrics("UnblendedCost")
            .metrics("UsageQuantity")
            .group_by(by_service.clone())
            .group_by(by_type.clone())
            .set_next_page_token(page);
        let Some(answer) = questions.one("ce:GetCostAndUsage", question.send()).await else { break };
        page = answer.next_page_token;
        if page.is_none() {
            break;
        }
    }
    questions.one("ce:GetAnomalyMonitors", client.get_anomaly_monitors().send()).await;
    #[cfg(feature = "budgets")]
    budgets(cx, questions).await;
}

#[cfg(feature = "budgets")]
async fn budgets(cx: &Ctx, questions: &Questions) {
    use aws_sdk_budgets::Client;
    use aws_sdk_budgets::config::Builder;

    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    let client = Client::from_conf(config.build());
    let pages = client.describe_budgets().account_id(cx.target.account.as_str()).into_paginator().send();
    questions.all("budgets:DescribeBudgets", pages).await;
}
