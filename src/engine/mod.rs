//! Engines run one trial: endpoints, a network between them, an application above, virtual time.

pub mod event;
pub mod trace;
pub mod witness;
