//! What every Describe call shares: filters and pages.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::Ec2;
use super::tags::Tags;
use crate::sim::call::Refusal;

/// A filter: a resource passes when one of its texts under `name` matches one of `values`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Filter {
    /// `instance-state-name`, `tag:owner`, `tag-key`, …
    pub name: String,
    /// What may stand there; `*` and `?` are wildcards.
    #[serde(default, rename = "Value")]
    pub values: Vec<String>,
}

/// Reads from a resource all texts that a filter compares.
pub type Look<T> = fn(&Ec2, &T) -> Vec<String>;

/// A resource that a Describe call lists.
pub trait Listed: 'static {
    /// Every filter that there is, besides those for tags.
    const FILTERS: &'static [(&'static str, Look<Self>)];

    /// The smallest and the largest `MaxResults`.
    const PAGE: RangeInclusive<u32> = 5..=1000;

    /// Its id, by which pages are cut.
    fn id(&self) -> &str;

    /// Its tags.
    fn tags(&self) -> &Tags;
}

/// The part of a Describe call's parameters that is the same everywhere.
#[derive(Debug, Default)]
pub struct Listing<'p> {
    /// All must let a resource pass.
    pub filters: &'p [Filter],
    /// How many at most.
    pub max_results: Option<u32>,
    /// Where the page before ended.
    pub next_token: Option<&'p str>,
}

/// Declares the parameters of a Describe call: the given ones, filters, and those of a page.
macro_rules! describe {
    ($name:ident { $($field:ident: $type:ty = $wire:literal),* $(,)? }) => {
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        struct $name {
            $(#[serde(default, rename = $wire)] $field: $type,)*
            #[serde(default, rename = "Filter")]
            filters: Vec<$crate::sim::ec2::listing::Filter>,
            max_results: Option<u32>,
            next_token: Option<String>,
            _dry_run: Option<bool>,
        }

        impl $name {
            fn listing(&self) -> $crate::sim::ec2::listing::Listing<'_> {
                $crate::sim::ec2::listing::Listing {
                    filters: &self.filters,
                    max_results: self.max_results,
                    next_token: self.next_token.as_deref(),
                }
            }
        }
    };
}
pub(super) use describe;

impl Listing<'_> {
    /// Refuses `MaxResults` next to ids, as most Describe calls do.
    pub fn refuse_ids_with_pages(&self, ids: &[String], parameter: &str) -> Result<(), Refusal> {
        if ids.is_empty() || self.max_results.is_none() {
            return Ok(());
        }
        let message = format!("The parameter {parameter} cannot be used with the parameter maxResults");
        Err(Refusal::new(400, "InvalidParameterCombination", message))
    }

    fn check_page(&self, sizes: RangeInclusive<u32>) -> Result<(), Refusal> {
        let Some(most) = self.max_results.filter(|most| !sizes.contains(most)) else { return Ok(()) };
        let (least, largest) = sizes.into_inner();
        let message = format!(
            "Value ( {most} ) for parameter maxResults is invalid. Expecting a value from {least} to {largest}."
        );
        Err(Refusal::new(400, "InvalidParameterValue", message))
    }

    /// The page that was asked for, and the token of the next one.
    pub fn of<'a, T: Listed>(
        &self,
        ec2: &Ec2,
        items: impl IntoIterator<Item = &'a T>,
    ) -> Result<(Vec<&'a T>, Option<String>), Refusal> {
        self.check_page(T::PAGE)?;
        let kept = keep(ec2, items, self.filters)?;
        cut(kept, self.max_results, self.next_token, T::id)
    }

    /// Like [`Self::of`], but the page is cut before the filters look at it, so that a page can be empty and still have
    /// a successor. DescribeSnapshots is known for that.
    pub fn of_cut_first<'a, T: Listed>(
        &self,
        ec2: &Ec2,
        items: impl IntoIterator<Item = &'a T>,
    ) -> Result<(Vec<&'a T>, Option<String>), Refusal> {
        self.check_page(T::PAGE)?;
        let (page, next) = cut(items.into_iter().collect(), self.max_results, self.next_token, T::id)?;
        Ok((keep(ec2, page, self.filters)?, next))
    }
}

/// Those that every filter lets pass. A filter that does not exist is an error, never "no filter".
pub fn keep<'a, T: Listed>(
    ec2: &Ec2,
    items: impl IntoIterator<Item = &'a T>,
    filters: &[Filter],
) -> Result<Vec<&'a T>, Refusal> {
    let tests = filters.iter().map(Test::<T>::of).collect::<Result<Vec<_>, _>>()?;
    Ok(items.into_iter().filter(|item| tests.iter().all(|test| test.passes(ec2, item))).collect())
}

enum Test<'f, T: ?Sized> {
    Tag(&'f str, &'f [String]),
    TagKey(&'f [String]),
    Look(Look<T>, &'f [String]),
}

impl<'f, T: Listed> Test<'f, T> {
    fn of(filter: &'f Filter) -> Result<Self, Refusal> {
        let Filter { name, values } = filter;
        if values.is_empty() {
            let message = format!("The filter '{name}' has no value");
            return Err(Refusal::new(400, "InvalidParameterValue", message));
        }
        if values.len() > 200 {
            let message =
                format!("The maximum number of filter values specified on a single call is 200; '{name}' has more");
            return Err(Refusal::new(400, "FilterLimitExceeded", message));
        }
        if let Some(key) = name.strip_prefix("tag:") {
            return Ok(Self::Tag(key, values));
        }
        if name == "tag-key" {
            return Ok(Self::TagKey(values));
        }
        match T::FILTERS.iter().find(|(known, _)| known == name) {
            Some((_, look)) => Ok(Self::Look(*look, values)),
            None => Err(Refusal::new(400, "InvalidParameterValue", format!("The filter '{name}' is invalid"))),
        }
    }

    fn passes(&self, ec2: &Ec2, item: &T) -> bool {
        let any = |text: &str, values: &[String]| values.iter().any(|pattern| matches(pattern, text));
        match self {
            Self::Tag(key, values) => item.tags().get(*key).is_some_and(|text| any(text, values)),
            Self::TagKey(values) => item.tags().keys().any(|key| any(key, values)),
            Self::Look(look, values) => look(ec2, item).iter().any(|text| any(text, values)),
        }
    }
}

/// Whether `text` is as `pattern` says, in which `*` stands for any text and `?` for one character; `\` takes their
/// meaning away.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    let Some(first) = rest.next() else { return text.is_empty() };
    let rest = rest.as_str();
    let mut after = text.chars();
    match first {
        '*' => text.char_indices().map(|(at, _)| &text[at..]).chain([""]).any(|tail| matches(rest, tail)),
        '?' => after.next().is_some() && matches(rest, after.as_str()),
        '\\' if !rest.is_empty() => {
            let mut literal = rest.chars();
            literal.next() == after.next() && matches(literal.as_str(), after.as_str())
        }
        _ => after.next() == Some(first) && matches(rest, after.as_str()),
    }
}

/// Cuts a page out of what is sorted by id. The token holds the last id shown: what is made or deleted between two
/// pages makes no other item appear twice or vanish.
pub fn cut<'a, T>(
    mut items: Vec<&'a T>,
    max_results: Option<u32>,
    next_token: Option<&str>,
    id: impl Fn(&T) -> &str,
) -> Result<(Vec<&'a T>, Option<String>), Refusal> {
    if let Some(token) = next_token {
        let after = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let after = after.and_then(|text| text.strip_prefix("after:").map(str::to_owned));
        let after = after.ok_or_else(|| {
            Refusal::new(400, "InvalidPaginationToken", format!("The pagination token '{token}' is not valid"))
        })?;
        items.retain(|item| id(item) > after.as_str());
    }
    let Some(most) = max_results else { return Ok((items, None)) };
    let most = most.max(1) as usize;
    if items.len() <= most {
        return Ok((items, None));
    }
    items.truncate(most);
    let next = items.last().map(|item| URL_SAFE_NO_PAD.encode(format!("after:{}", id(item))));
    Ok((items, next))
}

/// One text, for filters.
pub fn one(text: impl ToString) -> Vec<String> {
    vec![text.to_string()]
}

/// The texts of an option, for filters.
pub fn some(text: Option<&impl ToString>) -> Vec<String> {
    text.map(ToString::to_string).into_iter().collect()
}

/// Texts without repetition, for filters.
pub fn many<S: ToString>(texts: impl IntoIterator<Item = S>) -> Vec<String> {
    texts.into_iter().map(|text| text.to_string()).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text) in [("*", ""), ("c5.*", "c5.4xlarge"), ("?5.*large", "c5.4xlarge"), (r"a\*b", "a*b")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("c5", "c5.large"), ("?", ""), (r"a\*b", "axb"), ("", "x")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn pages_end_without_a_token_and_foreign_tokens_are_refused() {
        let items: Vec<String> = (0..5).map(|n| format!("i-{n}")).collect();
        let page = |token: Option<&str>| cut(items.iter().collect(), Some(2), token, |item: &String| item);
        let (first, token) = page(None).unwrap();
        let (second, token) = page(token.as_deref()).unwrap();
        let (third, end) = page(token.as_deref()).unwrap();
        assert_eq!([first, second, third].concat(), items.iter().collect::<Vec<_>>());
        assert_eq!(end, None);
        assert_eq!(page(Some("2")).unwrap_err().code, "InvalidPaginationToken");
    }
}
