//! Engines run one trial: endpoints, a network between them, an application above, virtual time.

use self::event::{Ended, Options};
use crate::base::event::Observer;
use crate::scenario::trial::Trial;

pub mod event;
pub mod mishap;
pub mod trace;
pub mod turmoil;
pub mod witness;

/// Something that runs trials. The same engine runs the same trial always the same.
pub trait Engine: Sync {
    /// Runs a trial and tells `observer` of every event. Gives the observer back.
    fn run<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (Ended, O);
}

/// The event engine ([`event`]): our endpoints alone, and the one for statistics.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventEngine;

/// The turmoil engine ([`turmoil`]) with our own endpoints.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurmoilEngine;

impl Engine for EventEngine {
    fn run<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (Ended, O) {
        event::run(trial, observer, options)
    }
}

impl Engine for TurmoilEngine {
    fn run<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (Ended, O) {
        turmoil::run(trial, observer, options)
    }
}
