//! Entries of a schedule that nothing met.

use std::sync::atomic::AtomicBool;

use super::terminal::note;
use crate::base::units::format_count;
use crate::report::escape;
use crate::sim::EngineKind;
use crate::sim::trial::Trial;
use crate::study::unmet::unmet;

/// At most so many are named.
const MOST: usize = 10;

/// Tells on standard error which entries of the trial's schedule changed nothing, and which packets
/// that faults wait for never came.
pub(super) fn tell(engine: EngineKind, trial: &Trial, interrupt: &AtomicBool) {
    let all = unmet(&engine, trial, interrupt);
    if all.is_empty() {
        return;
    }
    let entries = match all.len() {
        1 => "an entry".to_owned(),
        more => format!("{} entries", format_count(more as u64)),
    };
    note(&format!("warning: {entries} of the schedule met nothing, or changed nothing:"));
    for text in all.iter().take(MOST) {
        note(&format!("  {}", escape::terminal(text)));
    }
    if all.len() > MOST {
        note(&format!("  ... and {} more", all.len() - MOST));
    }
}
