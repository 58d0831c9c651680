//! The list of known bugs beside a gate.

use std::path::Path;
#[expect(
    clippy::disallowed_types,
    reason = "whether a known bug has expired depends on the day"
)]
use std::time::SystemTime;

use super::load;
use super::terminal::{ColorMode, print_stderr};
use crate::report::number::counted;
use crate::report::{escape, labels};
use crate::scenario::Scenario;
use crate::scenario::known_bugs::{self, Day, KnownBug, UnusedBugs};

/// Passes each scenario the breaks that are known on this day. Expired ones are printed and no
/// longer count. `false` if the list is wrong, which has been reported on standard error by then.
pub(super) fn apply_known_bugs(
    path: &Path,
    today: Option<Day>,
    scenarios: &mut [Scenario],
    color: ColorMode,
) -> bool {
    let list = match known_bugs::load(path) {
        Ok(list) => list,
        Err(diagnostics) => {
            load::print_diagnostics(&diagnostics, color);
            return false;
        }
    };
    let today = today.unwrap_or_else(today_in_utc);
    let UnusedBugs { expired, elsewhere } = known_bugs::apply(list, today, scenarios);
    for KnownBug { scenario, broken } in expired {
        let what = labels::expected_break(&broken.what);
        let warning = format!(
            "warning: no longer known since {}: {scenario}: {what}: {}",
            broken.expires, broken.url
        );
        print_stderr(&escape::terminal(&warning));
    }
    if elsewhere > 0 {
        let entries = counted(elsewhere, "known bug");
        print_stderr(&format!("   {entries} of `{}` not among these scenarios", path.display()));
    }
    true
}

#[expect(clippy::disallowed_types, reason = "whether a known bug has expired depends on the day")]
fn today_in_utc() -> Day {
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    // A clock before the first day of TOML's dates expires nothing.
    Day::parse(&now.format("%Y-%m-%d").to_string()).unwrap_or(Day { year: 0, month: 1, day: 1 })
}
