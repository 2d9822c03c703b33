//! What machines are launched with: keys in their user data, and encrypted volumes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::check::{Check, Read, Severity};

const ATTRIBUTE: &str = "ec2:DescribeInstanceAttribute";
const INSTANCES: &str = "ec2:DescribeInstances";
const TEMPLATES: &str = "ec2:DescribeLaunchTemplateVersions";
const CONFIGURATIONS: &str = "autoscaling:DescribeLaunchConfigurations";
const ENCRYPTED: &str = "ec2:GetEbsEncryptionByDefault";

/// No keys in user data. Neither the key nor the data are shown.
pub(super) const KEYS: Check = Check {
    id: "ec2.keys-on-machines",
    title: "No user data holds an access key",
    severity: Severity::High,
    why: "Everybody who may describe the instance, and every program on it, reads its user data; an instance profile needs no key.",
    fix: "aws ec2 associate-iam-instance-profile --instance-id ID --iam-instance-profile Name=PROFILE, launch from a template \
          without the key, and deactivate the key: aws iam update-access-key --status Inactive --access-key-id KEY.",
    needs: &[INSTANCES, ATTRIBUTE, TEMPLATES, CONFIGURATIONS],
    read: |view| {
        Read::in_regions(view, |read, region| {
            const WHAT: &str = "has an access key in its user data";
            let path = ["reservationSet", "*", "instancesSet", "*"];
            let instances = read.known(view.list_in(region, INSTANCES, &path)).unwrap_or_default();
            if !instances.is_empty() {
                let data = read.known(view.all_in(region, ATTRIBUTE)).unwrap_or_default();
                for answer in data.iter().filter(|answer| holds_key(&answer.said["userData"]["value"])) {
                    let id = answer.said["instanceId"].as_str().unwrap_or_default();
                    read.fail_in(region, format!("instance {id}"), WHAT);
                }
            }
            let templates = read.known(view.list_in(region, TEMPLATES, &["launchTemplateVersionSet", "*"]));
            for template in templates.unwrap_or_default() {
                if holds_key(&template["launchTemplateData"]["userData"]) {
                    let text = |name: &str| template[name].as_str().unwrap_or_default();
                    let name =
                        format!("launch template {}, version {}", text("launchTemplateId"), text("versionNumber"));
                    read.fail_in(region, name, WHAT);
                }
            }
            let configurations = read.known(view.list_in(region, CONFIGURATIONS, &["LaunchConfigurations", "*"]));
            for configuration in configurations.unwrap_or_default() {
                if holds_key(&configuration["UserData"]) {
                    let name = configuration["LaunchConfigurationName"].as_str().unwrap_or_default();
                    read.fail_in(region, format!("launch configuration {name}"), WHAT);
                }
            }
        })
    },
};

/// Whether user data, in base64, hold what looks like the id of a long-term key.
fn holds_key(data: &Value) -> bool {
    let Some(bytes) = data.as_str().and_then(|data| STANDARD.decode(data.trim()).ok()) else { return false };
    let is_letter = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    bytes.windows(20).enumerate().any(|(place, window)| {
        let before = place.checked_sub(1).map(|place| bytes[place]);
        let after = bytes.get(place + 20).copied();
        window.starts_with(b"AKIA") && window.iter().all(is_letter) && ![before, after].iter().flatten().any(is_letter)
    })
}

/// New volumes are encrypted.
pub(super) const ENCRYPTION: Check = Check {
    id: "ec2.ebs-encryption",
    title: "New volumes are encrypted by default in every enabled region",
    severity: Severity::Medium,
    why: "A snapshot of an unencrypted volume can be shared and read by any account; one under a key needs the key too.",
    fix: "quell run harden (ec2.encrypt-by-default), or aws ec2 enable-ebs-encryption-by-default --region REGION.",
    needs: &[ENCRYPTED],
    read: |view| {
        Read::in_regions(view, |read, region| {
            if let Some(answer) = read.known(view.one_in(region, ENCRYPTED))
                && answer["ebsEncryptionByDefault"] != "true"
            {
                read.fail_in(region, "region", "does not encrypt new volumes");
            }
        })
    },
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_found_in_the_middle_of_a_script_and_nothing_like_it_is() {
        let holds = |text: &str| holds_key(&json!(STANDARD.encode(text)));
        assert!(holds("#!/bin/sh\nexport AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n"));
        assert!(holds("AKIAIOSFODNN7EXAMPLE"));
        assert!(!holds("AKIAIOSFODNN7EXAMPLETOO"), "longer than a key");
        assert!(!holds("echo AKIA"));
        assert!(!holds_key(&Value::Null));
    }
}
