//! The list of known bugs beside a gate.

use std::path::Path;
#[expect(
    clippy::disallowed_types,
    reason = "whether a known bug has expired depends on the day"
)]
use std::time::SystemTime;

use super::load;
use super::terminal::{When, note};
use crate::report::number::counted;
use crate::report::{escape, words};
use crate::scenario::Scenario;
use crate::scenario::known::{self, Day, Known};

/// Tells each scenario which breaks are known on this day. Those that have expired are named, and
/// count no more. `false` if the list is wrong, which has been told on standard error by then.
pub(super) fn apply(
    path: &Path,
    today: Option<Day>,
    scenarios: &mut [Scenario],
    color: When,
) -> bool {
    let list = match known::load(path) {
        Ok(list) => list,
        Err(diagnostics) => {
            load::tell(&diagnostics, color);
            return false;
        }
    };
    let today = today.unwrap_or_else(today_in_utc);
    let mut elsewhere = 0;
    for Known { scenario: name, broken } in list {
        let Some(scenario) = scenarios.iter_mut().find(|it| it.name == name) else {
            elsewhere += 1;
            continue;
        };
        if broken.expires < today {
            let what = words::expected(&broken.what);
            let told = format!(
                "warning: no longer known since {}: {name}: {what}: {}",
                broken.expires, broken.url
            );
            note(&escape::terminal(&told));
        } else {
            scenario.expect.known.push(broken);
        }
    }
    if elsewhere > 0 {
        let entries = counted(elsewhere, "known bug");
        note(&format!("   {entries} of `{}` not among these scenarios", path.display()));
    }
    true
}

#[expect(clippy::disallowed_types, reason = "whether a known bug has expired depends on the day")]
fn today_in_utc() -> Day {
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    // A clock before the first day of TOML's dates expires nothing.
    Day::read(&now.format("%Y-%m-%d").to_string()).unwrap_or(Day { year: 0, month: 1, day: 1 })
}
