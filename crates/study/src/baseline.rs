//! Differences from an earlier study of the same scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::manifest::Manifest;
use super::needs::{self, MetricValue};
use super::result::{PointResult, ScenarioResult, TrialResult, TrialRow};
use super::store::{FILE_NAME, StoreError, TrialStore};
use super::sweep::{Study, StudyCell};
use super::trial_key::TrialKey;
use crate::scenario::{Axis, AxisValue, MODEL_VERSION, Metric, Scenario, Statistic};
use qoslab_guarantee::Outcome;
use qoslab_sim::EngineKind;

/// A study beside an earlier one, compared trial by trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BaselineComparison {
    /// Where the earlier study was read from, as the user wrote it.
    pub baseline_path: String,
    /// The earlier study's model version, where it is another one: then all may differ.
    pub baseline_model: Option<u32>,
    /// Trials in both with the same trace hash.
    pub identical: u64,
    /// Trials only in this study.
    pub added: u64,
    /// Trials only in the earlier one.
    pub missing: u64,
    /// The points of which a trial differs.
    pub differences: Vec<PointDifference>,
}

/// A point with at least one trial whose trace hash differs from before.
#[derive(Clone, Debug, PartialEq)]
pub struct PointDifference {
    /// The cell's values and the point's name: `loss 5%, qos 1`.
    pub point: String,
    /// How many of its trials differ.
    pub trials: u64,
    /// Metrics that differ: name, before, after, each over the trials of both.
    pub metrics: Vec<(String, f64, f64)>,
}

impl BaselineComparison {
    /// Whether every trial of both is in the other with the same trace hash.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.baseline_model.is_none()
            && self.added == 0
            && self.missing == 0
            && self.differences.is_empty()
    }
}

/// The reason why nothing can be compared with a baseline.
#[derive(Debug, Error)]
pub enum BaselineError {
    /// It is what the run itself would write.
    #[error(
        "the baseline `{}` is what this would write: copy its folder first, or use --out",
        .0.display()
    )]
    IsOwnStore(PathBuf),
    /// It cannot be read.
    #[error("failed to read the baseline `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: StoreError,
    },
    /// Its trials ran on another engine.
    #[error(
        "the baseline `{}` is of the {} engine, and this run is on the {} engine: what differs \
         would say nothing",
        path.display(),
        baseline.name(),
        current.name()
    )]
    OtherEngine {
        /// The file.
        path: PathBuf,
        /// The file's engine.
        baseline: EngineKind,
        /// The engine of this run.
        current: EngineKind,
    },
}

/// The store of an earlier study on this engine, in its folder, or the store's own path; `own` is
/// the store that will be written.
///
/// # Errors
/// If it cannot be read, is of another engine, or is the one that will be written.
pub fn open(
    path: &Path,
    own: Option<&Path>,
    engine: EngineKind,
) -> Result<TrialStore, BaselineError> {
    let path = if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() };
    if own.is_some_and(|own| same_file::is_same_file(own, &path).unwrap_or(false)) {
        return Err(BaselineError::IsOwnStore(path));
    }
    let unreadable = |source| BaselineError::Unreadable { path: path.clone(), source };
    let mut store = TrialStore::read_any_model(&path).map_err(unreadable)?;
    let manifest = store.manifest().map_err(unreadable)?;
    match manifest.map(|manifest| manifest.engine) {
        Some(baseline) if baseline != engine => {
            Err(BaselineError::OtherEngine { path, baseline, current: engine })
        }
        _ => Ok(store),
    }
}

/// A study beside an earlier one, as its store has it. A trial is the same where its key is; or
/// else, in a point whose content changed, where the cell's values, the point's name and the seed
/// are. The earlier study may be of another model: then only values are compared.
///
/// # Errors
/// If the store cannot be read.
pub fn compare(study: &Study, baseline: &mut TrialStore) -> Result<BaselineComparison, StoreError> {
    let manifest = baseline.manifest()?;
    let earlier = BaselineIndex::new(manifest.as_ref(), baseline);
    let mut comparison = BaselineComparison {
        baseline_path: baseline.path().display().to_string(),
        baseline_model: Some(baseline.model()).filter(|model| *model != MODEL_VERSION),
        ..BaselineComparison::default()
    };
    let mut matched = BTreeSet::new();
    for (cell, point) in study.points() {
        let pairs: Vec<(&TrialRow, Option<TrialKey>)> = point
            .trials
            .iter()
            .map(|row| (row, earlier.matching_key(study, cell, point, row.seed)))
            .collect();
        let mut both = PairedTrials::new(&cell.result.scenario, point);
        for (row, key) in pairs {
            let outcome = match key {
                Some(key) => baseline.outcome(key)?.map(|outcome| (key, outcome)),
                None => None,
            };
            let Some((key, outcome)) = outcome else {
                comparison.added += 1;
                continue;
            };
            matched.insert(key);
            comparison.identical += u64::from(both.add(row, outcome, &cell.result.scenario));
        }
        let is_other_model = comparison.baseline_model.is_some();
        comparison
            .differences
            .extend(both.difference(point_name(study, cell, point), is_other_model));
    }
    let all = earlier.trials.iter().filter(|key| !matched.contains(key));
    comparison.missing = all.count() as u64;
    Ok(comparison)
}

/// The point with its cell's values: `loss 5%, qos 1`.
fn point_name(study: &Study, cell: &StudyCell, point: &PointResult) -> String {
    let values = study.axes.iter().zip(&cell.values);
    let values = values.map(|(axis, value)| format!("{} {}", axis.field(), value.text));
    values.chain([point.label.clone()]).collect::<Vec<_>>().join(", ")
}

/// The results of an earlier study.
struct BaselineIndex {
    /// The keys of points by the values of their cells and their names.
    points: BTreeMap<(Vec<(String, String)>, String), TrialKey>,
    /// Its trials that are in the store.
    trials: BTreeSet<TrialKey>,
}

impl BaselineIndex {
    fn new(manifest: Option<&Manifest>, store: &TrialStore) -> Self {
        let mut points = BTreeMap::new();
        for cell in manifest.iter().flat_map(|manifest| &manifest.cells) {
            let axes = manifest.map_or(&[][..], |manifest| &manifest.axes);
            for (label, key) in &cell.points {
                points.insert((cell_coordinates(axes, &cell.values), label.clone()), *key);
            }
        }
        let trials = manifest.iter().flat_map(|manifest| manifest.keys());
        Self { points, trials: trials.filter(|key| store.has_trial(*key)).collect() }
    }

    /// The trial that is to be compared with this one.
    fn matching_key(
        &self,
        study: &Study,
        cell: &StudyCell,
        point: &PointResult,
        seed: u64,
    ) -> Option<TrialKey> {
        let ScenarioResult { scenario, engine, .. } = &cell.result;
        let same = TrialKey::new(*engine, &scenario.points[point.index], seed);
        if self.trials.contains(&same) {
            return Some(same);
        }
        let place = (cell_coordinates(&study.axes, &cell.values), point.label.clone());
        let key = TrialKey { seed, ..*self.points.get(&place)? };
        self.trials.contains(&key).then_some(key)
    }
}

/// Each axis with its value, in the order of their paths.
fn cell_coordinates(axes: &[Axis], values: &[AxisValue]) -> Vec<(String, String)> {
    let values = axes.iter().zip(values);
    let mut place: Vec<_> =
        values.map(|(axis, value)| (axis.path.clone(), value.text.clone())).collect();
    place.sort();
    place
}

/// The trials of a point that are in both studies.
struct PairedTrials {
    now: PointResult,
    before: PointResult,
    /// How many have another trace.
    differing_traces: u64,
    /// How many have another value in a row, regardless of their trace.
    differing_values: u64,
    /// How many trials this study has; with fewer in both, its times are not those of both.
    trial_count: usize,
}

impl PairedTrials {
    fn new(scenario: &Scenario, point: &PointResult) -> Self {
        let (mut now, before) = (point.clone(), PointResult::new(scenario, point.index));
        now.trials.clear();
        Self {
            now,
            before,
            differing_traces: 0,
            differing_values: 0,
            trial_count: point.trials.len(),
        }
    }

    /// Adds a trial; returns whether its trace is the same.
    fn add(&mut self, row: &TrialRow, outcome: Outcome, scenario: &Scenario) -> bool {
        let before = outcome.trace_hash;
        let judged = TrialResult::Finished(Box::new(outcome));
        self.before.add_trial(row.name.clone(), row.seed, judged, &scenario.expect);
        self.now.trials.push(row.clone());
        let is_same = row.summary.as_ref().is_some_and(|facts| facts.trace_hash == before);
        let was = self.before.trials.last().map(|trial| &trial.qos);
        self.differing_traces += u64::from(!is_same);
        self.differing_values += u64::from(was != Some(&row.qos));
        is_same
    }

    fn difference(self, point: String, is_other_model: bool) -> Option<PointDifference> {
        let trials = if is_other_model { self.differing_values } else { self.differing_traces };
        if trials == 0 {
            return None;
        }
        let mut metrics = Vec::new();
        for qos in self.now.qos_levels() {
            for (name, metric, as_share) in COMPARED_METRICS {
                let is_time = matches!(metric, Metric::Latency(_) | Metric::Completion(_));
                if is_time && self.now.trials.len() < self.trial_count {
                    continue;
                }
                let value = |point| {
                    needs::measure_metric(point, qos, metric, as_share).map(MetricValue::number)
                };
                let (before, now) = (value(&self.before), value(&self.now));
                if let (Some(before), Some(now)) = (before, now)
                    && before.total_cmp(&now).is_ne()
                {
                    metrics.push((format!("qos{qos}.{name}"), before, now));
                }
            }
        }
        Some(PointDifference { point, trials, metrics })
    }
}

/// The description of a point that differs: the name, the metric, and whether it is a share. The
/// first that differ are shown, so those that say most come first.
const COMPARED_METRICS: [(&str, Metric, bool); 13] = [
    ("delivered", Metric::Delivered, true),
    ("lost", Metric::Lost, true),
    ("duplicated", Metric::Duplicated, true),
    ("packets", Metric::Packets, false),
    ("bytes", Metric::Bytes, false),
    ("overhead", Metric::Overhead, false),
    ("latency.p50", Metric::Latency(Statistic::Quantile(0.5)), false),
    ("latency.p99", Metric::Latency(Statistic::Quantile(0.99)), false),
    ("latency.max", Metric::Latency(Statistic::Max), false),
    ("completion.p99", Metric::Completion(Statistic::Quantile(0.99)), false),
    ("latency.p90", Metric::Latency(Statistic::Quantile(0.9)), false),
    ("latency.p95", Metric::Latency(Statistic::Quantile(0.95)), false),
    ("latency.p99.9", Metric::Latency(Statistic::Quantile(0.999)), false),
];
