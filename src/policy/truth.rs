//! Yes, no, or not known.

/// Whether something holds, as far as it is known. Ordered so that "and" is the least and "or" the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Truth {
    /// It does not.
    No,
    /// It depends on something that is not known.
    Unknown,
    /// It does.
    Yes,
}

impl Truth {
    /// Whether all hold. Nothing behind the first that does not is looked at.
    pub(super) fn all(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut least = Self::Yes;
        for truth in truths {
            if truth == Self::No {
                return Self::No;
            }
            least = least.min(truth);
        }
        least
    }

    /// Whether one holds. Nothing behind the first that does is looked at.
    pub(super) fn any(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut greatest = Self::No;
        for truth in truths {
            if truth == Self::Yes {
                return Self::Yes;
            }
            greatest = greatest.max(truth);
        }
        greatest
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl std::ops::Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{self, No, Unknown, Yes};

    #[test]
    fn what_is_not_known_decides_only_where_nothing_else_does() {
        assert_eq!(Truth::all([Yes, Unknown]), Unknown);
        assert_eq!(Truth::all([Unknown, No]), No);
        assert_eq!(Truth::any([No, Unknown]), Unknown);
        assert_eq!(Truth::any([Unknown, Yes]), Yes);
        assert_eq!((Truth::all([]), Truth::any([]), !Unknown), (Yes, No, Unknown));
    }
}
