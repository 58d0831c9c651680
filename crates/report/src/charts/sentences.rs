//! Findings in words, made from the numbers.

use super::series::{Series, Spot};
use qoslab_core::base::time::Span;
use qoslab_core::base::units::format_count;

/// What somebody does, and several do: `loses 3 in 100`, `lose 3 in 100`.
pub(super) struct Deed {
    pub(super) one: String,
    pub(super) many: String,
}

/// A share as people say it: `30 in 100`, `1 in 20`; `all` where it is just that, and none with how
/// many there were: `none of 4,000`, for no more is known.
#[expect(clippy::cast_precision_loss, reason = "display only")]
pub(super) fn share(part: u64, whole: u64) -> String {
    let share = part as f64 / whole.max(1) as f64;
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

/// How often what came more than once came: `twice`, or `3.9 times`.
#[expect(clippy::cast_precision_loss, reason = "display only")]
pub(super) fn times(extra_copies: u64, duplicated: u64) -> String {
    let copies = 1.0 + extra_copies as f64 / duplicated.max(1) as f64;
    if copies < 2.25 { "twice".to_owned() } else { format!("{copies:.1} times") }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
fn rounded(number: f64) -> u64 {
    number.round() as u64
}

/// A mean in two or three digits: `4.3`, `301`.
pub(super) fn mean(number: f64) -> String {
    let decimals = match number {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// What each QoS does, those together that do the same: `QoS 0 loses 1 in 20; QoS 1 and 2 lose
/// none`.
pub(super) fn deeds(series: &[Series<'_>], deed: impl Fn(&Spot<'_>) -> Deed) -> String {
    clauses(series.iter().map(|one| (one.name.clone(), deed(one.last()))))
}

/// The same of names and what each does.
pub(super) fn clauses(all: impl IntoIterator<Item = (String, Deed)>) -> String {
    let mut groups: Vec<(Vec<String>, Deed)> = Vec::new();
    for (name, deed) in all {
        match groups.iter_mut().find(|(_, other)| other.one == deed.one) {
            Some((names, _)) => names.push(name),
            None => groups.push((vec![name], deed)),
        }
    }
    let clauses = groups.iter().map(|(names, deed)| {
        let what = if names.len() == 1 { &deed.one } else { &deed.many };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!("{} {what}", together(&names))
    });
    clauses.collect::<Vec<_>>().join("; ")
}

/// Several things in a row: `2 packets with QoS 0, 4 with QoS 1 and 8 with QoS 2`.
pub(super) fn row(things: &[String]) -> String {
    match things.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => things.concat(),
    }
}

/// A time whose unit stays on its line.
pub(super) fn time(span: Span) -> String {
    span.to_string().replace(' ', "\u{a0}")
}

/// Several names in a row: `QoS 0, 1 and 2`.
pub(super) fn together(names: &[&str]) -> String {
    let Some((first, rest)) = names.split_first() else { return String::new() };
    let short = |name: &&str| name.strip_prefix("QoS ").unwrap_or(name).to_owned();
    let Some((last, between)) = rest.split_last() else { return (*first).to_owned() };
    let before: Vec<String> =
        std::iter::once((*first).to_owned()).chain(between.iter().map(short)).collect();
    format!("{} and {}", before.join(", "), short(last))
}

/// A sentence with the place of its finding in front: `At loss 30%, QoS 0 ..`.
pub(super) fn at(place: &str, finding: &str) -> String {
    let sentence =
        if place.is_empty() { finding.to_owned() } else { format!("{place}, {finding}") };
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_said_as_people_do() {
        let said = [0, 1, 500, 3_000, 9_990, 10_000].map(|part| share(part, 10_000));
        let expected =
            ["none of 10,000", "1 in 10,000", "1 in 20", "30 in 100", "nearly all", "all"];
        assert_eq!(said, expected);
    }

    #[test]
    fn copies_are_counted_where_two_is_not_true() {
        let said = [(0, 0), (10, 10), (12, 10), (29, 10)].map(|(extra, twice)| times(extra, twice));
        assert_eq!(said, ["twice", "twice", "twice", "3.9 times"]);
    }

    #[test]
    fn names_are_joined_as_in_a_sentence() {
        assert_eq!(together(&["QoS 0"]), "QoS 0");
        assert_eq!(together(&["QoS 1", "QoS 2"]), "QoS 1 and 2");
        assert_eq!(together(&["QoS 0", "QoS 1", "QoS 2"]), "QoS 0, 1 and 2");
    }
}
