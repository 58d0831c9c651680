//! The estimates of `check` for a trial, against what the trial then needs.

use std::path::Path;

use qoslab::base::{Ending, Event, Node, Observer, Time};
use qoslab::scenario::{Scenario, find_scenarios};
use qoslab::sim::FaultAction;
use qoslab::sim::Options;
use qoslab::sim::event::run;

/// Counts calls to `publish()`.
#[derive(Default)]
struct SubmittedCount(u64);

impl Observer for SubmittedCount {
    fn observe(&mut self, _: Time, event: &Event<'_>) {
        self.0 += u64::from(matches!(event, Event::Submitted { .. }));
    }
}

#[test]
fn shipped_scenarios_end_quietly_and_need_no_more_than_was_estimated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    for file in find_scenarios(&folder).unwrap_or_else(|errors| panic!("{errors}")) {
        let scenario = Scenario::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
        for point in &scenario.points {
            let estimate = point.estimate();
            let trial = point.trial(scenario.first_seed);
            let (ended, messages) = run(&trial, SubmittedCount::default(), Options::default());
            let which = format!("{} {}", scenario.name, point.label());
            assert_eq!(ended.ending, Ending::Quiescent, "{which}");
            // An application that crashes with its client publishes nothing meanwhile.
            let crashes = trial.setup.faults.iter().any(|fault| {
                matches!(fault.action, FaultAction::Crash { node: Node::Client(_), .. })
            });
            assert!(messages.0 <= estimate.messages, "{which}: {} messages", messages.0);
            assert!(crashes || messages.0 == estimate.messages, "{which}: {} messages", messages.0);
            assert!(
                ended.packets <= estimate.packets * 5 / 4,
                "{which}: {} packets",
                ended.packets
            );
            // A fault is assumed to find every window full, which is rare; and for a swarm the
            // estimate is that of the worst trial.
            let above = if trial.setup.faults.is_empty() { 4 } else { 16 };
            assert!(
                point.swarm.is_some() || ended.packets >= estimate.packets / above,
                "{which}: {} packets",
                ended.packets
            );
            assert!(ended.events <= estimate.events * 5 / 4, "{which}: {} events", ended.events);
        }
    }
}
