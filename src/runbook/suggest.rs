//! "Did you mean …?"

/// The longest word that is compared, in bytes: nobody means a name by a longer one, and comparing takes its square.
const LONGEST: usize = 128;

/// The candidate that `given` was probably meant to be, if one is near enough.
pub(super) fn nearest<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if given.len() > LONGEST {
        return None;
    }
    let given = given.to_lowercase().replace('_', "-");
    let length = given.chars().count();
    let near = if length < 2 { 0 } else { (length / 3).max(1) };
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase().replace('_', "-");
        let without_service = candidate.split_once('.').map_or(candidate.as_str(), |(_, rest)| rest);
        if length >= 3 && (candidate.starts_with(&given) || has_all_words(&candidate, &given)) {
            return 0;
        }
        strsim::damerau_levenshtein(&given, &candidate).min(strsim::damerau_levenshtein(&given, without_service))
    };
    let candidates = candidates.into_iter().filter(|candidate| candidate.len() <= LONGEST);
    let ranked = candidates.map(|candidate| (distance(candidate), candidate));
    ranked.filter(|(distance, _)| *distance <= near).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Whether each word of `given` is one of the candidate's: `iam.deactivate-keys` in `iam.deactivate-access-keys`.
fn has_all_words(candidate: &str, given: &str) -> bool {
    let words = |text: &str| text.split(['.', '-']).map(str::to_owned).collect::<Vec<_>>();
    let (of_candidate, of_given) = (words(candidate), words(given));
    of_given.len() > 1 && of_given.iter().all(|word| of_candidate.contains(word))
}

/// A sentence that offers the nearest candidate, or else all of them.
pub fn did_you_mean<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str> + Clone) -> String {
    if let Some(name) = nearest(given, candidates.clone()) {
        return format!("did you mean `{name}`?");
    }
    let all: Vec<_> = candidates.into_iter().map(|name| format!("`{name}`")).collect();
    match all.as_slice() {
        [] => "there is none to choose from".to_owned(),
        [only] => format!("there is only {only}"),
        some => format!("there are {}", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_megabyte_is_not_compared() {
        let began = std::time::Instant::now();
        let long = "x".repeat(1 << 20);
        assert_eq!(nearest(&long, ["ec2.stop-instances", long.as_str()]), None);
        assert_eq!(nearest("stop", [long.as_str(), "ec2.stop"]), Some("ec2.stop"));
        assert!(began.elapsed().as_secs() < 5);
    }

    #[test]
    fn slips_are_recognised() {
        let actions = ["ec2.stop-instances", "ec2.isolate", "iam.deny-all"];
        assert_eq!(nearest("ec2.stop_instance", actions), Some("ec2.stop-instances"));
        assert_eq!(nearest("stop-instances", actions), Some("ec2.stop-instances"));
        assert_eq!(nearest("iam.deny", actions), Some("iam.deny-all"));
        assert_eq!(nearest("iam.deactivate-keys", ["iam.deactivate-access-keys"]), Some("iam.deactivate-access-keys"));
        assert_eq!(nearest("s3.lock", actions), None);
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(did_you_mean("zz", ["a", "b"]), "there are `a`, `b`");
    }
}
