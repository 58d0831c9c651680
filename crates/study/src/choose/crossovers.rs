//! Crossovers: the losses of the links at which the choice changes; or the outages, and the memory
//! of a NAT, where nothing in the scenario puts delivery to the test.
//!
//! From the scenario's own value a search goes down and up, of a loss to none and to half of all
//! packets, until the choice changes, and halves the step in which it does. The closed forms give
//! the choice at a value where they hold, and a few trials otherwise.

use super::candidate::{Candidate, candidates, cheapest};
use super::criteria::ChoiceCriteria;
use super::search_field::{SearchField, search_fields};
use super::{Choice, closed_form_choice};
use crate::plan::{Seeds, Selection};
use crate::scenario::{Bound, Need, Scenario};
use crate::statistics::upper_bound_when_none;
use crate::sweep::{Study, StudyPlan};
use qoslab_core::base::QoS;

/// The greatest number of seeds simulated at a value.
const MAX_SEEDS: u32 = 10;
/// The greatest number of events, roughly, over all simulated values of a field: some ten seconds
/// of one core.
const MAX_EVENTS: u64 = 60_000_000;
/// The steps down and up to which a simulation goes, and the halvings.
const SIMULATED_VALUES: u64 = 12;

/// A published QoS, with the granted one where that is an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QosChoice {
    /// The published QoS.
    pub qos: QoS,
    /// The granted QoS where it is an axis.
    pub granted: Option<QoS>,
}

/// The change of the choice along one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossovers {
    /// The field: `link.sensor.loss`.
    pub path: String,
    /// What else is assumed where the field is not the scenario's own: for outages their mean
    /// distance, in seconds.
    pub outage_every: Option<f64>,
    /// The choice at the scenario's own value; `None` if no level meets the needs.
    pub current: Option<QosChoice>,
    /// The nearest change downwards.
    pub below: Option<Crossover>,
    /// The nearest change upwards.
    pub above: Option<Crossover>,
    /// The range that was searched: to the changes, or as far as could be determined.
    pub searched_range: (f64, f64),
    /// The unit of all values.
    pub unit: CrossoverUnit,
    /// The method.
    pub method: SearchMethod,
}

/// The choice at one value: a level, or that none meets the needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChosenQos(pub(super) Option<QosChoice>);

/// One change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossover {
    /// The value, in the unit of its [`Crossovers`].
    pub at: f64,
    /// The choice beyond; `None` if no level meets the needs.
    pub choice: Option<QosChoice>,
}

/// The unit of the values along which the choice changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossoverUnit {
    /// Percent of packets.
    Percent,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// The method by which a change was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchMethod {
    /// By the closed forms: exact.
    ClosedForm,
    /// By trials of that many seeds at each value.
    Simulation {
        /// How many seeds.
        seeds: u32,
    },
}

/// Where the choice changes, along each loss that the best option's scenario has, or else along
/// its first link's; where nothing puts delivery to the test, along outages, a NAT and the room of
/// a socket. Without a best option it is looked from the first one's cell.
///
/// `simulate` runs the trials of a plan; a study that it leaves unfinished ends the search there.
///
/// # Errors
/// As `simulate` has them.
pub fn find_crossovers<E>(
    study: &Study,
    choice: &Choice,
    criteria: &ChoiceCriteria,
    selection: &Selection,
    mut simulate: impl FnMut(StudyPlan) -> Result<Study, E>,
) -> Result<Vec<Crossovers>, E> {
    let cell = choice.options[choice.best.unwrap_or(0)].cell;
    let scenario = &study.cells[cell].result.scenario;
    let options: Vec<&Candidate> = choice.options.iter().filter(|it| it.cell == cell).collect();
    let mut all = Vec::new();
    for field in search_fields(study, scenario) {
        let by_theory = |value: f64| {
            Ok(field
                .scenario_at(scenario, value)
                .and_then(|it| closed_form_choice::closed_form_choice(&it, &options, criteria)))
        };
        if field.is_loss()
            && let Some(found) = find_crossovers_along(&field, SearchMethod::ClosedForm, by_theory)?
        {
            all.push(found);
            continue;
        }
        let seeds = affordable_seeds(scenario, selection);
        if seeds == 0 {
            continue;
        }
        let (first, _) = selection.seed_range(scenario);
        let few = Selection {
            seeds: Some(Seeds::Range { first, count: seeds }),
            qos: selection.qos.clone(),
            ..Selection::default()
        };
        let point = &study.cells[cell].result.points[options[0].point];
        let units = point.rows(options[0].qos).map(|row| row.counts.units).sum::<u64>()
            / (point.trials.len().max(1) as u64)
            * u64::from(seeds);
        let by_trials = |value: f64| {
            let Some(scenario) = field.scenario_at(scenario, value) else {
                return Ok(None);
            };
            let Ok(plan) = StudyPlan::new(Vec::new(), vec![(Vec::new(), scenario)], &few) else {
                return Ok(None);
            };
            let found = simulate(plan)?;
            let result = &found.cells[0].result;
            let options = candidates(result, &criteria.needs, &criteria.objective);
            let level = ChosenQos(cheapest(&options).map(|best| options[best].level()));
            Ok((!result.was_interrupted()).then_some(level))
        };
        let found = find_crossovers_along(&field, SearchMethod::Simulation { seeds }, by_trials)?;
        let of_none = field.is_loss() && criteria.needs.iter().any(is_zero_need);
        let exact = |found| if of_none { snap_to_zero_loss(found, units) } else { found };
        all.extend(found.map(exact));
    }
    Ok(all)
}

/// Whether a need is that something never happens.
fn is_zero_need(need: &Need) -> bool {
    matches!(need.bound, Bound::Number(bound) | Bound::Share(bound) if bound <= 0.0)
}

/// Moves a change to zero loss where its loss cannot be distinguished from zero with that number of
/// units, at 95 % confidence.
fn snap_to_zero_loss(flips: Crossovers, units: u64) -> Crossovers {
    let least = upper_bound_when_none(units) * 100.0;
    let below = flips.below.map(|flip| {
        // As much as the search went beyond the change, it was on this side of it.
        let beyond = 2.0 * flip.at - flips.searched_range.0;
        if beyond <= least { Crossover { at: 0.0, ..flip } } else { flip }
    });
    Crossovers { below, ..flips }
}

/// How many seeds a value can be simulated with.
fn affordable_seeds(scenario: &Scenario, selection: &Selection) -> u32 {
    let events = scenario.estimate(1).events / u64::from(scenario.seed_count.max(1));
    let seeds = MAX_EVENTS / (SIMULATED_VALUES * events.max(1));
    let (_, planned) = selection.seed_range(scenario);
    u32::try_from(seeds).unwrap_or(u32::MAX).min(MAX_SEEDS).min(planned)
}

/// The nearest changes of what `choice_at` says, which is `None` where it does not know; `None` if
/// it does not even know the choice at the own value.
fn find_crossovers_along<E>(
    field: &SearchField,
    means: SearchMethod,
    mut choice_at: impl FnMut(f64) -> Result<Option<ChosenQos>, E>,
) -> Result<Option<Crossovers>, E> {
    let own = field.own;
    let Some(here) = choice_at(own)? else { return Ok(None) };
    let (down, up, halvings) = field.steps(means);
    let mut ends = [own; 2];
    let mut found = [None; 2];
    for ((way, end), flip) in [down, up].into_iter().zip(&mut ends).zip(&mut found) {
        for next in way {
            let Some(mut beyond) = choice_at(next)? else { break };
            if beyond == here {
                *end = next;
                continue;
            }
            let mut outside = next;
            for _ in 0..halvings {
                let middle = f64::midpoint(*end, outside);
                match choice_at(middle)? {
                    None => break,
                    Some(choice) if choice == here => *end = middle,
                    Some(choice) => (outside, beyond) = (middle, choice),
                }
            }
            *flip = Some(Crossover { at: f64::midpoint(*end, outside), choice: beyond.0 });
            break;
        }
    }
    let [below, above] = found;
    Ok(Some(Crossovers {
        path: field.path.clone(),
        outage_every: field.outage_every(),
        current: here.0,
        below,
        above,
        searched_range: (ends[0], ends[1]),
        unit: field.unit,
        method: means,
    }))
}
