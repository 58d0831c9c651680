//! Findings in words, made from the numbers.

use super::series::{Series, SeriesPoint};
use qoslab_core::base::Span;
use qoslab_core::base::units::{format_count, trim_zeros};
use qoslab_study::statistics::to_f64;

/// A verb phrase in singular and plural: `loses 3 in 100`, `lose 3 in 100`.
pub(super) struct Claim {
    pub(super) singular: String,
    pub(super) plural: String,
}

/// A share as people say it: `30 in 100`, `1 in 20`; `all` where it is just that, and none with how
/// many there were: `none of 4,000`, for no more is known.
pub(super) fn share_in_words(part: u64, whole: u64) -> String {
    let share = to_f64(part) / to_f64(whole.max(1));
    if part == 0 {
        format!("none of {}", format_count(whole))
    } else if part >= whole {
        "all".to_owned()
    } else if share > 0.995 {
        "nearly all".to_owned()
    } else if share >= 0.095 {
        format!("{:.0} in 100", share * 100.0)
    } else {
        format!("1 in {}", format_count(rounded(1.0 / share)))
    }
}

/// The mean number of copies of duplicated units: `twice`, or `3.9 times`.
pub(super) fn times_in_words(extra_copies: u64, duplicated: u64) -> String {
    let copies = 1.0 + to_f64(extra_copies) / to_f64(duplicated.max(1));
    if copies < 2.25 { "twice".to_owned() } else { format!("{copies:.1} times") }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
fn rounded(number: f64) -> u64 {
    number.round() as u64
}

/// A mean in two or three digits: `4.3`, `301`.
pub(super) fn format_mean(number: f64) -> String {
    let decimals = match number {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    trim_zeros(&format!("{number:.decimals$}")).to_owned()
}

/// The finding for each QoS, grouped where it is the same: `QoS 0 loses 1 in 20; QoS 1 and 2 lose
/// none`.
pub(super) fn claims_by_qos(
    series: &[Series<'_>],
    claim: impl Fn(&SeriesPoint<'_>) -> Claim,
) -> String {
    join_claims(series.iter().map(|one| (one.name.clone(), claim(one.last()))))
}

/// The same for names and the finding for each.
pub(super) fn join_claims(all: impl IntoIterator<Item = (String, Claim)>) -> String {
    let mut groups: Vec<(Vec<String>, Claim)> = Vec::new();
    for (name, deed) in all {
        match groups.iter_mut().find(|(_, other)| other.singular == deed.singular) {
            Some((names, _)) => names.push(name),
            None => groups.push((vec![name], deed)),
        }
    }
    let clauses = groups.iter().map(|(names, deed)| {
        let what = if names.len() == 1 { &deed.singular } else { &deed.plural };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!("{} {what}", join_names(&names))
    });
    clauses.collect::<Vec<_>>().join("; ")
}

/// Several things in a row: `2 packets with QoS 0, 4 with QoS 1 and 8 with QoS 2`.
pub(super) fn join_phrases(things: &[String]) -> String {
    match things.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => things.concat(),
    }
}

/// A time whose unit stays on its line.
pub(super) fn non_breaking_time(span: Span) -> String {
    span.to_string().replace(' ', "\u{a0}")
}

/// Several names in a row: `QoS 0, 1 and 2`.
pub(super) fn join_names(names: &[&str]) -> String {
    let Some((first, rest)) = names.split_first() else { return String::new() };
    let short = |name: &&str| name.strip_prefix("QoS ").unwrap_or(name).to_owned();
    let Some((last, between)) = rest.split_last() else { return (*first).to_owned() };
    let before: Vec<String> =
        std::iter::once((*first).to_owned()).chain(between.iter().map(short)).collect();
    format!("{} and {}", before.join(", "), short(last))
}

/// A sentence with the place of its finding in front: `At loss 30%, QoS 0 ..`.
pub(super) fn sentence_at(place: &str, finding: &str) -> String {
    let sentence =
        if place.is_empty() { finding.to_owned() } else { format!("{place}, {finding}") };
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_written_in_everyday_words() {
        let said = [0, 1, 500, 3_000, 9_990, 10_000].map(|part| share_in_words(part, 10_000));
        let expected =
            ["none of 10,000", "1 in 10,000", "1 in 20", "30 in 100", "nearly all", "all"];
        assert_eq!(said, expected);
    }

    #[test]
    fn copies_are_counted_where_two_is_not_true() {
        let said = [(0, 0), (10, 10), (12, 10), (29, 10)]
            .map(|(extra, twice)| times_in_words(extra, twice));
        assert_eq!(said, ["twice", "twice", "twice", "3.9 times"]);
    }

    #[test]
    fn names_are_joined_as_in_a_sentence() {
        assert_eq!(join_names(&["QoS 0"]), "QoS 0");
        assert_eq!(join_names(&["QoS 1", "QoS 2"]), "QoS 1 and 2");
        assert_eq!(join_names(&["QoS 0", "QoS 1", "QoS 2"]), "QoS 0, 1 and 2");
    }
}
