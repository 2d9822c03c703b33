//! Progress on a terminal: a line with the totals, a line per lane that is at work, and one for all that are through.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plain::{count_words, line, phase_words};
use super::progress::{Count, Progress};
use super::style::Colour;
use crate::engine::ports::Reporter;
use crate::model::{Event, EventKind, Phase};

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// The live screen. All its lines belong to one [`MultiProgress`], through which logs pass as well, so they never mix.
#[derive(Debug)]
pub struct Terminal {
    screen: MultiProgress,
    colour: Colour,
    progress: Progress,
    phase: Option<Phase>,
    /// The totals: the first line.
    totals: Option<ProgressBar>,
    /// Lanes at work.
    lanes: BTreeMap<String, ProgressBar>,
    /// The lanes that are through, in one line; the last line.
    through: Option<ProgressBar>,
}

impl Terminal {
    /// Draws on `screen`.
    pub fn new(screen: MultiProgress, colour: Colour) -> Self {
        Self {
            screen,
            colour,
            progress: Progress::default(),
            phase: None,
            totals: None,
            lanes: BTreeMap::new(),
            through: None,
        }
    }

    /// Shows what goes on before there is a run: looking, planning.
    pub fn working(&mut self, phase: Phase, detail: &str) {
        self.phase = Some(phase);
        let totals = self.totals();
        totals.set_message(format!("{} {detail}", phase_words(phase)));
    }

    /// Takes everything off the screen: a question is about to be asked, or the run is over.
    pub fn clear(&mut self) {
        for (_, bar) in std::mem::take(&mut self.lanes) {
            bar.finish_and_clear();
        }
        for bar in [self.through.take(), self.totals.take()].into_iter().flatten() {
            bar.finish_and_clear();
        }
    }

    fn totals(&mut self) -> &ProgressBar {
        let screen = &self.screen;
        self.totals.get_or_insert_with(|| {
            let bar = screen.insert(0, ProgressBar::new_spinner());
            bar.set_style(style("{spinner} {msg}"));
            bar.enable_steady_tick(TICK);
            bar
        })
    }

    fn draw(&mut self) {
        let total = self.progress.total();
        let message = match self.phase {
            Some(Phase::Apply) => format!("applying {}", of(total)),
            Some(Phase::Prove) => format!("proving {} of {}", self.progress.proven(), total.good),
            Some(phase) => phase_words(phase).to_owned(),
            None => return,
        };
        let message = if total.bad > 0 {
            format!("{message} · {}", self.colour.red(format!("{} failed", total.bad)))
        } else {
            message
        };
        self.totals().set_message(message);
        self.draw_through();
    }

    fn draw_lane(&mut self, lane: &str, step: &str) {
        let Some((_, count)) = self.progress.lanes().find(|(name, _)| *name == lane) else { return };
        if count.is_over() {
            if let Some(bar) = self.lanes.remove(lane) {
                bar.finish_and_clear();
                self.screen.remove(&bar);
            }
            return;
        }
        if !self.lanes.contains_key(lane) && self.lanes.len() < most_lines() {
            self.totals();
            let position = 1 + self.lanes.keys().take_while(|name| name.as_str() < lane).count();
            let bar = self.screen.insert(position, ProgressBar::new(count.planned as u64));
            bar.set_style(style("  {spinner} {prefix:14} {bar:20} {pos:>4}/{len:<4} {msg}"));
            bar.set_prefix(lane.to_owned());
            self.lanes.insert(lane.to_owned(), bar);
        }
        let Some(bar) = self.lanes.get(lane) else { return };
        bar.set_length(count.planned as u64);
        bar.set_position(count.ended() as u64);
        bar.set_message(if count.bad > 0 { format!("{step} · {}", count_words(count)) } else { step.to_owned() });
        if count.running > 0 {
            bar.enable_steady_tick(TICK);
        } else {
            bar.disable_steady_tick();
        }
    }

    fn draw_through(&mut self) {
        let lanes: Vec<(String, Count)> = self.progress.lanes().map(|(name, count)| (name.to_owned(), count)).collect();
        let Some(message) = through_words(&lanes, self.lanes.len()) else { return };
        let screen = &self.screen;
        let bar = self.through.get_or_insert_with(|| {
            let bar = screen.add(ProgressBar::new_spinner());
            bar.set_style(style("    {wide_msg}"));
            bar
        });
        bar.set_message(message);
    }
}

impl Reporter for Terminal {
    fn event(&mut self, event: &Event) {
        let ended = self.progress.fold(event);
        match &event.kind {
            EventKind::ApprovalAsked { .. } | EventKind::RunEnded { .. } => return self.clear(),
            EventKind::PhaseStarted { phase: Phase::Approval } => {
                self.phase = None;
                return self.clear();
            }
            EventKind::PhaseStarted { phase } => self.phase = Some(*phase),
            EventKind::ChangeStarted { change } | EventKind::ChangeEnded { change, .. } => {
                let lane = self.progress.lane_of(change);
                let step = self.progress.step_of(change).map(ToString::to_string);
                if let (Some(lane), Some(step)) = (lane, step) {
                    self.draw_lane(&lane, &step);
                }
            }
            _ => {}
        }
        if let Some(ended) = ended.filter(|ended| ended.count.bad > 0) {
            let words = self.colour.red(super::plain::step_line(&ended));
            // A screen that cannot be written to must not end a containment.
            let _ = self.screen.println(words);
        }
        if let Some(line) = line(event, self.progress.total()) {
            let _ = self.screen.println(self.colour.dim(line));
        }
        self.draw();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `57 of 104`.
fn of(count: Count) -> String {
    format!("{} of {}", count.ended(), count.planned)
}

/// One line about the lanes that have no line of their own: those that are through, and those that wait.
fn through_words(lanes: &[(String, Count)], drawn: usize) -> Option<String> {
    let through: Vec<_> = lanes.iter().filter(|(_, count)| count.is_over()).map(|(name, _)| name.as_str()).collect();
    let others = lanes.len() - through.len() - drawn.min(lanes.len() - through.len());
    let mut parts = Vec::new();
    if !through.is_empty() {
        parts.push(format!("{} through: {}", through.len(), through.join(" ")));
    }
    if others > 0 {
        parts.push(format!("{others} to come"));
    }
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// How many lanes fit under each other, with room for the totals, the rest and a few lines of log.
fn most_lines() -> usize {
    usize::from(console::Term::stderr().size().0).saturating_sub(6).clamp(4, 40)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates of this file are well-formed")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
        .progress_chars("█▉▊▋▌▍▎▏ ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn lanes_that_are_through_share_one_line() {
        let over = Count { planned: 2, good: 2, ..Count::default() };
        let open = Count { planned: 2, good: 1, ..Count::default() };
        let lanes = [("eu-west-1", over), ("eu-west-2", open), ("eu-west-3", over), ("us-east-1", open)];
        let lanes: Vec<_> = lanes.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        assert_eq!(through_words(&lanes, 1).unwrap(), "2 through: eu-west-1 eu-west-3 · 1 to come");
        assert_eq!(through_words(&lanes[1..2], 1), None);
    }

    #[test]
    fn only_lanes_at_work_have_a_line() {
        let screen = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let mut terminal = Terminal::new(screen, Colour::Plain);
        let events = example::run();
        for event in &events[..12] {
            terminal.event(event);
        }
        assert_eq!(terminal.lanes.keys().collect::<Vec<_>>(), ["eu-west-1"]);
        assert_eq!(terminal.totals.as_ref().unwrap().message(), "applying 2 of 5");
        for event in &events[12..] {
            terminal.event(event);
        }
        assert!(terminal.lanes.is_empty() && terminal.totals.is_none());
    }
}
