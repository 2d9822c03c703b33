//! What machines cost per hour, to show what a breach costs and what containing it saves. Estimates, never bills.

/// Where the figures come from, as every report that uses them says.
pub const SOURCE: &str = "estimated by on-demand prices of us-east-1; other regions differ";

/// US dollars per vCPU and hour under Linux. Within these families a machine's price grows with its vCPUs.
const FAMILIES: &[(&str, f64)] = &[
    ("c5", 0.0425),
    ("c5a", 0.0385),
    ("c5n", 0.054),
    ("c6a", 0.038_25),
    ("c6i", 0.0425),
    ("c7a", 0.051_32),
    ("c7i", 0.044_625),
    ("m5", 0.048),
    ("m5a", 0.043),
    ("m6a", 0.0432),
    ("m6i", 0.048),
    ("m7i", 0.0504),
    ("r5", 0.063),
    ("r6i", 0.063),
];

/// US dollars per hour under Linux, for families whose price does not follow the vCPUs.
const BURSTABLE: &[(&str, f64)] = &[
    ("t3.micro", 0.0104),
    ("t3.small", 0.0208),
    ("t3.medium", 0.0416),
    ("t3.large", 0.0832),
    ("t3.xlarge", 0.1664),
    ("t3.2xlarge", 0.3328),
];

/// What a Windows licence adds, in US dollars per vCPU and hour. Machines of the burstable families are charged less; they
/// count for little here and are left at the Linux price.
const WINDOWS_PER_VCPU: f64 = 0.046;

/// What an instance of this type costs per hour while it runs, in US dollars; `None` for a type that is not in the table.
pub fn per_hour(instance_type: &str, platform: Platform) -> Option<f64> {
    if let Some((_, price)) = BURSTABLE.iter().find(|(name, _)| *name == instance_type) {
        return Some(*price);
    }
    let (family, size) = instance_type.split_once('.')?;
    let (_, per_vcpu) = FAMILIES.iter().find(|(name, _)| *name == family)?;
    let licence = match platform {
        Platform::Linux => 0.0,
        Platform::Windows => WINDOWS_PER_VCPU,
    };
    Some(vcpus(size)? * (per_vcpu + licence))
}

/// The operating system, as far as the price depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// No licence.
    Linux,
    /// A licence per vCPU.
    Windows,
}

/// `large` has 2, `xlarge` 4, `24xlarge` 96.
fn vcpus(size: &str) -> Option<f64> {
    match size {
        "large" => Some(2.0),
        "xlarge" => Some(4.0),
        _ => size.strip_suffix("xlarge")?.parse::<u32>().ok().map(|times| 4.0 * f64::from(times)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_those_of_the_list() {
        let near = |price: Option<f64>, expected: f64| (price.unwrap() - expected).abs() < 0.0005;
        assert!(near(per_hour("c5.18xlarge", Platform::Linux), 3.06));
        assert!(near(per_hour("c5.18xlarge", Platform::Windows), 6.372));
        assert!(near(per_hour("m5.24xlarge", Platform::Windows), 9.024));
        assert!(near(per_hour("m5.large", Platform::Linux), 0.096));
        assert!(near(per_hour("t3.micro", Platform::Linux), 0.0104));
    }

    #[test]
    fn an_unknown_type_has_no_price() {
        assert_eq!(per_hour("p5.48xlarge", Platform::Linux), None);
        assert_eq!(per_hour("c5.metal", Platform::Linux), None);
        assert_eq!(per_hour("nonsense", Platform::Linux), None);
    }
}
