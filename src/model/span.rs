use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A length of time, written as `20s`, `5m` or `14d`; a day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Span(pub SignedDuration);

impl Span {
    /// The length in seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(SignedDuration::from_secs(seconds))
    }

    /// As the standard library's type; a negative span counts as none.
    pub fn std(self) -> std::time::Duration {
        self.0.try_into().unwrap_or_default()
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a length of time (such as 500ms, 20s, 5m, 12h, 14d)");
        let text_trimmed = text.trim();
        let split = text_trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: i64 = text_trimmed[..split].parse().map_err(|_| wrong())?;
        let milliseconds = match text_trimmed[split..].trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(wrong()),
        };
        let total = number.checked_mul(milliseconds).ok_or_else(wrong)?;
        Ok(Self(SignedDuration::from_millis(total)))
    }
}

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let milliseconds = self.0.as_millis();
        for (size, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
            if milliseconds != 0 && milliseconds % size == 0 {
                return write!(f, "{}{unit}", milliseconds / size);
            }
        }
        write!(f, "{milliseconds}ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_write_the_same_text() {
        for text in ["500ms", "20s", "5m", "12h", "14d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert!("5 parsecs".parse::<Span>().is_err());
        assert!("".parse::<Span>().is_err());
    }
}
