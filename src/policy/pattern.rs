//! Texts with `*`, `?` and policy variables.

use super::Context;

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
    /// holds. None when the request lacks one without a default: then nothing can match. What a variable brings in is
    /// taken literally, so that a user named `*` is not everybody.
    pub(super) fn expand(text: &str, context: &Context) -> Option<Self> {
        let mut pieces = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            let Some((variable, after)) = behind.split_once('}') else { break };
            pieces.extend(before.chars().map(piece));
            pieces.extend(value_of(variable, context)?.chars().map(Piece::Char));
            rest = after;
        }
        pieces.extend(rest.chars().map(piece));
        Some(Self(pieces))
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

fn value_of<'a>(variable: &'a str, context: &'a Context) -> Option<&'a str> {
    if matches!(variable, "*" | "?" | "$") {
        return Some(variable);
    }
    let (key, default) = match variable.split_once(',') {
        Some((key, default)) => (key, Some(default.trim().trim_matches('\''))),
        None => (variable, None),
    };
    match context.get(key.trim()) {
        [value] => Some(value),
        _ => default,
    }
}

/// Compares without recursion. Only the last `*` is ever reconsidered, so hostile patterns cost at most pattern × text.
fn matches(pattern: &[Piece], text: &str, same: fn(char, char) -> bool) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(Piece::Any) => {
                star = Some((at, read));
                at += 1;
                continue;
            }
            Some(Piece::One) => {}
            Some(Piece::Char(c)) if same(*c, text[read]) => {}
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                (at, read) = (star_at + 1, taken + 1);
                continue;
            }
        }
        (at, read) = (at + 1, read + 1);
    }
    pattern[at..].iter().all(|piece| *piece == Piece::Any)
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
        assert!(!Pattern::plain(&"*a".repeat(2_000)).matches(&"a".repeat(1_999)));
    }

    #[test]
    fn variables_are_literal_and_may_have_defaults() {
        let context = Context::default().with("aws:username", "*");
        let pattern = Pattern::expand("home/${aws:username}/*", &context).unwrap();
        assert!(pattern.matches("home/*/x") && !pattern.matches("home/ada/x"));
        assert!(Pattern::expand("${aws:userid}", &context).is_none());
        assert!(Pattern::expand("${aws:userid, 'none'}", &context).unwrap().matches("none"));
        assert!(Pattern::expand("${*}", &context).unwrap().matches("*"));
        assert!(!Pattern::expand("${*}", &context).unwrap().matches("x"));
    }

    #[test]
    fn wildcards_stay_within_a_part_of_an_arn() {
        let pattern = Pattern::plain("arn:aws:iam::*:role/ir/*");
        assert!(pattern.matches_arn("arn:aws:iam::111122223333:role/ir/IRResponder"));
        assert!(!pattern.matches_arn("arn:aws:iam::111122223333:role/IRResponder"));
        assert!(!Pattern::plain("arn:*:role/x").matches_arn("arn:aws:iam::111122223333:role/x"));
    }
}
