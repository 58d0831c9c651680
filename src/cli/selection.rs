//! Options that select trials, and the parsers of their values.

use clap::Args;

use super::exit;
use super::terminal::print_stderr;
use crate::base::QoS;
use crate::base::units::format_count;
use crate::scenario::Setting;
use crate::study::{Seeds, Selection, SelectionError};

/// Which trials, and of what.
#[derive(Debug, Args)]
pub(super) struct SelectionOptions {
    /// Set a field of the file to another value, such as link.meter.loss=5%
    #[arg(long, value_name = "PATH=VALUE", value_parser = parse_setting)]
    pub set: Vec<Setting>,
    /// How many seeds, or which: 1000, or 1..50
    #[arg(long, value_name = "N or A..B", value_parser = parse_seeds)]
    seeds: Option<Seeds>,
    /// Only points that publish with these levels: 2, or 0,1
    #[arg(long, value_name = "QOS", value_delimiter = ',', value_parser = parse_qos)]
    qos: Vec<QoS>,
}

impl SelectionOptions {
    /// The selection of whole points.
    pub(super) fn selection(&self) -> Selection {
        Selection { seeds: self.seeds, qos: self.qos.clone(), ..Selection::default() }
    }
}

/// The options that select seeds and levels, each with a space before it; empty for all.
pub(super) fn selection_flags(selection: &Selection) -> String {
    let mut options = match selection.seeds {
        None => String::new(),
        Some(Seeds::Count(count)) => format!(" --seeds {count}"),
        Some(Seeds::Range { first, count }) => {
            let last = first.saturating_add(u64::from(count).saturating_sub(1));
            format!(" --seeds {first}..{last}")
        }
    };
    if !selection.qos.is_empty() {
        let levels: Vec<_> = selection.qos.iter().map(ToString::to_string).collect();
        options.extend([" --qos ", &levels.join(",")]);
    }
    options
}

/// Prints why there is no plan, and returns the exit code.
pub(super) fn print_selection_error(error: &SelectionError) -> u8 {
    print_stderr(&format!("error: {error}"));
    match error {
        SelectionError::Nothing(_) | SelectionError::UnknownTrial(_) => exit::NOTHING_TO_RUN,
        SelectionError::TooMany { .. }
        | SelectionError::PrecisionWithShard
        | SelectionError::AmbiguousTrial { .. } => exit::USAGE,
    }
}

/// Reads `1000` or `1..50`.
///
/// # Errors
/// If it is neither, or none or too many.
pub(super) fn parse_seeds(text: &str) -> Result<Seeds, String> {
    let number = |text: &str| -> Result<u64, String> {
        text.trim().parse().map_err(|_| format!("`{text}` is not a whole number from 0"))
    };
    let count = |count: u64| match u32::try_from(count) {
        Ok(0) => Err("there must be at least one seed".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("{} seeds are too many", format_count(count))),
    };
    let Some((first, last)) = text.split_once("..") else {
        return Ok(Seeds::Count(count(number(text)?)?));
    };
    let (first, last) = (number(first)?, number(last)?);
    let Some(span) = last.checked_sub(first) else {
        return Err(format!("{first}..{last} runs backwards"));
    };
    Ok(Seeds::Range { first, count: count(span.saturating_add(1))? })
}

/// Reads a QoS level.
///
/// # Errors
/// If it is not 0, 1 or 2.
pub(super) fn parse_qos(text: &str) -> Result<QoS, String> {
    let level = text.parse().ok().and_then(QoS::from_number);
    level.ok_or_else(|| "a QoS is 0, 1 or 2".to_owned())
}

/// Reads the beginning of a trial's name.
///
/// # Errors
/// If it is not 1 to 8 hexadecimal digits.
pub(super) fn parse_trial_name(text: &str) -> Result<String, String> {
    let is_name =
        !text.is_empty() && text.len() <= 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_name {
        Ok(text.to_owned())
    } else {
        Err("a name is up to 8 hexadecimal digits".to_owned())
    }
}

/// Reads `PATH=VALUE`.
///
/// # Errors
/// If there is no `=`.
pub(super) fn parse_setting(text: &str) -> Result<Setting, String> {
    let (path, value) = text
        .split_once('=')
        .ok_or_else(|| "write it as PATH=VALUE, such as link.meter.loss=5%".to_owned())?;
    Ok(Setting { path: path.trim().to_owned(), value: value.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_count_or_a_range_with_both_ends() {
        assert_eq!(parse_seeds("200"), Ok(Seeds::Count(200)));
        assert_eq!(parse_seeds("3..5"), Ok(Seeds::Range { first: 3, count: 3 }));
        assert_eq!(parse_seeds("7..7"), Ok(Seeds::Range { first: 7, count: 1 }));
        let wrong = ["0", "5..3", "", "x", "-1", "1..", "0..18446744073709551615"];
        assert!(wrong.iter().all(|text| parse_seeds(text).is_err()));
    }
}
