//! The simulation for engines that drive its nodes elsewhere.

pub(crate) use super::simulation::RunContext;
pub(crate) use super::simulation::inboxes::HostCommand;
pub(crate) use super::simulation::sim_handle::{
    ProxySimulation, ReceivedItem, SharedObserver, SimHandle,
};
pub(crate) use super::simulation::sut_nodes::WriteOutcome;
