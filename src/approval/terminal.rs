use std::io::IsTerminal;

use console::Term;

use super::flags::Flags;
use crate::engine::ports::{Approver, Boxed, Reply};
use crate::model::{AccountId, Answer, Plan, Tally, Tier};

/// A person at the terminal: one question per tier. What `--approve` lists already is not asked again.
#[derive(Debug, Clone)]
pub struct Terminal {
    flags: Flags,
    by: String,
}

impl Terminal {
    /// A terminal at which `by` sits; `None` when there is nobody to ask, because standard input or standard error is no
    /// terminal.
    pub fn open(flags: Flags, by: impl Into<String>) -> Option<Self> {
        let attended = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        attended.then(|| Self { flags, by: by.into() })
    }
}

impl Approver for Terminal {
    fn ask<'a>(&'a self, plan: &'a Plan, tier: Tier) -> Boxed<'a, Reply> {
        if self.flags.approves(tier) {
            return self.flags.ask(plan, tier);
        }
        let question = Question::about(plan, tier);
        Box::pin(async move {
            // Reading a terminal blocks its thread, and the run has other things to wait for. A prompt that is broken
            // off (Ctrl-C, closed terminal) is a no.
            let answer = tokio::task::spawn_blocking(move || question.put()).await.unwrap_or(Answer::Refused);
            Reply { answer, by: self.by.clone(), through: "terminal".into() }
        })
    }
}

/// What a person is asked about a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    /// What would be done, a line per step.
    lines: Vec<String>,
    /// The question itself.
    prompt: String,
    /// How it is answered.
    consent: Consent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Consent {
    /// By y or n.
    Yes,
    /// By typing the number of the account in which something is destroyed.
    AccountNumber(AccountId),
}

impl Question {
    fn about(plan: &Plan, tier: Tier) -> Self {
        let changes: Vec<_> = plan.changes.iter().filter(|change| change.tier == tier).collect();
        let tallies = Tally::by_step(changes.iter().copied());
        let sentences: Vec<String> = tallies.iter().map(|tally| capitalised(&tally.to_string())).collect();
        let consent = match (tier, changes.first()) {
            (Tier::Destructive, Some(change)) => Consent::AccountNumber(change.target.account.clone()),
            _ => Consent::Yes,
        };
        let what = match sentences.as_slice() {
            [only] => only.clone(),
            _ => format!("Make these {} {tier} changes", changes.len()),
        };
        let step_lines = tallies.iter().zip(&sentences).map(|(tally, line)| format!("{:<12} {line}", tally.step));
        let lines = if sentences.len() > 1 { step_lines.collect() } else { Vec::new() };
        let prompt = match &consent {
            Consent::Yes => format!("{what}?"),
            Consent::AccountNumber(_) => format!("{what}? This destroys. Type the number of the account to go ahead"),
        };
        Self { lines, prompt, consent }
    }

    fn put(&self) -> Answer {
        let term = Term::stderr();
        for line in &self.lines {
            if term.write_line(&format!("  {line}")).is_err() {
                return Answer::Refused;
            }
        }
        let agreed = match &self.consent {
            Consent::Yes => yes(&self.prompt),
            Consent::AccountNumber(account) => dialoguer::Input::<String>::new()
                .with_prompt(&self.prompt)
                .allow_empty(true)
                .interact_text_on(&term)
                .is_ok_and(|typed| typed.trim() == account.as_str()),
        };
        if agreed { Answer::Approved } else { Answer::Refused }
    }
}

/// Asks a yes-or-no question on standard error until it is answered; Enter alone, and a question broken off, are a no.
///
/// It is read as a line of text: what dialoguer has for such questions hides the cursor, and Ctrl-C leaves it hidden.
pub fn yes(question: &str) -> bool {
    let means_yes = |typed: &str| ["y", "yes"].iter().any(|yes| typed.trim().eq_ignore_ascii_case(yes));
    let means_no = |typed: &str| ["", "n", "no"].iter().any(|no| typed.trim().eq_ignore_ascii_case(no));
    dialoguer::Input::<String>::new()
        .with_prompt(format!("{question} [y/N]"))
        .allow_empty(true)
        .validate_with(|typed: &String| if means_yes(typed) || means_no(typed) { Ok(()) } else { Err("answer y or n") })
        .interact_text_on(&Term::stderr())
        .is_ok_and(|typed| means_yes(&typed))
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn one_step_is_asked_about_in_one_sentence() {
        let question = Question::about(&example::plan(), Tier::Disruptive);
        assert_eq!(question.prompt, "Stop 2 instances in 2 regions?");
        assert_eq!(question.consent, Consent::Yes);
        assert!(question.lines.is_empty());
    }

    #[test]
    fn several_steps_are_counted_line_by_line() {
        let question = Question::about(&example::plan(), Tier::Reversible);
        assert_eq!(question.prompt, "Make these 3 reversible changes?");
        let expected =
            ["keys         Deactivate 1 access key", "evidence     Snapshot volumes of 2 instances in 2 regions"];
        assert_eq!(question.lines, expected);
    }

    #[test]
    fn what_destroys_asks_for_the_account_number() {
        let mut plan = example::plan();
        plan.changes.iter_mut().for_each(|change| change.tier = Tier::Destructive);
        let question = Question::about(&plan, Tier::Destructive);
        assert_eq!(question.consent, Consent::AccountNumber(example::account()));
        assert!(question.prompt.ends_with("Type the number of the account to go ahead"));
    }
}
