//! The simulation for engines that drive its nodes elsewhere.

pub(in crate::engine) use super::simulation::Terms;
pub(in crate::engine) use super::simulation::doors::Errand;
pub(in crate::engine) use super::simulation::foreign::Fared;
pub(in crate::engine) use super::simulation::stage::{Remotely, Stage, Taken, Watcher};
