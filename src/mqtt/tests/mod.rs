//! How the endpoints behave towards each other.

mod broker;
mod handshakes;
mod hop;
mod limits;
mod quirks;
mod sessions;
mod streams;
mod world;
