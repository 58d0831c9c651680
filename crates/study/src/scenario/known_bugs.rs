//! `known.toml`: bugs that a gate knows, so that one of them does not hide the next.
//!
//! ```toml
//! schema = 1
//!
//! [[known]]
//! scenario = "cable-pull"
//! promise  = "exactly-once"          # or rule = "MQTT-4.3.3-2", as in [[expect.broken]]
//! kind     = "duplicated"
//! blame    = "broker"
//! why      = "the broker forgets packet ids when it restarts"
//! url      = "https://example.org/issues/17"
//! expires  = 2027-03-01
//! ```
//!
//! Unlike `[[expect.broken]]` it need not happen: that it no longer does is reported and fails
//! nothing.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::value::Datetime;

use super::diagnostic::Diagnostics;
use super::expect::{BreakTarget, KnownBreak};
use super::file::BrokenTable;
use super::from_toml::{read_root, read_table};
use super::keywords::{BlameKeyword, BreachKeyword, PromiseKeyword};
use super::value::{BoundedInt, Located};
use super::{Scenario, check, read};

/// The usual name of such a file. A folder's scenarios are searched for without it.
pub const KNOWN_FILE_NAME: &str = "known.toml";

/// A day of the Gregorian calendar; ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Day {
    /// The year.
    pub year: u16,
    /// From 1 to 12.
    pub month: u8,
    /// From 1.
    pub day: u8,
}

/// One known bug of one scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBug {
    /// The scenario's name.
    pub scenario: String,
    /// What breaks there.
    pub broken: KnownBreak,
}

struct KnownFile {
    _schema: BoundedInt<1, 1>,
    known: Vec<Located<KnownTable>>,
}
read_table!(KnownFile { _schema as "schema" or "1", known = Vec::new() });

/// As `[[expect.broken]]`, for one scenario and for a time.
#[derive(Clone)]
struct KnownTable {
    scenario: Located<String>,
    promise: Option<PromiseKeyword>,
    kind: Option<BreachKeyword>,
    rule: Option<String>,
    blame: BlameKeyword,
    why: String,
    url: Located<String>,
    expires: Located<Datetime>,
}
read_table!(KnownTable {
    scenario, promise or "'exactly-once'" = None, kind or "'duplicated'" = None, rule = None,
    blame, why, url, expires or "2000-01-01",
});

/// Reads a file of known bugs.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn load(path: &Path) -> Result<Vec<KnownBug>, Diagnostics> {
    parse(&path.display().to_string(), &read::read_text(path)?)
}

/// Reads the text of such a file; `path` is only shown.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn parse(path: &str, text: &str) -> Result<Vec<KnownBug>, Diagnostics> {
    let mut errors = Diagnostics::new(path, text);
    let file = read::parse_toml(text, &mut errors)
        .and_then(|root| read_root::<KnownFile>(root, &mut errors));
    let all = file.map(|file| file.known).unwrap_or_default();
    let known: Vec<KnownBug> =
        all.iter().filter_map(|table| read_known_bug(table, &mut errors)).collect();
    let errors = errors.sorted();
    if errors.errors.is_empty() { Ok(known) } else { Err(errors) }
}

/// What a list of known bugs says of some scenarios and a day, but for what counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnusedBugs {
    /// Those that have expired, in the order of the list.
    pub expired: Vec<KnownBug>,
    /// How many are of other scenarios.
    pub elsewhere: u64,
}

/// Adds to each scenario the breaks that are known on this day; gives what is left.
pub fn apply(list: Vec<KnownBug>, today: Day, scenarios: &mut [Scenario]) -> UnusedBugs {
    let mut unused = UnusedBugs::default();
    for bug in list {
        match scenarios.iter_mut().find(|scenario| scenario.name == bug.scenario) {
            None => unused.elsewhere += 1,
            Some(_) if bug.broken.expires < today => unused.expired.push(bug),
            Some(scenario) => scenario.expect.known.push(bug.broken),
        }
    }
    unused
}

fn read_known_bug(given: &Located<KnownTable>, errors: &mut Diagnostics) -> Option<KnownBug> {
    let table = given.value.clone();
    let KnownTable { scenario, promise, kind, rule, blame, why, url, expires } = table;
    if !(url.value.starts_with("https://") || url.value.starts_with("http://")) {
        errors
            .error(&url.span, "url is no address of the web", "it begins with no `https://`")
            .help("name the page on which the bug is followed");
    }
    let day = Day::from_datetime(&expires.value);
    if day.is_none() {
        errors
            .error(&expires.span, "expires must be a day", "this is more or less than a date")
            .help("write it as in `expires = 2027-03-01`, without quotes");
    }
    let broken = BrokenTable { promise, kind, rule, blame, why };
    let broken = Located { value: broken, span: given.span.clone() };
    let what: BreakTarget = check::read_break(&broken, errors)?;
    let broken = KnownBreak { what, why: broken.value.why, url: url.value, expires: day? };
    Some(KnownBug { scenario: scenario.value, broken })
}

impl Day {
    /// The day of a date of TOML, which has been checked to be one; `None` if it has a time too.
    fn from_datetime(datetime: &Datetime) -> Option<Self> {
        let date = datetime.date.filter(|_| datetime.time.is_none())?;
        Some(Self { year: date.year, month: date.month, day: date.day })
    }

    /// Reads `2027-03-01`; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_datetime(&text.parse().ok()?)
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qoslab_guarantee::{Blame, Breach, Promise, Violation};

    const KNOWN: &str = r#"schema = 1
[[known]]
scenario = "cable-pull"
promise = "exactly-once"
kind = "duplicated"
blame = "broker"
why = "it forgets ids"
url = "https://example.org/17"
expires = 2027-03-01
[[known]]
scenario = "ids"
rule = "MQTT-3.3.1-1"
blame = "publisher"
why = "no DUP"
url = "https://example.org/18"
expires = 2026-12-31
"#;

    #[test]
    fn a_file_names_scenarios_breaks_and_days() {
        let known = parse("known.toml", KNOWN).unwrap();
        assert_eq!(known.len(), 2);
        let violation = Violation {
            promise: Promise::ExactlyOnce,
            breach: Breach::Duplicated,
            blame: Blame::Broker,
        };
        assert_eq!(known[0].scenario, "cable-pull");
        assert_eq!(known[0].broken.what, BreakTarget::Promise(violation));
        assert_eq!(known[0].broken.expires.to_string(), "2027-03-01");
        assert!(known[1].broken.expires < known[0].broken.expires);
        assert_eq!(Day::parse("2026-12-31"), Some(known[1].broken.expires));
    }

    #[test]
    fn all_errors_are_reported_at_their_places() {
        let wrong = KNOWN
            .replace("https://example.org/17", "tracker 17")
            .replace("2026-12-31", "\"soon\"")
            .replace("\"MQTT-3.3.1-1\"", "\"MQTT-9.9.9-9\"")
            .replace("kind =", "kidn =");
        let told = parse("known.toml", &wrong).unwrap_err().to_string();
        for part in ["no field `kidn`", "address of the web", "MQTT-9.9.9-9", "expires"] {
            assert!(told.contains(part), "no `{part}` in:\n{told}");
        }
        let timed = KNOWN.replace("2027-03-01", "2027-03-01T10:00:00");
        assert!(parse("k", &timed).unwrap_err().to_string().contains("must be a day"));
    }

    #[test]
    fn days_are_read_only_as_days() {
        for wrong in ["2026-02-30", "2026-13-01", "26-01-01", "", "2026-01-01T00:00:00Z"] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
    }
}
