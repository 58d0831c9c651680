//! Exit codes. They are part of the interface: scripts rely on them.

use crate::study::{ScenarioResult, Verdict};

/// Every promise and need holds.
pub const HOLDS: u8 = 0;
/// A promise or a MUST of MQTT is broken, or a need not met.
pub const VIOLATED: u8 = 1;
/// A wrong argument or scenario, or a file that cannot be read or written.
pub const USAGE: u8 = 2;
/// Nothing is proved: messages under way at the deadline, or an event or break that was expected
/// never happened.
pub const INCONCLUSIVE: u8 = 3;
/// Nothing was selected to run.
pub const NOTHING_TO_RUN: u8 = 4;
/// Not deterministic: two runs of the same trial differ.
pub const NOT_DETERMINISTIC: u8 = 5;
/// A bug in qoslab.
pub const BUG: u8 = 70;
/// Interrupted; what is finished is kept.
pub const INTERRUPTED: u8 = 130;

/// The table of exit codes for `--help`.
pub(super) const HELP: &str = "\
Exit codes:
    0  every promise, MUST and need holds
    1  a promise or a MUST of MQTT is broken, or a need not met
    2  wrong arguments or scenario, or a file that cannot be read or written
    3  inconclusive: work left at the deadline, or something expected never happened
    4  nothing selected to run
    5  not deterministic: two runs of the same trial differ
   70  a bug in qoslab
  130  interrupted; what is finished is kept";

/// The code of many results: the worst verdict's, by the precedence 70, 5, 1, 3, 0.
#[must_use]
pub fn code_of_results(results: &[ScenarioResult]) -> u8 {
    worst_code(results.iter().map(|result| result.verdict))
}

/// The code of the worst of many verdicts.
#[must_use]
pub fn worst_code(verdicts: impl Iterator<Item = Verdict>) -> u8 {
    verdicts.max().map_or(NOTHING_TO_RUN, code)
}

const fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Holds => HOLDS,
        Verdict::Inconclusive => INCONCLUSIVE,
        Verdict::Violated => VIOLATED,
        Verdict::NotDeterministic => NOT_DETERMINISTIC,
        Verdict::Bug => BUG,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::report::{Style, failure};
    use crate::study::fixtures::{outcome, scenario};
    use crate::study::{Selection, ThreadPool, TrialRunner, plan};

    #[test]
    fn a_panic_is_reported_as_a_bug_with_scenario_trial_and_command() {
        let pool = ThreadPool::new(Some(1)).unwrap();
        let plans = plan(vec![scenario("")], &Selection::default()).unwrap();
        let trial = plans[0].scenario.points[1].trial(3).name;
        let runner =
            TrialRunner { pool: &pool, fail_fast: true, interrupt: &AtomicBool::new(false) };
        let results = runner.run(
            plans,
            &|one| {
                assert!(one.name != trial, "slipped on the third seed");
                Ok(outcome(one))
            },
            &(),
        );
        assert_eq!(code_of_results(&results), BUG);
        let told = failure::failures(&results[0], " --wire", Style::PLAIN);
        let command = format!("qoslab run by-hand.toml --wire --trial {trial}");
        for text in ["by-hand", "seed 3", "slipped on the third seed", &command] {
            assert!(told.contains(text), "no `{text}` in {told}");
        }
    }

    #[test]
    fn the_worst_verdict_decides_in_the_documented_order() {
        let mut verdicts = [
            Verdict::Holds,
            Verdict::Violated,
            Verdict::Bug,
            Verdict::Inconclusive,
            Verdict::NotDeterministic,
        ];
        verdicts.sort();
        assert_eq!(verdicts.map(code), [0, 3, 1, 5, 70]);
        assert_eq!(code_of_results(&[]), NOTHING_TO_RUN);
    }
}
