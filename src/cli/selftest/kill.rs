//! Real processes, really killed: quell and the simulated AWS beside it, each a process of its own. A run is killed by the
//! operating system at a moment that is drawn, taken up by another process, and what there is then is compared with what an
//! undisturbed run left.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Figures;
use super::judge::{Judged, Wrong};
use super::shape::{Known, Shape};
use super::trial::snapshots_taken_twice;
use crate::cli::error::Failure;
use crate::journal;
use crate::model::RunId;
use crate::sim::world::Rng;

/// The world of the matrix, in which everything that takes time is quick: these processes go by the clock on the wall.
const SCENARIO: &str = "\
scenario: 1
name: quick
like: smallest
settings:
  start: 1s
  stop: 1s
  terminate: 1s
  snapshot_per_gib: 0s
  image: 0s
  iam_propagation: 0s
  organizations_propagation: 0s
";
/// How long a request takes there.
const LATENCY: &str = "5ms";
/// How often a run is taken up before it counts as lost.
const TAKEN_UP: usize = 5;

/// Everything that the processes need, in a folder that goes with this value.
#[derive(Debug)]
pub struct Killing {
    program: PathBuf,
    folder: tempfile::TempDir,
    end: Shape,
    known: Known,
    took: Duration,
}

impl Killing {
    /// Prepares the runbook `cryptojack`, and carries it out once with nobody killing it. `program` is quell.
    ///
    /// # Errors
    /// Where that does not contain.
    pub fn prepare(program: PathBuf) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("quick.yaml"), SCENARIO)?;
        let shipped = crate::runbook::shipped().iter().find(|(name, _)| *name == "cryptojack");
        let text = shipped.map(|(_, text)| text.replace("every: 20s", "every: 1s")).unwrap_or_default();
        std::fs::write(folder.path().join("cryptojack.yaml"), text)?;
        let aws = Aws::start(&program, folder.path())?;
        let before = aws.world()?;
        let known = Known::of(&before);
        let state = folder.path().join("undisturbed");
        let begun = Instant::now();
        let output = aws.quell(&program, &state).args(aws.run(folder.path())).output()?;
        let took = begun.elapsed();
        if !contained(&output) {
            return Err(Failure::failed(format!("undisturbed: {}", String::from_utf8_lossy(&output.stderr))));
        }
        let end = known.shape(&after(&aws.world()?, &state)?);
        drop(aws);
        Ok(Self { program, folder, end, known, took })
    }

    /// Kills runs, so many, a few side by side, and judges what becomes of them.
    ///
    /// # Errors
    /// Where a process cannot be started.
    pub fn kill(&self, runs: usize, seed: u64, until: Instant) -> Result<Figures, Failure> {
        let next = AtomicUsize::new(0);
        let figures = Mutex::new(Figures::default());
        let work = || -> Result<(), Failure> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= runs || Instant::now() >= until {
                    return Ok(());
                }
                let mut rng = Rng::seeded(seed ^ (number as u64) << 20);
                let judged = self.one(number, &mut rng)?;
                figures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(judged);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let ended: Result<Vec<()>, Failure> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().map(join).collect()
        });
        ended?;
        Ok(figures.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// One run that is killed at a moment that is drawn; now and then the process that takes it up is killed as well.
    fn one(&self, number: usize, rng: &mut Rng) -> Result<Judged, Failure> {
        let aws = Aws::start(&self.program, self.folder.path())?;
        let state = self.folder.path().join(format!("state-{number}"));
        let moment = self.took.mul_f64(rng.unit());
        let mut judged = Judged { place: format!("cryptojack, killed after {moment:?}"), ..Judged::default() };
        let process = aws.quell(&self.program, &state).args(aws.run(self.folder.path())).spawn()?;
        judged.died = killed(process, moment)?;
        let mut ended = None;
        for again in 0..TAKEN_UP {
            let begun = journal::list(&state)?.into_iter().find(|run| has_begun(&state, run));
            let arguments = match &begun {
                Some(run) => {
                    let tiers = "reversible,disruptive";
                    ["resume", run.as_str(), "--approve", tiers, "--trust-endpoint", "--output", "json"]
                        .map(str::to_owned)
                        .to_vec()
                }
                // It died before it had begun: nothing was sent, and there is nothing to take up.
                None => aws.run(self.folder.path()),
            };
            let mut command = aws.quell(&self.program, &state);
            command.args(arguments);
            if again == 0 && rng.below(4) == 0 {
                let process = command.spawn()?;
                judged.died |= killed(process, self.took.mul_f64(rng.unit()))?;
                continue;
            }
            let output = command.output()?;
            let done = contained(&output);
            ended = Some(output);
            if done {
                break;
            }
        }
        let told = ended.map(|output| {
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            (
                contained(&output),
                format!("{:?}: {err}{}", output.status.code(), out.chars().take(2_000).collect::<String>()),
            )
        });
        match told {
            Some((true, _)) => {}
            told => judged.wrong.push((Wrong::Lost, format!("not contained: {}", told.unwrap_or_default().1))),
        }
        let world = after(&aws.world()?, &state)?;
        let differences = self.end.differences(&self.known.shape(&world), |_| false);
        if !differences.is_empty() {
            judged.wrong.push((Wrong::Lost, format!("not as undisturbed:\n    {}", differences.join("\n    "))));
        }
        let twice = snapshots_taken_twice(&world);
        judged.wrong.extend(twice.into_iter().map(|what| (Wrong::Duplicated, what)));
        let runs: BTreeSet<_> = journal::list(&state)?.into_iter().collect();
        for run in &runs {
            if let Err(error) = journal::read(&state, run) {
                judged.wrong.push((Wrong::Failed, error.to_string()));
            }
        }
        std::fs::remove_dir_all(&state).ok();
        Ok(judged)
    }
}

/// The dump of a world without the ids of the runs in a state folder, which differ from one run to the next.
fn after(world: &Value, state: &Path) -> Result<Value, Failure> {
    let mut text = world.to_string();
    for run in journal::list(state)? {
        text = text.replace(run.as_str(), "the run");
    }
    serde_json::from_str(&text).map_err(Failure::failed)
}

/// Whether a run's journal holds more than its first line. One that cannot be read is for the process that takes it up to judge.
fn has_begun(state: &Path, run: &RunId) -> bool {
    journal::read(state, run).map_or(true, |recorded| !recorded.events.is_empty())
}

/// Kills a process after a while. Whether it was still there to be killed.
fn killed(mut process: Child, after: Duration) -> Result<bool, Failure> {
    std::thread::sleep(after);
    let was_there = process.try_wait()?.is_none();
    // On Unix this is SIGKILL: nothing is cleaned up.
    process.kill()?;
    process.wait()?;
    Ok(was_there)
}

fn contained(output: &Output) -> bool {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let outcome = document["outcome"].as_str().unwrap_or_default();
    output.status.code() == Some(0) && ["contained", "nothing-to-do"].contains(&outcome)
}

/// A simulated AWS in a process of its own, which ends with this value.
#[derive(Debug)]
struct Aws {
    process: Child,
    ready: Value,
}

impl Aws {
    fn start(program: &Path, folder: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.env_clear().arg("sim").arg("--scenario").arg(folder.join("quick.yaml"));
        command.args(["--port", "0", "--latency", LATENCY]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let ready = serde_json::from_str(&line).map_err(Failure::failed)?;
        Ok(Self { process, ready })
    }

    /// A quell that works on it as the responder and knows nothing else of this machine.
    fn quell(&self, program: &Path, state: &Path) -> Command {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let responder = &self.ready["credentials"]["responder"];
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", state)
            .env("QUELL_STATE", state)
            .env("AWS_ENDPOINT_URL", text(&self.ready["endpoint"]))
            .env("AWS_REGION", text(&self.ready["region"]))
            .env("AWS_ACCESS_KEY_ID", text(&responder["access_key_id"]))
            .env("AWS_SECRET_ACCESS_KEY", text(&responder["secret_access_key"]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The arguments of the run.
    fn run(&self, folder: &Path) -> Vec<String> {
        let key = self.ready["facts"]["leaked_key"].as_str().unwrap_or_default();
        let runbook = folder.join("cryptojack.yaml").display().to_string();
        let (input, tiers) = (format!("leaked_key={key}"), "reversible,disruptive");
        ["run", &runbook, "--input", &input, "--approve", tiers, "--trust-endpoint", "--output", "json"]
            .map(str::to_owned)
            .to_vec()
    }

    fn world(&self) -> Result<Value, Failure> {
        let address = self.ready["endpoint"].as_str().unwrap_or_default().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET /_sim/world HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).map_err(Failure::failed)
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
