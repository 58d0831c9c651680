//! Entries of a schedule that nothing met.

use std::sync::atomic::AtomicBool;

use super::terminal::print_stderr;
use crate::base::units::format_count;
use crate::report::escape;
use crate::sim::EngineKind;
use crate::sim::trial::Trial;
use crate::study::unused_entries::unused_schedule_entries;

/// At most so many are named.
const MAX_LISTED: usize = 10;

/// Tells on standard error which entries of the trial's schedule changed nothing, and which packets
/// that faults wait for never came.
pub(super) fn warn_unused_entries(engine: EngineKind, trial: &Trial, interrupt: &AtomicBool) {
    let all = unused_schedule_entries(&engine, trial, interrupt);
    if all.is_empty() {
        return;
    }
    let entries = match all.len() {
        1 => "an entry".to_owned(),
        more => format!("{} entries", format_count(more as u64)),
    };
    print_stderr(&format!("warning: {entries} of the schedule met nothing, or changed nothing:"));
    for text in all.iter().take(MAX_LISTED) {
        print_stderr(&format!("  {}", escape::terminal(text)));
    }
    if all.len() > MAX_LISTED {
        print_stderr(&format!("  ... and {} more", all.len() - MAX_LISTED));
    }
}
