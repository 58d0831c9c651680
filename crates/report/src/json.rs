//! `results.json`: every metric of every point, for programs. Seeds and hashes are strings, as
//! many readers keep numbers in 53 bits; a time of `null` is never.

#![expect(
    clippy::struct_field_names,
    reason = "field names are the file's: each says its unit or repeats its object's name"
)]

use std::collections::BTreeMap;

use serde::Serialize;

use super::accounts::ACCOUNTS;
use super::describe::ScenarioProperties;
use super::point_summary::PointSummary;
use super::{bill, describe, labels};
use qoslab_core::base::{PacketKind, QoS, Span};
use qoslab_guarantee::{BytesByPurpose, MESSAGE_KINDS, PacketCount, RuleViolationKind, Violation};
use qoslab_sim::EngineKind;
use qoslab_study::scenario::{MODEL_VERSION, Scenario};
use qoslab_study::{
    Failure, FailureCause, MetricValue, NeedResult, PointResult, QosRow, ScenarioResult, Study,
    StudyCell, Verdict, statistics,
};

use bills::BillJson;
use breaks::DeclaredBreakJson;
use times::TimesJson;

mod bills;
mod breaks;
mod times;

/// The version of the file's schema; increases when a reader must change.
const SCHEMA: u32 = 1;

/// One scenario's results.
#[must_use]
pub fn scenario_json(result: &ScenarioResult) -> Vec<u8> {
    to_bytes(&ScenarioJson::new(result))
}

/// The results of several scenarios, as a list.
#[must_use]
pub fn scenarios_json(results: &[ScenarioResult]) -> Vec<u8> {
    to_bytes(&results.iter().map(ScenarioJson::new).collect::<Vec<_>>())
}

/// All cells of a study; for a plain run, the output of [`scenario_json`].
#[must_use]
pub fn study_json(study: &Study) -> Vec<u8> {
    match study.cells.as_slice() {
        [cell] if study.axes.is_empty() => scenario_json(&cell.result),
        cells => to_bytes(&SweepJson::new(study, cells)),
    }
}

fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("plain structs always serialise");
    bytes.push(b'\n');
    bytes
}

#[derive(Serialize)]
struct SweepJson {
    schema: u32,
    qoslab: &'static str,
    model: u32,
    scenario: String,
    axes: Vec<AxisJson>,
    cells: Vec<CellJson>,
}

#[derive(Serialize)]
struct AxisJson {
    path: String,
    unit: &'static str,
    values: Vec<f64>,
}

#[derive(Serialize)]
struct CellJson {
    settings: BTreeMap<String, String>,
    result: ScenarioJson,
}

#[derive(Serialize)]
struct ScenarioJson {
    schema: u32,
    qoslab: &'static str,
    model: u32,
    /// The engine, unless it is the default one.
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
    points: Vec<PointJson>,
    needs: Vec<NeedJson>,
    sometimes: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    never: BTreeMap<String, u64>,
    expected_breaks: Vec<DeclaredBreakJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    known_breaks: Vec<DeclaredBreakJson>,
}

#[derive(Serialize)]
struct PointJson {
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
    violations: Vec<ViolationJson>,
    rules_broken: Vec<BrokenRuleJson>,
    excused: BTreeMap<&'static str, u64>,
    sometimes: BTreeMap<&'static str, u64>,
    qos: Vec<LevelJson>,
    control: BTreeMap<&'static str, TrafficJson>,
    bytes_by_purpose: ByPurposeJson,
    bill: Option<BillJson>,
    battery_years: Option<f64>,
    failures: Vec<FailureJson>,
}

#[derive(Serialize)]
struct ViolationJson {
    promise: &'static str,
    kind: &'static str,
    blame: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct BrokenRuleJson {
    rule: &'static str,
    id: Option<&'static str>,
    strength: &'static str,
    blame: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct LevelJson {
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
    where_messages_went: BTreeMap<&'static str, u64>,
    delivered_share: Option<IntervalJson>,
    lost_per_run: IntervalJson,
    duplicated_per_run: IntervalJson,
    packets_per_message: IntervalJson,
    bytes_per_message: IntervalJson,
    overhead: Option<IntervalJson>,
    latency: TimesJson,
    completion: TimesJson,
    traffic: [BTreeMap<&'static str, FirstAndResentJson>; 2],
}

#[derive(Serialize)]
struct IntervalJson {
    value: f64,
    low95: Option<f64>,
    high95: Option<f64>,
}

#[derive(Serialize)]
struct FirstAndResentJson {
    first: TrafficJson,
    resent: TrafficJson,
}

#[derive(Clone, Copy, Default, Serialize)]
struct TrafficJson {
    packets: u64,
    bytes: u64,
}

#[derive(Default, Serialize)]
struct ByPurposeJson {
    payload: u64,
    framing: u64,
    acknowledgements: u64,
    resends: u64,
    keep_alive: u64,
    connecting: u64,
    tcp_acknowledgements: u64,
}

#[derive(Serialize)]
struct NeedJson {
    need: String,
    verdict: &'static str,
    point: Option<String>,
    value: Option<f64>,
    unit: Option<&'static str>,
    bound: Option<f64>,
}

#[derive(Serialize)]
struct FailureJson {
    trial: String,
    seed: String,
    verdict: &'static str,
    cause: &'static str,
    detail: String,
}

impl SweepJson {
    fn new(study: &Study, cells: &[StudyCell]) -> Self {
        let axes = study.axes.iter().map(|axis| AxisJson {
            path: axis.path.clone(),
            unit: axis.unit.symbol(),
            values: axis.values.iter().map(|value| value.number).collect(),
        });
        let cell = |cell: &StudyCell| {
            let pairs = study.axes.iter().zip(&cell.values);
            let settings = pairs.map(|(axis, value)| (axis.path.clone(), value.text.clone()));
            CellJson { settings: settings.collect(), result: ScenarioJson::new(&cell.result) }
        };
        Self {
            schema: SCHEMA,
            qoslab: env!("CARGO_PKG_VERSION"),
            model: MODEL_VERSION,
            scenario: cells
                .first()
                .map(|cell| cell.result.scenario.name.clone())
                .unwrap_or_default(),
            axes: axes.collect(),
            cells: cells.iter().map(cell).collect(),
        }
    }
}

impl ScenarioJson {
    fn new(result: &ScenarioResult) -> Self {
        let ScenarioProperties { mqtt, transport, retry, endpoints } =
            describe::scenario_properties(&result.scenario);
        Self {
            schema: SCHEMA,
            qoslab: env!("CARGO_PKG_VERSION"),
            model: MODEL_VERSION,
            engine: (result.engine != EngineKind::default()).then(|| result.engine.name()),
            scenario: result.scenario.name.clone(),
            about: result.scenario.about.clone(),
            mqtt,
            transport,
            retry,
            endpoints,
            verdict: labels::verdict(result.verdict),
            partial: result.was_interrupted(),
            narrowed: result.narrowed,
            runs_planned: result.planned,
            runs_finished: result.finished,
            points: result.points.iter().map(|it| PointJson::new(&result.scenario, it)).collect(),
            needs: result.needs.iter().map(|need| NeedJson::new(result, need)).collect(),
            sometimes: result.sometimes.iter().cloned().collect(),
            never: result.never.iter().cloned().collect(),
            expected_breaks: breaks::expected_breaks(result),
            known_breaks: breaks::known_breaks(result),
        }
    }
}

impl PointJson {
    fn new(scenario: &Scenario, point: &PointResult) -> Self {
        let facts = || point.trials.iter().filter_map(|trial| trial.summary.as_ref());
        let seed = |trial: Option<&qoslab_study::TrialRow>| {
            trial.map(|trial| trial.seed.to_string()).unwrap_or_default()
        };
        let verdicts = point.verdicts.iter().map(|(verdict, n)| (labels::verdict(*verdict), *n));
        let recovery = facts().filter_map(|facts| facts.recovery).max();
        Self {
            point: point.label.clone(),
            published_qos: point.published.map(QoS::number),
            granted_qos: point.granted.map(QoS::number),
            verdict: labels::verdict(point.verdict()),
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
            violations: point
                .violations
                .iter()
                .map(|(v, count)| ViolationJson::new(*v, *count))
                .collect(),
            rules_broken: point.rules.iter().map(|(it, n)| BrokenRuleJson::new(*it, *n)).collect(),
            excused: point.excuses.iter().map(|(e, count)| (labels::excuse(*e), *count)).collect(),
            sometimes: point.sometimes.clone(),
            qos: PointSummary::for_point(point)
                .map(|figures| LevelJson::new(point, &figures))
                .collect(),
            control: PacketKind::ALL
                .into_iter()
                .filter(|kind| !kind.carries_message())
                .map(|kind| {
                    let counts = facts().map(|facts| facts.control[kind as usize]);
                    (kind.label(), TrafficJson::sum(counts))
                })
                .collect(),
            bytes_by_purpose: ByPurposeJson::sum(facts().map(|facts| facts.bytes)),
            bill: BillJson::new(scenario, point),
            battery_years: bill::battery_years(point).filter(|years| years.is_finite()),
            failures: point.failures.iter().map(FailureJson::new).collect(),
        }
    }
}

impl ViolationJson {
    const fn new(violation: Violation, count: u64) -> Self {
        Self {
            promise: labels::promise_keyword(violation.promise),
            kind: labels::breach_keyword(violation.breach),
            blame: labels::blame_keyword(violation.blame),
            count,
        }
    }
}

impl BrokenRuleJson {
    fn new(broken: RuleViolationKind, count: u64) -> Self {
        Self {
            rule: broken.rule.name(),
            id: broken.id(),
            strength: broken.rule.strength().label(),
            blame: labels::blame_keyword(broken.blame),
            count,
        }
    }
}

impl LevelJson {
    fn new(point: &PointResult, figures: &PointSummary) -> Self {
        let sum = |of: fn(&QosRow) -> u64| point.rows(figures.published).map(of).sum();
        let traffic = [0, 1].map(|hop| {
            let kinds = MESSAGE_KINDS.iter().enumerate();
            let sums = kinds.map(|(nth, kind)| {
                let all = || point.rows(figures.published).map(move |row| row.traffic[hop][nth]);
                let first = TrafficJson::sum(all().map(|kind| kind.first));
                (
                    kind.label(),
                    FirstAndResentJson { first, resent: TrafficJson::sum(all().map(|k| k.resent)) },
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
            where_messages_went: ACCOUNTS
                .iter()
                .map(|account| (account.name, (account.count)(&figures.totals)))
                .collect(),
            delivered_share: (figures.totals.units > 0).then(|| figures.delivered.into()),
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

impl From<statistics::ConfidenceInterval> for IntervalJson {
    fn from(interval: statistics::ConfidenceInterval) -> Self {
        let end = |end: f64| end.is_finite().then_some(end);
        Self { value: interval.value, low95: end(interval.low), high95: end(interval.high) }
    }
}

impl TrafficJson {
    fn sum(counts: impl Iterator<Item = PacketCount>) -> Self {
        counts.fold(Self::default(), |sum, count| Self {
            packets: sum.packets + count.packets,
            bytes: sum.bytes + count.bytes,
        })
    }
}

impl ByPurposeJson {
    fn sum(all: impl Iterator<Item = BytesByPurpose>) -> Self {
        all.fold(Self::default(), |sum, bytes| Self {
            payload: sum.payload + bytes.payload,
            framing: sum.framing + bytes.framing,
            acknowledgements: sum.acknowledgements + bytes.acknowledgements,
            resends: sum.resends + bytes.resends,
            keep_alive: sum.keep_alive + bytes.keep_alive,
            connecting: sum.connecting + bytes.connecting,
            tcp_acknowledgements: sum.tcp_acknowledgements + bytes.tcp_acknowledgements,
        })
    }
}

impl NeedJson {
    fn new(scenario: &ScenarioResult, result: &NeedResult) -> Self {
        let worst = result.worst.as_ref();
        let finite = |number: f64| number.is_finite().then_some(number);
        Self {
            need: result.need.text.clone(),
            verdict: scenario.need_verdict(result).map_or("not-judged", labels::verdict),
            point: worst.map(|worst| worst.label.clone()),
            value: worst.and_then(|worst| finite(worst.value.number())),
            unit: worst.map(|worst| match worst.value {
                MetricValue::Number(_) => "number",
                MetricValue::Share(_) => "share",
                MetricValue::Seconds(_) => "seconds",
            }),
            bound: worst.and_then(|worst| finite(worst.bound)),
        }
    }
}

impl FailureJson {
    fn new(failure: &Failure) -> Self {
        let (cause, detail) = match &failure.cause {
            FailureCause::Broken { findings, rule_findings, .. } => {
                let promise = findings.first().map(|finding| &finding.reason);
                let rule = rule_findings.first().map(|finding| &finding.sentence);
                ("broken", promise.or(rule).cloned().unwrap_or_default())
            }
            FailureCause::NotDrained { livelock: Some(livelock), .. } => {
                ("livelock", livelock.sentence.clone())
            }
            FailureCause::NotDrained { ending, at, livelock: None } => {
                ("not-drained", format!("{} at {at}", labels::ending(*ending)))
            }
            FailureCause::NotDeterministic { first, second } => {
                ("not-deterministic", format!("{first:016x} then {second:016x}"))
            }
            FailureCause::Panicked(message) => ("panicked", message.clone()),
        };
        let verdict: Verdict = failure.verdict;
        Self {
            trial: failure.trial.clone(),
            seed: failure.seed.to_string(),
            verdict: labels::verdict(verdict),
            cause,
            detail,
        }
    }
}
