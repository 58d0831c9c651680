//! The price of bytes on a link.

#[cfg(feature = "studies")]
use std::borrow::Cow;
use std::collections::BTreeSet;

#[cfg(feature = "studies")]
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::axis::Unit;
use super::diagnostic::{Diagnostics, name_hint};
use super::file::ScenarioFile;
use super::links::client_end;
use super::nodes::{MAX_CLIENTS, fleet_size, with_fleet_number};
use super::problem::Problem;
use super::setting::base_name;
#[cfg(feature = "studies")]
use super::value::text_schema;
use super::value::{TextValue, impl_text_value};
use qoslab_core::base::matches_pattern;

/// The greatest price: the dearest satellite link costs a thousandth of it.
const MAX_PRICE_PER_MEGABYTE: f64 = 1e6;

/// A currency is its sign or its letters.
const MAX_CURRENCY_CHARS: usize = 8;

/// A price for bytes: `0.40EUR/MB`.
#[derive(Clone, Debug, PartialEq)]
pub struct BytePrice {
    /// The price of a megabyte, a million bytes; more than 0.
    pub per_megabyte: f64,
    /// The currency of the price, as it was written: `EUR`.
    pub currency: String,
}

impl BytePrice {
    /// Reads a price such as `0.40EUR/MB` or `$2/GB`.
    ///
    /// # Errors
    /// If a part of it is missing, or the price is nothing, less, or absurdly much.
    pub fn parse(text: &str) -> Result<Self, Problem> {
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
        Ok(Self { per_megabyte, currency })
    }
}

/// The one currency of a file's prices, if there are any; what differs goes to `errors`.
pub(super) fn currency(file: &ScenarioFile, errors: &mut Diagnostics) -> Option<String> {
    let mut prices = file.link.iter().filter_map(|link| link.value.price.as_ref());
    let currency = &prices.next()?.value.currency;
    for other in prices.filter(|price| price.value.currency != *currency) {
        let label = format!("another link's price is in {currency}");
        errors
            .error(&other.span, "prices need one currency", label)
            .help(format!("write this one in {currency} too"));
    }
    Some(currency.clone())
}

/// Whether a link has this name, as a setting's path takes it.
pub(super) fn check_link(file: &ScenarioFile, name: &str) -> Result<(), Problem> {
    let ends = file.link.iter().filter_map(|link| client_end(&link.value.between.value));
    let known: Vec<String> = ends.flat_map(|end| [base_name(end), end.to_owned()]).collect();
    let known: BTreeSet<&str> =
        known.iter().map(String::as_str).filter(|known| !known.is_empty()).collect();
    let known: Vec<&str> = known.into_iter().collect();
    if known.contains(&name) {
        return Ok(());
    }
    let help = name_hint(name, &known);
    Err(Problem::new("is for no link of the scenario", format!("there is no `{name}`")).help(help))
}

/// The client's ends of the links that have a publisher.
pub(super) fn publishing_links(file: &ScenarioFile) -> Vec<String> {
    let publishes = |pattern: &str| {
        let publishers = file.client.iter().filter(|client| !client.value.publish.is_empty());
        publishers.map(|client| &client.value).any(|client| {
            let mut numbers = 1..=fleet_size(client).min(MAX_CLIENTS);
            numbers.any(|number| {
                matches_pattern(pattern, &with_fleet_number(&client.name.value, number))
            })
        })
    };
    let patterns = file.link.iter().filter_map(|link| client_end(&link.value.between.value));
    patterns.filter(|pattern| publishes(pattern)).map(str::to_owned).collect()
}

impl TextValue for BytePrice {
    const EXPECTED: &'static str = "a price such as \"0.40EUR/MB\" or \"$2/GB\"";
    const PATTERN: &'static str = r"^[^/]*[0-9][^/]*/\s*(kB|KB|MB|GB)\s*$";
    const UNIT: Option<Unit> = None;

    fn parse(text: &str) -> Result<Self, Problem> {
        Self::parse(text)
    }

    fn to_text(&self) -> String {
        format!("{}{}/MB", self.per_megabyte, self.currency)
    }
}
impl_text_value!(BytePrice);

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
            let money = BytePrice::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
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
            let wrong = BytePrice::parse(text).unwrap_err();
            assert_eq!(wrong.message, what, "{text}");
            assert!(!wrong.help.is_empty());
        }
    }
}
