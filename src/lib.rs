//! qoslab shows, with evidence, what an MQTT QoS level really delivers and what it costs.
//!
//! It simulates brokers, clients and the network between them in virtual time, lets the network
//! lose, delay, duplicate and reorder packets, checks the at-most-once, at-least-once and
//! exactly-once promises, and counts packets, bytes and time for each QoS. Most people use the
//! command `qoslab`; this is the library behind it, all of it under one name.
//!
//! # Ten lines
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use qoslab::scenario::Scenario;
//! use qoslab::sim::EventEngine;
//! use qoslab::study::judge_trial;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = include_str!("../scenarios/lossy-uplink.toml");
//! let scenario = Scenario::parse("lossy-uplink.toml", text).map_err(|e| e.to_string())?;
//! for point in &scenario.points {
//!     let outcome = judge_trial(&EventEngine, &point.trial(1), &AtomicBool::new(false))?;
//!     let metrics = &outcome.metrics.qos[point.published.unwrap().index()].counts;
//!     println!("{}: {} of {} lost", point.label(), metrics.lost, metrics.units);
//!     assert!(outcome.violations.is_empty());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The map
//! Each layer is a crate and depends only on those below it; this one has the command ([`cli`]) and
//! gives the others under one name. Depend on the small one that you need.
//!
//! | crate | here | what it holds |
//! |---|---|---|
//! | `qoslab-testing` | `testing` | your client or broker in a scenario, from a `#[test]` |
//! | `qoslab-report` | [`report`] | results for people: tables, ladders, charts, pages, files |
//! | `qoslab-study` | [`study`], [`scenario`] | scenario files; studies of many trials |
//! | `qoslab-sim` | [`sim`] | one trial in virtual time: the engines |
//! | `qoslab-guarantee` | [`guarantee`] | who is owed what, and which component is at fault |
//! | `qoslab-core` | [`base`], [`mqtt`], [`network`], `shell` | draws, MQTT endpoints, links |
//!
//! The core is in two files, `mqtt/outbound.rs` and `mqtt/inbound.rs` of `qoslab-core`: the two
//! halves of a hop, written once, used by client and broker.
//!
//! # The course of a trial
//! A file becomes a [`scenario::Scenario`], its points become [`sim::Trial`]s. An
//! [`sim::Engine`] runs one and notifies a [`base::Observer`] of each event;
//! [`guarantee::FirstPassObserver`] records what was owed and what arrived, and
//! [`study::judge_trial`] turns that into a [`guarantee::Outcome`]. Where a
//! promise was broken the trial runs a second time, the same to the last event, and the messages
//! concerned are recorded.
//!
//! What was drawn at random in a trial can be fixed: [`sim::make_deterministic`] returns the
//! same trial without random draws, of which parts can be taken out one by one
//! ([`sim::Schedule`]). [`study::shrink`], failure files and replays are built on that.
//!
//! # Determinism
//! The same [`scenario::MODEL_VERSION`], scenario and seed give the same trace hash and the same
//! bytes in every file, on any machine and with any number of jobs. Each random draw is keyed by
//! what it is about ([`base::draw`]) and never comes from a generator that something else uses too;
//! nothing below [`study`] knows threads, wall clocks, hash order or the platform's `ln` and `exp`.

pub use qoslab_core::{base, mqtt, network};
pub use qoslab_guarantee as guarantee;
pub use qoslab_report as report;
pub use qoslab_sim as sim;
pub use qoslab_study as study;
pub use qoslab_study::scenario;
#[cfg(feature = "turmoil")]
pub use {qoslab_core::shell, qoslab_testing as testing};

pub mod cli;
