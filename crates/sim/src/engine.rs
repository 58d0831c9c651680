//! Engines: what runs a trial.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::event;
use crate::schedule::RecordedRun;
use crate::trial::{Setup, Trial};
#[cfg(feature = "turmoil")]
use crate::turmoil::{TurmoilEngine, check_support};
use crate::unsupported::Unsupported;
use qoslab_core::base::{Ending, Observer, RunSummary};
use qoslab_core::mqtt::Packet;

/// An observer that the engine shares with the caller, who wants it back.
pub type SharedObserver = Rc<RefCell<dyn Observer>>;

/// An engine: runs trials, and runs the same trial always the same.
pub trait Engine: Sync {
    /// Runs a trial and reports every event to an observer that the caller shares. Every copy of
    /// the `Rc` must be gone when this returns.
    ///
    /// # Panics
    /// On a bug in qoslab, as [`event::run`].
    fn run_shared(
        &self,
        trial: &Trial,
        observer: SharedObserver,
        options: Options<'_>,
    ) -> RunSummary;

    /// Runs a trial and reports every event to `observer`. Returns the observer.
    ///
    /// # Panics
    /// As [`Self::run_shared`], and if that keeps a copy of the observer.
    fn run<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (RunSummary, O) {
        lend_observer(observer, |shared| self.run_shared(trial, shared, options))
    }

    /// As [`Self::run`], for the observers of every trial that is judged: an engine may be compiled
    /// once more for this type, so that observing costs no call through a pointer.
    fn run_specialized<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (RunSummary, O) {
        self.run(trial, observer, options)
    }
}

/// Run options that are not part of the trial.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// Once it is true the trial ends soon, as [`Ending::Interrupted`].
    pub interrupt: Option<&'a AtomicBool>,
    /// Recording of everything that is drawn at random.
    pub transcript: Option<&'a mut RecordedRun>,
    /// Sees each packet as a value.
    pub packet_tap: Option<Rc<dyn PacketTap>>,
}

/// Sees packets as values, for callers that need their bytes: observers get plain facts.
pub trait PacketTap: fmt::Debug {
    /// A packet is about to be reported as [`Sent`](qoslab_core::base::Event::Sent). Resets
    /// are no packets of MQTT's, and do not come.
    fn packet_sent(&self, packet: &Packet);
}

impl<'a> Options<'a> {
    /// With a way to end it soon.
    #[must_use]
    pub const fn with_interrupt(interrupt: &'a AtomicBool) -> Self {
        Self { interrupt: Some(interrupt), transcript: None, packet_tap: None }
    }
}

/// Shares an observer with a run, and takes it back.
pub(crate) fn lend_observer<O: Observer + 'static, R>(
    observer: O,
    run: impl FnOnce(SharedObserver) -> R,
) -> (R, O) {
    let shared = Rc::new(RefCell::new(observer));
    let result = run(Rc::<RefCell<O>>::clone(&shared));
    let observer = Rc::into_inner(shared).expect("the run keeps no observer");
    (result, observer.into_inner())
}

/// The event engine ([`event`]): our endpoints alone, and the one for statistics.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventEngine;

impl Engine for EventEngine {
    fn run_shared(
        &self,
        trial: &Trial,
        observer: SharedObserver,
        options: Options<'_>,
    ) -> RunSummary {
        event::run(trial, observer, options).0
    }

    fn run_specialized<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (RunSummary, O) {
        event::run(trial, observer, options)
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
            Self::Turmoil => check_support(setup),
        }
    }
}

impl Engine for EngineKind {
    fn run_shared(
        &self,
        trial: &Trial,
        observer: SharedObserver,
        options: Options<'_>,
    ) -> RunSummary {
        match self {
            Self::Event => EventEngine.run_shared(trial, observer, options),
            #[cfg(feature = "turmoil")]
            Self::Turmoil => TurmoilEngine.run_shared(trial, observer, options),
        }
    }

    fn run_specialized<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (RunSummary, O) {
        match self {
            Self::Event => EventEngine.run_specialized(trial, observer, options),
            #[cfg(feature = "turmoil")]
            Self::Turmoil => TurmoilEngine.run_specialized(trial, observer, options),
        }
    }
}

/// Runs a trial, and records everything that was drawn at random: returns the same trial made
/// deterministic, which has the same trace hash on the same engine. `None` if it was interrupted.
#[must_use]
pub fn make_deterministic<E: Engine>(
    engine: &E,
    trial: &Trial,
    interrupt: Option<&AtomicBool>,
) -> Option<Trial> {
    let mut transcript = RecordedRun::default();
    let options = Options { interrupt, transcript: Some(&mut transcript), packet_tap: None };
    let (summary, ()) = engine.run(trial, (), options);
    (summary.ending != Ending::Interrupted).then(|| event::to_deterministic(trial, &transcript))
}
