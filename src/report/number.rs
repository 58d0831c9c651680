//! Numbers that reports alone write; the rest is in `base::units`.

use crate::base::time::Span;
use crate::base::units::{format_count, format_share};
use crate::study::needs::Value;

/// A share from 0 to 1 in percent with two significant digits, for bounds: `0.003 %`.
#[must_use]
pub fn percent_bound(share: f64) -> String {
    let percent = share * 100.0;
    let mut decimals = 0;
    let mut scale = percent;
    while scale < 1.0 && decimals < 9 {
        scale *= 10.0;
        decimals += 1;
    }
    format!("{percent:.decimals$} %")
}

/// A time, or `never`: what did not come counts as infinite.
#[must_use]
pub fn time(span: Option<Span>) -> String {
    span.map_or_else(|| "never".to_owned(), |span| span.to_string())
}

/// A measured value with its unit.
#[must_use]
pub fn value(value: Value) -> String {
    match value {
        Value::Number(number) if number >= 100.0 || number.fract().abs() < 1e-9 => {
            format!("{number:.0}")
        }
        Value::Number(number) => format!("{number:.2}"),
        Value::Share(share) => format_share(share, 1),
        Value::Seconds(seconds) if seconds.is_infinite() => "never".to_owned(),
        Value::Seconds(seconds) => Span::from_secs_f64(seconds).to_string(),
    }
}

/// `1 run`, `2 runs`.
#[must_use]
pub fn counted(number: u64, singular: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {singular}{plural}", format_count(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::statistics::at_most_when_none as at_most;

    #[test]
    fn a_zero_says_how_much_it_proves() {
        assert_eq!(percent_bound(at_most(100_000)), "0.003 %");
        assert_eq!(percent_bound(at_most(100)), "3 %");
        assert_eq!(percent_bound(at_most(1)), "95 %");
    }
}
