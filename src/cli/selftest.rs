//! `quell selftest`: runs of the shipped runbooks on a simulated AWS, disturbed in every way there is.

pub mod disturb;
pub mod judge;
pub mod kill;
pub mod shape;
pub mod stage;
pub mod tap;
pub mod trial;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::error::Failure;
use super::screen::{Output, Screen};
use crate::model::Span;
use crate::report::text::{counted, seconds, shown};
use crate::sim::world::Rng;
use disturb::{Disturbance, MayDie};
use judge::{Judged, Undisturbed, Wrong, dies, goes_wrong};
use stage::Stage;

/// The scenario that everything happens in.
const SCENARIO: &str = "smallest";
/// How many findings are shown.
const SHOWN: usize = 20;

/// Disturb runs of the shipped runbooks, and look for anything that goes wrong
///
/// Everything happens on a simulated AWS inside this process, in virtual time. Every shipped runbook is killed after each
/// event of its journal and after each request that writes, taken up again, and taken back; then it is run while requests
/// fail in every way there is, and killed on top of it now and then. What there is afterwards is compared with what there
/// should be, and with what quell says. All counts but those of runs and faults must be zero.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell selftest
  quell selftest --kills 200
  quell selftest --runs 500 --seed 7 --runbook cryptojack --output json")]
pub struct Args {
    /// How many disturbed runs
    #[arg(long, value_name = "N", default_value_t = 2_400)]
    runs: usize,
    /// What the disturbances are drawn from: the same seed gives the same ones
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Only this runbook
    #[arg(long, value_name = "RUNBOOK")]
    runbook: Option<String>,
    /// Only the runs that are described by this text, as in a finding: `a service that refuses`, `dead at 12`
    #[arg(long, value_name = "TEXT", conflicts_with = "kills")]
    only: Option<String>,
    /// Kill so many real processes instead, at moments that are drawn, each beside a simulated AWS in a process of its own
    #[arg(long, value_name = "N")]
    kills: Option<usize>,
    /// No run is begun any more after so long
    #[arg(long, value_name = "TIME", default_value = "30m")]
    at_most: Span,
}

/// Carries the command out.
pub fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let names = crate::runbook::shipped().iter().map(|(name, _)| (*name).to_owned());
    let names: Vec<String> = names.filter(|name| args.runbook.as_ref().is_none_or(|only| only == name)).collect();
    if names.is_empty() {
        let name = shown(args.runbook.as_deref().unwrap_or_default());
        return Err(Failure::usage(format!("there is no shipped runbook `{name}`")));
    }
    let begun = Instant::now();
    if let Some(kills) = args.kills {
        let killing = kill::Killing::prepare(std::env::current_exe()?)?;
        return show(&killing.kill(kills, args.seed, begun + args.at_most.std())?, begun, screen);
    }
    let grounds = names.iter().map(|name| Ground::of(name, args.seed)).collect::<Result<Vec<_>, _>>()?;
    let deaths = grounds.iter().flat_map(Ground::deaths);
    let jobs: Vec<Job> = deaths.chain(faults(&grounds, args.seed, MayDie::Yes)).take(args.runs).collect();
    let is_wanted = |job: &Job| args.only.as_ref().is_none_or(|only| job.place().contains(only.as_str()));
    let jobs: Vec<Job> = jobs.into_iter().filter(is_wanted).collect();
    let until = begun + args.at_most.std();
    let remark = screen.remarks();
    let figures = carry_out(&jobs, until, &|done| {
        if done % 100 == 0 {
            remark.write(&format!("{done} of {} runs", jobs.len()));
        }
    })?;
    show(&figures, begun, screen)
}

fn show(figures: &Figures, begun: Instant, screen: &Screen) -> Result<u8, Failure> {
    match screen.output {
        Output::Text => screen.print(&figures.text(begun.elapsed()))?,
        Output::Json | Output::Jsonl => screen.document(&figures.document(begun.elapsed()))?,
    }
    Ok(u8::from(!figures.wrong.is_empty()))
}

/// A runbook in its world, and the run with which nothing went wrong.
#[derive(Debug)]
pub struct Ground {
    stage: Stage,
    clean: Undisturbed,
}

impl Ground {
    /// The ground of a shipped runbook.
    ///
    /// # Errors
    /// Where it does not contain even when nothing disturbs it.
    pub fn of(name: &str, seed: u64) -> Result<Self, Failure> {
        let stage = Stage::of(name, SCENARIO, seed)?;
        let clean = virtual_time(Undisturbed::of(&stage))??;
        Ok(Self { stage, clean })
    }

    /// Every place where its process can die.
    pub fn deaths(&self) -> impl Iterator<Item = Job<'_>> {
        let mut footing = None;
        (0..self.clean.cuts.len()).map(move |cut| {
            let here = Some(self.clean.cuts[cut].footing());
            let prefix = here != footing;
            footing = here;
            Job::Dies { ground: self, cut, prefix }
        })
    }
}

/// Everything that can go wrong, on every ground in turn, without an end.
pub fn faults(grounds: &[Ground], seed: u64, may_die: MayDie) -> impl Iterator<Item = Job<'_>> {
    let mut rng = Rng::seeded(seed);
    (0..).flat_map(|kind| grounds.iter().map(move |ground| (kind, ground))).map(move |(kind, ground)| {
        let disturbance = Disturbance::of_kind(kind % Disturbance::kinds(), may_die, &mut rng);
        Job::GoesWrong { ground, disturbance }
    })
}

/// A disturbed run.
#[derive(Debug)]
pub enum Job<'a> {
    /// Its process dies.
    Dies {
        /// Where it runs.
        ground: &'a Ground,
        /// After which cut.
        cut: usize,
        /// Whether it is also taken back without being taken up.
        prefix: bool,
    },
    /// Things go wrong on the way.
    GoesWrong {
        /// Where it runs.
        ground: &'a Ground,
        /// What goes wrong.
        disturbance: Disturbance,
    },
}

impl Job<'_> {
    /// A panic is a finding like any other.
    fn carry_out(&self) -> Result<Judged, Failure> {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.go()));
        done.unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned())).unwrap_or_default();
            let wrong = vec![(Wrong::Failed, format!("panicked: {said}"))];
            Ok(Judged { place: self.place(), wrong, ..Judged::default() })
        })
    }

    fn place(&self) -> String {
        match self {
            Self::Dies { ground, cut, .. } => format!("{}, dead at {cut}", ground.stage.name),
            Self::GoesWrong { ground, disturbance } => format!("{}, {disturbance}", ground.stage.name),
        }
    }

    fn go(&self) -> Result<Judged, Failure> {
        match self {
            Self::Dies { ground, cut, prefix } => {
                let Ground { stage, clean } = ground;
                virtual_time(dies(stage, clean, &clean.cuts[*cut], *prefix))
            }
            Self::GoesWrong { ground, disturbance } => {
                virtual_time(goes_wrong(&ground.stage, &ground.clean, disturbance))
            }
        }
    }
}

/// Drives work on a runtime of its own, whose clock is moved forward whenever all work waits.
fn virtual_time<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}

/// Carries disturbed runs out, side by side on every processor, and adds them up.
///
/// # Errors
/// Where a runtime cannot be made.
pub fn carry_out(jobs: &[Job], until: Instant, progress: &(dyn Fn(usize) + Sync)) -> Result<Figures, Failure> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let figures = Mutex::new(Figures::default());
    let work = || -> Result<(), Failure> {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| Instant::now() < until) {
            let judged = job.carry_out()?;
            figures.lock().unwrap_or_else(PoisonError::into_inner).add(judged);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let ended = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.collect::<Result<Vec<_>, _>>()
    });
    ended?;
    Ok(figures.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What came of all runs.
#[derive(Debug, Default)]
pub struct Figures {
    /// Disturbed runs.
    pub runs: usize,
    /// Runs whose process died.
    pub deaths: usize,
    /// Requests that something went wrong with.
    pub faults: u64,
    /// What is wrong, and in which run.
    pub wrong: Vec<(Wrong, String)>,
    /// By how many seconds the runs took longer.
    added: Vec<f64>,
}

impl Figures {
    fn add(&mut self, judged: Judged) {
        self.runs += 1;
        self.deaths += usize::from(judged.died);
        self.faults += judged.struck;
        self.added.extend(judged.added);
        let place = judged.place;
        self.wrong.extend(judged.wrong.into_iter().map(|(wrong, what)| (wrong, format!("{place}: {what}"))));
    }

    /// How often something was wrong, by what; also what never was.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let kinds = [
            (Wrong::Lost, "changes lost"),
            (Wrong::Duplicated, "changes duplicated"),
            (Wrong::WrongClean, "wrong clean"),
            (Wrong::Lockout, "lockouts"),
            (Wrong::Hung, "hung"),
            (Wrong::Failed, "failed"),
        ];
        let count = |kind| self.wrong.iter().filter(|(wrong, _)| *wrong == kind).count();
        kinds.into_iter().map(|(kind, name)| (name, count(kind))).collect()
    }

    /// Median and maximum of the time that runs took longer, in seconds.
    fn added(&self) -> (f64, f64) {
        let mut added = self.added.clone();
        added.sort_by(f64::total_cmp);
        let at = |index: usize| added.get(index).copied().unwrap_or_default().max(0.0);
        (at(added.len() / 2), at(added.len().saturating_sub(1)))
    }

    fn text(&self, took: Duration) -> String {
        let (median, longest) = self.added();
        let mut lines = vec![
            format!("runs                {}", self.runs),
            format!("processes killed    {}", self.deaths),
            format!("faults injected     {}", self.faults),
        ];
        lines.extend(self.counts().into_iter().map(|(name, count)| format!("{name:<18}  {count}")));
        lines.push(format!("time added          {} in the median, {} at most", seconds(median), seconds(longest)));
        lines.push(format!("took                {}", seconds(took.as_secs_f64())));
        for (wrong, what) in self.wrong.iter().take(SHOWN) {
            lines.push(format!("{wrong:?}: {}", what.lines().map(shown).collect::<Vec<_>>().join("\n")));
        }
        if self.wrong.len() > SHOWN {
            lines.push(format!("and {}", counted(self.wrong.len() - SHOWN, "more finding")));
        }
        lines.join("\n") + "\n"
    }

    fn document(&self, took: Duration) -> Value {
        let (median, longest) = self.added();
        let findings: Vec<Value> =
            self.wrong.iter().map(|(wrong, what)| json!({ "wrong": format!("{wrong:?}"), "what": what })).collect();
        json!({
            "runs": self.runs, "killed": self.deaths, "faults": self.faults, "counts": self.counts(),
            "added_seconds": { "median": median, "longest": longest },
            "seconds": took.as_secs_f64(), "findings": findings,
        })
    }
}
