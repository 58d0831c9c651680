//! How the endpoints behave towards each other.

mod broker;
mod connections;
mod endings;
mod handshakes;
mod hop;
mod limits;
mod quirks;
mod options;
mod restart;
mod sessions;
mod streams;
mod world;
