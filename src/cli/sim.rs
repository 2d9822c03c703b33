use serde_json::json;

use super::drill::{Latency, scenario};
use super::error::Failure;
use super::options::FaultOptions;
use super::screen::Screen;
use crate::engine::ports::{Clock as _, WallClock};
use crate::sim::Sim;
use crate::sim::listener::Listener;

/// Serve a simulated AWS on this machine
///
/// Any AWS client can speak to it: set AWS_ENDPOINT_URL and the credentials from the one line that is printed when it is
/// ready. GET /_sim/world answers the whole world as JSON, GET /_sim/log every request so far, POST /_sim/faults takes a plan
/// of faults as --faults does (docs/faults.md), and POST /_sim/clock with {"forward": "5m"} moves the time on, so that nobody
/// has to wait for what takes its time. It listens on the loopback interface only, keeps nothing on disk, and ends with Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell sim --scenario cryptojack --port 4010
  AWS_ENDPOINT_URL=http://127.0.0.1:4010 aws ec2 describe-instances --region eu-west-1")]
pub struct Args {
    /// The name of a shipped scenario, or a file
    #[arg(long, value_name = "NAME|FILE", default_value = "cryptojack")]
    scenario: String,
    /// The port; 0 takes one that is free
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// How long every request takes
    #[arg(long, value_name = "TIME", default_value = "80ms")]
    latency: Latency,
    /// What ids and secrets are made from: the same seed gives the same ones
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    faults: FaultOptions,
    /// Whether requests take real time
    #[arg(long, value_enum, default_value_t)]
    clock: ListenerClock,
}

/// The clocks that a listener can go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum ListenerClock {
    /// A request takes as long as it says; POST /_sim/clock moves the time on besides.
    #[default]
    Real,
    /// A request moves the time on by as long as it takes, and is answered at once.
    Skipping,
}

/// Carries the command out.
pub async fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let built = scenario(&args.scenario)?.build(args.seed, jiff::Timestamp::now()).map_err(Failure::usage)?;
    let home = built.world.partition.clone();
    // Not the story's time: other programs sign with the time of the day, and signatures are good for 15 minutes only.
    let sim = Sim::new(built.world, || WallClock.now());
    sim.set_latency(args.latency.into());
    if let Some(responder) = built.credentials.get("responder") {
        sim.introduce_responder(responder.access_key_id.clone());
    }
    sim.set_fault_plan(args.faults.plan()?);
    if args.clock == ListenerClock::Skipping {
        sim.skip_waiting();
    }
    let listener = Listener::bind(sim, args.port).await.map_err(|error| {
        Failure::usage(format!("cannot listen on port {}: {error}", args.port)).hint("--port 0 takes one that is free")
    })?;
    let ready = json!({
        "endpoint": format!("http://{}", listener.address()?),
        "region": home_region(&home),
        "credentials": built.credentials,
        "accounts": built.accounts,
        "facts": built.facts,
    });
    screen.print(&format!("{ready}\n"))?;
    let interrupted = async {
        // Without a signal to wait for it serves until it is ended from outside.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    listener.serve(interrupted).await?;
    Ok(0)
}

/// The region that a client is told to use.
fn home_region(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "cn-north-1",
        "aws-us-gov" => "us-gov-west-1",
        _ => "us-east-1",
    }
}
