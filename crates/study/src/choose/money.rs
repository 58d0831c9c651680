//! Cost of bytes: a price for each megabyte, and what a fleet pays in a month.
//!
//! Counted are all wire bytes of a trial on all links: both hops, resends, keep alive, connecting
//! and the transport's headers, as [`Objective::Bytes`](super::Objective::Bytes) counts them. So
//! one message has a price. A month has 30 days, in which each device goes on publishing at the
//! mean rate that the scenario gives its publishers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::scenario::Problem;
use crate::theory::rate;
use qoslab_sim::Setup;

/// Seconds of a month of 30 days.
const SECONDS_PER_MONTH: f64 = 30.0 * 86_400.0;

/// The greatest price: the dearest satellite link costs a thousandth of it.
const MAX_PRICE_PER_MEGABYTE: f64 = 1e6;

/// A currency is its sign or its letters.
const MAX_CURRENCY_CHARS: usize = 8;

/// A price for bytes, and the number of devices that pay it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BytePrice {
    /// The price of a megabyte, a million bytes; more than 0.
    pub per_megabyte: f64,
    /// The currency of the price, as it was written: `EUR`.
    pub currency: String,
    /// The number of devices that publish; `None` for the scenario's own number.
    pub fleet: Option<u64>,
}

impl BytePrice {
    /// Reads a price such as `0.40EUR/MB` or `$2/GB`.
    ///
    /// # Errors
    /// If a part of it is missing, or the price is nothing, less, or absurdly much.
    pub fn parse(text: &str, fleet: Option<u64>) -> Result<Self, Problem> {
        let example = "write it as in 0.40EUR/MB";
        let Some((price, unit)) = text.split_once('/') else {
            return Err(Problem::new("is for no amount", "there is no `/`").help(example));
        };
        let bytes = match unit.trim() {
            "kB" | "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            other => {
                let label = format!("`{other}` is no unit of a price");
                return Err(Problem::new("is for an unknown amount", label)
                    .help("use kB, MB or GB, which are 1,000, 1,000,000 and 1,000,000,000 bytes"));
            }
        };
        let is_of_number = |char: char| char.is_ascii_digit() || char == '.';
        let start = price.find(is_of_number).unwrap_or(price.len());
        let (before, rest) = price.split_at(start);
        let end = rest.find(|char| !is_of_number(char)).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let Ok(number) = number.parse::<f64>() else {
            let label = format!("`{price}` has no number");
            return Err(Problem::new("is no price", label).help(example));
        };
        if before.contains(['-', '\u{2212}']) {
            return Err(
                Problem::new("is less than nothing", "a price is more than 0").help(example)
            );
        }
        let currency = format!("{}{}", before.trim(), after.trim());
        let length = currency.chars().count();
        let is_word = !currency.contains(|char: char| !char.is_alphabetic() && char.is_ascii())
            || currency == "$";
        if !(1..=MAX_CURRENCY_CHARS).contains(&length) || !is_word {
            let label = format!("`{currency}` is no currency");
            return Err(Problem::new("needs a currency", label).help(example));
        }
        let per_megabyte = number * 1e6 / bytes;
        if per_megabyte <= 0.0 {
            return Err(Problem::new("is nothing", "all would cost the same")
                .help("use --minimise bytes, which needs no price"));
        }
        if per_megabyte > MAX_PRICE_PER_MEGABYTE {
            let label = format!("this is more than 1,000,000 {currency} for a megabyte");
            return Err(Problem::new("is too much", label).help(example));
        }
        Ok(Self { per_megabyte, currency, fleet })
    }
}

/// How many messages the scenario's publishers publish in a month, and how many they are; `None`
/// where their number has no end or the scenario leaves some out.
pub(super) fn messages_per_month(setup: &Setup) -> Option<(f64, u64)> {
    let streams = || setup.publishers.iter().filter(|stream| !stream.is_will);
    let devices = streams().map(|stream| stream.client).collect::<BTreeSet<_>>().len() as u64;
    let messages = streams().map(rate).sum::<f64>() * SECONDS_PER_MONTH;
    let is_whole = streams().all(|stream| stream.only_sequences.is_none());
    (is_whole && devices > 0 && messages.is_finite()).then_some((messages, devices))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_in_any_order_and_for_any_amount() {
        for (text, price, currency) in [
            ("0.40EUR/MB", 0.4, "EUR"),
            ("$2/GB", 0.002, "$"),
            ("1 kr / kB", 1000.0, "kr"),
            ("€0.5/MB", 0.5, "€"),
        ] {
            let money =
                BytePrice::parse(text, None).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
            assert!((money.per_megabyte - price).abs() < 1e-12, "{text}: {money:?}");
            assert_eq!(money.currency, currency);
        }
    }

    #[test]
    fn an_absurd_price_is_refused_with_the_reason() {
        for (text, what) in [
            ("0.40EUR", "is for no amount"),
            ("0.40EUR/MiB", "is for an unknown amount"),
            ("EUR/MB", "is no price"),
            ("NaNEUR/MB", "is no price"),
            ("-1EUR/MB", "is less than nothing"),
            ("0EUR/MB", "is nothing"),
            ("1/MB", "needs a currency"),
            ("1e9EUR/MB", "needs a currency"),
            ("2000000EUR/MB", "is too much"),
        ] {
            let wrong = BytePrice::parse(text, None).unwrap_err();
            assert_eq!(wrong.message, what, "{text}");
            assert!(!wrong.help.is_empty());
        }
    }
}
