//! Where the caller's credentials come from: the profiles of an AWS configuration, through the real binary.

use std::process::Command;

use serde_json::json;

use crate::binary::{code, json};
use crate::site::{Site, stderr};

/// A breached organisation, and a person whose credentials are in profiles.
struct Desk(Site);

impl Desk {
    fn open() -> Self {
        let site = Site::open();
        let [id, secret] = ["access_key_id", "secret_access_key"].map(|member| {
            let pointer = format!("/credentials/responder/{member}");
            site.fact(&pointer).to_owned()
        });
        let given = json!({ "Version": 1, "AccessKeyId": id, "SecretAccessKey": secret });
        let given = site.write("given.json", &given.to_string());
        let old = json!({
            "Version": 1, "AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey": secret, "SessionToken": "old",
            "Expiration": "2020-01-01T00:00:00Z",
        });
        let old = site.write("old.json", &old.to_string());
        let account = site.fact("/facts/breached_account");
        let config = format!(
            "[profile keys]\nregion = eu-central-1\n\
             [profile role]\nrole_arn = arn:aws:iam::{account}:role/ir/IRResponder\nsource_profile = keys\n\
             [profile nobodys]\nrole_arn = arn:aws:iam::{account}:role/Absent\nsource_profile = keys\n\
             [profile process]\ncredential_process = /bin/cat {}\n\
             [profile old]\ncredential_process = /bin/cat {}\n\
             [profile broken]\ncredential_process = /bin/false\n\
             [profile astray]\nrole_arn = arn:aws:iam::{account}:role/ir/IRResponder\nsource_profile = absent\n",
            given.display(),
            old.display()
        );
        site.write("config", &config);
        let keys = format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        site.write("credentials", &format!("[keys]\n{keys}[forged]\n{keys}aws_session_token = forged\n"));
        Self(site)
    }

    /// quell without credentials in its environment, but with the two files.
    fn quell(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.bare(arguments);
        command
            .env("AWS_CONFIG_FILE", self.0.path("config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.0.path("credentials"))
            .env("AWS_ENDPOINT_URL", self.0.fact("/endpoint"))
            .args(["--trust-endpoint", "--output", "json"]);
        command
    }

    /// Doctor and plan work with a profile, and know the caller by this name.
    #[track_caller]
    fn works(&self, profile: &str, caller: &str) {
        let doctor = self.quell(&["doctor", "--profile", profile]).output().unwrap();
        assert_eq!(code(&doctor), 0, "{profile}: {}", stderr(&doctor));
        let arn = json(&doctor)["caller"]["arn"].as_str().unwrap().to_owned();
        assert!(arn.contains(caller), "{profile}: {arn}");

        let account = format!("account={}", self.0.fact("/facts/breached_account"));
        let plan = ["plan", "rogue-instances", "--input", &account];
        let planned = self.quell(&plan).env("AWS_PROFILE", profile).output().unwrap();
        assert_eq!(code(&planned), 0, "{profile}: {}", stderr(&planned));
        assert!(String::from_utf8_lossy(&planned.stdout).contains("ec2.stop-instances"), "{profile} finds nothing");
    }

    /// With a profile quell ends with 2, and says each of `words`.
    #[track_caller]
    fn fails(&self, profile: &str, words: &[&str]) {
        let account = format!("account={}", self.0.fact("/facts/breached_account"));
        let plan = ["plan", "rogue-instances", "--input", &account, "--profile", profile];
        for arguments in [&["doctor", "--profile", profile][..], &plan] {
            let output = self.quell(arguments).output().unwrap();
            let said = stderr(&output);
            assert_eq!(code(&output), 2, "{profile}: {said}");
            for word in words {
                assert!(said.contains(word), "{profile}: `{word}` is not in: {said}");
            }
        }
    }
}

#[test]
fn keys_a_role_and_a_process_of_a_profile_all_work() {
    let desk = Desk::open();
    desk.works("keys", "user/noa.lindqvist");
    desk.works("process", "user/noa.lindqvist");
    desk.works("role", "assumed-role/IRResponder/");
}

#[test]
fn a_profile_that_gives_no_good_credentials_is_named_with_the_way_out() {
    let desk = Desk::open();
    desk.fails("absent", &["profile `absent`", "no credentials", "list-profiles"]);
    desk.fails("astray", &["profile `astray`", "no credentials", "list-profiles"]);
    desk.fails("broken", &["profile `broken`", "external process exited", "list-profiles"]);
    desk.fails("nobodys", &["profile `nobodys`", "sts:AssumeRole", "role/Absent"]);
    desk.fails("forged", &["InvalidClientTokenId", "sign in again", "AWS_SESSION_TOKEN"]);
    desk.fails("old", &["InvalidClientTokenId", "sign in again"]);
}
