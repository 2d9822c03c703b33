use serde::{Deserialize, Serialize};

/// The operating system of a machine, as far as its price depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// No licence.
    #[default]
    Linux,
    /// A licence that is paid with the machine.
    Windows,
}

impl Platform {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Windows => "windows",
        }
    }
}
