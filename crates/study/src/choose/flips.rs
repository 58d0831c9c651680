//! Where the answer would be another: along the loss of the links.
//!
//! From the scenario's own value a search goes down to no loss and up to half of all packets until
//! the choice changes, and halves the step in which it does. What the choice is at a value, the
//! closed forms say where they hold, and a few trials otherwise.

use super::candidate::{Candidate, candidates, cheapest};
use super::wanted::Wanted;
use super::{Choice, expected};
use crate::plan::{Seeds, Selection};
use crate::scenario::axis::Setting;
use crate::scenario::expect::{Bound, Need};
use crate::scenario::{Loss, Scenario};
use crate::statistics::at_most_when_none;
use crate::store::StoreError;
use crate::sweep::{Study, StudyPlan};
use qoslab_core::base::qos::QoS;

/// Along at most so many fields is looked.
const MOST_FIELDS: usize = 2;
/// The loss up to which is looked, in percent.
const MOST_LOSS: f64 = 50.0;
/// At most so many seeds a value are simulated.
const MOST_SEEDS: u32 = 10;
/// All simulated values of a field together have at most so many events, roughly: some ten
/// seconds of one core.
const MOST_EVENTS: u64 = 60_000_000;
/// The steps down and up to which a simulation goes: those of [`steps`], and the halvings.
const SIMULATED: u64 = 12;

/// A published QoS, with the granted one where that is an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The published QoS.
    pub qos: QoS,
    /// The granted QoS where it is an axis.
    pub granted: Option<QoS>,
}

/// Where the choice changes along one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Flips {
    /// The field: `link.sensor.loss`.
    pub path: String,
    /// The choice at the scenario's own value; `None` if no level meets the needs.
    pub here: Option<Level>,
    /// The nearest change downwards.
    pub below: Option<Flip>,
    /// The nearest change upwards.
    pub above: Option<Flip>,
    /// From where to where was looked, in percent: to the changes, or as far as could be told.
    pub range: (f64, f64),
    /// By which means.
    pub means: Means,
}

/// The choice at one value: a level, or that none meets the needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Picked(pub(super) Option<Level>);

/// One change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flip {
    /// Where, in percent.
    pub at: f64,
    /// The choice beyond; `None` if no level meets the needs.
    pub choice: Option<Level>,
}

/// How a change was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// By the closed forms: exact.
    ClosedForm,
    /// By trials of so many seeds at each value.
    Simulation {
        /// How many seeds.
        seeds: u32,
    },
}

/// Where the choice changes, along each loss that the best option's scenario has, or else along
/// its first link's. Without a best option it is looked from the first one's cell.
///
/// `simulate` runs the trials of a plan; a study that it leaves unfinished ends the search there.
///
/// # Errors
/// As `simulate` has them.
pub fn flips(
    study: &Study,
    choice: &Choice,
    wanted: &Wanted,
    selection: &Selection,
    mut simulate: impl FnMut(StudyPlan) -> Result<Study, StoreError>,
) -> Result<Vec<Flips>, StoreError> {
    let cell = choice.options[choice.best.unwrap_or(0)].cell;
    let scenario = &study.cells[cell].result.scenario;
    let options: Vec<&Candidate> = choice.options.iter().filter(|it| it.cell == cell).collect();
    let varied = |loss: &Loss| study.axes.iter().any(|axis| axis.path == loss.path);
    let mut losses: Vec<Loss> = scenario.losses().into_iter().filter(|it| !varied(it)).collect();
    if losses.iter().any(|loss| loss.share > 0.0) {
        losses.retain(|loss| loss.share > 0.0);
        losses.truncate(MOST_FIELDS);
    } else {
        losses.truncate(1);
    }
    let mut all = Vec::new();
    for loss in losses {
        let by_theory = |percent: f64| {
            Ok(at(scenario, &loss, percent).and_then(|it| expected::choice(&it, &options, wanted)))
        };
        if let Some(found) = search(&loss, Means::ClosedForm, by_theory)? {
            all.push(found);
            continue;
        }
        let seeds = affordable(scenario, selection);
        if seeds == 0 {
            continue;
        }
        let (first, _) = selection.seeds_of(scenario);
        let few = Selection {
            seeds: Some(Seeds::Range { first, count: seeds }),
            qos: selection.qos.clone(),
            ..Selection::default()
        };
        let point = &study.cells[cell].result.points[options[0].point];
        let units = point.rows(options[0].qos).map(|row| row.counts.units).sum::<u64>()
            / (point.trials.len().max(1) as u64)
            * u64::from(seeds);
        let by_trials = |percent: f64| {
            let Some(scenario) = at(scenario, &loss, percent) else { return Ok(None) };
            let Ok(plan) = StudyPlan::new(Vec::new(), vec![(Vec::new(), scenario)], &few) else {
                return Ok(None);
            };
            let found = simulate(plan)?;
            let result = &found.cells[0].result;
            let options = candidates(result, &wanted.needs, &wanted.objective);
            let level = Picked(cheapest(&options).map(|best| options[best].level()));
            Ok((!result.is_partial()).then_some(level))
        };
        let found = search(&loss, Means::Simulation { seeds }, by_trials)?;
        let of_none = wanted.needs.iter().any(asks_for_none);
        let exact = |found| if of_none { told_from_none(found, units) } else { found };
        all.extend(found.map(exact));
    }
    Ok(all)
}

/// Whether a need is that something never happens.
fn asks_for_none(need: &Need) -> bool {
    matches!(need.bound, Bound::Number(bound) | Bound::Share(bound) if bound <= 0.0)
}

/// A change at a loss that so few units cannot tell from none, at 95 % confidence, is at none.
fn told_from_none(flips: Flips, units: u64) -> Flips {
    let least = at_most_when_none(units) * 100.0;
    let below = flips.below.map(|flip| {
        // As much as the search went beyond the change, it was on this side of it.
        let beyond = 2.0 * flip.at - flips.range.0;
        if beyond <= least { Flip { at: 0.0, ..flip } } else { flip }
    });
    Flips { below, ..flips }
}

/// The scenario with another loss; `None` if it cannot have it.
fn at(scenario: &Scenario, loss: &Loss, percent: f64) -> Option<Scenario> {
    let value = format!("{percent:.6}%");
    scenario.with(&[Setting { path: loss.path.clone(), value }]).ok()
}

/// How many seeds a value can be simulated with.
fn affordable(scenario: &Scenario, selection: &Selection) -> u32 {
    let events = scenario.estimate(1).events / u64::from(scenario.seed_count.max(1));
    let seeds = MOST_EVENTS / (SIMULATED * events.max(1));
    let (_, planned) = selection.seeds_of(scenario);
    u32::try_from(seeds).unwrap_or(u32::MAX).min(MOST_SEEDS).min(planned)
}

/// The values to try, downwards and upwards from the own one, and how often the last step is
/// halved.
fn steps(means: Means, own: f64) -> (Vec<f64>, Vec<f64>, usize) {
    let most = MOST_LOSS.max(own);
    match means {
        Means::ClosedForm => {
            let way = |to: f64| {
                (1..=25).map(|nth| own + (to - own) * f64::from(nth) / 25.0).collect::<Vec<_>>()
            };
            (if own > 0.0 { way(0.0) } else { Vec::new() }, way(most), 24)
        }
        Means::Simulation { .. } => {
            let first = if own > 0.0 { own } else { 1.0 };
            let up = [2.0, 5.0, 15.0].iter().map(|times| first * times);
            let up = up.filter(|loss| *loss < most).chain([most]).collect();
            let down = if own > 0.0 { vec![own / 3.0, 0.0] } else { Vec::new() };
            (down, up, 3)
        }
    }
}

/// The nearest changes of what `ask` says, which is `None` where it does not know; `None` if it
/// does not even know the choice at the own value.
fn search(
    loss: &Loss,
    means: Means,
    mut ask: impl FnMut(f64) -> Result<Option<Picked>, StoreError>,
) -> Result<Option<Flips>, StoreError> {
    let own = loss.share * 100.0;
    let Some(here) = ask(own)? else { return Ok(None) };
    let (down, up, halvings) = steps(means, own);
    let mut ends = [own; 2];
    let mut found = [None; 2];
    for ((way, end), flip) in [down, up].into_iter().zip(&mut ends).zip(&mut found) {
        for next in way {
            let Some(mut beyond) = ask(next)? else { break };
            if beyond == here {
                *end = next;
                continue;
            }
            let mut outside = next;
            for _ in 0..halvings {
                let middle = f64::midpoint(*end, outside);
                match ask(middle)? {
                    None => break,
                    Some(choice) if choice == here => *end = middle,
                    Some(choice) => (outside, beyond) = (middle, choice),
                }
            }
            *flip = Some(Flip { at: f64::midpoint(*end, outside), choice: beyond.0 });
            break;
        }
    }
    let [below, above] = found;
    let (path, here, range) = (loss.path.clone(), here.0, (ends[0], ends[1]));
    Ok(Some(Flips { path, here, below, above, range, means }))
}
