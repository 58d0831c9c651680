//! The simulation for engines that drive its nodes elsewhere.

pub(crate) use super::simulation::Terms;
pub(crate) use super::simulation::doors::Errand;
pub(crate) use super::simulation::foreign::Fared;
pub(crate) use super::simulation::stage::{Remotely, Stage, Taken, Watcher};
