//! The only integration-test binary: one link of the AWS SDK instead of many.
//!
//! Without AWS features only the engine, over a toy world, and the evaluator of policies are tested; all else needs the
//! default features.

mod engine;
mod fuzz;
mod node;
mod policy;
mod toy;

#[cfg(all(feature = "account", feature = "autoscaling", feature = "ec2", feature = "iam", feature = "organizations"))]
mod actions;
#[cfg(all(
    feature = "autoscaling",
    feature = "cloudtrail",
    feature = "ec2",
    feature = "iam",
    feature = "organizations"
))]
mod adversary;
#[cfg(feature = "aws")]
mod architecture;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod bad_input;
#[cfg(feature = "aws")]
mod binary;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations", feature = "s3"))]
mod bucket;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod budgets;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations", feature = "cloudtrail"))]
mod capture;
#[cfg(feature = "aws")]
mod check;
#[cfg(all(
    feature = "account",
    feature = "autoscaling",
    feature = "cloudtrail",
    feature = "ec2",
    feature = "iam",
    feature = "organizations"
))]
mod conformance;
#[cfg(all(
    feature = "cloudtrail",
    feature = "costexplorer",
    feature = "ec2",
    feature = "iam",
    feature = "organizations"
))]
mod cost;
#[cfg(all(
    feature = "autoscaling",
    feature = "cloudtrail",
    feature = "ec2",
    feature = "iam",
    feature = "organizations"
))]
mod docs;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod drift;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod drill;
#[cfg(all(
    feature = "account",
    feature = "autoscaling",
    feature = "cloudtrail",
    feature = "ec2",
    feature = "iam",
    feature = "organizations"
))]
mod entering;
#[cfg(all(
    feature = "account",
    feature = "ec2",
    feature = "ecs",
    feature = "iam",
    feature = "lambda",
    feature = "organizations"
))]
mod faults;
#[cfg(all(unix, feature = "ec2", feature = "iam", feature = "organizations"))]
mod hostile;
#[cfg(all(
    feature = "account",
    feature = "autoscaling",
    feature = "cloudtrail",
    feature = "ec2",
    feature = "iam",
    feature = "organizations"
))]
mod identity;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod independent;
#[cfg(all(unix, feature = "ec2", feature = "iam", feature = "organizations"))]
mod interrupt;
#[cfg(all(unix, feature = "ec2", feature = "iam", feature = "organizations"))]
mod journal;
#[cfg(all(feature = "autoscaling", feature = "ec2", feature = "iam", feature = "organizations"))]
mod launchers;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod least_privilege;
#[cfg(feature = "ec2")]
mod one_region;
#[cfg(all(feature = "account", feature = "ec2", feature = "iam", feature = "organizations"))]
mod organization;
#[cfg(all(feature = "account", feature = "cloudtrail", feature = "ec2", feature = "iam", feature = "organizations"))]
mod persistence;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod policy_command;
#[cfg(all(
    feature = "account",
    feature = "autoscaling",
    feature = "budgets",
    feature = "cloudtrail",
    feature = "costexplorer",
    feature = "ec2",
    feature = "guardduty",
    feature = "iam",
    feature = "organizations",
    feature = "s3"
))]
mod posture;
#[cfg(all(unix, feature = "ec2", feature = "iam", feature = "organizations"))]
mod profiles;
#[cfg(feature = "aws")]
mod python;
#[cfg(all(
    feature = "cloudtrail",
    feature = "ec2",
    feature = "guardduty",
    feature = "iam",
    feature = "organizations",
    feature = "s3"
))]
mod report;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod runbooks;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod secrets;
#[cfg(feature = "aws")]
mod selftest;
#[cfg(all(
    feature = "account",
    feature = "autoscaling",
    feature = "cloudtrail",
    feature = "ec2",
    feature = "iam",
    feature = "organizations"
))]
mod services;
#[cfg(all(feature = "cloudtrail", feature = "ec2", feature = "iam", feature = "organizations", feature = "s3"))]
mod sim_core;
#[cfg(all(feature = "ec2", feature = "autoscaling"))]
mod sim_ec2;
#[cfg(all(
    feature = "ec2",
    feature = "ecs",
    feature = "iam",
    feature = "lambda",
    feature = "organizations",
    feature = "s3"
))]
mod sim_faults;
#[cfg(all(feature = "iam", feature = "organizations"))]
mod sim_iam;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod site;
#[cfg(all(unix, feature = "ec2", feature = "iam", feature = "organizations"))]
mod terminal;
#[cfg(all(feature = "cloudtrail", feature = "ec2", feature = "iam", feature = "organizations"))]
mod timeline;
#[cfg(all(unix, feature = "ec2", feature = "iam", feature = "organizations"))]
mod tty;
