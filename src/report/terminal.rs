//! Progress on a terminal: a line with the totals, and a line per region, per part of the world, or per account.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::live::{Live, Showing, Size, TICKS_IN_A_SECOND, View};
use super::plain::{line, phase_words, step_line};
use super::progress::{Lane, Progress};
use super::style::Colour;
use super::text::counted;
use crate::engine::ports::Reporter;
use crate::model::{Event, EventKind, Phase};

/// Lines of a terminal that are left to what was written before, such as the last remarks.
const LEFT_FREE: usize = 4;

/// The live screen. Logs and remarks pass through the same [`Live`], so they never mix with its lines.
#[derive(Debug)]
pub struct Terminal {
    live: Live,
    colour: Colour,
    board: Board,
    showing: Option<Showing>,
}

impl Terminal {
    /// Draws at the foot of `live`.
    pub fn new(live: Live, colour: Colour) -> Self {
        let board = Board(Arc::new(Mutex::new(State { colour, ..State::default() })));
        Self { live, colour, board, showing: None }
    }

    /// Shows what goes on before there is a run: looking, planning.
    pub fn working(&mut self, phase: Phase, detail: &str) {
        let mut state = self.board.state();
        state.phase = Some(phase);
        detail.clone_into(&mut state.detail);
        drop(state);
        self.show();
    }

    /// Takes everything off the screen: a question is about to be asked, or the run is over.
    pub fn clear(&mut self) {
        self.showing = None;
    }

    fn show(&mut self) {
        let Self { live, board, showing, .. } = self;
        showing.get_or_insert_with(|| live.show(board.clone()));
    }
}

impl Reporter for Terminal {
    fn event(&mut self, event: &Event) {
        let mut state = self.board.state();
        let ended = state.progress.fold(event);
        let total = state.progress.total();
        if let EventKind::PhaseStarted { phase } = &event.kind {
            state.phase = Some(*phase);
            state.detail.clear();
        }
        drop(state);
        match &event.kind {
            EventKind::PhaseStarted { phase: Phase::Approval }
            | EventKind::ApprovalAsked { .. }
            | EventKind::RunEnded { .. } => self.clear(),
            EventKind::PhaseStarted { .. } => self.show(),
            _ => {}
        }
        if let Some(ended) = ended.filter(|ended| ended.count.bad > 0) {
            self.live.write(&format!("{}\n", self.colour.red(step_line(&ended))));
        }
        if let Some(line) = line(event, total) {
            self.live.write(&format!("{}\n", self.colour.dim(line)));
        }
    }
}

/// What the reporter writes and the screen reads.
#[derive(Debug, Clone, Default)]
struct Board(Arc<Mutex<State>>);

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View for Board {
    fn lines(&self, size: Size, tick: usize) -> Vec<String> {
        self.state().lines(size, tick)
    }
}

#[derive(Debug)]
struct State {
    colour: Colour,
    progress: Progress,
    phase: Option<Phase>,
    /// What goes on while there is no run to count.
    detail: String,
}

impl Default for State {
    fn default() -> Self {
        Self { colour: Colour::Plain, progress: Progress::default(), phase: None, detail: String::new() }
    }
}

impl State {
    fn lines(&self, size: Size, tick: usize) -> Vec<String> {
        let Some(phase) = self.phase else { return Vec::new() };
        let seconds = tick / TICKS_IN_A_SECOND;
        let since = if seconds == 0 { String::new() } else { format!(" · {seconds} s") };
        let mut lines = vec![format!("{} {}{since}", spinner(tick), self.totals(phase))];
        if matches!(phase, Phase::Apply | Phase::Prove) {
            lines.extend(self.groups(phase, size));
        }
        lines
    }

    fn totals(&self, phase: Phase) -> String {
        let total = self.progress.total();
        let doing = match phase {
            Phase::Apply => format!("applying {} of {}", total.ended(), total.planned),
            Phase::Prove => format!("proving {} of {}", self.progress.proven(), total.good),
            phase => format!("{} {}", phase_words(phase), self.detail),
        };
        let mut words = vec![doing];
        if total.bad > 0 {
            words.push(self.colour.red(format!("{} FAILED", total.bad)));
        }
        if total.running > 0 {
            words.push(format!("{} in flight", total.running));
        }
        words.join(" · ")
    }

    /// A line per lane where they fit; otherwise one per part of the world; and where even those do not fit, the ones at
    /// work, and one line for all others.
    fn groups(&self, phase: Phase, size: Size) -> Vec<String> {
        let room = size.rows.saturating_sub(LEFT_FREE + 1).max(1);
        let lanes: Vec<Group> = self.progress.lanes().map(|(name, lane)| Group::of_one(name, lane)).collect();
        let groups = if lanes.len() <= room { lanes } else { by_part_of_the_world(lanes) };
        let (shown, rest) = if groups.len() <= room { (groups, None) } else { most_urgent(groups, phase, room - 1) };
        let name = shown.iter().map(|group| group.name.len()).max().unwrap_or_default();
        let counts = shown.iter().map(|group| group.counts(phase).len()).max().unwrap_or_default();
        let bar = bar_width(size.columns);
        let mut lines: Vec<String> =
            shown.iter().map(|group| group.line(phase, (name, bar, counts), self.colour)).collect();
        lines.extend(rest.map(|rest| format!("  {rest}")));
        lines
    }
}

/// One line: a lane, or several.
#[derive(Debug, Clone, Default)]
struct Group {
    name: String,
    lanes: usize,
    total: Lane,
}

impl Group {
    fn of_one(name: &str, lane: &Lane) -> Self {
        Self { name: name.to_owned(), lanes: 1, total: lane.clone() }
    }

    fn add(&mut self, other: &Self) {
        self.lanes += other.lanes;
        self.total.add(&other.total);
    }

    /// How far it is, and how far it has to go.
    fn done(&self, phase: Phase) -> (usize, usize) {
        match phase {
            Phase::Prove => (self.total.proven, self.total.count.good),
            _ => (self.total.count.ended(), self.total.count.planned),
        }
    }

    fn is_through(&self, phase: Phase) -> bool {
        let (done, of) = self.done(phase);
        done >= of
    }

    fn counts(&self, phase: Phase) -> String {
        let (done, of) = self.done(phase);
        format!("{done}/{of}")
    }

    fn line(&self, phase: Phase, (name, bar, counts): (usize, usize, usize), colour: Colour) -> String {
        let (done, of) = self.done(phase);
        let bar = if bar == 0 { String::new() } else { format!("{}  ", drawn_bar(done, of, bar)) };
        let mut words = Vec::new();
        if self.total.count.bad > 0 {
            words.push(colour.red(format!("{} FAILED", self.total.count.bad)));
        }
        if self.lanes > 1 {
            words.push(counted(self.lanes, "region"));
        }
        if phase == Phase::Apply && self.total.count.running > 0 {
            words.push(self.total.steps());
        }
        let line = format!("  {:name$}  {bar}{:>counts$}  {}", self.name, self.counts(phase), words.join(" · "));
        line.trim_end().to_owned()
    }
}

/// `eu` for all regions of Europe. What is the only one of its part stays what it is.
fn by_part_of_the_world(lanes: Vec<Group>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for lane in lanes {
        match groups.last_mut() {
            Some(group) if part_of_the_world(&group.name) == part_of_the_world(&lane.name) => {
                part_of_the_world(&lane.name).clone_into(&mut group.name);
                group.add(&lane);
            }
            _ => groups.push(lane),
        }
    }
    groups
}

/// `eu` for `eu-west-1`; what has no parts, such as `global` or an account, stands for itself.
fn part_of_the_world(lane: &str) -> &str {
    lane.split_once('-').map_or(lane, |(part, _)| part)
}

/// The groups at work, and those with failures, before all others; in their order. And words about those left out.
fn most_urgent(groups: Vec<Group>, phase: Phase, room: usize) -> (Vec<Group>, Option<String>) {
    let urgency = |group: &Group| {
        let count = group.total.count;
        (count.running == 0 && group.is_through(phase), count.bad == 0, count.running == 0)
    };
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|at| urgency(&groups[*at]));
    let (shown, rest) = order.split_at(room.min(order.len()));
    let mut shown = shown.to_vec();
    shown.sort_unstable();
    let through = rest.iter().filter(|at| groups[**at].is_through(phase)).count();
    let open = rest.len() - through;
    let parts = [(through, "through"), (open, "still open")];
    let words: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} more {what}")).collect();
    (shown.into_iter().map(|at| groups[at].clone()).collect(), Some(words.join(" · ")))
}

fn bar_width(columns: usize) -> usize {
    match columns {
        0..50 => 0,
        50..70 => 10,
        _ => 20,
    }
}

fn drawn_bar(done: usize, of: usize, width: usize) -> String {
    let full = (done * width).checked_div(of).unwrap_or(width).min(width);
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

fn spinner(tick: usize) -> char {
    const TURN: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
    TURN[tick % TURN.len()]
}

#[cfg(test)]
mod tests {
    use super::super::live::fitting;
    use super::super::live::tests::Glass;
    use super::*;
    use crate::model::{ActionError, Change, ChangeId, ErrorKind, Outcome, Target, example};

    /// What the account has only once, and 34 regions.
    const LANES: &str = "global af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 \
        ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 \
        ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 \
        eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-1 \
        us-west-2";

    /// Three changes in every lane, of which one is done, one failed or done, and one in flight.
    fn applying(lanes: impl Iterator<Item = Target>, fails: fn(&Target) -> bool) -> State {
        let mut events = example::run();
        let model = example::plan().changes[1].clone();
        let changes: Vec<Change> = lanes
            .flat_map(|target| (0..3).map(move |n| (target.clone(), n)))
            .map(|(target, n)| {
                let id = ChangeId::of(&model.step, &target, &format!("i-{n}").parse().unwrap());
                Change { id, target, ..model.clone() }
            })
            .collect();
        let mut kinds = vec![EventKind::PhaseStarted { phase: Phase::Apply }];
        for (at, change) in changes.iter().enumerate() {
            let (id, n) = (change.id.clone(), at % 3);
            kinds.push(EventKind::ChangeStarted { change: id.clone() });
            let error = ActionError::new(ErrorKind::Denied, "no");
            match n {
                0 => kinds.push(EventKind::ChangeEnded { change: id, outcome: Outcome::Already }),
                1 if fails(&change.target) => {
                    kinds.push(EventKind::ChangeEnded { change: id, outcome: Outcome::Failed { error } });
                }
                1 => kinds.push(EventKind::ChangeEnded { change: id, outcome: Outcome::Already }),
                _ => {}
            }
        }
        if let EventKind::RunStarted { plan, .. } = &mut events[0].kind {
            plan.changes = changes;
        }
        let mut state = State { phase: Some(Phase::Apply), ..State::default() };
        state.progress.fold(&events[0]);
        for kind in kinds {
            state.progress.fold(&example::event(1, kind));
        }
        state
    }

    fn everywhere() -> State {
        applying(LANES.split_whitespace().map(example::target), |target| target.region.as_str() == "eu-west-3")
    }

    fn drawn(state: &State, rows: usize, columns: usize) -> String {
        let lines = state.lines(Size { rows, columns }, 0);
        assert!(lines.len() < rows, "{} lines in {rows}", lines.len());
        fitting(&lines, Size { rows, columns }).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn where_regions_do_not_fit_there_is_a_line_for_each_part_of_the_world() {
        insta::assert_snapshot!(drawn(&everywhere(), 24, 80), @r"
        ⠋ applying 70 of 105 · 1 FAILED · 35 in flight
          af-south-1    █████████████░░░░░░░    2/3  evidence
          ap            █████████████░░░░░░░  28/42  14 regions · evidence
          ca            █████████████░░░░░░░    4/6  2 regions · evidence
          eu            █████████████░░░░░░░  16/24  1 FAILED · 8 regions · evidence
          global        █████████████░░░░░░░    2/3  evidence
          il-central-1  █████████████░░░░░░░    2/3  evidence
          me            █████████████░░░░░░░    4/6  2 regions · evidence
          mx-central-1  █████████████░░░░░░░    2/3  evidence
          sa-east-1     █████████████░░░░░░░    2/3  evidence
          us            █████████████░░░░░░░   8/12  4 regions · evidence
        ");
    }

    #[test]
    fn a_narrow_terminal_does_without_bars() {
        insta::assert_snapshot!(drawn(&everywhere(), 10, 40), @r"
        ⠋ applying 70 of 105 · 1 FAILED · 35 i…
          af-south-1    2/3  evidence
          ap          28/42  14 regions · evid…
          ca            4/6  2 regions · evide…
          eu          16/24  1 FAILED · 8 regi…
          6 more still open
        ");
    }

    #[test]
    fn a_tall_terminal_has_a_line_for_each_region() {
        let text = drawn(&everywhere(), 60, 200);
        assert_eq!(text.lines().count(), 36);
        for lane in LANES.split_whitespace() {
            assert!(text.lines().any(|line| line.trim_start().starts_with(lane)), "{lane}: {text}");
        }
    }

    #[test]
    fn of_many_accounts_those_with_failures_are_shown() {
        let lane = |n: usize| {
            Target::new(format!("{:012}", 100_000_000_000 + n).parse().unwrap(), example::target("eu-west-1").region)
        };
        let state = applying((0..500).map(lane), |target| target.account.as_str().ends_with("77"));
        let text = drawn(&state, 24, 80);
        assert_eq!(text.matches("1 FAILED").count(), 5, "{text}");
        assert!(text.ends_with("482 more still open"), "{text}");
    }

    #[test]
    fn lines_stand_only_while_the_run_works() {
        let live = Live::new(Glass::new(24, 80));
        let mut terminal = Terminal::new(live, Colour::Plain);
        let shown: Vec<bool> = example::run()
            .iter()
            .map(|event| {
                terminal.event(event);
                terminal.showing.is_some()
            })
            .collect();
        let first = shown.iter().position(|shown| *shown).unwrap();
        assert_eq!(first, 7, "nothing is drawn while somebody is asked");
        assert!(shown[first..shown.len() - 1].iter().all(|shown| *shown));
        assert!(!shown[shown.len() - 1]);
    }

    #[test]
    fn what_is_proven_is_counted_again() {
        let mut state = State { phase: Some(Phase::Prove), ..State::default() };
        for event in &example::run()[..22] {
            state.progress.fold(event);
        }
        insta::assert_snapshot!(drawn(&state, 24, 80), @r"
        ⠋ proving 2 of 4 · 1 FAILED
          eu-west-1  ██████████░░░░░░░░░░  1/2
          global     ████████████████████  1/1
          us-east-1  ░░░░░░░░░░░░░░░░░░░░  0/1  1 FAILED
        ");
    }
}
