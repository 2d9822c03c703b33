//! The `Condition` element.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;

use super::pattern::{Pattern, Variables};
use super::{Context, Truth};

/// One key of one operator: `"StringEquals": {"aws:RequestedRegion": ["eu-west-3"]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// As the policy writes it.
    name: String,
    /// None when AWS has no such operator.
    operator: Option<Operator>,
    key: String,
    values: Vec<String>,
    variables: Variables,
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
    /// Base64 on both sides.
    Binary,
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
            "StringEquals" => (Test::String, false),
            "BinaryEquals" => (Test::Binary, false),
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
    /// Reads one key of one operator.
    pub(super) fn new(operator: &str, key: &str, values: Vec<String>, variables: Variables) -> Self {
        Self { name: operator.to_owned(), operator: Operator::parse(operator), key: key.to_owned(), values, variables }
    }

    /// The operator, when it is none that AWS has.
    pub(super) fn unknown_operator(&self) -> Option<&str> {
        self.operator.is_none().then_some(&self.name)
    }

    /// Whether the request fulfils it. An operator that is not known, and a key of which nothing is known, leave it open.
    pub(super) fn holds(&self, context: &Context) -> Truth {
        let Some(Operator { set, test, negated, if_exists }) = self.operator else { return Truth::Unknown };
        let Some(given) = context.get(&self.key) else { return Truth::Unknown };
        if test == Test::Null {
            return self.values.iter().any(|value| value.eq_ignore_ascii_case("true") == given.is_empty()).into();
        }
        if given.is_empty() {
            let holds = match set {
                Some(Set::All) => true,
                Some(Set::Any) => if_exists,
                None => negated || if_exists,
            };
            return holds.into();
        }
        let one = |value: &String| {
            let found = Truth::any(self.values.iter().map(|policy| self.compare(test, value, policy, context)));
            if negated { !found } else { found }
        };
        match set {
            // Keys of several values need an operator for sets; what others do with them AWS does not say.
            None if given.len() > 1 => Truth::Unknown,
            Some(Set::Any) => Truth::any(given.iter().map(one)),
            // A null set, such as an empty text, fulfils it (IAM User Guide, "Multivalued context keys").
            Some(Set::All) => Truth::all(given.iter().filter(|value| !value.is_empty()).map(one)),
            None => Truth::any(given.iter().map(one)),
        }
    }

    /// Compares a value of the request with a value of the policy. Only texts and ARNs may hold variables.
    fn compare(&self, test: Test, value: &str, policy: &str, context: &Context) -> Truth {
        let expanded = |matches: &dyn Fn(Pattern) -> bool| match Pattern::expand(policy, self.variables, context) {
            Ok(pattern) => matches(pattern).into(),
            Err(truth) => truth,
        };
        match test {
            Test::String => expanded(&|pattern| pattern.literal() == value),
            Test::StringIgnoreCase => expanded(&|pattern| pattern.literal().to_lowercase() == value.to_lowercase()),
            Test::StringLike => expanded(&|pattern| pattern.matches(value)),
            Test::Arn => expanded(&|pattern| pattern.matches_arn(value)),
            Test::Binary => (value == policy).into(),
            Test::Bool => value.eq_ignore_ascii_case(policy).into(),
            Test::Numeric(order) => order.compares(number(value), number(policy)),
            Test::Date(order) => order.compares(date(value), date(policy)),
            Test::Ip => is_in_network(value, policy).unwrap_or(false).into(),
            Test::Null => Truth::No,
        }
    }

    /// What leaves it open, in words; none when it is decided.
    pub(super) fn doubt(&self, context: &Context) -> Option<String> {
        if self.holds(context) != Truth::Unknown {
            return None;
        }
        Some(match (&self.operator, context.get(&self.key)) {
            (None, _) => format!("the condition operator `{}` is not known", self.name),
            (_, None) => format!("the value of `{}` is not known", self.key),
            (Some(Operator { set: None, .. }), Some([_, _, ..])) => {
                format!("`{}` has several values, which `{}` does not compare", self.key, self.name)
            }
            _ => format!("a policy variable of `{}` is not known", self.key),
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.key, self.name, self.values.join(" | "))
    }
}

impl Order {
    /// Texts that are not what they should be compare with nothing.
    fn compares<T: PartialOrd>(self, value: Option<T>, policy: Option<T>) -> Truth {
        let found = value.zip(policy).and_then(|(value, policy)| value.partial_cmp(&policy));
        found.is_some_and(|found| self.admits(found)).into()
    }

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

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
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
        let condition = Condition::new(operator, "k", values, Variables::Replaced);
        assert_eq!(condition.unknown_operator(), None);
        condition.holds(&context) == Truth::Yes
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
            ("ForAllValues:StringEquals", &["a"], &[""], true),
            ("BinaryEquals", &["QmluYXJ5"], &["QmluYXJ5"], true),
            ("BinaryEquals", &["QmluYXJ5"], &["qmluYXJ5"], false),
            ("NumericEquals", &["NaN"], &["NaN"], false),
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
            let condition = Condition::new(operator, "k", Vec::new(), Variables::Replaced);
            assert_eq!(condition.unknown_operator(), Some(operator));
            assert_eq!(condition.holds(&Context::default()), Truth::Unknown);
            assert!(condition.doubt(&Context::default()).unwrap().contains(operator));
        }
    }

    #[test]
    fn a_key_of_which_nothing_is_known_leaves_every_operator_open() {
        let context = Context::new(crate::policy::Others::Unknown);
        for operator in ["StringEquals", "StringNotEqualsIfExists", "Null", "ForAllValues:ArnLike", "Bool"] {
            let condition = Condition::new(operator, "aws:SourceIp", vec!["true".to_owned()], Variables::Replaced);
            assert_eq!(condition.holds(&context), Truth::Unknown, "{operator}");
            assert_eq!(condition.doubt(&context).unwrap(), "the value of `aws:SourceIp` is not known");
        }
        let mut lacking = context;
        lacking.lacks("aws:SourceIp");
        let condition = Condition::new("Null", "aws:SourceIp", vec!["true".to_owned()], Variables::Replaced);
        assert_eq!(condition.holds(&lacking), Truth::Yes);
    }

    #[test]
    fn variables_are_replaced_in_the_version_that_has_them() {
        let context = Context::default().with("aws:username", "ada").with("k", "ada");
        let holds = |variables| {
            Condition::new("StringEquals", "k", vec!["${aws:username}".to_owned()], variables).holds(&context)
        };
        assert_eq!((holds(Variables::Replaced), holds(Variables::None)), (Truth::Yes, Truth::No));
    }
}
