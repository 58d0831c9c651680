//! The shell with pipes and datagrams in memory, in tokio's paused time.

mod delivery;
mod driving;
mod framing;
mod shell_world;
