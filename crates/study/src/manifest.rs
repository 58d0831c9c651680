//! Manifest of a study: enough to plan the same study again without the scenario's file.

#[cfg(feature = "studies")]
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::choose::ChoiceCriteria;
use super::plan::{Plan, Seeds, Selection, SelectionError};
use super::precision::Precision;
use super::shard::Shard;
use super::sweep::StudyPlan;
use super::trial_key::TrialKey;
use crate::scenario::{Axis, AxisValue, KnownBreak, Scenario, Setting};
use qoslab_core::base::QoS;
use qoslab_sim::EngineKind;

/// The manifest of a study, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The scenario file's path, as the user wrote it.
    pub path: String,
    /// The scenario file's text.
    pub source: String,
    /// The engine that runs it.
    pub engine: EngineKind,
    /// The command line as it is shown, without what is this machine's alone: shard and jobs.
    pub command: String,
    /// Fields set to other values than the file's, in all cells.
    pub settings: Vec<Setting>,
    /// The axes that were varied.
    pub axes: Vec<Axis>,
    /// The cells, with their points.
    pub cells: Vec<CellKeys>,
    /// The first seed.
    pub first_seed: u64,
    /// How many seeds, from the first.
    pub seed_count: u32,
    /// Whether the seed was chosen to look at a part.
    pub one_seed: bool,
    /// Only points that publish with nothing but these; empty for all.
    pub qos: Vec<QoS>,
    /// The precision that was to be reached; `None` for all seeds.
    pub precision: Option<Precision>,
    /// The part of the study that this is; `None` for the whole.
    pub shard: Option<Shard>,
    /// Breaks that the gate knew.
    pub known_breaks: Vec<KnownBreak>,
    /// The criteria by which a QoS was to be chosen; `None` for a sweep.
    pub criteria: Option<ChoiceCriteria>,
}

/// A cell and the keys of its trials but for their seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellKeys {
    /// One value for each axis.
    pub values: Vec<AxisValue>,
    /// The points that were to run: the name for people, and the key of the first seed's trial.
    pub points: Vec<(String, TrialKey)>,
}

/// The reason why a study cannot be planned again from its store.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// This version of qoslab reads the scenario differently.
    #[error("failed to read the scenario that the store keeps:\n{0}")]
    Scenario(String),
    /// Nothing is left to run.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The scenario means other trials than it did.
    #[error("the scenario that the store keeps means other trials than when it was run")]
    OtherTrials,
}

impl Manifest {
    /// The sources of a plan. `settings` hold in all cells.
    #[must_use]
    pub fn new(
        plan: &StudyPlan,
        settings: Vec<Setting>,
        selection: &Selection,
        command: String,
    ) -> Self {
        let Plan { scenario, engine, .. } = &plan.cells[0].1;
        let (first_seed, seed_count) = selection.seed_range(scenario);
        let cells = plan.cells.iter().map(|(values, cell)| {
            let points = cell.trials.chunk_by(|a, b| a.point == b.point);
            let points = points.map(|trials| {
                let point = &cell.scenario.points[trials[0].point];
                (point.label(), TrialKey::new(*engine, point, first_seed))
            });
            CellKeys { values: values.clone(), points: points.collect() }
        });
        Self {
            path: scenario.path.clone(),
            source: scenario.source.clone(),
            engine: *engine,
            command,
            settings,
            axes: plan.axes.clone(),
            cells: cells.collect(),
            first_seed,
            seed_count,
            one_seed: selection.one_seed,
            qos: selection.qos.clone(),
            precision: plan.precision(),
            shard: plan.shard(),
            known_breaks: scenario.expect.known.clone(),
            criteria: None,
        }
    }

    /// The plan of the same study.
    ///
    /// # Errors
    /// If this version of qoslab reads the scenario otherwise.
    pub fn plan(&self) -> Result<StudyPlan, ManifestError> {
        let scenarios = self.cells.iter().map(|cell| {
            let mut settings = self.settings.clone();
            settings.extend(self.axes.iter().zip(&cell.values).map(|(axis, it)| axis.setting(it)));
            let parsed = Scenario::parse_with_settings(&self.path, &self.source, &settings);
            let mut scenario =
                parsed.map_err(|wrong| ManifestError::Scenario(wrong.render(false)))?;
            scenario.expect.known.clone_from(&self.known_breaks);
            Ok((cell.values.clone(), scenario))
        });
        let cells = scenarios.collect::<Result<_, ManifestError>>()?;
        let mut plan = StudyPlan::new(self.axes.clone(), cells, &self.selection())?;
        for (_, cell) in &mut plan.cells {
            cell.retain_supported(self.engine);
        }
        let plan = plan.with_precision_or_shard(self.precision, self.shard)?;
        let again = Self::new(&plan, self.settings.clone(), &self.selection(), String::new());
        if again.cells == self.cells { Ok(plan) } else { Err(ManifestError::OtherTrials) }
    }

    /// The keys of the trials of all shards, in order.
    pub fn keys(&self) -> impl Iterator<Item = TrialKey> {
        let points = self.cells.iter().flat_map(|cell| &cell.points);
        points.flat_map(|(_, first)| {
            (0..u64::from(self.seed_count))
                .map(|nth| TrialKey { seed: first.seed.saturating_add(nth), ..*first })
        })
    }

    /// The position of each trial in that order.
    #[cfg(feature = "studies")]
    pub(super) fn trial_order(&self) -> BTreeMap<TrialKey, usize> {
        let mut rank = BTreeMap::new();
        for (nth, key) in self.keys().enumerate() {
            rank.entry(key).or_insert(nth);
        }
        rank
    }

    /// A trial in words: its cell, its point and its seed.
    #[cfg(feature = "studies")]
    pub(super) fn describe(&self, key: TrialKey) -> String {
        let named = self
            .cells
            .iter()
            .flat_map(|cell| cell.points.iter().map(move |(label, first)| (cell, label, first)));
        let mut found = named.filter(|(.., first)| TrialKey { seed: key.seed, ..**first } == key);
        let Some((cell, label, _)) = found.next() else { return format!("seed {}", key.seed) };
        let values = self.axes.iter().zip(&cell.values);
        let values = values.map(|(axis, value)| format!("{} {}", axis.field(), value.text));
        let words: Vec<String> =
            values.chain([label.clone(), format!("seed {}", key.seed)]).collect();
        words.join(", ")
    }

    /// The selection that was made of all that the scenario stands for.
    #[must_use]
    pub fn selection(&self) -> Selection {
        let (first, count) = (self.first_seed, self.seed_count);
        Selection {
            seeds: Some(Seeds::Range { first, count }),
            qos: self.qos.clone(),
            trial: None,
            one_seed: self.one_seed,
        }
    }

    /// The first difference to another study, but for the shard; `None` if it is the same.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<&'static str> {
        let seeds = |it: &Self| (it.first_seed, it.seed_count, it.one_seed);
        let differs = [
            (self.source != other.source, "the scenario's text"),
            (self.path != other.path, "the scenario's path"),
            (self.engine != other.engine, "the engines"),
            (self.settings != other.settings, "the settings"),
            (self.axes != other.axes, "the axes"),
            (self.cells != other.cells, "the cells"),
            (seeds(self) != seeds(other), "the seeds"),
            (self.qos != other.qos, "the QoS levels"),
            (self.precision != other.precision, "the precision"),
            (self.known_breaks != other.known_breaks, "the known breaks"),
            (self.criteria != other.criteria, "what a QoS is chosen by"),
            (self.command != other.command, "the command"),
        ];
        differs.into_iter().find(|(differs, _)| *differs).map(|(_, what)| what)
    }
}
