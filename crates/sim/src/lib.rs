//! Engines run one trial: endpoints, a network between them, an application above, virtual time.

use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use self::event::{Options, RunSummary};
pub use self::unsupported::Unsupported;
use crate::schedule::RecordedRun;
use crate::trial::{Setup, Trial};
use qoslab_core::base::ending::Ending;
use qoslab_core::base::event::Observer;

pub mod event;
mod packet_text;
pub mod packet_tracker;
pub mod schedule;
pub mod sut_error;
pub mod trace;
pub mod trial;
#[cfg(feature = "turmoil")]
pub mod turmoil;
mod unsupported;

/// An engine: runs trials, and runs the same trial always the same.
pub trait Engine: Sync {
    /// Runs a trial and reports every event to `observer`. Returns the observer.
    fn run<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (RunSummary, O);
}

/// The event engine ([`event`]): our endpoints alone, and the one for statistics.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventEngine;

/// The turmoil engine ([`turmoil`]) with our own endpoints.
#[cfg(feature = "turmoil")]
#[derive(Clone, Copy, Debug, Default)]
pub struct TurmoilEngine;

impl Engine for EventEngine {
    fn run<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (RunSummary, O) {
        event::run(trial, observer, options)
    }
}

#[cfg(feature = "turmoil")]
impl Engine for TurmoilEngine {
    fn run<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (RunSummary, O) {
        turmoil::run(trial, observer, options)
    }
}

/// One of the engines that run our own endpoints, chosen when the program runs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum EngineKind {
    /// [`EventEngine`].
    #[default]
    Event,
    /// [`TurmoilEngine`].
    #[cfg(feature = "turmoil")]
    Turmoil,
}

impl EngineKind {
    /// Its name on the command line and in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            #[cfg(feature = "turmoil")]
            Self::Turmoil => "turmoil",
        }
    }

    /// Checks that it can run a trial.
    ///
    /// # Errors
    /// If it cannot: the first reason.
    #[cfg_attr(
        not(feature = "turmoil"),
        expect(unused_variables, reason = "the event engine runs every setup")
    )]
    pub fn check(self, setup: &Setup) -> Result<(), Unsupported> {
        match self {
            Self::Event => Ok(()),
            #[cfg(feature = "turmoil")]
            Self::Turmoil => turmoil::check_support(setup),
        }
    }
}

impl Engine for EngineKind {
    fn run<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (RunSummary, O) {
        match self {
            Self::Event => EventEngine.run(trial, observer, options),
            #[cfg(feature = "turmoil")]
            Self::Turmoil => TurmoilEngine.run(trial, observer, options),
        }
    }
}

/// Runs a trial, and records everything that was drawn at random: returns the same trial made
/// deterministic, which has the same trace hash on the same engine. `None` if it was interrupted.
#[must_use]
pub fn record_trial<E: Engine>(
    engine: &E,
    trial: &Trial,
    interrupt: Option<&AtomicBool>,
) -> Option<Trial> {
    let mut transcript = RecordedRun::default();
    let options = Options { interrupt, transcript: Some(&mut transcript), packet_tap: None };
    let (ended, ()) = engine.run(trial, (), options);
    (ended.ending != Ending::Interrupted).then(|| event::to_deterministic(trial, &transcript))
}
