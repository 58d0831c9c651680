//! Whole trials over real endpoints and links.

mod delivery;
mod faults;
mod phases;
mod streams;
mod world;
