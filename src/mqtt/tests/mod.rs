//! How the endpoints behave towards each other.

mod broker;
mod handshakes;
mod sessions;
mod world;
