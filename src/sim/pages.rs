//! Lists of the JSON services, part by part, and the times in them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::call::Refusal;

/// A time as the JSON protocols write it: seconds since 1970.
pub fn epoch(time: Timestamp) -> Value {
    json!(time.as_second())
}

/// One part of a list, and the token of the next if there is one: the place where that begins.
pub fn part<T>(items: Vec<T>, token: Option<&str>, most: usize) -> Result<(Vec<T>, Option<String>), Refusal> {
    let start = token.map_or(Ok(0), str::parse::<usize>);
    let start = start.ok().filter(|start| *start <= items.len());
    let invalid = || Refusal::new(400, "InvalidInputException", "The token is not one that was given.");
    let start = start.ok_or_else(invalid)?;
    let next = (start + most.max(1) < items.len()).then(|| (start + most.max(1)).to_string());
    Ok((items.into_iter().skip(start).take(most.max(1)).collect(), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_in_parts_and_a_token_that_was_never_given_is_refused() {
        assert_eq!(part(vec![1, 2, 3], None, 2).unwrap(), (vec![1, 2], Some("2".to_owned())));
        assert_eq!(part(vec![1, 2, 3], Some("2"), 2).unwrap(), (vec![3], None));
        assert_eq!(part(vec![1], Some("banana"), 2).unwrap_err().code, "InvalidInputException");
    }
}
