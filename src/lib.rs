//! qoslab shows, with evidence, what an MQTT QoS level really delivers and what it costs.
//!
//! It simulates brokers, clients and the network between them in virtual time, lets the network
//! lose, delay, duplicate and reorder packets, checks the at-most-once, at-least-once and
//! exactly-once promises, and counts packets, bytes and time for each QoS. Most people use the
//! command `qoslab`; this is the library behind it.
//!
//! # Ten lines
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use qoslab::sim::EventEngine;
//! use qoslab::scenario::Scenario;
//! use qoslab::study::judge::judge_trial;
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
//! A floor uses only the floors below it.
//!
//! | floor | what happens there |
//! |---|---|
//! | [`cli`] | arguments, progress, exit codes, files |
//! | [`testing`] | products that others wrote, in a scenario's places, from a `#[test]` |
//! | [`report`] | numbers to people: tables, charts, pages, CSV, JSON, Markdown, `JUnit` |
//! | [`study`] | many trials in parallel, with results in a fixed order |
//! | [`engine`] | one trial in virtual time: one queue of what is to happen, or simulated hosts |
//! | [`scenario`] | the file: what it may say, what is wrong with it, which trials it stands for |
//! | [`guarantee`] | who is owed what, what came, whose fault it was |
//! | [`network`] | what a link does to a packet |
//! | [`mqtt`] | clients and brokers without sockets, clocks or luck |
//! | [`base`] | time, units, names, draws, events |
//!
//! Two rooms stand beside the stairs. [`closed_form`] is what theory says, and the tests hold the
//! engine to it. [`shell`] puts the endpoints of [`mqtt`] on tokio's streams and datagrams. The
//! heart is in two files, `mqtt/outbound.rs` and `mqtt/inbound.rs`: the two halves of a hop,
//! written once, used by client and broker.
//!
//! # The way of a trial
//! A file becomes a [`scenario::Scenario`], its points become [`scenario::trial::Trial`]s, an
//! [`engine::Engine`] plays one and tells an [`base::event::Observer`] of each event,
//! [`guarantee::watch::FirstPassObserver`] keeps the books, and [`study::judge::judge_trial`] turns
//! them into a [`guarantee::verdict::Outcome`]. Where a promise was broken the trial runs a second
//! time, the same to the last event, and only the messages concerned are recorded.
//!
//! What luck decided in a trial can be written down ([`engine::write_down`]): the same trial
//! with nothing left to luck, of which parts can be taken out one by one ([`scenario::schedule`]).
//! On that stand [`study::shrink`], failure files and replays.
//!
//! # Determinism
//! The same [`scenario::MODEL`], scenario and seed give the same trace hash and the same bytes in
//! every file, on any machine and with any number of jobs. Luck is drawn by what it is about
//! ([`base::draw`]), never from a generator that something else uses too; nothing below [`study`]
//! knows threads, wall clocks, hash order or the platform's `ln` and `exp`.

pub use qoslab_core::{base, mqtt, network};
pub use qoslab_guarantee as guarantee;
pub use qoslab_report as report;
pub use qoslab_sim as sim;
pub use qoslab_study as study;
pub use qoslab_study::scenario;
#[cfg(feature = "turmoil")]
pub use {qoslab_core::shell, qoslab_testing as testing};

pub mod cli;
