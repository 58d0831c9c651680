//! Choice of the cheapest QoS that meets all needs, or the reasons why none does.

use crate::scenario::Need;

use super::statistics::{self, ConfidenceInterval};
use super::sweep::Study;

mod candidate;
mod closed_form_choice;
mod confidence;
mod criteria;
mod crossovers;
mod reasons;
mod search_field;

pub use candidate::{Candidate, MonthlyCost, NeedJudgement, candidates, cheapest};
pub use confidence::Confidence;
pub use criteria::{ChoiceCriteria, ChooseError, Objective};
pub use crossovers::{
    Crossover, CrossoverUnit, Crossovers, QosChoice, SearchMethod, find_crossovers,
};

/// The options that were compared, and the best one.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The objective that was minimised.
    pub objective: Objective,
    /// The needs, as they were written.
    pub needs: Vec<Need>,
    /// Each cell with each published QoS, in order; at least one.
    pub options: Vec<Candidate>,
    /// The position of the best; `None` if no option meets all needs.
    pub best: Option<usize>,
    /// Another that meets all needs and may be as cheap, as far as these runs show.
    pub close_alternative: Option<CloseAlternative>,
    /// Why none does, and what would help; empty with an answer. Names in it are as written in
    /// the scenario.
    pub reasons: Vec<String>,
}

/// An option whose cost cannot be distinguished from the best one's at 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CloseAlternative {
    /// Its position.
    pub option: usize,
    /// How many seeds would likely decide; `None` if no number in reach would.
    pub seeds: Option<u64>,
}

/// Chooses among all cells and published levels.
///
/// # Errors
/// If no trial finished, or a need has nothing to measure.
pub fn choose(study: &Study, criteria: &ChoiceCriteria) -> Result<Choice, ChooseError> {
    let cells = study.cells.iter().enumerate();
    let options: Vec<Candidate> = cells
        .flat_map(|(nth, cell)| {
            let all = candidates(&cell.result, &criteria.needs, &criteria.objective);
            all.into_iter().map(move |it| Candidate {
                cell: nth,
                values: cell.values.clone(),
                ..it
            })
        })
        .collect();
    if options.is_empty() {
        return Err(ChooseError::Nothing);
    }
    for need in &criteria.needs {
        let mut judged = options.iter().flat_map(|option| &option.needs);
        if !judged.any(|it| it.result.need.text == need.text && it.result.worst.is_some()) {
            return Err(ChooseError::Unmeasured(need.text.clone()));
        }
    }
    let best = cheapest(&options);
    let reasons =
        if best.is_none() { reasons::collect_reasons(study, &options) } else { Vec::new() };
    let rival = best.and_then(|best| find_close_alternative(&options, best));
    let (objective, needs) = (criteria.objective.clone(), criteria.needs.clone());
    Ok(Choice { objective, needs, options, best, close_alternative: rival, reasons })
}

/// The first option beside the best whose costs, seed by seed, do not settle which is cheaper.
fn find_close_alternative(options: &[Candidate], best: usize) -> Option<CloseAlternative> {
    let open = |option: &Candidate| -> Option<ConfidenceInterval> {
        let more = cost_difference(option, &options[best]);
        // Costs that never differ are settled: they are the same.
        (more.low <= 0.0 && more.high > 0.0).then_some(more)
    };
    let mut others =
        options.iter().enumerate().filter(|(nth, it)| *nth != best && it.is_acceptable());
    let (option, more) = others.find_map(|(nth, it)| Some((nth, open(it)?)))?;
    let seeds = confidence::seeds_needed(options[option].costs.len(), more, 0.0);
    Some(CloseAlternative { option, seeds })
}

/// The extra cost of one over the other, with the same random draws: the mean over seeds.
fn cost_difference(one: &Candidate, other: &Candidate) -> ConfidenceInterval {
    let pairs = one.costs.iter().filter_map(|(seed, cost)| {
        let same = other.costs.iter().find(|(other, _)| other == seed)?;
        Some(cost - same.1)
    });
    statistics::mean(&pairs.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
