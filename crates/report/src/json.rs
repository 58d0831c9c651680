//! `results.json`: every metric of every point, for programs. Seeds and hashes are strings, as
//! many readers keep numbers in 53 bits; a time of `null` is never.

#![expect(
    clippy::struct_field_names,
    reason = "field names are the file's: each says its unit or repeats its object's name"
)]

use std::collections::BTreeMap;

use serde::Serialize;

use super::describe::Rules;
use super::figures::Figures;
use super::{describe, words};
use qoslab_core::base::name::Kind;
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Span;
use qoslab_guarantee::metrics::{Count, MESSAGE_KINDS, Purposes};
use qoslab_guarantee::verdict::{RuleBreak, Violation};
use qoslab_sim::EngineKind;
use qoslab_study::needs::{NeedResult, Value};
use qoslab_study::result::{
    Cause, Failure, PointResult, QosRow, Quantiles, ScenarioResult, Verdict,
};
use qoslab_study::scenario::MODEL;
use qoslab_study::statistics;
use qoslab_study::sweep::{self, Study};

use breaks::Break;

mod breaks;

/// The shape of the file; counts up when a reader must change.
const SCHEMA: u32 = 1;

/// One scenario's results.
#[must_use]
pub fn scenario(result: &ScenarioResult) -> Vec<u8> {
    to_bytes(&Scenario::new(result))
}

/// The results of several scenarios, as a list.
#[must_use]
pub fn scenarios(results: &[ScenarioResult]) -> Vec<u8> {
    to_bytes(&results.iter().map(Scenario::new).collect::<Vec<_>>())
}

/// All cells of a study; of a plain run, what [`scenario`] says.
#[must_use]
pub fn study(study: &Study) -> Vec<u8> {
    match study.cells.as_slice() {
        [cell] if study.axes.is_empty() => scenario(&cell.result),
        cells => to_bytes(&Sweep::new(study, cells)),
    }
}

fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("plain structs always serialise");
    bytes.push(b'\n');
    bytes
}

#[derive(Serialize)]
struct Sweep {
    schema: u32,
    qoslab: &'static str,
    model: u32,
    scenario: String,
    axes: Vec<Axis>,
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Axis {
    path: String,
    unit: &'static str,
    values: Vec<f64>,
}

#[derive(Serialize)]
struct Cell {
    settings: BTreeMap<String, String>,
    result: Scenario,
}

#[derive(Serialize)]
struct Scenario {
    schema: u32,
    qoslab: &'static str,
    model: u32,
    /// Where it is not the one that is used where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'static str>,
    scenario: String,
    about: String,
    mqtt: String,
    transport: String,
    retry: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    endpoints: String,
    verdict: &'static str,
    partial: bool,
    narrowed: bool,
    runs_planned: usize,
    runs_finished: usize,
    points: Vec<Point>,
    needs: Vec<Need>,
    sometimes: BTreeMap<String, u64>,
    expected_breaks: Vec<Break>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    known_breaks: Vec<Break>,
}

#[derive(Serialize)]
struct Point {
    point: String,
    published_qos: Option<u8>,
    granted_qos: Option<u8>,
    verdict: &'static str,
    runs: usize,
    runs_by_verdict: BTreeMap<&'static str, usize>,
    first_seed: String,
    last_seed: String,
    trace_hash: String,
    events: u64,
    packets_all_phases: u64,
    in_flight_peak: u64,
    queued_peak: u64,
    recovery_max_s: Option<f64>,
    violations: Vec<Broken>,
    rules_broken: Vec<BrokenRule>,
    excused: BTreeMap<&'static str, u64>,
    sometimes: BTreeMap<&'static str, u64>,
    qos: Vec<Level>,
    control: BTreeMap<&'static str, Traffic>,
    bytes_by_purpose: ByPurpose,
    failures: Vec<Failed>,
}

#[derive(Serialize)]
struct Broken {
    promise: &'static str,
    kind: &'static str,
    blame: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct BrokenRule {
    rule: &'static str,
    id: Option<&'static str>,
    strength: &'static str,
    blame: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct Level {
    published_qos: u8,
    messages: u64,
    units: u64,
    delivered: u64,
    lost: u64,
    duplicated: u64,
    extra_copies: u64,
    copies_per_delivered: Option<f64>,
    unexpected: u64,
    recovered: u64,
    stuck: u64,
    reordered: u64,
    refused: u64,
    delivered_share: Interval,
    lost_per_run: Interval,
    duplicated_per_run: Interval,
    packets_per_message: Interval,
    bytes_per_message: Interval,
    overhead: Option<Interval>,
    latency: Times,
    completion: Times,
    traffic: [BTreeMap<&'static str, FirstAndResent>; 2],
}

#[derive(Serialize)]
struct Interval {
    value: f64,
    low95: Option<f64>,
    high95: Option<f64>,
}

#[derive(Serialize)]
struct Times {
    mean_s: Option<f64>,
    p50_s: Option<f64>,
    p99_s: Option<f64>,
    max_s: Option<f64>,
}

#[derive(Serialize)]
struct FirstAndResent {
    first: Traffic,
    resent: Traffic,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Traffic {
    packets: u64,
    bytes: u64,
}

#[derive(Default, Serialize)]
struct ByPurpose {
    payload: u64,
    framing: u64,
    acknowledgements: u64,
    resends: u64,
    keep_alive: u64,
    connecting: u64,
}

#[derive(Serialize)]
struct Need {
    need: String,
    verdict: &'static str,
    point: Option<String>,
    value: Option<f64>,
    unit: Option<&'static str>,
    bound: Option<f64>,
}

#[derive(Serialize)]
struct Failed {
    trial: String,
    seed: String,
    verdict: &'static str,
    cause: &'static str,
    detail: String,
}

impl Sweep {
    fn new(study: &Study, cells: &[sweep::Cell]) -> Self {
        let axes = study.axes.iter().map(|axis| Axis {
            path: axis.path.clone(),
            unit: axis.unit.sign(),
            values: axis.values.iter().map(|value| value.number).collect(),
        });
        let cell = |cell: &sweep::Cell| {
            let pairs = study.axes.iter().zip(&cell.values);
            let settings = pairs.map(|(axis, value)| (axis.path.clone(), value.text.clone()));
            Cell { settings: settings.collect(), result: Scenario::new(&cell.result) }
        };
        Self {
            schema: SCHEMA,
            qoslab: env!("CARGO_PKG_VERSION"),
            model: MODEL,
            scenario: cells
                .first()
                .map(|cell| cell.result.scenario.name.clone())
                .unwrap_or_default(),
            axes: axes.collect(),
            cells: cells.iter().map(cell).collect(),
        }
    }
}

impl Scenario {
    fn new(result: &ScenarioResult) -> Self {
        let Rules { mqtt, transport, retry, endpoints } = describe::rules(&result.scenario);
        Self {
            schema: SCHEMA,
            qoslab: env!("CARGO_PKG_VERSION"),
            model: MODEL,
            engine: (result.engine != EngineKind::default()).then(|| result.engine.name()),
            scenario: result.scenario.name.clone(),
            about: result.scenario.about.clone(),
            mqtt,
            transport,
            retry,
            endpoints,
            verdict: words::verdict(result.verdict),
            partial: result.is_partial(),
            narrowed: result.narrowed,
            runs_planned: result.planned,
            runs_finished: result.finished,
            points: result.points.iter().map(Point::new).collect(),
            needs: result.needs.iter().map(|need| Need::new(result, need)).collect(),
            sometimes: result.sometimes.iter().cloned().collect(),
            expected_breaks: breaks::expected(result),
            known_breaks: breaks::known(result),
        }
    }
}

impl Point {
    fn new(point: &PointResult) -> Self {
        let facts = || point.trials.iter().filter_map(|trial| trial.facts.as_ref());
        let seed = |trial: Option<&qoslab_study::result::TrialRow>| {
            trial.map(|trial| trial.seed.to_string()).unwrap_or_default()
        };
        let verdicts = point.verdicts.iter().map(|(verdict, n)| (words::verdict(*verdict), *n));
        let recovery = facts().filter_map(|facts| facts.recovery).max();
        Self {
            point: point.label.clone(),
            published_qos: point.published.map(QoS::number),
            granted_qos: point.granted.map(QoS::number),
            verdict: words::verdict(point.verdict()),
            runs: point.trials.len(),
            runs_by_verdict: verdicts.collect(),
            first_seed: seed(point.trials.first()),
            last_seed: seed(point.trials.last()),
            trace_hash: format!("{:016x}", point.trace_hash()),
            events: facts().map(|facts| facts.events).sum(),
            packets_all_phases: facts().map(|facts| facts.packets).sum(),
            in_flight_peak: facts().map(|facts| facts.in_flight_peak).max().unwrap_or(0),
            queued_peak: facts().map(|facts| facts.queued_peak).max().unwrap_or(0),
            recovery_max_s: recovery.map(Span::as_secs_f64),
            violations: point.violations.iter().map(|(v, count)| Broken::new(*v, *count)).collect(),
            rules_broken: point.rules.iter().map(|(it, n)| BrokenRule::new(*it, *n)).collect(),
            excused: point.excuses.iter().map(|(e, count)| (words::excuse(*e), *count)).collect(),
            sometimes: point.sometimes.clone(),
            qos: Figures::of(point).map(|figures| Level::new(point, &figures)).collect(),
            control: Kind::ALL
                .into_iter()
                .filter(|kind| !kind.is_delivery())
                .map(|kind| {
                    let counts = facts().map(|facts| facts.control[kind as usize]);
                    (kind.label(), Traffic::sum(counts))
                })
                .collect(),
            bytes_by_purpose: ByPurpose::sum(facts().map(|facts| facts.bytes)),
            failures: point.failures.iter().map(Failed::new).collect(),
        }
    }
}

impl Broken {
    const fn new(violation: Violation, count: u64) -> Self {
        Self {
            promise: words::promise(violation.promise),
            kind: words::breach(violation.breach),
            blame: words::blame(violation.blame),
            count,
        }
    }
}

impl BrokenRule {
    fn new(broken: RuleBreak, count: u64) -> Self {
        Self {
            rule: broken.rule.name(),
            id: broken.id(),
            strength: broken.rule.strength().label(),
            blame: words::blame(broken.blame),
            count,
        }
    }
}

impl Level {
    fn new(point: &PointResult, figures: &Figures) -> Self {
        let sum = |of: fn(&QosRow) -> u64| point.rows(figures.published).map(of).sum();
        let traffic = [0, 1].map(|hop| {
            let kinds = MESSAGE_KINDS.iter().enumerate();
            let sums = kinds.map(|(nth, kind)| {
                let all = || point.rows(figures.published).map(move |row| row.traffic[hop][nth]);
                let first = Traffic::sum(all().map(|kind| kind.first));
                (
                    kind.label(),
                    FirstAndResent { first, resent: Traffic::sum(all().map(|k| k.resent)) },
                )
            });
            sums.collect()
        });
        Self {
            published_qos: figures.published.number(),
            messages: figures.totals.messages,
            units: figures.totals.units,
            delivered: figures.totals.delivered,
            lost: figures.totals.lost,
            duplicated: figures.totals.duplicated,
            extra_copies: figures.totals.extra_copies,
            copies_per_delivered: figures.copies,
            unexpected: figures.totals.unexpected,
            recovered: sum(|row| row.counts.recovered),
            stuck: figures.totals.stuck,
            reordered: sum(|row| row.counts.reordered),
            refused: sum(|row| row.counts.refused),
            delivered_share: figures.delivered.into(),
            lost_per_run: figures.lost.into(),
            duplicated_per_run: figures.duplicated.into(),
            packets_per_message: figures.packets.into(),
            bytes_per_message: figures.bytes.into(),
            overhead: figures.overhead.map(Into::into),
            latency: figures.latency.into(),
            completion: figures.completion.into(),
            traffic,
        }
    }
}

impl From<statistics::Interval> for Interval {
    fn from(interval: statistics::Interval) -> Self {
        let end = |end: f64| end.is_finite().then_some(end);
        Self { value: interval.value, low95: end(interval.low), high95: end(interval.high) }
    }
}

impl From<Quantiles> for Times {
    fn from(times: Quantiles) -> Self {
        let Quantiles { mean, p50, p99, max } = times;
        let [mean_s, p50_s, p99_s, max_s] =
            [mean, p50, p99, max].map(|span| span.map(Span::as_secs_f64));
        Self { mean_s, p50_s, p99_s, max_s }
    }
}

impl Traffic {
    fn sum(counts: impl Iterator<Item = Count>) -> Self {
        counts.fold(Self::default(), |sum, count| Self {
            packets: sum.packets + count.packets,
            bytes: sum.bytes + count.bytes,
        })
    }
}

impl ByPurpose {
    fn sum(all: impl Iterator<Item = Purposes>) -> Self {
        all.fold(Self::default(), |sum, bytes| Self {
            payload: sum.payload + bytes.payload,
            framing: sum.framing + bytes.framing,
            acknowledgements: sum.acknowledgements + bytes.acknowledgements,
            resends: sum.resends + bytes.resends,
            keep_alive: sum.keep_alive + bytes.keep_alive,
            connecting: sum.connecting + bytes.connecting,
        })
    }
}

impl Need {
    fn new(scenario: &ScenarioResult, result: &NeedResult) -> Self {
        let worst = result.worst.as_ref();
        let finite = |number: f64| number.is_finite().then_some(number);
        Self {
            need: result.need.text.clone(),
            verdict: scenario.judged(result).map_or("not-judged", words::verdict),
            point: worst.map(|worst| worst.label.clone()),
            value: worst.and_then(|worst| finite(worst.value.number())),
            unit: worst.map(|worst| match worst.value {
                Value::Number(_) => "number",
                Value::Share(_) => "share",
                Value::Seconds(_) => "seconds",
            }),
            bound: worst.and_then(|worst| finite(worst.bound)),
        }
    }
}

impl Failed {
    fn new(failure: &Failure) -> Self {
        let (cause, detail) = match &failure.cause {
            Cause::Broken { findings, rule_findings, .. } => {
                let promise = findings.first().map(|finding| &finding.because);
                let rule = rule_findings.first().map(|finding| &finding.sentence);
                ("broken", promise.or(rule).cloned().unwrap_or_default())
            }
            Cause::NotDrained { ending, at } => {
                ("not-drained", format!("{} at {at}", words::ending(*ending)))
            }
            Cause::NotDeterministic { first, second } => {
                ("not-deterministic", format!("{first:016x} then {second:016x}"))
            }
            Cause::Panicked(message) => ("panicked", message.clone()),
        };
        let verdict: Verdict = failure.verdict;
        Self {
            trial: failure.trial.clone(),
            seed: failure.seed.to_string(),
            verdict: words::verdict(verdict),
            cause,
            detail,
        }
    }
}
