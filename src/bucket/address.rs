//! `s3://BUCKET/PREFIX`.

use std::fmt;
use std::str::FromStr;

/// Where in S3 evidence is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The bucket.
    pub bucket: String,
    /// What its keys begin with, without a slash at either end; may be empty.
    prefix: String,
}

impl Address {
    /// Whether a text names a place in S3, rightly or not.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("s3://")
    }

    /// The key of a file of the store.
    pub fn key(&self, path: &str) -> String {
        if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) }
    }

    /// The file that a key stands for; none if it is not below this address.
    pub fn path<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(self.key("").as_str())
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("`{text}` {why}; the form is s3://BUCKET/PREFIX, and the prefix may be left out");
        let place = text.strip_prefix("s3://").ok_or_else(|| wrong("does not begin with s3://"))?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        // Amazon S3 User Guide, "General purpose bucket naming rules".
        let is_name = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
        if !is_name {
            return Err(wrong("names no bucket"));
        }
        let prefix = prefix.trim_matches('/');
        if prefix.split('/').any(|part| part == "." || part == "..") || prefix.chars().any(char::is_control) {
            return Err(wrong("has a prefix that is none"));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_s3_is_read_and_written() {
        for (text, key) in [
            ("s3://evidence-of-acme", "objects/x"),
            ("s3://evidence-of-acme/", "objects/x"),
            ("s3://evidence-of-acme/case/7/", "case/7/objects/x"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.key("objects/x"), key);
            assert_eq!(address.path(key), Some("objects/x"));
            assert_eq!(address.to_string(), text.trim_end_matches('/'));
        }
        let address: Address = "s3://evidence-of-acme/case".parse().unwrap();
        assert_eq!(address.path("another/objects/x"), None);
    }

    #[test]
    fn what_is_no_place_says_why() {
        for text in ["evidence", "s3://", "s3://AB", "s3://Upper-Case", "s3://evidence/../x"] {
            assert!(text.parse::<Address>().unwrap_err().contains("s3://BUCKET/PREFIX"), "{text}");
        }
    }
}
