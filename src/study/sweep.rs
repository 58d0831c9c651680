//! One scenario at many values of its axes: each combination is a cell, and a plain run is a
//! single cell without axes.

use crate::base::qos::QoS;
use crate::guarantee::timeline::Timeline;
use crate::scenario::axis::{Axis, AxisValue};

use super::result::{PointResult, ScenarioResult};

/// All that was found of one scenario.
#[derive(Clone, Debug)]
pub struct Study {
    /// What was varied; empty for a plain run.
    pub axes: Vec<Axis>,
    /// Every combination of the axes' values, the last axis fastest; at least one.
    pub cells: Vec<Cell>,
    /// How a few trials went over time, for the chart of backlogs.
    pub timelines: Vec<TrialTimeline>,
}

/// One combination of the axes' values, with all its points and seeds.
#[derive(Clone, Debug)]
pub struct Cell {
    /// One value for each axis.
    pub values: Vec<AxisValue>,
    /// What was found there. Its scenario is the file with these values set.
    pub result: ScenarioResult,
}

/// How one trial went over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialTimeline {
    /// The position in [`Study::cells`].
    pub cell: usize,
    /// The published QoS.
    pub qos: QoS,
    /// The point's name for people.
    pub point: String,
    /// The trial's name.
    pub trial: String,
    /// Its seed.
    pub seed: u64,
    /// What happened.
    pub timeline: Timeline,
}

impl Study {
    /// A plain run: one cell without axes.
    #[must_use]
    pub fn of(result: ScenarioResult) -> Self {
        let cells = vec![Cell { values: Vec::new(), result }];
        Self { axes: Vec::new(), cells, timelines: Vec::new() }
    }

    /// Every point of every cell, in order.
    pub fn points(&self) -> impl Iterator<Item = (&Cell, &PointResult)> {
        self.cells.iter().flat_map(|cell| cell.result.points.iter().map(move |point| (cell, point)))
    }
}
