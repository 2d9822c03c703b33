//! What is known of each principal: what is proven to be done with its credentials, what only looks like it, and who else could
//! have done that.
//!
//! Credentials act, and people are accused. So the strongest verdict, [`Verdict::Acted`], takes more than a record: nobody else
//! is known to have held the credentials, and they were used from where their owner used them long before, or with a second
//! factor. Whatever falls short of it is [`Verdict::CredentialsUsed`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::fact::{Act, Confidence, Fact, Phase};
use super::facts::short;
use super::finding::{Finding, Point, Verdict};
use super::origins::{Maker, Making, Origins, credential};
use super::principals::{Credential, Principal, Principals, Used};
use super::suspects::Suspect;
use super::window::Window;

/// What was known long before the incident is taken for the owner's own. An intruder who was there all that time is not.
const LONG: SignedDuration = SignedDuration::from_hours(7 * 24);

/// All that is known.
struct Court<'a> {
    facts: &'a [Fact],
    principals: &'a Principals,
    origins: &'a Origins,
    window: &'a Window,
}

/// Judges every principal; those of whom something is said come first.
pub fn judge(facts: &[Fact], principals: &Principals, origins: &Origins, window: &Window) -> Vec<Finding> {
    let court = Court { facts, principals, origins, window };
    let mut findings: Vec<Finding> = principals.iter().map(|principal| court.finding(principal)).collect();
    findings.sort_by(|a, b| (a.verdict, &a.principal).cmp(&(b.verdict, &b.principal)));
    findings
}

impl Court<'_> {
    fn finding(&self, principal: &Principal) -> Finding {
        let mut finding = Finding {
            principal: principal.arn.clone(),
            name: principal.name.clone(),
            verdict: Verdict::NoSign,
            confidence: Confidence::Dated,
            proven: Vec::new(),
            looks_like: Vec::new(),
            against: Vec::new(),
        };
        let recorded = self.recorded(principal, &mut finding);
        let dated = self.dated(principal, &mut finding);
        let framed = self.done_to(principal, &mut finding);
        (finding.verdict, finding.confidence) = match (recorded, dated, framed) {
            (true, ..) if self.is_usual(principal, &mut finding) => (Verdict::Acted, Confidence::Recorded),
            (true, ..) => (Verdict::CredentialsUsed, Confidence::Recorded),
            (false, true, _) => (Verdict::CredentialsUsed, Confidence::Dated),
            (false, false, Some(confidence)) => (Verdict::Framed, confidence),
            (false, false, None) => (Verdict::NoSign, Confidence::Dated),
        };
        self.open_ends(principal, &mut finding);
        finding
    }

    /// What the history has of the principal's credentials; whether own ones acted that are the intruder's.
    fn recorded(&self, principal: &Principal, finding: &mut Finding) -> bool {
        let mut acts: BTreeMap<(Credential, &str), Vec<&Fact>> = BTreeMap::new();
        for fact in self.facts.iter().filter(|fact| fact.confidence == Confidence::Recorded && is_told(fact)) {
            if let Some(by) = fact.by.as_ref().filter(|by| by.principal == principal.arn) {
                acts.entry((credential(by, self.principals), call(fact))).or_default().push(fact);
            }
        }
        let mut own = false;
        for ((credential, call), facts) in &acts {
            let text = format!("{call}{} with {}, {}", times(facts.len()), credential.words(), span(facts));
            let Some(why) = self.origins.why(credential) else {
                finding.proven.push(Point::of(format!("{text}; nothing says that this was the intruder's"), facts));
                continue;
            };
            if self.is_planted(principal, credential) {
                finding.looks_like.push(Point::of(format!("{text}: a credential that somebody else made"), facts));
            } else {
                finding.proven.push(Point::of(format!("{text}: {why}"), facts));
                own |= facts.iter().any(|fact| self.window.holds(fact.time));
            }
        }
        own
    }

    /// What dates say of the principal's credentials; whether own ones that are the intruder's were used in the incident.
    fn dated(&self, principal: &Principal, finding: &mut Finding) -> bool {
        let mut own = false;
        for held in &principal.credentials {
            let words = held.credential.words();
            // What was asked before the incident does not know of it.
            let used = if held.asked < self.window.from { &Used::NotKnown } else { &held.used };
            let facts: Vec<&Fact> = self
                .facts
                .iter()
                .filter(|fact| fact.account == principal.account && is_use(fact, &held.credential))
                .collect();
            let theirs = self.origins.why(&held.credential);
            let planted = self.is_planted(principal, &held.credential);
            match (used, theirs) {
                (Used::At(at, service), why) if self.window.holds(*at) && !principal.is_role() => {
                    let service = if service.is_empty() { String::new() } else { format!(" for {service}") };
                    let text = format!("{words} was last used at {at:.0}{service}");
                    match (why, planted) {
                        (Some(why), false) => {
                            own = true;
                            finding.proven.push(Point::of(format!("{text}: {why}"), &facts));
                        }
                        (_, true) => finding
                            .looks_like
                            .push(Point::of(format!("{text}: it was made or set by somebody else"), &facts)),
                        (None, false) => finding
                            .proven
                            .push(Point::of(format!("{text}; nothing says that this was the intruder's"), &facts)),
                    }
                }
                (Used::At(at, _), Some(why)) if !planted => finding.against.push(Point::of(
                    format!("{words}: {why}, and yet it was last used at {at:.0}, which is not in the incident"),
                    &facts,
                )),
                (Used::Never, Some(why)) if !planted && !self.is_recorded(&held.credential) => {
                    finding.against.push(Point::new(format!("{words}: {why}, and yet AWS shows no use of it")));
                }
                (Used::NotKnown, Some(why)) if !planted => {
                    own = true;
                    finding.proven.push(Point::new(format!("{words}: {why}; its last use is not known")));
                }
                _ => {}
            }
        }
        own |= self.sole_maker(principal, finding);
        own
    }

    /// Whether this is the one user who can have made a credential of the intruder for somebody else, and whose last use is of
    /// IAM and of that time. One credential may be made in good faith; a key and a password at once are a takeover.
    fn sole_maker(&self, principal: &Principal, finding: &mut Finding) -> bool {
        let taken_over = |owner: &str| self.origins.made_for(owner).any(|(made, _)| self.origins.why(made).is_some());
        let mut made_alone = 0;
        for (made, making) in self.origins.made().filter(|(_, making)| taken_over(&making.owner)) {
            let Maker::OneOf(suspects) = &making.maker else { continue };
            let users = suspects.iter().filter(|suspect| !self.is_borrowed(suspect, making.at));
            let users: BTreeSet<&str> =
                users.map(|suspect| suspect.arn.as_str()).filter(|arn| !arn.contains(":role/")).collect();
            let alone = users.len() == 1 && users.contains(principal.arn.as_str()) && making.owner != principal.arn;
            let Some(suspect) = suspects.iter().find(|suspect| alone && suspect.coincides) else { continue };
            made_alone += 1;
            finding.proven.push(self.point(
                format!(
                    "{} was made or set at {:.0}, and of all users only {} can have done it: {}",
                    made.words(),
                    making.at,
                    principal.name,
                    suspect.why
                ),
                making,
            ));
        }
        if made_alone > 0 {
            finding.against.push(Point::new(
                "a user or key that is gone since, or a role, would not show here; and who makes a key may do so in good faith",
            ));
        }
        made_alone > 1
    }

    /// What was done to the principal that looks like its own doing; how sure it is that somebody else did.
    fn done_to(&self, principal: &Principal, finding: &mut Finding) -> Option<Confidence> {
        let mut framed = None;
        for (made, making) in self.origins.made_for(&principal.arn) {
            let text = format!("{} was made or set at {:.0}: {}", made.words(), making.at, making.maker.words());
            finding.looks_like.push(self.point(text, making));
            if !self.is_planted(principal, made) {
                continue;
            }
            let confidence = match &making.maker {
                Maker::Recorded(by) => {
                    let maker = credential(by, self.principals);
                    (self.origins.why(&maker).is_some() || self.origins.why(made).is_some())
                        .then_some(Confidence::Recorded)
                }
                Maker::OneOf(suspects) => {
                    let intruder = suspects.iter().any(|suspect| self.has_theirs(&suspect.arn));
                    (intruder || self.origins.why(made).is_some()).then_some(Confidence::Dated)
                }
            };
            framed = framed.max(confidence);
        }
        let of_incident = |fact: &&Fact| self.window.holds(fact.time) && fact.phase != Some(Phase::Response);
        for fact in self.facts.iter().filter(of_incident).filter(|fact| is_gift(fact, principal)) {
            let text = match &fact.by {
                Some(_) => format!("{}, at {:.0}", fact.message, fact.time),
                None => format!("{}, between {} and {:.0}", fact.message, fact.precision.words(), fact.time),
            };
            finding.looks_like.push(Point::of(text, &[fact]));
            if fact.by.as_ref().is_some_and(|by| self.origins.why(&credential(by, self.principals)).is_some()) {
                framed = framed.max(Some(Confidence::Recorded));
            }
        }
        framed
    }

    /// Whether somebody else made a credential of the principal in the incident: recorded so, or the principal had none in use
    /// with which it could have. Where both it and the intruder could have, its own use of IAM right then decides.
    fn is_planted(&self, principal: &Principal, made: &Credential) -> bool {
        let Some(making) = self.origins.making(made) else { return false };
        match &making.maker {
            Maker::Recorded(by) => by.principal != principal.arn,
            Maker::OneOf(suspects) => {
                let real = suspects.iter().filter(|suspect| !self.is_borrowed(suspect, making.at));
                let (own, others): (Vec<_>, Vec<_>) = real.partition(|suspect| suspect.arn == principal.arn);
                let theirs = own.iter().any(|own| self.origins.why(&own.credential).is_some());
                !others.is_empty()
                    && !theirs
                    && !own.iter().any(|own| own.coincides)
                    && (own.is_empty() || others.iter().any(|other| self.has_theirs(&other.arn)))
            }
        }
    }

    /// Whether what a suspect could have used was itself planted on it, before.
    fn is_borrowed(&self, suspect: &Suspect, at: Timestamp) -> bool {
        let before = self.origins.making(&suspect.credential).is_some_and(|making| making.at < at);
        before && self.principals.get(&suspect.arn).is_some_and(|owner| self.is_planted(owner, &suspect.credential))
    }

    /// Whether a credential of a principal is the intruder's.
    fn has_theirs(&self, arn: &str) -> bool {
        self.principals
            .get(arn)
            .is_some_and(|known| known.credentials.iter().any(|held| self.origins.why(&held.credential).is_some()))
    }

    /// Whether the history has anything of a credential in the incident.
    fn is_recorded(&self, wanted: &Credential) -> bool {
        let by = self.facts.iter().filter(|fact| self.window.holds(fact.time)).filter_map(|fact| fact.by.as_ref());
        by.into_iter().any(|by| credential(by, self.principals) == *wanted)
    }

    /// Whether the principal's own credentials were used in the incident as only their owner is known to use them: nobody says
    /// that one of them leaked, and it was from an address that was theirs long before, or with a second factor.
    fn is_usual(&self, principal: &Principal, finding: &mut Finding) -> bool {
        let mut named =
            principal.credentials.iter().map(|held| &held.credential).filter(|held| self.origins.is_named(held));
        if let Some(leaked) = named.find(|held| !self.is_planted(principal, held)) {
            let words = leaked.words();
            finding
                .against
                .push(Point::new(format!("{words} is said to have leaked: whoever has it can have done this")));
            return false;
        }
        let own = |fact: &&Fact| {
            fact.by.as_ref().is_some_and(|by| {
                by.principal == principal.arn && !self.is_planted(principal, &credential(by, self.principals))
            })
        };
        let addresses = |from: Timestamp, until: Timestamp| -> BTreeSet<&str> {
            let facts = self.facts.iter().filter(own).filter(move |fact| (from..until).contains(&fact.time));
            facts.filter_map(|fact| fact.by.as_ref()?.address.as_deref()).collect()
        };
        let acts = self
            .facts
            .iter()
            .filter(own)
            .filter(|fact| self.window.holds(fact.time) && self.origins.is_of_intruder(fact));
        let acts: Vec<&Fact> = acts.collect();
        let before = addresses(Timestamp::MIN, self.window.from - LONG);
        let usual = |fact: &&&Fact| {
            fact.by.as_ref().is_some_and(|by| by.address.as_deref().is_some_and(|at| before.contains(at)))
        };
        let mfa: Vec<&Fact> = acts.iter().filter(|fact| fact.by.as_ref().is_some_and(|by| by.mfa)).copied().collect();
        let from_there: Vec<&Fact> = acts.iter().filter(usual).copied().collect();
        if !mfa.is_empty() {
            finding.proven.push(Point::of(format!("{} with a second factor", counted(mfa.len())), &mfa));
        }
        if !from_there.is_empty() {
            let text = format!("{} from an address that it used a week before already", counted(from_there.len()));
            finding.proven.push(Point::of(text, &from_there));
            finding.against.push(Point::new(
                "an address stands for a network, and not for a person; a machine of the owner can be in other hands",
            ));
        }
        if mfa.is_empty() && from_there.is_empty() {
            let why = if before.is_empty() {
                "the history has no earlier use to compare with"
            } else {
                "none of it came from an address that it used a week before"
            };
            finding.against.push(Point::new(format!("{why}: that its owner did it is open")));
            return false;
        }
        true
    }

    /// What a reader must not forget.
    fn open_ends(&self, principal: &Principal, finding: &mut Finding) {
        match finding.verdict {
            Verdict::Framed => {
                for held in &principal.credentials {
                    let planted = self.is_planted(principal, &held.credential);
                    match &held.used {
                        Used::At(at, _) if self.window.holds(*at) && !planted => finding
                            .against
                            .push(Point::new(format!("{} was in use too, last at {at:.0}", held.credential.words()))),
                        Used::At(at, _) if *at < self.window.from => finding
                            .proven
                            .push(Point::new(format!("{} was not used since {at:.0}", held.credential.words()))),
                        Used::Never => finding
                            .proven
                            .push(Point::new(format!("AWS shows no use of {} at all", held.credential.words()))),
                        _ => {}
                    }
                }
                if finding.confidence == Confidence::Dated {
                    finding.against.push(Point::new(
                        "without an event history it is shown who could have done it, and not who did; policies are those of the capture",
                    ));
                }
            }
            Verdict::CredentialsUsed if finding.confidence == Confidence::Dated => finding.against.push(Point::new(
                "a date shows that credentials were used, and not by whom, nor all that was done with them",
            )),
            _ => {}
        }
        if principal.created.is_some_and(|created| self.window.holds(created)) {
            finding
                .against
                .push(Point::new("it came into being in the incident itself: there may be no person behind it"));
        }
    }

    fn point(&self, text: String, making: &Making) -> Point {
        Point::of(text, &self.facts.get(making.fact).into_iter().collect::<Vec<_>>())
    }
}

/// Whether something was given to a principal by somebody else, or nobody knows by whom.
/// Whether something is of the incident, and not of what was done against it.
fn is_told(fact: &Fact) -> bool {
    fact.phase.is_some_and(|phase| phase != Phase::Response)
}

fn is_gift(fact: &Fact, principal: &Principal) -> bool {
    matches!(fact.act, Act::PolicyChanged | Act::MfaChanged)
        && fact.account == principal.account
        && fact.subject.user.as_deref() == Some(principal.name.as_str())
        && fact.by.as_ref().is_none_or(|by| by.principal != principal.arn)
}

/// The operation of a recorded fact, out of its message: `mara called RunInstances on i-1`.
fn call(fact: &Fact) -> &str {
    fact.message.split(" called ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or(fact.message.as_str())
}

fn is_use(fact: &Fact, credential: &Credential) -> bool {
    match (fact.act, credential) {
        (Act::KeyUsed, Credential::Key(id)) => fact.subject.id == *id,
        (Act::PasswordUsed, Credential::Password(arn)) => fact.subject.user.as_deref() == Some(short(arn)),
        _ => false,
    }
}

fn times(count: usize) -> String {
    if count == 1 { String::new() } else { format!(" {count} times") }
}

fn counted(count: usize) -> String {
    if count == 1 { "one call".to_owned() } else { format!("{count} calls") }
}

fn span(facts: &[&Fact]) -> String {
    let times = facts.iter().map(|fact| fact.time);
    match (times.clone().min(), times.max()) {
        (Some(first), Some(last)) if first == last => format!("at {first:.0}"),
        (Some(first), Some(last)) => format!("from {first:.0} to {last:.0}"),
        _ => String::new(),
    }
}
