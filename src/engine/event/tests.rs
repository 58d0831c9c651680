//! Whole trials over real endpoints and links.

mod delivery;
mod phases;
mod world;
