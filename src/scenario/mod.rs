//! Scenario files and the trials they stand for.

use std::sync::Arc;

use crate::base::qos::QoS;

pub mod expect;
pub mod trial;

/// A scenario file that was read and found right.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is about, in the author's words.
    pub about: String,
    /// Where it was read from, as the user wrote it.
    pub path: String,
    /// The file's text.
    pub source: String,
    /// The points of its axes, in a fixed order: published QoS first, then granted QoS.
    pub points: Vec<Point>,
    /// The first seed.
    pub first_seed: u64,
    /// How many seeds, from the first.
    pub seed_count: u32,
    /// What is expected.
    pub expect: expect::Expect,
}

/// One combination of the axes' values.
#[derive(Clone, Debug)]
pub struct Point {
    /// The published QoS, where a list made it an axis or all streams share one.
    pub published: Option<QoS>,
    /// The QoS asked for by subscribers, where a list made it an axis.
    pub granted: Option<QoS>,
    /// What every seed of this point runs.
    pub setup: Arc<trial::Setup>,
    /// A hash of the setup and the model version, from which trials take their names.
    pub content: u64,
}
