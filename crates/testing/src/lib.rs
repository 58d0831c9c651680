//! For the tests of clients and brokers: your async code under qoslab's scenarios and checks, from
//! a plain `#[test]`.
//!
//! A [`Harness`] is a scenario in which your code (the system under test) takes the place of some
//! clients or of the broker; all others are qoslab's own endpoints. It runs on simulated hosts in
//! virtual time ([`qoslab_sim::turmoil`]): tokio's time, tasks and channels work, sockets come from
//! the [`ClientHandle`] or [`BrokerHandle`], and nothing waits for a wall clock. Threads, real
//! sockets and `spawn_blocking` do not work there.
//!
//! ```
//! use qoslab_testing::{AppCommand, ClientHandle, Harness, SutResult};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! // A client that publishes with QoS 0 alone, and does not come back.
//! async fn my_client(handle: ClientHandle) -> SutResult {
//!     let mut socket = handle.connect().await?;
//!     socket.write_all(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05meter").await?;
//!     let mut answer = [0; 4];
//!     socket.read_exact(&mut answer).await?;
//!     assert_eq!(answer, [0x20, 2, 0, 0], "CONNACK accepts");
//!     loop {
//!         if let AppCommand::Publish { topic, payload, .. } = handle.next_command().await {
//!             let length = u8::try_from(2 + topic.len() + payload.len())?;
//!             let start = [0x30, length, 0, u8::try_from(topic.len())?];
//!             socket.write_all(&[&start, topic.as_bytes(), &payload].concat()).await?;
//!         }
//!     }
//! }
//!
//! let scenario = r#"
//! schema = 1
//! name = "a-client-of-mine"
//! deadline = "1m"
//! [broker]
//! [[client]]
//! name = "meter"
//! session = "clean"
//! [[client.publish]]
//! topic = "t"
//! qos = 0
//! count = 3
//! every = "1s"
//! payload = "16B"
//! [[client]]
//! name = "app"
//! [[client.subscribe]]
//! filter = "t"
//! qos = 0
//! [[link]]
//! between = ["*", "broker"]
//! transport = "tcp"
//! delay = "20ms"
//! "#;
//! Harness::parse(scenario).seeds(1..=3).client("meter", my_client).run().assert_holds();
//! ```
//!
//! A test that fails prints what `qoslab run` prints, and how to run the one trial again.

use std::collections::BTreeMap;
use std::env;
use std::future::Future;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use qoslab_study::{Plan, Seeds, Selection, ThreadPool, TrialRunner, plan};

use self::sut_trial::{HANG_TIMEOUT, SutNotes, judge_sut_trial};
use qoslab_core::base::{ClientIndex, Node};
use qoslab_core::network::Transport;
use qoslab_sim::{Setup, Trial, turmoil};
use qoslab_study::scenario::{Scenario, Setting};

pub use self::harness_report::HarnessReport;
pub use qoslab_core::base::draw::DrawStream;
pub use qoslab_core::base::{QoS, Span};
pub use qoslab_core::mqtt::{BrokerSettings, ClientSettings, Version};
pub use qoslab_sim::turmoil::{
    AppCommand, BrokerHandle, ClientHandle, NodeFactories, Socket, SutResult,
};
pub use qoslab_sim::{SutError, SutErrorKind};
pub use qoslab_study::{ScenarioResult, Verdict};

mod harness_report;
mod sut_trial;
#[cfg(test)]
mod tests;

/// The environment variable that picks one trial by the beginning of its name.
const TRIAL_VARIABLE: &str = "QOSLAB_TRIAL";

/// A scenario in which systems under test take some of the places.
#[derive(Debug)]
#[must_use = "nothing happens before it runs"]
pub struct Harness {
    path: String,
    text: String,
    settings: Vec<Setting>,
    selection: Selection,
    factories: NodeFactories,
    hang_timeout: Duration,
}

impl Harness {
    /// Creates a test from a scenario file.
    ///
    /// # Panics
    /// If the file cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::new(path.display().to_string(), text)
    }

    /// Creates a test from the text of a scenario.
    pub fn parse(scenario: &str) -> Self {
        Self::new("scenario".to_owned(), scenario.to_owned())
    }

    fn new(path: String, text: String) -> Self {
        Self {
            path,
            text,
            settings: Vec::new(),
            selection: Selection::default(),
            factories: NodeFactories::default(),
            hang_timeout: HANG_TIMEOUT,
        }
    }

    /// Sets a field of the scenario to another value, as `qoslab run --set PATH=VALUE` does.
    pub fn set(mut self, path: &str, value: &str) -> Self {
        self.settings.push(Setting { path: path.to_owned(), value: value.to_owned() });
        self
    }

    /// Replaces the scenario's seeds.
    ///
    /// # Panics
    /// If there is none in the range, or more than 2^32.
    pub fn seeds(mut self, seeds: RangeInclusive<u64>) -> Self {
        let count = seeds.end().checked_sub(*seeds.start()).and_then(|count| count.checked_add(1));
        let count = count.and_then(|count| u32::try_from(count).ok());
        let count = count.unwrap_or_else(|| panic!("these are no seeds: {seeds:?}"));
        self.selection.seeds = Some(Seeds::Range { first: *seeds.start(), count });
        self
    }

    /// Restricts the test to points of the scenario that publish with these QoS.
    ///
    /// # Panics
    /// If one is not 0, 1 or 2.
    pub fn qos(mut self, levels: &[u8]) -> Self {
        let level = |level: &u8| QoS::from_number(*level).unwrap_or_else(|| panic!("QoS {level}"));
        self.selection.qos = levels.iter().map(level).collect();
        self
    }

    /// Puts a client in the place of those whose names match: a name, or a pattern with `*` for any
    /// letters. `start` runs on the client's host; after a crash of that host it runs again. What
    /// it returns is not to end before the trial.
    pub fn client<F, R>(mut self, names: &str, start: F) -> Self
    where
        F: Fn(ClientHandle) -> R + Send + Sync + 'static,
        R: Future<Output = SutResult> + 'static,
    {
        self.factories.set_client_factory(names, start);
        self
    }

    /// Puts a broker in the broker's place; see [`Self::client`].
    pub fn broker<F, R>(mut self, start: F) -> Self
    where
        F: Fn(BrokerHandle) -> R + Send + Sync + 'static,
        R: Future<Output = SutResult> + 'static,
    {
        self.factories.set_broker_factory(start);
        self
    }

    /// Runs every trial and judges it.
    ///
    /// # Panics
    /// If the scenario has errors, which the message lists, if there is nothing to run, or if a
    /// trial cannot run on simulated hosts.
    pub fn run(self) -> HarnessReport {
        let plan = self.plan();
        for point in &plan.scenario.points {
            self.assert_supported(&point.setup);
        }
        let pool = ThreadPool::new(None).expect("threads can be started");
        let interrupt = AtomicBool::new(false);
        let runner = TrialRunner { pool: &pool, fail_fast: false, interrupt: &interrupt };
        let notes: Mutex<BTreeMap<String, SutNotes>> = Mutex::default();
        let judge = |trial: &Trial| {
            let (judged, noted) = judge_sut_trial(&self.factories, trial, self.hang_timeout);
            notes.lock().unwrap_or_else(PoisonError::into_inner).insert(trial.name.clone(), noted);
            judged
        };
        let results = runner.run(vec![plan], &judge, &());
        let notes = notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let result = results.into_iter().next().expect("one plan has one result");
        HarnessReport::new(self.factories, result, notes)
    }

    fn plan(&self) -> Plan {
        let scenario = Scenario::parse_with_settings(&self.path, &self.text, &self.settings);
        let scenario = scenario.unwrap_or_else(|errors| panic!("\n{}", errors.render(false)));
        let trial = env::var(TRIAL_VARIABLE).ok().filter(|name| !name.is_empty());
        let selection = Selection { trial, ..self.selection.clone() };
        let plans = plan(vec![scenario], &selection).unwrap_or_else(|error| panic!("{error}"));
        plans.into_iter().next().expect("one scenario has one plan")
    }

    /// Whether a trial can run as it is meant to.
    fn assert_supported(&self, setup: &Setup) {
        if let Err(why) = turmoil::check_support(setup) {
            panic!("{}: {why}", self.path);
        }
        let under_test = self.factories.sut_nodes(setup);
        assert!(!under_test.is_empty(), "{}: no client has a name that the test gave", self.path);
        for (n, client) in (0..).zip(&setup.clients) {
            let is_stream = matches!(client.link.transport, Transport::Tcp(_));
            let concerns = [Node::Broker, Node::Client(ClientIndex(n))];
            assert!(
                is_stream || !concerns.iter().any(|node| under_test.contains(node)),
                "{}: the link of `{}` needs `transport = \"tcp\"`: tested systems use streams",
                self.path,
                client.name
            );
        }
    }
}
