//! Fleets that keep up a capacity: EC2's two kinds, which say "leave the rest alone" in two spellings.

use std::collections::BTreeMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    BatchState, ExcessCapacityTerminationPolicy as SpotExcess, FleetData,
    FleetExcessCapacityTerminationPolicy as Excess, FleetStateCode, FleetType, SpotFleetRequestConfig,
    TargetCapacitySpecification, TargetCapacitySpecificationRequest,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, sleep};

use super::super::{LOOK_EVERY, described, filter, until_up};
use crate::engine::action::Ctx;
use crate::model::ActionError;

/// The largest page of DescribeFleets and DescribeSpotFleetRequests.
const PAGE: i32 = 200;
/// How long a fleet that is being modified is waited for.
const MODIFIED_WITHIN: Duration = Duration::from_mins(2);

/// Which of EC2's two kinds of fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// CreateFleet's.
    Ec2Fleet,
    /// RequestSpotFleet's.
    SpotFleet,
}

impl Kind {
    /// The tag that such a fleet gives to what it launches. Nobody else can set a tag that begins with `aws:`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Ec2Fleet => "aws:ec2:fleet-id",
            Self::SpotFleet => "aws:ec2spot:fleet-request-id",
        }
    }

    /// One of this kind, in words.
    pub fn described(self, id: &str) -> String {
        match self {
            Self::Ec2Fleet => format!("EC2 Fleet {id}"),
            Self::SpotFleet => format!("Spot Fleet {id}"),
        }
    }
}

/// A fleet and its capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// `fleet-…` or `sfr-…`.
    pub id: String,
    /// Which kind it is.
    pub kind: Kind,
    /// Whether it replaces what ends: a fleet of type `maintain` that lives.
    pub maintains: bool,
    /// How many units there are to be.
    pub total: i32,
    /// How many of them on demand.
    pub on_demand: i32,
    /// What becomes of machines beyond the capacity, in the fleet's own spelling.
    pub excess: Option<String>,
}

impl Fleet {
    /// Whether it would replace a machine.
    pub fn launches(&self) -> bool {
        self.maintains && self.total > 0
    }

    /// In words.
    pub fn described(&self) -> String {
        self.kind.described(&self.id)
    }

    /// Sets the capacity to nothing, and lets its machines go on.
    pub async fn suspend(&self, client: &Client) -> Result<(), ActionError> {
        let excess = match self.kind {
            Kind::Ec2Fleet => Excess::NoTermination.as_str().to_owned(),
            Kind::SpotFleet => SpotExcess::NoTermination.as_str().to_owned(),
        };
        let empty = Self { total: 0, on_demand: 0, excess: Some(excess), ..self.clone() };
        empty.send(client).await
    }

    /// Sets the capacity back, when every machine of it is up: it would launch others in the place of those that are not.
    pub async fn resume(&self, cx: &Ctx) -> Result<(), ActionError> {
        if !self.launches() {
            return Ok(());
        }
        let client = super::super::client(cx);
        let tag = format!("tag:{}", self.kind.tag());
        let machines = described(&client, Some(filter(&tag, [self.id.as_str()]))).await?;
        let ids: Vec<String> = machines.iter().map(|machine| super::super::id(machine).to_owned()).collect();
        until_up(cx, &ids, &format!("the {} would launch another in its place", self.described())).await?;
        self.send(&client).await
    }

    /// Gives the fleet this capacity and policy. One that is still being modified is waited for.
    async fn send(&self, client: &Client) -> Result<(), ActionError> {
        let mut waited = Duration::ZERO;
        loop {
            let answer = match self.kind {
                Kind::Ec2Fleet => self.modify_ec2_fleet(client).await,
                Kind::SpotFleet => self.modify_spot_fleet(client).await,
            };
            match answer {
                Err(error) if error.is("FleetNotInModifiableState") && waited < MODIFIED_WITHIN => {
                    sleep(LOOK_EVERY).await;
                    waited += LOOK_EVERY;
                }
                answer => return answer,
            }
        }
    }

    async fn modify_ec2_fleet(&self, client: &Client) -> Result<(), ActionError> {
        let capacity = TargetCapacitySpecificationRequest::builder()
            .total_target_capacity(self.total)
            .on_demand_target_capacity(self.on_demand)
            .build();
        let request = client.modify_fleet().fleet_id(&self.id).target_capacity_specification(capacity);
        let excess = self.excess.as_deref().map(Excess::from);
        request.set_excess_capacity_termination_policy(excess).send().await?;
        Ok(())
    }

    async fn modify_spot_fleet(&self, client: &Client) -> Result<(), ActionError> {
        let request = client.modify_spot_fleet_request().spot_fleet_request_id(&self.id).target_capacity(self.total);
        let excess = self.excess.as_deref().map(SpotExcess::from);
        let request = request.on_demand_target_capacity(self.on_demand);
        request.set_excess_capacity_termination_policy(excess).send().await?;
        Ok(())
    }
}

/// All fleets of a kind, by id. One that is named and gone would spoil a request for some.
pub async fn all(client: &Client, kind: Kind) -> Result<BTreeMap<String, Fleet>, ActionError> {
    let mut fleets = BTreeMap::new();
    match kind {
        Kind::Ec2Fleet => {
            let mut items = client.describe_fleets().max_results(PAGE).into_paginator().items().send();
            while let Some(fleet) = items.next().await {
                fleets.extend(of_fleet(&fleet?).map(|fleet| (fleet.id.clone(), fleet)));
            }
        }
        Kind::SpotFleet => {
            let mut items = client.describe_spot_fleet_requests().max_results(PAGE).into_paginator().items().send();
            while let Some(fleet) = items.next().await {
                fleets.extend(of_spot_fleet(&fleet?).map(|fleet| (fleet.id.clone(), fleet)));
            }
        }
    }
    Ok(fleets)
}

fn of_fleet(fleet: &FleetData) -> Option<Fleet> {
    let capacity = fleet.target_capacity_specification();
    let lives = matches!(fleet.fleet_state().map(FleetStateCode::as_str), Some("submitted" | "active" | "modifying"));
    Some(Fleet {
        id: fleet.fleet_id()?.to_owned(),
        kind: Kind::Ec2Fleet,
        maintains: lives && fleet.r#type() == Some(&FleetType::Maintain),
        total: capacity.and_then(TargetCapacitySpecification::total_target_capacity).unwrap_or_default(),
        on_demand: capacity.and_then(TargetCapacitySpecification::on_demand_target_capacity).unwrap_or_default(),
        excess: fleet.excess_capacity_termination_policy().map(|policy| policy.as_str().to_owned()),
    })
}

fn of_spot_fleet(fleet: &SpotFleetRequestConfig) -> Option<Fleet> {
    let config = fleet.spot_fleet_request_config()?;
    let state = fleet.spot_fleet_request_state().map(BatchState::as_str);
    // A Spot Fleet that names no type maintains.
    let maintains = config.r#type().is_none_or(|kind| *kind == FleetType::Maintain);
    Some(Fleet {
        id: fleet.spot_fleet_request_id()?.to_owned(),
        kind: Kind::SpotFleet,
        maintains: maintains && matches!(state, Some("submitted" | "active" | "modifying")),
        total: config.target_capacity().unwrap_or_default(),
        on_demand: config.on_demand_target_capacity().unwrap_or_default(),
        excess: config.excess_capacity_termination_policy().map(|policy| policy.as_str().to_owned()),
    })
}
