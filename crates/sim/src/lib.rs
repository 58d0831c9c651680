//! Runs one trial in virtual time: endpoints, a network between them, an application above.
//!
//! A [`trial::Trial`] holds everything that decides what happens. An [`Engine`] runs it and
//! reports each event to a [`qoslab_core::base::event::Observer`].

pub use self::engine::{Engine, EngineKind, EventEngine, SharedObserver, make_deterministic};
#[cfg(feature = "turmoil")]
pub use self::turmoil::TurmoilEngine;
pub use self::unsupported::Unsupported;

mod engine;
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
