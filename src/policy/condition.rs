//! The `Condition` element.

use std::net::IpAddr;

use jiff::Timestamp;

use super::Context;
use super::pattern::Pattern;

/// One key of one operator: `"StringEquals": {"aws:RequestedRegion": ["eu-west-3"]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    operator: Operator,
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operator {
    set: Option<Set>,
    test: Test,
    /// The test must hold for none of the policy's values.
    negated: bool,
    if_exists: bool,
}

/// How the values of a key that has several are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Any,
    All,
}

/// Compares a value of the request with a value of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    String,
    StringIgnoreCase,
    StringLike,
    Arn,
    Bool,
    Numeric(Order),
    Date(Order),
    Ip,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// Reads `ForAnyValue:StringNotLikeIfExists`. None when AWS has no such operator.
    fn parse(text: &str) -> Option<Self> {
        let (set, rest) = match text.split_once(':') {
            Some(("ForAnyValue", rest)) => (Some(Set::Any), rest),
            Some(("ForAllValues", rest)) => (Some(Set::All), rest),
            Some(_) => return None,
            None => (None, text),
        };
        let (name, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |name| (name, true));
        let (test, negated) = match name {
            "StringEquals" | "BinaryEquals" => (Test::String, false),
            "StringNotEquals" => (Test::String, true),
            "StringEqualsIgnoreCase" => (Test::StringIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Test::StringIgnoreCase, true),
            "StringLike" => (Test::StringLike, false),
            "StringNotLike" => (Test::StringLike, true),
            "ArnEquals" | "ArnLike" => (Test::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Test::Arn, true),
            "Bool" => (Test::Bool, false),
            "IpAddress" => (Test::Ip, false),
            "NotIpAddress" => (Test::Ip, true),
            "Null" if set.is_none() && !if_exists => (Test::Null, false),
            _ => {
                let (test, order): (fn(Order) -> Test, _) = match name.strip_prefix("Numeric") {
                    Some(order) => (Test::Numeric, order),
                    None => (Test::Date, name.strip_prefix("Date")?),
                };
                let (order, negated) = match order {
                    "Equals" => (Order::Equal, false),
                    "NotEquals" => (Order::Equal, true),
                    "LessThan" => (Order::Less, false),
                    "LessThanEquals" => (Order::LessOrEqual, false),
                    "GreaterThan" => (Order::Greater, false),
                    "GreaterThanEquals" => (Order::GreaterOrEqual, false),
                    _ => return None,
                };
                (test(order), negated)
            }
        };
        Some(Self { set, test, negated, if_exists })
    }
}

impl Condition {
    /// Reads one key of one operator. None when the operator is not known.
    pub(super) fn new(operator: &str, key: &str, values: Vec<String>) -> Option<Self> {
        Some(Self { operator: Operator::parse(operator)?, key: key.to_owned(), values })
    }

    /// Whether the request fulfils it.
    pub(super) fn holds(&self, context: &Context) -> bool {
        let Operator { set, test, negated, if_exists } = self.operator;
        let given = context.get(&self.key);
        if test == Test::Null {
            return self.values.iter().any(|value| value.eq_ignore_ascii_case("true") == given.is_empty());
        }
        if given.is_empty() {
            return match set {
                Some(Set::All) => true,
                Some(Set::Any) => if_exists,
                None => negated || if_exists,
            };
        }
        let one = |value: &String| self.values.iter().any(|policy| test.compare(value, policy, context)) != negated;
        match set {
            Some(Set::Any) => given.iter().any(one),
            Some(Set::All) => given.iter().all(one),
            None if negated => given.iter().all(one),
            None => given.iter().any(one),
        }
    }
}

impl Test {
    fn compare(self, value: &str, policy: &str, context: &Context) -> bool {
        let expanded = || Pattern::expand(policy, context);
        match self {
            Self::String => expanded().is_some_and(|pattern| pattern.literal() == value),
            Self::StringIgnoreCase => expanded().is_some_and(|pattern| pattern.literal().eq_ignore_ascii_case(value)),
            Self::StringLike => expanded().is_some_and(|pattern| pattern.matches(value)),
            Self::Arn => expanded().is_some_and(|pattern| pattern.matches_arn(value)),
            Self::Bool => value.eq_ignore_ascii_case(policy),
            Self::Numeric(order) => {
                let (value, policy) = (value.parse::<f64>().ok(), policy.parse::<f64>().ok());
                value
                    .zip(policy)
                    .and_then(|(value, policy)| value.partial_cmp(&policy))
                    .is_some_and(|o| order.admits(o))
            }
            Self::Date(order) => {
                date(value).zip(date(policy)).is_some_and(|(value, policy)| order.admits(value.cmp(&policy)))
            }
            Self::Ip => is_in_network(value, policy).unwrap_or(false),
            Self::Null => false,
        }
    }
}

impl Order {
    fn admits(self, found: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

/// A date as policies write it: ISO 8601, a day alone, or seconds since 1970.
fn date(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_second(seconds).ok();
    }
    text.parse().or_else(|_| format!("{text}T00:00:00Z").parse()).ok()
}

/// None when one of the texts is not what it should be.
fn is_in_network(address: &str, network: &str) -> Option<bool> {
    let (base, length) = match network.split_once('/') {
        Some((base, length)) => (base, Some(length.parse::<u32>().ok()?)),
        None => (network, None),
    };
    let (address, base, width) = match (address.parse().ok()?, base.parse().ok()?) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return Some(false),
    };
    let open = width - length.unwrap_or(width).min(width);
    Some(address.checked_shr(open).unwrap_or(0) == base.checked_shr(open).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, policy: &[&str], request: &[&str]) -> bool {
        let values = policy.iter().map(|&value| value.to_owned()).collect();
        let context = request.iter().fold(Context::default(), |context, &value| context.with("K", value));
        Condition::new(operator, "k", values).expect("a known operator").holds(&context)
    }

    #[test]
    fn each_operator_compares_in_its_own_way() {
        let role = "arn:aws:iam::111122223333:role/ir/IRResponder";
        let cases: &[(&str, &[&str], &[&str], bool)] = &[
            ("StringEquals", &["a", "b"], &["b"], true),
            ("StringEquals", &["a*"], &["ab"], false),
            ("StringEquals", &["a"], &["A"], false),
            ("StringEqualsIgnoreCase", &["a"], &["A"], true),
            ("StringNotEquals", &["a", "b"], &["b"], false),
            ("StringNotEquals", &["a", "b"], &["c"], true),
            ("StringNotEquals", &["a"], &[], true),
            ("StringEquals", &["a"], &[], false),
            ("StringEqualsIfExists", &["a"], &[], true),
            ("StringEqualsIfExists", &["a"], &["b"], false),
            ("StringLike", &["eu-*"], &["eu-west-3"], true),
            ("ArnLike", &["arn:aws:iam::*:role/ir/*"], &[role], true),
            ("ArnNotLike", &["arn:aws:iam::*:role/ir/*"], &[role], false),
            ("ArnNotLike", &["arn:aws:iam::*:role/ir/*"], &["arn:aws:iam::111122223333:user/eve"], true),
            ("Bool", &["true"], &["True"], true),
            ("NumericLessThan", &["10"], &["9"], true),
            ("NumericLessThan", &["10"], &["ten"], false),
            ("NumericGreaterThanEquals", &["10"], &["10"], true),
            ("DateLessThan", &["2026-11-23T00:00:00Z"], &["2026-11-22T23:59:59Z"], true),
            ("DateLessThan", &["2026-11-23T00:00:00Z"], &["2026-11-23T00:00:00Z"], false),
            ("DateLessThan", &["2026-11-23T00:00:00Z"], &[], false),
            ("DateGreaterThan", &["0"], &["2026-11-23"], true),
            ("Null", &["true"], &[], true),
            ("Null", &["true"], &["x"], false),
            ("Null", &["false"], &["x"], true),
            ("IpAddress", &["10.0.0.0/8"], &["10.1.2.3"], true),
            ("IpAddress", &["10.0.0.0/8"], &["11.1.2.3"], false),
            ("NotIpAddress", &["10.0.0.0/8"], &["11.1.2.3"], true),
            ("IpAddress", &["0.0.0.0/0"], &["11.1.2.3"], true),
            ("IpAddress", &["2001:db8::/32"], &["2001:db8::1"], true),
            ("ForAnyValue:StringEquals", &["a"], &["b", "a"], true),
            ("ForAllValues:StringEquals", &["a"], &["b", "a"], false),
            ("ForAllValues:StringEquals", &["a", "b"], &["b", "a"], true),
            ("ForAllValues:StringEquals", &["a"], &[], true),
            ("ForAnyValue:StringEquals", &["a"], &[], false),
            ("ForAnyValue:StringNotEquals", &["a"], &["a", "b"], true),
            ("ForAllValues:StringNotEquals", &["a"], &["a", "b"], false),
        ];
        for (operator, policy, request, expected) in cases {
            assert_eq!(holds(operator, policy, request), *expected, "{operator} {policy:?} on {request:?}");
        }
    }

    #[test]
    fn operators_that_aws_does_not_have_are_not_guessed() {
        for operator in ["StringSortOf", "NumericDateEquals", "Equals", "ForSomeValues:StringEquals", "NullIfExists"] {
            assert!(Condition::new(operator, "k", Vec::new()).is_none(), "{operator}");
        }
    }
}
