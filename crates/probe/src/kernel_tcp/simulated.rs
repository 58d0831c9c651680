//! A cell as a scenario, and what it comes to in the simulator.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, anyhow, ensure};
use qoslab_core::base::Span;
use qoslab_core::network::LinkSettings;
use qoslab_guarantee::LatencyHistogram;
use qoslab_sim::EventEngine;
use qoslab_study::judge_trial;
use qoslab_study::scenario::Scenario;
use rayon::prelude::*;

use super::{Bottleneck, Cell, Figure};

/// The name of the client whose link is compared.
const PUBLISHER: &str = "publisher";
/// What the kernel and the programs take, one way. It is little, but without it an acknowledgement
/// comes at the very instant of a later message where the round trip is a multiple of 100 ms. On a
/// machine the message is always there first, and leaves together with what waits.
const HOST_DELAY: Span = Span::from_nanos(300_000);

/// A cell as a scenario.
#[derive(Clone, Debug)]
pub struct CellScenario {
    cell: Cell,
    messages: u32,
    scenario: Scenario,
    link: Arc<LinkSettings>,
}

impl CellScenario {
    /// The scenario of a cell, where a trickle has so many messages.
    ///
    /// # Errors
    /// Never, unless scenario files have changed.
    pub fn new(cell: Cell, trickle: u32) -> Result<Self> {
        let messages = cell.workload.messages(trickle);
        let parse = |host_delay| {
            let text = scenario_text(&cell, messages, host_delay);
            Scenario::parse("kernel-tcp.toml", &text).map_err(|errors| anyhow!("{cell}: {errors}"))
        };
        let link = publisher_link(&parse(Span::ZERO)?);
        Ok(Self { cell, messages, scenario: parse(HOST_DELAY)?, link })
    }

    /// The cell.
    #[must_use]
    pub const fn cell(&self) -> Cell {
        self.cell
    }

    /// How many messages it has.
    #[must_use]
    pub const fn messages(&self) -> u32 {
        self.messages
    }

    /// The settings of the publisher's link.
    #[must_use]
    pub fn link(&self) -> Arc<LinkSettings> {
        Arc::clone(&self.link)
    }

    /// The cell's figures in milliseconds, each the median of runs with that many seeds.
    ///
    /// A median of runs, and not a figure of all their messages: where a few runs are much worse
    /// than others, the kernel's five are not likely to be among them.
    ///
    /// # Errors
    /// If a promise is broken or a message is missing, since nothing is lost over TCP; or if it was
    /// interrupted.
    pub fn simulate(&self, seeds: u64, interrupt: &AtomicBool) -> Result<Vec<f64>> {
        let runs = (1..=seeds).into_par_iter().map(|seed| self.run(seed, interrupt));
        let runs: Vec<LatencyHistogram> = runs.collect::<Result<_>>()?;
        let median_of = |figure: &Figure| {
            let mut values: Vec<f64> = runs.iter().map(|latency| figure.value(latency)).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        ensure!(!runs.is_empty(), "{}: no seeds", self.cell);
        Ok(Figure::of(self.cell.workload).iter().map(median_of).collect())
    }

    /// The latencies of the messages with one seed.
    fn run(&self, seed: u64, interrupt: &AtomicBool) -> Result<LatencyHistogram> {
        let trial = self.scenario.points[0].trial(seed);
        let outcome = judge_trial(&EventEngine, &trial, interrupt)?;
        let latency = &outcome.metrics.qos[self.cell.qos.index()].latency;
        ensure!(
            outcome.violations.is_empty() && latency.count() == u64::from(self.messages),
            "{}, seed {seed}: {:?}, {} of {} messages came",
            self.cell,
            outcome.ending,
            latency.count(),
            self.messages
        );
        Ok(latency.clone())
    }
}

fn publisher_link(scenario: &Scenario) -> Arc<LinkSettings> {
    let clients = &scenario.points[0].setup.clients;
    let publisher = clients.iter().find(|client| *client.name == *PUBLISHER);
    Arc::clone(&publisher.expect("the scenario has this client").link)
}

/// The scenario file of a cell.
fn scenario_text(cell: &Cell, messages: u32, host_delay: Span) -> String {
    let Cell { workload, qos, nodelay, delay_ms, loss_percent, bottleneck } = cell;
    let delay_ns = (Span::from_millis((*delay_ms).into()) + host_delay).as_nanos();
    let bottleneck = bottleneck.map_or(String::new(), |Bottleneck { rate_kbit, queue }| {
        format!("rate = \"{rate_kbit}kbit/s\"\nqueue = {queue}\n")
    });
    // What a file takes for all at once: a thousandth of what one byte needs.
    let every_ns = workload.every().as_nanos().max(1);
    format!(
        r#"
schema = 1
name = "kernel-tcp"

[broker]
socket = {{ nodelay = {nodelay} }}

# As `mosquitto_pub` has it: 20 messages without an acknowledgement, the others wait.
[[client]]
name = "{PUBLISHER}"
socket = {{ nodelay = {nodelay} }}
max_inflight = 20
offline = {{ max = 1000000 }}
[[client.publish]]
topic = "probe"
qos = {qos}
count = {messages}
every = "{every_ns}ns"
payload = "{payload}B"

[[client]]
name = "subscriber"
[[client.subscribe]]
filter = "probe"
qos = 0

# Linux's segments have a timestamp (RFC 7323), which takes 12 bytes of them.
[[link]]
between = ["{PUBLISHER}", "broker"]
transport = "tcp"
congestion = "cubic"
headers = "52B"
mss = 1448
delay = "{delay_ns}ns"
loss = "{loss_percent}%"
{bottleneck}
[[link]]
between = ["subscriber", "broker"]
transport = "tcp"
delay = "1us"
"#,
        qos = qos.index(),
        payload = workload.payload(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_is_a_scenario() {
        for cell in Cell::all() {
            let scenario = CellScenario::new(cell, 2_000).unwrap();
            let delay = scenario.link().up.delay;
            assert_eq!(delay, Span::from_millis(cell.delay_ms.into()), "{cell}");
        }
    }

    #[test]
    fn figures_are_those_of_the_link() {
        for cell in Cell::six() {
            let scenario = CellScenario::new(cell, 100).unwrap();
            let figures = scenario.simulate(1, &AtomicBool::new(false)).unwrap();
            assert_eq!(figures.len(), Figure::of(cell.workload).len());
            assert!(figures[0] >= f64::from(cell.delay_ms), "{cell}: {figures:?}");
        }
    }
}
