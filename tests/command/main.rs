//! The command from a user's point of view: a process with arguments, files and an exit code.

mod accounts;
mod choose;
mod ci_gate;
mod command_line;
mod docs;
mod engines;
mod estimates;
mod failures;
mod features;
mod files;
mod livelock;
mod replay;
mod sweep;
