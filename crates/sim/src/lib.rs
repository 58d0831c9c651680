//! Runs one trial in virtual time: endpoints, a network between them, an application above.
//!
//! A [`Trial`] holds everything that decides what happens. An [`Engine`] runs it and
//! reports each event to a [`qoslab_core::base::Observer`].

pub use self::engine::{
    Engine, EngineKind, EventEngine, Options, PacketTap, SharedObserver, make_deterministic,
};
#[cfg(feature = "turmoil")]
pub use self::turmoil::TurmoilEngine;
pub use self::unsupported::Unsupported;
pub use qoslab_core::base::RunSummary;

pub use self::metric_scope::MetricScope;
pub use self::packet_tracker::{PacketTracker, PublishOutcome, TrackedPacket, payload_with_id};
pub use self::schedule::{
    FaultOccurrence, MessageTiming, RecordedRun, Schedule, ScheduleEntry, ScheduledOutage,
};
pub use self::sut_error::{SutError, SutErrorKind, panic_message};
pub use self::trial::{
    ClientSetup, CrashPoint, FaultAction, FaultSetup, JudgeSettings, OfflinePeriod, PacketAction,
    PacketTrigger, PayloadSize, PeerVisibility, PublisherSetup, Setup, SubscriptionSetup, Trial,
    Trigger,
};

mod engine;
pub mod event;
mod metric_scope;
mod packet_text;
mod packet_tracker;
mod schedule;
mod sut_error;
mod trace;
mod trial;
#[cfg(feature = "turmoil")]
pub mod turmoil;
mod unsupported;
