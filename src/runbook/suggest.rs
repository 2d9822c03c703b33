//! "Did you mean …?"

/// The candidate that `given` was probably meant to be, if one is near enough.
pub(super) fn nearest<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let given = given.to_lowercase().replace('_', "-");
    let near = given.chars().count().div_ceil(3).max(1);
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase().replace('_', "-");
        let without_service = candidate.split_once('.').map_or(candidate.as_str(), |(_, rest)| rest);
        strsim::damerau_levenshtein(&given, &candidate).min(strsim::damerau_levenshtein(&given, without_service))
    };
    let ranked = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
    ranked.filter(|(distance, _)| *distance <= near).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// A sentence that offers the nearest candidate, or else all of them.
pub(super) fn did_you_mean<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str> + Clone) -> String {
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
    fn slips_are_recognised() {
        let actions = ["ec2.stop-instances", "ec2.isolate", "iam.deny-all"];
        assert_eq!(nearest("ec2.stop_instance", actions), Some("ec2.stop-instances"));
        assert_eq!(nearest("stop-instances", actions), Some("ec2.stop-instances"));
        assert_eq!(nearest("s3.lock", actions), None);
        assert_eq!(did_you_mean("zz", ["a", "b"]), "there are `a`, `b`");
    }
}
