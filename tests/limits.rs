//! The known limits that `docs/limits.md` explains: they are there, and as large as said.

mod common;

use common::{Line, count};
use qoslab::closed_form::REORDERED_QOS2;
use qoslab::guarantee::verdict::Ending;

#[test]
fn qos_2_is_delivered_twice_as_often_as_a_reordering_network_makes_it() {
    for expected in REORDERED_QOS2 {
        let half = expected.longest_delay * 500.0;
        let first = format!(
            "delay = {{ time = \"{half}ms\", jitter = \"{half}ms\", distribution = \"uniform\" }}"
        );
        let line = Line {
            published: 2,
            count: 10_000,
            every: "80s",
            sensor: "retry = \"1s\"",
            first: &first,
            ..Line::default()
        };
        let (ended, tally) = count(&line.trial(1));
        assert_eq!(ended.ending, Ending::Quiescent);
        assert!(tally.messages.iter().all(|message| message.copies >= 1), "nothing is lost");
        let doubled = tally.messages.iter().filter(|message| message.copies > 1).count();
        let share = f64::from(u32::try_from(doubled).expect("of 10,000")) / 10_000.0;
        let expected = expected.every_pubrec_answered;
        // 4.5 standard errors of the measurement, and the error of the estimate.
        let tolerance = 4.5 * (expected * (1.0 - expected) / 10_000.0).sqrt() + 0.005;
        assert!((share - expected).abs() <= tolerance, "{share} is not {expected} ({half} ms)");
        assert!(expected > 0.0 || doubled == 0);
    }
}

#[test]
fn lowest_free_ids_lose_acknowledged_messages_and_cyclic_ones_do_not() {
    let lost_though_acknowledged = |ids: &str| {
        let line = Line {
            count: 5_000,
            every: "exp 100ms",
            sensor: &format!("ids = \"{ids}\"\nretry = \"60ms\""),
            first: "delay = \"50ms\"\nloss = \"10%\"",
            ..Line::default()
        };
        let (ended, tally) = count(&line.trial(1));
        assert_eq!(ended.ending, Ending::Quiescent);
        assert!(tally.messages.iter().all(|message| message.completion.is_some()));
        tally.messages.iter().filter(|message| message.copies == 0).count()
    };
    assert_eq!(lost_though_acknowledged("cyclic"), 0);
    assert!(lost_though_acknowledged("lowest-free") > 50);
}
