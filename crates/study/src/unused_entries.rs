//! Entries of a schedule that match nothing.

use std::sync::atomic::AtomicBool;

use qoslab_sim::Options;
use qoslab_sim::{Engine, RecordedRun, ScheduleEntry, Trial, Trigger};

/// The entries of a trial's schedule that named what never came, or changed nothing, and the faults
/// that waited for a packet by its name in vain, each in words. None for a trial with random draws.
#[must_use]
pub fn unused_schedule_entries<E: Engine>(
    engine: &E,
    trial: &Trial,
    interrupt: &AtomicBool,
) -> Vec<String> {
    let setup = &*trial.setup;
    let is_named = |trigger: &Trigger| matches!(trigger, Trigger::NamedPacket(_));
    if setup.schedule.is_none() && !setup.faults.iter().any(|fault| is_named(&fault.trigger)) {
        return Vec::new();
    }
    let mut transcript = RecordedRun::default();
    let options =
        Options { transcript: Some(&mut transcript), ..Options::with_interrupt(interrupt) };
    engine.run(trial, (), options);
    let entries = setup.schedule.iter().flat_map(|it| it.unused_entries(&transcript.schedule));
    let faults = (0..).zip(&setup.faults).filter(|(n, fault)| {
        is_named(&fault.trigger) && !transcript.occurrences.iter().any(|came| came.fault == *n)
    });
    let faults = faults.map(|(n, _)| ScheduleEntry::Fault(n as usize));
    entries.chain(faults).map(|piece| setup.entry_text(piece)).collect()
}
