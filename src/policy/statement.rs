//! What one statement says of a request.

use super::Truth;
use super::document::{Effect, Matched, Statement};
use super::evaluate::Request;
use super::pattern::Pattern;
use super::principal::{Reach, Species, Who};

/// A request, read once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub request: &'a Request,
    pub who: Who<'a>,
}

impl<'a> Asked<'a> {
    pub(super) fn read(request: &'a Request) -> Self {
        Self { request, who: Who::read(&request.principal) }
    }
}

impl Statement {
    /// Whether it speaks about the request.
    pub(super) fn applies(&self, asked: &Asked) -> Truth {
        match self.covers_action(asked) {
            Truth::Yes => Truth::all([self.covers_principal(asked), self.covers_what_is_asked(asked)]),
            other => other,
        }
    }

    pub(super) fn covers_action(&self, asked: &Asked) -> Truth {
        self.actions.covers(|name| Pattern::plain(name).matches_ignoring_case(&asked.request.action).into())
    }

    pub(super) fn covers_resource(&self, asked: &Asked) -> Truth {
        // A variable without a value matches no resource. Whether what `NotResource` leaves out is then nothing, or the
        // statement is void, the IAM User Guide says both ways ("Policy variables with no value", "Request information").
        let without_value = match self.resources {
            Some(Matched::AllBut(_)) => Truth::Unknown,
            _ => Truth::No,
        };
        let matches = |name: &String| match Pattern::expand(name, self.variables, &asked.request.context) {
            Ok(pattern) => pattern.matches_resource(&asked.request.resource).into(),
            Err(_) if !Pattern::with_any_values(name).matches(&asked.request.resource) => Truth::No,
            Err(truth) => truth.max(without_value),
        };
        self.resources.as_ref().map_or(Truth::Yes, |resources| resources.covers(matches))
    }

    fn covers_what_is_asked(&self, asked: &Asked) -> Truth {
        let conditions = self.conditions.iter().map(|condition| condition.holds(&asked.request.context));
        Truth::all(std::iter::once(self.covers_resource(asked)).chain(conditions))
    }

    pub(super) fn covers_principal(&self, asked: &Asked) -> Truth {
        let meant = |(kind, name): &(String, String)| asked.who.is_meant(kind, name, &asked.request.context);
        match &self.principals {
            None => Truth::Yes,
            Some(Matched::Any(entries)) => Truth::any(entries.iter().map(|entry| meant(entry).0)),
            // To be left out takes more than one's account; and AWS may judge the account, the role and the session each
            // for itself, so that leaving out only some of them is not reliable (IAM User Guide, "AWS JSON policy
            // elements: NotPrincipal").
            Some(Matched::AllBut(entries)) => {
                let named = |reaches: &[Reach]| {
                    let found = entries.iter().map(meant).filter(|(_, reach)| reaches.contains(reach));
                    Truth::any(found.map(|(truth, _)| truth))
                };
                let itself = named(&[Reach::Itself, Reach::Role, Reach::Everyone]);
                let mut each = vec![itself];
                if self.effect == Effect::Deny && asked.who.account.is_some() && asked.who.species != Species::Root {
                    each.push(named(&[Reach::Account, Reach::Everyone]));
                    if matches!(asked.who.species, Species::RoleSession(_)) {
                        each.push(named(&[Reach::Role, Reach::Everyone]));
                        each.push(named(&[Reach::Itself, Reach::Everyone]));
                    }
                }
                match (itself, Truth::all(each)) {
                    (Truth::No, _) => Truth::Yes,
                    (Truth::Yes, Truth::Yes) => Truth::No,
                    _ => Truth::Unknown,
                }
            }
        }
    }

    /// How the statement of a resource's policy names who asks; it applies already.
    pub(super) fn reaches(&self, asked: &Asked) -> Vec<(Truth, Reach)> {
        match &self.principals {
            None => vec![(Truth::Yes, Reach::Role)],
            Some(Matched::AllBut(_)) => vec![(self.covers_principal(asked), Reach::Everyone)],
            Some(Matched::Any(entries)) => {
                let meant = |(kind, name): &(String, String)| asked.who.is_meant(kind, name, &asked.request.context);
                entries.iter().map(meant).filter(|(truth, _)| *truth != Truth::No).collect()
            }
        }
    }

    /// Its `Sid`, or its number.
    pub(super) fn place(&self, index: usize) -> String {
        self.sid.as_ref().map_or_else(|| format!("statement {}", index + 1), |sid| format!("statement `{sid}`"))
    }

    /// What is not known about it.
    pub(super) fn doubts(&self, asked: &Asked) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.covers_principal(asked) == Truth::Unknown {
            doubts.push("whether it means the principal is not known".to_owned());
        }
        if self.covers_resource(asked) == Truth::Unknown {
            doubts.push("a policy variable of its resource has no value that is known".to_owned());
        }
        doubts.extend(self.conditions.iter().filter_map(|condition| condition.doubt(&asked.request.context)));
        doubts
    }
}
