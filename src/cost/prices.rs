//! What machines cost per hour on demand, by region, type and platform.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Serialize;

use crate::model::{Platform, Region};

/// The table; its head says where the figures come from. scripts/prices.py makes it.
const TABLE: &str = include_str!("ec2-prices.csv");
/// Where a region's price is not known, this one's stands in for it.
const BASE: &str = "us-east-1";

/// US dollars per hour for a public IPv4 address in use, in all regions (Amazon VPC, "Pricing").
pub const ADDRESS_PER_HOUR: f64 = 0.005;
/// US dollars per GiB and month that snapshots take in us-east-1 (Amazon EBS, "Pricing").
pub const SNAPSHOT_PER_GIB_MONTH: f64 = 0.05;
/// US dollars per GiB and month of volumes in us-east-1, by type, without what is paid for their speed (Amazon EBS, "Pricing").
const VOLUMES_PER_GIB_MONTH: [(&str, f64); 7] =
    [("gp3", 0.08), ("gp2", 0.1), ("io1", 0.125), ("io2", 0.125), ("st1", 0.045), ("sc1", 0.015), ("standard", 0.05)];

/// What a machine costs while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Price {
    /// US dollars per hour.
    pub per_hour: f64,
    /// Where that comes from.
    pub basis: Basis,
}

/// Where a price comes from, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// It is listed for the region, the type and the platform.
    Listed,
    /// From listed prices by a rule: that of the region from other sizes of the family, that of Windows from Linux and the
    /// licence, which costs the same everywhere.
    Derived,
    /// The region's price is not known; it is that of us-east-1.
    UsEast1,
}

struct Table {
    regions: HashMap<&'static str, usize>,
    types: HashMap<&'static str, Vec<&'static str>>,
    /// By column, the day of its figures.
    dates: Vec<(&'static str, &'static str)>,
}

/// The columns before the regions: the type, and what Windows adds.
const BEFORE_REGIONS: usize = 2;

static PRICES: LazyLock<Table> = LazyLock::new(|| {
    let (head, rows): (Vec<&str>, Vec<&str>) = TABLE.lines().partition(|line| line.starts_with('#'));
    let dated = |line: &&'static str| {
        let (column, rest) = line.trim_start_matches("# ").split_once(": ")?;
        let (date, _) = rest.split_once(", ")?;
        date.starts_with("20").then_some((column, date))
    };
    let dates = head.iter().filter_map(dated).collect();
    let mut rows = rows.into_iter().map(|row| row.split(',').collect::<Vec<_>>());
    let columns = rows.next().unwrap_or_default();
    let regions = (0..).zip(columns).skip(BEFORE_REGIONS).map(|(number, name)| (name, number)).collect();
    Table { regions, types: rows.map(|cells| (cells[0], cells)).collect(), dates }
});

/// What an instance of this type costs per hour while it runs; nothing for a type, or its Windows, that is not in the table.
pub fn of(region: &Region, instance_type: &str, platform: Platform) -> Option<Price> {
    let cells = PRICES.types.get(instance_type)?;
    let in_region = |name: &str| cell(cells[*PRICES.regions.get(name)?]);
    let linux = in_region(region.as_str()).or_else(|| {
        let Price { per_hour, .. } = in_region(BASE)?;
        Some(Price { per_hour, basis: Basis::UsEast1 })
    })?;
    match platform {
        Platform::Linux => Some(linux),
        Platform::Windows => {
            let licence = cell(cells[1])?;
            let basis = if region.as_str() == BASE { licence.basis } else { Basis::Derived };
            Some(Price { per_hour: linux.per_hour + licence.per_hour, basis: linux.basis.max(basis) })
        }
    }
}

fn cell(text: &str) -> Option<Price> {
    let (number, basis) = text.strip_prefix('~').map_or((text, Basis::Listed), |number| (number, Basis::Derived));
    Some(Price { per_hour: number.parse().ok()?, basis })
}

/// US dollars per month for a volume, by the prices of us-east-1; nothing for a type that is not known.
pub fn volume_per_month(volume_type: &str, gib: f64) -> Option<f64> {
    VOLUMES_PER_GIB_MONTH.iter().find(|(name, _)| *name == volume_type).map(|(_, price)| price * gib)
}

/// Where the prices come from and of when they are, in a few words.
pub fn source() -> String {
    let of = |column: &str| PRICES.dates.iter().find(|(name, _)| *name == column).map_or("?", |(_, date)| *date);
    let others = PRICES.dates.iter().filter(|(name, _)| !["windows", BASE].contains(name)).map(|(_, date)| *date);
    format!("on-demand lists of {} ({BASE}), {} (other regions)", of(BASE), others.min().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(region: &str, instance_type: &str, platform: Platform) -> Option<(f64, Basis)> {
        of(&Region::new(region).unwrap(), instance_type, platform)
            .map(|price| ((price.per_hour * 1e5).round() / 1e5, price.basis))
    }

    #[test]
    fn prices_are_those_of_the_lists() {
        use Basis::{Derived, Listed};
        use Platform::{Linux, Windows};
        assert_eq!(price("us-east-1", "c5.18xlarge", Linux), Some((3.06, Listed)));
        assert_eq!(price("us-east-1", "c5.18xlarge", Windows), Some((6.372, Listed)));
        assert_eq!(price("us-east-1", "m5.24xlarge", Windows), Some((9.024, Listed)));
        assert_eq!(price("us-east-1", "t3.micro", Windows), Some((0.0196, Listed)));
        assert_eq!(price("sa-east-1", "m5.24xlarge", Linux), Some((7.344, Listed)));
        assert_eq!(price("eu-central-1", "c5.18xlarge", Windows), Some((3.492 + 3.312, Derived)));
        assert_eq!(price("us-gov-west-1", "m5.large", Linux), Some((0.121, Listed)));
    }

    #[test]
    fn what_is_not_known_of_a_region_is_marked_and_what_is_not_known_at_all_has_no_price() {
        assert_eq!(price("nowhere-1", "c5.18xlarge", Platform::Linux), Some((3.06, Basis::UsEast1)));
        assert_eq!(price("nowhere-1", "c5.18xlarge", Platform::Windows), Some((6.372, Basis::UsEast1)));
        assert_eq!(price("us-east-1", "c6g.large", Platform::Windows), None, "there is no Windows for Graviton");
        assert_eq!(price("us-east-1", "nonsense", Platform::Linux), None);
        assert_eq!(price("us-east-1", "type", Platform::Linux), None);
    }

    /// Every figure is one, and none is far from what the type costs in us-east-1.
    #[test]
    fn the_table_is_whole() {
        assert!(PRICES.types.len() > 1_000 && PRICES.regions.len() > 30);
        for (name, cells) in &PRICES.types {
            assert_eq!(cells.len(), PRICES.regions.len() + BEFORE_REGIONS, "{name}");
            let base = cell(cells[PRICES.regions[BASE]]).map(|price| price.per_hour);
            for (region, column) in &PRICES.regions {
                let Some(price) = cell(cells[*column]) else {
                    assert!(cells[*column].is_empty(), "{name} {region}: {}", cells[*column]);
                    continue;
                };
                let ratio = price.per_hour / base.unwrap_or(price.per_hour);
                assert!((0.5..3.0).contains(&ratio), "{name} {region}: {ratio}");
            }
        }
        for region in Region::DEFAULT {
            let dated = PRICES.dates.iter().any(|(column, _)| *column == region);
            assert!(PRICES.regions.contains_key(region) && dated, "{region}");
        }
        assert!(source().starts_with("on-demand lists of 20"), "{}", source());
    }
}
