//! Texts with `*`, `?` and policy variables.

use super::{Context, Truth};

/// Which variables a text may hold: policy variables exist since version 2012-10-17 of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variables {
    None,
    Replaced,
}

/// A piece of a pattern, after its variables were replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Char(char),
    One,
    Any,
}

/// A pattern that is ready to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

impl Pattern {
    /// A pattern without variables: for actions.
    pub(super) fn plain(text: &str) -> Self {
        Self(text.chars().map(piece).collect())
    }

    /// A pattern with the variables (`${aws:username}`, `${aws:username, 'nobody'}`, `${*}`) replaced by what the request
    /// holds. What a variable brings in is taken literally, so that a user named `*` is not everybody. Where the request
    /// lacks one without a default nothing can match, and where it is not known what it holds neither is the match: that
    /// is the error.
    pub(super) fn expand(text: &str, variables: Variables, context: &Context) -> Result<Self, Truth> {
        if variables == Variables::None {
            return Ok(Self::plain(text));
        }
        let mut pieces = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            let Some((variable, after)) = behind.split_once('}') else { break };
            pieces.extend(before.chars().map(piece));
            pieces.extend(value_of(variable, context)?.chars().map(Piece::Char));
            rest = after;
        }
        pieces.extend(rest.chars().map(piece));
        Ok(Self(pieces))
    }

    /// A pattern that matches whatever the text does for some values of its variables.
    pub(super) fn with_any_values(text: &str) -> Self {
        let mut pieces = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            let Some((_, after)) = behind.split_once('}') else { break };
            pieces.extend(before.chars().map(piece));
            pieces.push(Piece::Any);
            rest = after;
        }
        pieces.extend(rest.chars().map(piece));
        Self(pieces)
    }

    /// The same without wildcards: `*` and `?` stand for themselves.
    pub(super) fn literal(&self) -> String {
        let letter = |piece: &Piece| match piece {
            Piece::Char(c) => *c,
            Piece::One => '?',
            Piece::Any => '*',
        };
        self.0.iter().map(letter).collect()
    }

    /// Whether all of `text` matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        matches(&self.0, text, |a, b| a == b)
    }

    /// Whether all of `text` matches, upper and lower case being the same.
    pub(super) fn matches_ignoring_case(&self, text: &str) -> bool {
        matches(&self.0, text, |a, b| a.eq_ignore_ascii_case(&b))
    }

    /// Whether the resource `text` matches: as a text, but a `*` that is not the last of its part of an ARN does not reach
    /// over a colon (IAM User Guide, "IAM JSON policy elements: Resource", "Using wildcards in resource ARNs"). What an ARN
    /// names behind its fifth colon counts as one part: it may hold colons of its own.
    pub(super) fn matches_resource(&self, text: &str) -> bool {
        if !self.matches(text) {
            return false;
        }
        let ends = self.0.iter().enumerate().filter(|(_, piece)| **piece == Piece::Char(':')).map(|(at, _)| at);
        let last = ends.take(5).last().unwrap_or(0);
        let within = |at: usize| at < last && self.0[at] == Piece::Any && !matches!(self.0[at + 1], Piece::Char(':'));
        !(0..last).any(within) || self.matches_within_parts(text, within)
    }

    /// Compares by following all ways at once, in pattern × text steps, where some of the `*` stop at colons.
    fn matches_within_parts(&self, text: &str, within: impl Fn(usize) -> bool) -> bool {
        let open = |reached: &mut Vec<bool>| {
            for at in 0..self.0.len() {
                if reached[at] && self.0[at] == Piece::Any {
                    reached[at + 1] = true;
                }
            }
        };
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        open(&mut reached);
        for letter in text.chars() {
            let mut next = vec![false; self.0.len() + 1];
            for at in (0..self.0.len()).filter(|&at| reached[at]) {
                match self.0[at] {
                    Piece::Any if letter == ':' && within(at) => {}
                    Piece::Any => next[at] = true,
                    Piece::One => next[at + 1] = true,
                    Piece::Char(c) => next[at + 1] |= c == letter,
                }
            }
            open(&mut next);
            reached = next;
        }
        reached[self.0.len()]
    }

    /// Whether `arn` matches part by part: a wildcard does not reach over the colons between the six parts of an ARN.
    pub(super) fn matches_arn(&self, arn: &str) -> bool {
        if self.0 == [Piece::Any] {
            return true;
        }
        let parts: Vec<&[Piece]> = self.0.splitn(6, |piece| *piece == Piece::Char(':')).collect();
        let texts: Vec<&str> = arn.splitn(6, ':').collect();
        parts.len() == texts.len() && parts.iter().zip(texts).all(|(part, text)| matches(part, text, |a, b| a == b))
    }
}

fn piece(c: char) -> Piece {
    match c {
        '*' => Piece::Any,
        '?' => Piece::One,
        c => Piece::Char(c),
    }
}

fn value_of<'a>(variable: &'a str, context: &'a Context) -> Result<&'a str, Truth> {
    if matches!(variable, "*" | "?" | "$") {
        return Ok(variable);
    }
    let (key, default) = match variable.split_once(',') {
        Some((key, default)) => (key, Some(default.trim().trim_matches('\''))),
        None => (variable, None),
    };
    match context.get(key.trim()) {
        None => Err(Truth::Unknown),
        Some([value]) => Ok(value),
        Some(_) => default.ok_or(Truth::No),
    }
}

fn matches(pattern: &[Piece], text: &str, same: fn(char, char) -> bool) -> bool {
    compare(pattern, text, same).0
}

/// Compares without recursion, and counts its steps. Only the last `*` is ever reconsidered, so hostile patterns cost at most
/// pattern × text.
fn compare(pattern: &[Piece], text: &str, same: fn(char, char) -> bool) -> (bool, usize) {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut steps = 0;
    while read < text.len() {
        steps += 1;
        match pattern.get(at) {
            Some(Piece::Any) => {
                star = Some((at, read));
                at += 1;
                continue;
            }
            Some(Piece::One) => {}
            Some(Piece::Char(c)) if same(*c, text[read]) => {}
            _ => {
                let Some((star_at, taken)) = star else { return (false, steps) };
                star = Some((star_at, taken + 1));
                (at, read) = (star_at + 1, taken + 1);
                continue;
            }
        }
        (at, read) = (at + 1, read + 1);
    }
    (pattern[at..].iter().all(|piece| *piece == Piece::Any), steps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) if naive(rest, text) => true,
            (Some(('*', _)), Some((_, text))) => naive(pattern, text),
            (Some(('?', rest)), Some((_, text))) => naive(rest, text),
            (Some((c, rest)), Some((d, text))) => c == d && naive(rest, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Pattern::plain(&pattern).matches(&text), naive(&chars(&pattern), &chars(&text)));
        }
    }

    #[test]
    fn a_hostile_pattern_is_cheap() {
        let text = "a".repeat(2_000);
        for pattern in ["*a".repeat(2_001), "*".repeat(4_000) + "b", "*a".repeat(500) + "b", "*?a".repeat(700) + "b"] {
            let pattern = Pattern::plain(&pattern);
            let (matched, steps) = compare(&pattern.0, &text, |a, b| a == b);
            assert!(!matched);
            // What backtracks over every star takes more steps than there are atoms.
            assert!(steps <= (pattern.0.len() + 1) * (text.len() + 1), "{steps} steps");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_takes_more_steps_than_its_product(pattern in "[ab*?]{0,40}", text in "[ab]{0,60}") {
            let pattern = Pattern::plain(&pattern);
            let (_, steps) = compare(&pattern.0, &text, |a, b| a == b);
            prop_assert!(steps <= (pattern.0.len() + 1) * (text.len() + 1), "{}", steps);
        }
    }

    #[test]
    fn variables_are_literal_and_may_have_defaults() {
        let context = Context::default().with("aws:username", "*");
        let expand = |text: &str| Pattern::expand(text, Variables::Replaced, &context);
        let pattern = expand("home/${aws:username}/*").unwrap();
        assert!(pattern.matches("home/*/x") && !pattern.matches("home/ada/x"));
        assert_eq!(expand("${aws:userid}"), Err(Truth::No));
        assert!(expand("${aws:userid, 'none'}").unwrap().matches("none"));
        assert!(expand("${*}").unwrap().matches("*"));
        assert!(!expand("${*}").unwrap().matches("x"));
        assert!(Pattern::expand("${*}", Variables::None, &context).unwrap().matches("${x}"));
        assert!(Pattern::with_any_values("home/${aws:userid}/*").matches("home/x/y"));
        assert!(!Pattern::with_any_values("home/${aws:userid}/*").matches("root/x/y"));
        let unknown = Context::new(crate::policy::Others::Unknown);
        assert_eq!(Pattern::expand("${aws:userid}", Variables::Replaced, &unknown), Err(Truth::Unknown));
    }

    #[test]
    fn a_wildcard_reaches_over_colons_only_from_the_end_of_its_part() {
        let matches = |pattern: &str, text: &str| Pattern::plain(pattern).matches_resource(text);
        let group = "arn:aws:logs:eu-west-1:111122223333:log-group:g:log-stream:s";
        assert!(
            matches("*", group) && matches("arn:aws:logs:*", group) && matches("arn:aws:logs:*:*:log-group:g:*", group)
        );
        assert!(matches("arn:aws:logs:eu-*:111122223333:log-group:g:log-stream:s", group));
        assert!(matches("arn:aws:logs:eu-*:log-stream:s", group), "from the end of a part");
        assert!(!matches("arn:aws:l*x:r:a:role/y", "arn:aws:l:x:r:a:role/y"));
        assert!(!matches("arn:aws:iam::*3:role/x", "arn:aws:iam::1:3:role/x"));
        assert!(matches("arn:aws:s3:::*log*", "arn:aws:s3:::my-log:1"));
        assert!(!matches("arn:aws:s3:::B", "arn:aws:s3:::b"));
    }

    #[test]
    fn wildcards_stay_within_a_part_of_an_arn() {
        let pattern = Pattern::plain("arn:aws:iam::*:role/ir/*");
        assert!(pattern.matches_arn("arn:aws:iam::111122223333:role/ir/IRResponder"));
        assert!(!pattern.matches_arn("arn:aws:iam::111122223333:role/IRResponder"));
        assert!(!Pattern::plain("arn:*:role/x").matches_arn("arn:aws:iam::111122223333:role/x"));
    }
}
