//! What the simulated AWS charges for a machine that runs.
//!
//! A table of its own, and on purpose not quell's: what quell estimates is compared with it. Large sizes cost as many times
//! the price of a `large` as they have its vCPUs.

use crate::model::{Platform, Region};

/// US dollars per vCPU and hour that a Windows licence adds.
const WINDOWS_PER_VCPU: f64 = 0.046;
/// A `large` has so many vCPUs.
const LARGE: f64 = 2.0;

/// By region, US dollars per hour for a Linux machine of the size `large`: c5, c6i, m5, r5, t3.
const LARGES: [(&str, [f64; 5]); 19] = [
    ("us-east-1", [0.085, 0.085, 0.096, 0.126, 0.0832]),
    ("us-east-2", [0.085, 0.085, 0.096, 0.126, 0.0832]),
    ("us-west-1", [0.106, 0.106, 0.112, 0.14, 0.0992]),
    ("us-west-2", [0.085, 0.085, 0.096, 0.126, 0.0832]),
    ("ca-central-1", [0.093, 0.093, 0.107, 0.138, 0.0928]),
    ("sa-east-1", [0.131, 0.131, 0.153, 0.201, 0.1344]),
    ("eu-central-1", [0.097, 0.097, 0.115, 0.152, 0.096]),
    ("eu-north-1", [0.091, 0.091, 0.102, 0.134, 0.0864]),
    ("eu-south-1", [0.101, 0.101, 0.112, 0.148, 0.0958]),
    ("eu-west-1", [0.096, 0.0912, 0.107, 0.141, 0.0912]),
    ("eu-west-2", [0.101, 0.101, 0.111, 0.148, 0.0944]),
    ("eu-west-3", [0.101, 0.101, 0.112, 0.148, 0.0944]),
    ("ap-east-1", [0.108, 0.108, 0.132, 0.167, 0.1168]),
    ("ap-northeast-1", [0.107, 0.107, 0.124, 0.152, 0.1088]),
    ("ap-northeast-2", [0.096, 0.096, 0.118, 0.152, 0.104]),
    ("ap-northeast-3", [0.107, 0.107, 0.124, 0.152, 0.1088]),
    ("ap-south-1", [0.085, 0.085, 0.101, 0.13, 0.0896]),
    ("ap-southeast-1", [0.098, 0.098, 0.12, 0.152, 0.1056]),
    ("ap-southeast-2", [0.111, 0.111, 0.12, 0.151, 0.1056]),
];

/// What a machine of this type costs per hour while it runs, in US dollars; nothing for a family that no scenario has. A
/// region that is not in the list charges what us-east-1 does.
pub fn per_hour(region: &Region, instance_type: &str, platform: Platform) -> Option<f64> {
    let (family, size) = instance_type.split_once('.')?;
    let column = ["c5", "c6i", "m5", "r5", "t3"].iter().position(|name| *name == family)?;
    let (_, larges) = LARGES.iter().find(|(name, _)| *name == region.as_str()).unwrap_or(&LARGES[0]);
    let vcpus = match size {
        "large" => LARGE,
        "xlarge" => 2.0 * LARGE,
        _ => size.strip_suffix("xlarge")?.parse::<u32>().ok().map(|times| 2.0 * LARGE * f64::from(times))?,
    };
    let licence = match platform {
        Platform::Linux => 0.0,
        Platform::Windows => WINDOWS_PER_VCPU,
    };
    Some(vcpus * (larges[column] / LARGE + licence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_costs_as_much_as_its_vcpus() {
        let per_hour =
            |region, instance_type, platform| super::per_hour(&Region::new(region).unwrap(), instance_type, platform);
        let near = |price: Option<f64>, expected: f64| (price.unwrap() - expected).abs() < 0.0005;
        assert!(near(per_hour("us-east-1", "c5.18xlarge", Platform::Windows), 6.372));
        assert!(near(per_hour("sa-east-1", "m5.24xlarge", Platform::Linux), 7.344));
        assert!(near(per_hour("nowhere-1", "m5.large", Platform::Linux), 0.096));
        assert_eq!(per_hour("us-east-1", "p5.48xlarge", Platform::Linux), None);
    }
}
