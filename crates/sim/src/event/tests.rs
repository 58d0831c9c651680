//! Whole trials over real endpoints and links.

mod delivery;
mod faults;
mod fixtures;
mod phases;
mod tcp;
