//! Criteria for the choice of a QoS, and whether anything can be chosen by them.

use serde::{Deserialize, Serialize};

use crate::scenario::{Metric, Need, Problem, Scenario, can_be_met, contradict};

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
    /// A need that names clients or topics which there are not.
    #[error("`{0}` cannot be judged: {problem}. {help}", problem = .1.message, help = .1.help)]
    NothingThere(String, Problem),
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
            if let Some(qos) = one.qos {
                let any = one.text.replacen(&format!("qos{qos}."), "", 1);
                return Err(ChooseError::OneLevel(one.text.clone(), any));
            }
            if !can_be_met(one) {
                return Err(ChooseError::Impossible(one.text.clone()));
            }
            let mut others = self.needs[at + 1..].iter();
            if let Some(other) = others.find(|other| contradict(one, other)) {
                return Err(ChooseError::Contradiction(one.text.clone(), other.text.clone()));
            }
            if let Err(problem) = scenario.check_scope(one) {
                return Err(ChooseError::NothingThere(one.text.clone(), problem));
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
