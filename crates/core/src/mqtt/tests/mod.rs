//! Tests of the endpoints' behaviour towards each other.

mod broker;
mod connections;
mod faults;
mod full_sockets;
mod habits;
mod handshakes;
mod hop_world;
mod limits;
mod mqtt_world;
mod options;
mod quirks;
mod random_hop;
mod restart;
mod session_endings;
mod sessions;
