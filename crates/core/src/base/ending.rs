//! The ending of a trial: an engine's input to the checks.

use serde::{Deserialize, Serialize};

use super::radio_use::RadioUse;
use super::time::Time;

/// Summary of a trial's run, as its engine reports it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunSummary {
    /// How.
    pub ending: Ending,
    /// When, in virtual time; the deadline, if that came first.
    pub at: Time,
    /// The number of events handled. Stale wake-ups do not count.
    pub events: u64,
    /// How many packets were sent, of every kind, in all phases; resets count, the network's
    /// duplicates do not.
    pub packets: u64,
    /// The hash over all that happened.
    pub trace_hash: u64,
    /// What the clients' radios used from the start of the traffic to the end of the first calm;
    /// `None` if no client has one.
    pub radio: Option<RadioUse>,
}

/// The way in which a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Nothing more could happen.
    Quiescent,
    /// The scenario's deadline came first.
    Deadline,
    /// The limit of events came first.
    EventLimit,
    /// The user interrupted it.
    Interrupted,
}
