//! Entries of a schedule that matched nothing.

use super::terminal::print_stderr;
use crate::base::units::format_count;
use crate::report::escape;

/// The maximum number of entries that are listed.
const MAX_LISTED: usize = 10;

/// Warns on standard error of entries of a schedule that changed nothing, or that wait for packets
/// which never came; prints nothing if there are none.
pub(super) fn warn_unused_entries(entries: &[String]) {
    if entries.is_empty() {
        return;
    }
    let count = match entries.len() {
        1 => "an entry".to_owned(),
        more => format!("{} entries", format_count(more as u64)),
    };
    print_stderr(&format!("warning: {count} of the schedule met nothing, or changed nothing:"));
    for text in entries.iter().take(MAX_LISTED) {
        print_stderr(&format!("  {}", escape::terminal(text)));
    }
    if entries.len() > MAX_LISTED {
        print_stderr(&format!("  ... and {} more", entries.len() - MAX_LISTED));
    }
}
