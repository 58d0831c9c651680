//! Criteria for the choice of a QoS, and whether anything can be chosen by them.

use serde::{Deserialize, Serialize};

use crate::scenario::{Bound, Comparison, Metric, Need, Scenario};

/// The criteria by which a QoS is chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChoiceCriteria {
    /// The needs that must hold, whichever is chosen.
    pub needs: Vec<Need>,
    /// The objective, of which the best option has least.
    pub objective: Objective,
}

/// The objective that the best option has least of, for each message published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Objective {
    /// Message packets (PUBLISH to PUBCOMP) on both hops, resends included.
    #[default]
    Packets,
    /// All wire bytes of the trial on all links, keep alive and connecting included.
    Bytes,
    /// Joules of all radios of the clients.
    Energy,
    /// The price of what the billed devices send and receive.
    Money {
        /// How many devices pay; `None` for as many as the scenario bills.
        fleet: Option<u64>,
    },
}

/// The reason why there is nothing to choose by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// No need is given.
    #[error("there is no need to choose by: use --need \"lost <= 0\", or write [expect] need")]
    NoNeed,
    /// A need that speaks of one level, which another option would meet by not being it.
    #[error(
        "`{0}` speaks of one level only, and all are compared: say what is needed of whichever \
         is chosen, such as --need \"{1}\""
    )]
    OneLevel(String, String),
    /// Two needs exclude each other.
    #[error("`{0}` and `{1}` contradict each other: no value meets both")]
    Contradiction(String, String),
    /// A need that no value meets.
    #[error("`{0}` can never be met: there is no such value")]
    Impossible(String),
    /// A need that nothing measures.
    #[error("`{0}` has nothing to measure in this scenario: see that somebody subscribes")]
    Unmeasured(String),
    /// Energy is asked for and no client has a radio.
    #[error(
        "no client has a radio: write radio = \"lte-m\" or another profile to a client, or \
         minimise packets or bytes"
    )]
    NoRadio,
    /// The life of a battery is asked for and there is none.
    #[error(
        "no radio has a battery: write it as in radio = {{ preset = \"nb-iot\", battery = \
         \"5400mWh\" }}"
    )]
    NoBattery,
    /// Money is asked for and no link has a price.
    #[error(
        "no link has a price: add --price, such as --price 0.40EUR/MB, or write price = \
         \"0.40EUR/MB\" to a link"
    )]
    NoPrice,
    /// No trial finished.
    #[error("no trial finished")]
    Nothing,
}

impl ChoiceCriteria {
    /// The needs that a scenario's file has of whichever QoS is chosen, and the given ones
    /// instead where there are any.
    #[must_use]
    pub fn new(given: Vec<Need>, scenario: &Scenario, objective: Objective) -> Self {
        let needs = if given.is_empty() { scenario.expect.needs.clone() } else { given };
        Self { needs, objective }
    }

    /// Refuses what no trial could decide.
    ///
    /// # Errors
    /// If there is no need, one speaks of one level only, needs contradict each other or
    /// themselves, or the scenario lacks what is asked about.
    pub fn check(&self, scenario: &Scenario) -> Result<(), ChooseError> {
        if self.needs.is_empty() {
            return Err(ChooseError::NoNeed);
        }
        for (at, one) in self.needs.iter().enumerate() {
            if one.qos.is_some() {
                let (_, any) = one.text.split_once('.').unwrap_or(("", &one.text));
                return Err(ChooseError::OneLevel(one.text.clone(), any.to_owned()));
            }
            let (low, high, open) = bound_number(one).map_or((0.0, 0.0, false), |(unit, bound)| {
                let most = if unit == 1 { 1.0 } else { f64::INFINITY };
                intersect(satisfying_range(one.comparison, bound), (0.0, most, false))
            });
            if low > high || (low >= high && open) {
                return Err(ChooseError::Impossible(one.text.clone()));
            }
            let mut others = self.needs[at + 1..].iter();
            if let Some(other) =
                others.find(|it| it.metric == one.metric && is_contradiction(one, it))
            {
                return Err(ChooseError::Contradiction(one.text.clone(), other.text.clone()));
            }
        }
        let clients = scenario.points.iter().flat_map(|point| &point.setup.clients);
        let radios: Vec<_> = clients.filter_map(|client| client.radio.as_ref()).collect();
        let asks = |metric: fn(Metric) -> bool| self.needs.iter().any(|need| metric(need.metric));
        if (self.objective == Objective::Energy || asks(Metric::is_of_radios)) && radios.is_empty()
        {
            return Err(ChooseError::NoRadio);
        }
        if matches!(self.objective, Objective::Money { .. }) && scenario.currency.is_none() {
            return Err(ChooseError::NoPrice);
        }
        let battery = asks(|metric| metric == Metric::Battery);
        if battery && radios.iter().all(|radio| radio.battery_uj.is_none()) {
            return Err(ChooseError::NoBattery);
        }
        Ok(())
    }
}

/// The bound with what it counts; `None` of one that depends on another QoS.
fn bound_number(need: &Need) -> Option<(u8, f64)> {
    match need.bound {
        Bound::Number(number) => Some((0, number)),
        Bound::Share(share) => Some((1, share)),
        Bound::Span(span) => Some((2, span.as_secs_f64())),
        Bound::TimesOther(..) => None,
    }
}

/// The lowest and the highest number that meet a bound, and whether an end is left out.
const fn satisfying_range(comparison: Comparison, bound: f64) -> (f64, f64, bool) {
    match comparison {
        Comparison::Less => (f64::NEG_INFINITY, bound, true),
        Comparison::AtMost => (f64::NEG_INFINITY, bound, false),
        Comparison::AtLeast => (bound, f64::INFINITY, false),
        Comparison::Greater => (bound, f64::INFINITY, true),
        Comparison::Equal => (bound, bound, false),
    }
}

/// What is within both.
const fn intersect(one: (f64, f64, bool), other: (f64, f64, bool)) -> (f64, f64, bool) {
    (one.0.max(other.0), one.1.min(other.1), one.2 || other.2)
}

/// Whether no number meets both; bounds of different units are not compared, but for nothing,
/// which is the same in all.
fn is_contradiction(one: &Need, other: &Need) -> bool {
    let (Some((unit, a)), Some((other_unit, b))) = (bound_number(one), bound_number(other)) else {
        return false;
    };
    let (low, high, open) =
        intersect(satisfying_range(one.comparison, a), satisfying_range(other.comparison, b));
    let comparable = unit == other_unit || a <= 0.0 || b <= 0.0;
    comparable && (low > high || (low >= high && open))
}
