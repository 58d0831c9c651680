//! Builds the charts of a study: which there are, what they show, and the finding of each.

mod amounts;
mod findings;
mod lines;
mod map;
mod series;
mod times;

#[cfg(test)]
mod tests;

use super::chart::Chart;
use qoslab_study::Study;
use qoslab_study::choose::Objective;
use qoslab_study::scenario::Need;
use series::{AxisSlice, all_series};

/// The reader's requirements for a QoS, for the map.
#[derive(Clone, Debug, Default)]
pub struct ChartOptions {
    /// The needs that the choice is to meet; empty for those of the scenario's `[expect]`.
    pub needs: Vec<Need>,
    /// The cost to minimise.
    pub objective: Objective,
}

impl ChartOptions {
    /// The needs that a study's choice is to meet: its own file's, if none were given.
    #[must_use]
    pub fn needs<'a>(&'a self, study: &'a Study) -> &'a [Need] {
        let file = study.cells.first().map(|cell| cell.result.scenario.expect.needs.as_slice());
        if self.needs.is_empty() { file.unwrap_or_default() } else { &self.needs }
    }
}

/// All charts for which a study has data, in the order in which they are to be read.
///
/// With two axes, lines go along the first, with the others at their middle values. A chart of
/// one cell shows the middle one.
#[must_use]
pub fn charts(study: &Study, options: &ChartOptions) -> Vec<Chart> {
    let slice = AxisSlice::longest(study);
    let series = all_series(&slice);
    if series.is_empty() {
        return Vec::new();
    }
    // Where nobody was owed anything, there is no share and no time of it.
    let is_owed = series.iter().flat_map(|one| &one.points).any(|it| it.summary.totals.units > 0);
    let all = [
        map::choice_map(study, options),
        is_owed.then(|| lines::delivered(&slice, &series)),
        is_owed.then(|| lines::duplicates(&slice, &series)),
        is_owed.then(|| lines::packets(&slice, &series)),
        Some(amounts::packets_by_type(&slice, &series)),
        amounts::bytes_by_purpose(&slice),
        lines::overhead(&slice, &series),
        lines::energy(&slice, &series),
        is_owed.then(|| lines::latency(&slice, &series)),
        times::latency_cdf(study),
        times::backlog(study),
    ];
    all.into_iter().flatten().collect()
}
