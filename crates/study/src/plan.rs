//! Plans: the trials of scenarios that are to run.

use thiserror::Error;

use crate::scenario::{Point, Scenario};
use qoslab_core::base::QoS;
use qoslab_core::base::units::format_count;
use qoslab_sim::{EngineKind, Trial, Unsupported};

/// The user's choice of points, seeds and trials. The default is everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Other seeds than the scenario's own.
    pub seeds: Option<Seeds>,
    /// Only points that publish with nothing but these; empty for all.
    pub qos: Vec<QoS>,
    /// Only the trial whose name begins with this.
    pub trial: Option<String>,
    /// Whether the seeds were chosen to look at a part, and not as another size of the whole.
    pub one_seed: bool,
}

/// The most trials of one scenario: each keeps a row until the end.
pub(crate) const MAX_TRIALS: u64 = 1_000_000;

/// Seeds that replace a scenario's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// That many, from the scenario's first.
    Count(u32),
    /// That many, from this one.
    Range {
        /// The first seed.
        first: u64,
        /// How many.
        count: u32,
    },
}

/// One scenario and the trials of it that are to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The scenario.
    pub scenario: Scenario,
    /// Its trials, ascending.
    pub trials: Vec<PlannedTrial>,
    /// Whether only a part of the scenario was asked for: one trial, one seed, or some levels.
    pub narrowed: bool,
    /// The engine that runs them.
    pub engine: EngineKind,
}

/// One trial to run. Ordered by point, then by seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedTrial {
    /// The position in [`Scenario::points`].
    pub point: usize,
    /// The seed.
    pub seed: u64,
}

/// The reason why nothing can run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectionError {
    /// No point or seed is left.
    #[error("no trial is selected: {0}")]
    Nothing(String),
    /// More trials than memory can hold.
    #[error(
        "`{scenario}` would be {} runs, and at most {} are possible: choose fewer seeds",
        format_count(*.trials),
        format_count(MAX_TRIALS)
    )]
    TooMany {
        /// The scenario's name.
        scenario: String,
        /// How many there would be.
        trials: u64,
    },
    /// A precision and a shard exclude each other.
    #[error(
        "a shard has not all seeds of a cell, so it cannot see when a precision is reached: \
         give one or the other"
    )]
    PrecisionWithShard,
    /// No trial has such a name.
    #[error(
        "no trial is named `{0}`: a name is a hash of the scenario's content and the seed, so \
         it changes when the scenario does; trials.csv lists all names"
    )]
    UnknownTrial(String),
    /// Several trials have such a name.
    #[error("`{prefix}` begins the names of {count} trials, such as {first} and {second}")]
    AmbiguousTrial {
        /// The name that was asked for.
        prefix: String,
        /// How many there are.
        count: usize,
        /// One of them.
        first: String,
        /// Another.
        second: String,
    },
}

impl Selection {
    /// The first seed, and how many from there.
    #[must_use]
    pub fn seed_range(&self, scenario: &Scenario) -> (u64, u32) {
        match self.seeds {
            None => (scenario.first_seed, scenario.seed_count),
            Some(Seeds::Count(count)) => (scenario.first_seed, count),
            Some(Seeds::Range { first, count }) => (first, count),
        }
    }
}

impl Plan {
    /// Takes out the points that the engine cannot run, and says why, each with its name.
    pub fn retain_supported(&mut self, engine: EngineKind) -> Vec<(String, Unsupported)> {
        self.engine = engine;
        let points = &self.scenario.points;
        let mut left_out = Vec::new();
        let carries = |point: &usize| match engine.check(&points[*point].setup) {
            Ok(()) => true,
            Err(why) => {
                left_out.push((points[*point].label(), why));
                false
            }
        };
        let mut planned: Vec<usize> = self.trials.iter().map(|it| it.point).collect();
        planned.dedup();
        let carried: Vec<usize> = planned.into_iter().filter(carries).collect();
        self.trials.retain(|it| carried.contains(&it.point));
        self.narrowed |= !left_out.is_empty();
        left_out
    }

    /// Every choice made for one of the plan's trials.
    #[must_use]
    pub fn trial(&self, selected: PlannedTrial) -> Trial {
        self.scenario.points[selected.point].trial(selected.seed)
    }
}

/// The trials that a selection leaves of all scenarios. Scenarios without any are left out.
///
/// # Errors
/// If no trial is left, if there are too many, or if the name of a trial fits none or several.
pub fn plan(scenarios: Vec<Scenario>, selection: &Selection) -> Result<Vec<Plan>, SelectionError> {
    let mut plans = plan_each(scenarios, selection)?;
    plans.retain(|plan| !plan.trials.is_empty());
    Ok(plans)
}

/// As [`plan`], with a plan for each scenario: of all, at least one has trials.
pub(super) fn plan_each(
    scenarios: Vec<Scenario>,
    selection: &Selection,
) -> Result<Vec<Plan>, SelectionError> {
    let mut plans = Vec::with_capacity(scenarios.len());
    for scenario in scenarios {
        let trials = trials_of(&scenario, selection)?;
        let some_levels =
            trials.chunk_by(|a, b| a.point == b.point).count() < scenario.points.len();
        let narrowed = some_levels || selection.one_seed || selection.trial.is_some();
        plans.push(Plan { scenario, trials, narrowed, engine: EngineKind::default() });
    }
    if let Some(prefix) = &selection.trial {
        retain_named(&mut plans, prefix)?;
    }
    if plans.iter().all(|plan| plan.trials.is_empty()) {
        return Err(SelectionError::Nothing(empty_selection_reason(selection)));
    }
    Ok(plans)
}

fn trials_of(
    scenario: &Scenario,
    selection: &Selection,
) -> Result<Vec<PlannedTrial>, SelectionError> {
    let (first, count) = selection.seed_range(scenario);
    let wanted = |point: &Point| {
        let mut levels = point.setup.publishers.iter().map(|stream| stream.qos);
        selection.qos.is_empty() || levels.all(|qos| selection.qos.contains(&qos))
    };
    let points: Vec<usize> = scenario
        .points
        .iter()
        .enumerate()
        .filter_map(|(nth, point)| wanted(point).then_some(nth))
        .collect();
    let trials = u64::from(count).saturating_mul(points.len() as u64);
    if trials > MAX_TRIALS {
        return Err(SelectionError::TooMany { scenario: scenario.name.clone(), trials });
    }
    let seeds = |point| {
        (0..u64::from(count))
            .map(move |nth| PlannedTrial { point, seed: first.saturating_add(nth) })
    };
    Ok(points.into_iter().flat_map(seeds).collect())
}

fn retain_named(plans: &mut [Plan], prefix: &str) -> Result<(), SelectionError> {
    let wanted = prefix.to_ascii_lowercase();
    let mut names = Vec::new();
    for plan in plans.iter_mut() {
        let all = std::mem::take(&mut plan.trials);
        let matching = all.into_iter().filter_map(|selected| {
            let name = plan.trial(selected).name;
            name.starts_with(&wanted).then_some((selected, name))
        });
        let (kept, found): (Vec<_>, Vec<_>) = matching.unzip();
        plan.trials = kept;
        names.extend(found);
    }
    match names.as_slice() {
        [] => Err(SelectionError::UnknownTrial(prefix.to_owned())),
        [_] => Ok(()),
        [first, second, ..] => Err(SelectionError::AmbiguousTrial {
            prefix: prefix.to_owned(),
            count: names.len(),
            first: first.clone(),
            second: second.clone(),
        }),
    }
}

fn empty_selection_reason(selection: &Selection) -> String {
    if selection.qos.is_empty() {
        return "the scenarios have no seeds".to_owned();
    }
    let asked: Vec<String> = selection.qos.iter().map(ToString::to_string).collect();
    format!("no point publishes with QoS {} alone", asked.join(" or "))
}
