//! Timelines of a few trials, for the chart of backlogs.

use std::sync::atomic::AtomicBool;

use super::sweep::{Study, TrialBacklog};
use qoslab_guarantee::{BacklogObserver, BacklogTimeline};
use qoslab_sim::Options;
use qoslab_sim::{Engine, Trial};

/// Runs a trial once more on its engine and watches its backlog and its faults. Once `interrupt` is
/// true, it ends early.
#[must_use]
pub(crate) fn record_backlog<E: Engine>(
    engine: &E,
    trial: &Trial,
    interrupt: &AtomicBool,
) -> BacklogTimeline {
    let observer = BacklogObserver::new(trial.setup.clients.len());
    let options = Options::with_interrupt(interrupt);
    let (ended, observer) = engine.run(trial, observer, options);
    observer.finish(ended.at)
}

/// The timelines that stand for a study: in its middle cell, the first seed of the first point of
/// each published QoS. Points of mixed QoS have none.
#[must_use]
pub fn record_backlogs<E: Engine>(
    engine: &E,
    study: &Study,
    interrupt: &AtomicBool,
) -> Vec<TrialBacklog> {
    let cell = study.middle_cell();
    let Some(middle) = study.cells.get(cell) else { return Vec::new() };
    let mut found: Vec<TrialBacklog> = Vec::new();
    for point in &middle.result.points {
        let (Some(qos), Some(row)) = (point.published, point.trials.first()) else { continue };
        if found.iter().any(|other| other.qos == qos) {
            continue;
        }
        let trial = middle.result.scenario.points[point.index].trial(row.seed);
        found.push(TrialBacklog {
            cell,
            qos,
            point: point.label.clone(),
            trial: trial.name.clone(),
            seed: trial.seed,
            timeline: record_backlog(engine, &trial, interrupt),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::study;
    use qoslab_sim::EventEngine;

    #[test]
    fn the_middle_cell_stands_for_the_study() {
        let study = study(&[0, 10, 20], &[1]);
        let timelines = record_backlogs(&EventEngine, &study, &AtomicBool::new(false));
        assert_eq!(timelines.iter().map(|it| it.cell).collect::<Vec<_>>(), [1, 1, 1]);
        for (it, point) in timelines.iter().zip(&study.cells[1].result.points) {
            assert_eq!(it.trial, point.trials[0].name);
            let peak = it.timeline.steps.iter().map(|step| step.in_flight).max();
            let facts = point.trials[0].summary.as_ref().unwrap();
            assert_eq!(u64::from(peak.unwrap_or(0)), facts.in_flight_peak);
            assert!(it.timeline.end <= facts.ended_at);
        }
    }
}
