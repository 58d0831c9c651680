//! The known limits that `docs/limits.md` explains: they exist, and are as large as documented.

use std::sync::atomic::AtomicBool;

use crate::common::{TwoHopScenario, run_and_count};
use qoslab::base::Ending;
use qoslab::guarantee::{Blame, Breach, Promise, Violation};
use qoslab::sim::{EventEngine, Trial};
use qoslab::study::judge_trial;

/// QoS 2 over datagrams that overtake each other: how many messages are delivered more than once,
/// with no loss, one message at a time on one hop, a delay uniform from 0 to `max_delay` each
/// way and a timer of one second.
///
/// After PUBCOMP a PUBLISH with the same id is a new message [MQTT-4.3.3-12], so a late repeat is
/// delivered again and no endpoint is at fault.
struct ReorderedDuplicates {
    /// The longest delay one way in seconds.
    max_delay: f64,
    /// The share with a sender that takes no notice of a repeated PUBREC.
    first_pubrec_answered: f64,
    /// The share with a sender that answers every PUBREC with PUBREL [MQTT-4.3.3-4].
    every_pubrec_answered: f64,
}

/// Not formulas but estimates, by simulations that share no code with this one; good to 0.005. Up
/// to half a second a round trip ends before the timer, and nothing is sent twice.
const REORDERED_QOS2: [ReorderedDuplicates; 4] = [
    ReorderedDuplicates { max_delay: 0.5, first_pubrec_answered: 0.0, every_pubrec_answered: 0.0 },
    ReorderedDuplicates {
        max_delay: 1.0,
        first_pubrec_answered: 0.121,
        every_pubrec_answered: 0.125,
    },
    ReorderedDuplicates {
        max_delay: 2.0,
        first_pubrec_answered: 0.267,
        every_pubrec_answered: 0.282,
    },
    ReorderedDuplicates {
        max_delay: 4.0,
        first_pubrec_answered: 0.502,
        every_pubrec_answered: 0.552,
    },
];

/// One hop, each message alone, no loss, a timer of 1 s, each delay uniform up to the longest.
fn reordering(longest_delay: f64, repeated_pubrec: &str, count: u32) -> Trial {
    let half = longest_delay * 500.0;
    let first = format!(
        "delay = {{ time = \"{half}ms\", jitter = \"{half}ms\", distribution = \"uniform\" }}"
    );
    let line = TwoHopScenario {
        published: 2,
        count,
        every: "80s",
        sensor: &format!("retry = \"1s\"\nrepeated_pubrec = \"{repeated_pubrec}\""),
        first: &first,
        ..TwoHopScenario::default()
    };
    line.trial(1)
}

/// The share of 20,000 messages that were delivered twice.
fn duplicated_share(longest_delay: f64, repeated_pubrec: &str) -> f64 {
    let (ended, tally) = run_and_count(&reordering(longest_delay, repeated_pubrec, 20_000));
    assert_eq!(ended.ending, Ending::Quiescent);
    assert!(tally.messages.iter().all(|message| message.copies >= 1), "nothing is lost");
    let doubled = tally.messages.iter().filter(|message| message.copies > 1).count();
    f64::from(u32::try_from(doubled).expect("of 20,000")) / 20_000.0
}

#[test]
fn qos_2_is_delivered_twice_as_often_as_a_reordering_network_makes_it() {
    for theory in REORDERED_QOS2 {
        for (sender, expected) in
            [("ignore", theory.first_pubrec_answered), ("answer", theory.every_pubrec_answered)]
        {
            let share = duplicated_share(theory.max_delay, sender);
            // 4.5 standard errors of the measurement, and the error of the estimate.
            let tolerance = 4.5 * (expected * (1.0 - expected) / 20_000.0).sqrt() + 0.005;
            let delay = theory.max_delay;
            assert!((share - expected).abs() <= tolerance, "{sender}, {delay} s: {share}");
            assert!(expected > 0.0 || share == 0.0);
        }
    }
}

#[test]
fn every_duplicate_from_reordering_is_blamed_on_the_network() {
    let doubled = Violation {
        promise: Promise::ExactlyOnce,
        breach: Breach::Duplicated,
        blame: Blame::Network,
    };
    for longest_delay in [1.0, 2.0, 4.0] {
        for sender in ["ignore", "answer"] {
            let trial = reordering(longest_delay, sender, 500);
            let outcome =
                judge_trial(&EventEngine, &trial, &AtomicBool::new(false)).expect("the same trial");
            assert_eq!(outcome.ending, Ending::Quiescent);
            assert!(outcome.violations.keys().all(|violation| *violation == doubled));
            let count = outcome.violations.get(&doubled).copied().unwrap_or_default();
            assert_eq!(
                count, outcome.metrics.qos[2].counts.duplicated,
                "{sender}, {longest_delay} s"
            );
            assert!(count > 0 || longest_delay < 2.0, "{sender}, {longest_delay} s");
        }
    }
}

#[test]
fn lowest_free_ids_lose_acknowledged_messages_and_cyclic_ones_do_not() {
    let lost_though_acknowledged = |ids: &str| {
        let line = TwoHopScenario {
            count: 20_000,
            every: "20ms",
            sensor: &format!("ids = \"{ids}\"\nretry = \"60ms\""),
            first: "delay = \"50ms\"\nloss = \"10%\"",
            ..TwoHopScenario::default()
        };
        let (ended, tally) = run_and_count(&line.trial(1));
        assert_eq!(ended.ending, Ending::Quiescent);
        assert!(tally.messages.iter().all(|message| message.completion.is_some()));
        tally.messages.iter().filter(|message| message.copies == 0).count()
    };
    assert_eq!(lost_though_acknowledged("cyclic"), 0);
    // About 7 %.
    let lost = lost_though_acknowledged("lowest-free");
    assert!((1_300..1_500).contains(&lost), "{lost} of 20,000");
}
