//! How the endpoints behave towards each other.

mod broker;
mod connections;
mod endings;
mod faults;
mod handshakes;
mod hop;
mod limits;
mod options;
mod quirks;
mod restart;
mod sessions;
mod streams;
mod world;
