use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a change reaches, and so who must approve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Looks, and changes nothing.
    Read,
    /// Adds something or flips a switch that can be flipped back; nobody's work stops.
    Reversible,
    /// Stops or cuts off something that may be in use; can be taken back, perhaps not in all respects.
    Disruptive,
    /// Destroys something for good.
    Destructive,
}

impl Tier {
    /// All tiers, mildest first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Reversible, Self::Disruptive, Self::Destructive];

    /// The name as it is typed after `--approve`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Reversible => "reversible",
            Self::Disruptive => "disruptive",
            Self::Destructive => "destructive",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Tier {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a tier; the tiers are read, reversible, disruptive, destructive"))
    }
}
