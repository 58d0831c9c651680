//! How one trial went over time: its backlog, and the faults that befell it.

use serde::{Deserialize, Serialize};

use crate::base::time::Time;

/// The backlog of one trial over time, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The backlog from each of these moments to the next.
    pub steps: Vec<Step>,
    /// What befell nodes and links while it ran.
    pub troubles: Vec<Trouble>,
    /// When the trial ended.
    pub end: Time,
}

/// The backlog from a moment on, over all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// From when.
    pub at: Time,
    /// Messages awaiting an acknowledgement.
    pub in_flight: u32,
    /// Messages waiting for a window or a connection.
    pub queued: u32,
}

/// A fault that befell a node or a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When it began.
    pub from: Time,
    /// When it was over; the same moment for what strikes at once, such as a cut.
    pub until: Time,
    /// What it was, in a word of `sometimes`: `outage`, `cut`, `crash`.
    pub what: String,
}
