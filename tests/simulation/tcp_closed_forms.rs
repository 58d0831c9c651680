//! The simulation over TCP against theory: loss costs time and nothing else, and connections that
//! are cut lose and repeat as `qoslab::study::closed_form` predicts, within 4.5 standard errors.
//!
//! The standard errors are theory's own, so messages must be independent: they are published so
//! far apart that hardly two of them meet the same cut or wait for the same segment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;

use crate::common::{
    MessageCount, MessageCounts, TwoHopScenario, run_and_count, run_observed, trial,
};
use qoslab::base::draw::DrawKey;
use qoslab::base::{
    ClientIndex, CloseReason, Event, Node, Observer, OverheadPurpose, PacketKind, Phase, Span, Time,
};
use qoslab::network::IntervalDistribution;
use qoslab::sim::{FaultAction, FaultSetup, Trial, Trigger};

use self::formulas::{DelayMoments, TcpHopModel, ThinTcp};

mod formulas;

/// The maximum distance of a mean from theory, in standard errors.
const Z_MAX: f64 = 4.5;
const SENSOR: ClientIndex = ClientIndex(0);
/// The subscriber's hop where only the publisher's is of interest, in seconds.
const NEAR_HOP_SECONDS: f64 = 1e-6;

// ---- comparing ----

/// The mean is within [`Z_MAX`] of theory's standard errors; where nothing varies, all are the
/// same.
fn assert_mean(what: &str, samples: &[f64], expected: DelayMoments) {
    let n = f64::from(u32::try_from(samples.len()).unwrap());
    let mean = samples.iter().sum::<f64>() / n;
    let off = mean - expected.mean;
    let error = (expected.variance / n).sqrt();
    if error < 1e-12 {
        let odd = samples.iter().find(|it| (*it - expected.mean).abs() >= 1e-9);
        assert_eq!(odd, None, "{what}: always {}", expected.mean);
    } else {
        let z = off / error;
        assert!(z.abs() <= Z_MAX, "{what}: {mean} instead of {}, z = {z:.2}", expected.mean);
    }
}

/// The mean and the variance; the latter within the samples' own standard errors.
fn assert_moments(what: &str, samples: &[f64], expected: DelayMoments) {
    assert_mean(what, samples, expected);
    let squared = |off: f64| off * off;
    let squares: Vec<_> = samples.iter().map(|it| squared(it - expected.mean)).collect();
    let n = f64::from(u32::try_from(squares.len()).unwrap());
    let mean = squares.iter().sum::<f64>() / n;
    let variance = squares.iter().map(|it| squared(it - mean)).sum::<f64>() / n;
    let spread = DelayMoments { mean: expected.variance, variance };
    assert_mean(&format!("{what}, variance"), &squares, spread);
}

/// The moments of a sum of independent times.
fn sum_of_independent<const N: usize>(times: [DelayMoments; N]) -> DelayMoments {
    let (mean, variance) = times
        .iter()
        .fold((0.0, 0.0), |(mean, variance), it| (mean + it.mean, variance + it.variance));
    DelayMoments { mean, variance }
}

fn shifted(time: DelayMoments, by: f64) -> DelayMoments {
    DelayMoments { mean: time.mean + by, ..time }
}

/// The moments of a geometric count with this mean.
fn geometric(mean: f64) -> DelayMoments {
    DelayMoments { mean, variance: mean * (mean - 1.0) }
}

/// The moments of an event count of 0 or 1 with this probability.
fn bernoulli(mean: f64) -> DelayMoments {
    DelayMoments { mean, variance: mean * (1.0 - mean) }
}

fn message_samples(tally: &MessageCounts, value: impl Fn(&MessageCount) -> u32) -> Vec<f64> {
    tally.messages.iter().map(|message| f64::from(value(message))).collect()
}

fn message_seconds(
    tally: &MessageCounts,
    value: impl Fn(&MessageCount) -> Option<Span>,
) -> Vec<f64> {
    tally
        .messages
        .iter()
        .map(|message| value(message).expect("nothing is lost").as_secs_f64())
        .collect()
}

// ---- the publisher's connections ----

/// The history of the publisher's connections while there is traffic.
#[derive(Debug, Default)]
struct ConnectionLog {
    phase: Option<Phase>,
    cut: Option<Time>,
    /// The times from each cut to the next CONNACK, in seconds.
    outages: Vec<f64>,
    /// Connections that closed for any reason, at either end and at either client.
    closed: u32,
    retransmissions: u32,
}

impl Observer for ConnectionLog {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        let is_traffic = matches!(self.phase, Some(Phase::Traffic | Phase::Drain));
        match *event {
            Event::Phase(phase) => self.phase = Some(phase),
            Event::Overhead { purpose: OverheadPurpose::Retransmission, .. } => {
                self.retransmissions += 1;
            }
            Event::Closed { node, why, .. } if is_traffic => {
                self.closed += 1;
                if node == Node::Client(SENSOR) && why == CloseReason::Cut {
                    self.cut.get_or_insert(now);
                }
            }
            Event::Arrived { node, packet: record, .. }
                if node == Node::Client(SENSOR) && record.kind() == PacketKind::ConnAck =>
            {
                let cut = self.cut.take();
                self.outages.extend(cut.map(|cut| now.since(cut).as_secs_f64()));
            }
            _ => {}
        }
    }
}

// ---- loss ----

#[test]
fn loss_makes_a_thin_stream_late_as_theory_says() {
    // The round trips are far shorter than the margin of the timeout, which is so the same all
    // along. Ten minutes apart, each packet is alone. Theory doubles the timeout for ever and TCP
    // up to a minute: too rare to be seen here.
    let thin = |percent: f64, delay, round_trip: f64| {
        ThinTcp::linux(percent / 100.0, delay, round_trip, 1.0)
    };
    let link = |percent: f64, delay: f64| {
        let millis = delay * 1e3;
        format!(
            "transport = \"tcp\"\nrto_min = \"1s\"\ndelay = \"{millis}ms\"\nloss = \"{percent}%\""
        )
    };
    for percent in [0.0, 2.0, 10.0, 20.0] {
        for qos in 0..=2 {
            let second_percent = percent / 2.0;
            let (first, second) = (link(percent, 0.02), link(second_percent, 0.005));
            let line = TwoHopScenario {
                published: qos,
                count: 12_000,
                every: "10m",
                broker: "",
                first: &first,
                second: &second,
                ..TwoHopScenario::default()
            };
            let (_, tally) = run_and_count(&line.trial(1));
            let what = |name: &str| format!("QoS {qos} at {percent} %: {name}");
            let one = thin(percent, 0.02, 0.04).latency();
            let latency = sum_of_independent([one, thin(second_percent, 0.005, 0.01).latency()]);
            // Of PUBREC and PUBCOMP, the latter is acknowledged 40 ms late.
            let answer = thin(percent, 0.02, 0.06).latency();
            let latencies = message_seconds(&tally, |message| message.latency);
            let completions = message_seconds(&tally, |message| message.completion);
            let completion = match qos {
                0 => DelayMoments { mean: 0.0, variance: 0.0 },
                1 => sum_of_independent([one; 2]),
                _ => sum_of_independent([one, answer, one, answer]),
            };
            // From a sixteenth on the fourth moment is infinite, and a variance proves nothing.
            let assert = if percent < 6.0 { assert_moments } else { assert_mean };
            assert(&what("latency"), &latencies, latency);
            assert(&what("completion"), &completions, completion);
        }
    }
}

#[test]
fn no_loss_over_tcp_ever_loses_or_repeats_a_message() {
    let links = [
        "delay = \"50ms\"\nloss = \"5%\"",
        "delay = { time = \"40ms\", jitter = \"30ms\" }\nloss = \"30%\"",
        "delay = \"20ms\"\nup = { loss = \"40%\" }\ndown = { loss = \"10%\" }",
        "delay = \"30ms\"\nloss = { gemodel = { p = \"2%\", r = \"30%\" } }\ntls = \"1.3\"",
        "delay = \"5ms\"\nloss = { burst = { good = \"5s\", bad = \"1s\", loss = \"90%\" } }",
        "delay = \"80ms\"\nrate = \"64kbit/s\"\nqueue = 8\nloss = \"1%\"\nmss = 40",
        "delay = \"10ms\"\noutage = { every = \"exp 6s\", lasts = \"exp 1s\" }",
    ];
    let links = links.map(|link| format!("transport = \"tcp\"\n{link}"));
    for (seed, first) in (1..).zip(&links) {
        let second = &links[(usize::try_from(seed).unwrap() + 1) % links.len()];
        for published in 0..=2 {
            for granted in 0..=2 {
                let (every, broker) = ("exp 50ms", "max_queued = 100000");
                let line = TwoHopScenario {
                    published,
                    granted,
                    count: 400,
                    every,
                    broker,
                    first,
                    second,
                    ..TwoHopScenario::default()
                };
                let observers = (MessageCounts::default(), ConnectionLog::default());
                let (_, (tally, life)) = run_observed(&line.trial(seed), observers, ());
                let what = format!("{published}/{granted} over {first} and {second}");
                assert!(life.retransmissions > 0 && life.closed == 0, "{life:?}: {what}");
                assert_eq!((tally.messages.len(), tally.refused), (400, 0), "{what}");
                for (n, message) in tally.messages.iter().enumerate() {
                    assert_eq!(message.copies, 1, "message {n}, {what}");
                    assert!(message.completion.is_some(), "message {n}, {what}");
                    assert_eq!(message.packets.map(|hop| hop[0]), [1, 1], "message {n}, {what}");
                }
            }
        }
    }
}

// ---- cuts ----

/// A publisher whose connection is cut, with a subscriber beside the broker.
#[derive(Clone, Copy)]
struct CutScenario {
    /// The mean time from reconnecting to the next cut in seconds.
    mean_uptime: f64,
    /// The delay one way, in seconds.
    delay: f64,
    /// Round trips from a cut to CONNACK.
    round_trips: f64,
    /// Further keys of the link.
    link: &'static str,
    seed: u64,
}

const CUT_SCENARIOS: [CutScenario; 3] = [
    CutScenario { mean_uptime: 5.0, delay: 1.0, round_trips: 2.0, link: "", seed: 1 },
    CutScenario { mean_uptime: 40.0, delay: 2.0, round_trips: 2.0, link: "", seed: 2 },
    // Two round trips more, and more time between connections than on them.
    CutScenario {
        mean_uptime: 2.0,
        delay: 0.5,
        round_trips: 4.0,
        link: "tls = { version = \"1.2\", resumption = false }",
        seed: 3,
    },
];

const MESSAGES: u32 = 5_000;

impl CutScenario {
    /// A client that comes back without a pause (a nanosecond is the least) needs its handshake,
    /// and CONNECT and CONNACK.
    fn stream(&self) -> TcpHopModel {
        let Self { mean_uptime: up, delay, round_trips, .. } = *self;
        TcpHopModel { cut_rate: 1.0 / up, outage: 2.0 * delay * round_trips + 1e-9, delay }
    }

    /// Publishes at random times, four to eight cycles of connection and outage apart.
    fn text(&self, qos: u8) -> String {
        let Self { mean_uptime: up, delay, link, .. } = *self;
        let cycle = up + self.stream().outage;
        let (least, most) = ((4e3 * cycle).round(), (8e3 * cycle).round());
        let every = format!("uniform {least}ms..{most}ms");
        let first = format!("transport = \"tcp\"\ndelay = \"{delay}s\"\n{link}");
        let line = TwoHopScenario {
            published: qos,
            count: MESSAGES,
            every: &every,
            broker: "",
            sensor: "reconnect = { min = \"1ns\", max = \"1ns\" }",
            first: &first,
            second: "transport = \"tcp\"\ndelay = \"1us\"",
            ..TwoHopScenario::default()
        };
        line.text()
    }

    /// Cuts each connection an exponential time after its CONNACK, as [`Stream`] has it: no cut
    /// falls into an outage.
    fn cut_while_connected(&self, qos: u8) -> Trial {
        let mut trial = trial(&self.text(qos), self.seed);
        let up = IntervalDistribution::Exponential(Span::from_secs_f64(self.mean_uptime));
        let outage = Span::from_secs_f64(self.stream().outage);
        let luck = DrawKey::new(self.seed).child(b"cuts");
        let mut at = Span::ZERO;
        let faults = (0..u64::from(7 * MESSAGES)).map(|n| {
            at = at + up.sample_at(luck, n);
            let trigger = Trigger::At(at);
            at = at + outage;
            let action = FaultAction::Cut { client: SENSOR, after: false };
            FaultSetup { name: format!("cut-{n}").into(), trigger, action }
        });
        Arc::make_mut(&mut trial.setup).faults = faults.collect();
        trial
    }

    /// Cuts at exponential intervals, even during outages, as a scenario's fault does.
    fn cut_at_any_time(&self, qos: u8) -> Trial {
        let cut = format!("every = \"exp {}s\"\non = \"sensor\"\ndo = \"cut\"", self.mean_uptime);
        trial(&format!("{}[[fault]]\n{cut}\n", self.text(qos)), self.seed)
    }
}

/// The theoretical values for connections and for one message.
struct Expected {
    /// The time from a cut to CONNACK.
    outage: DelayMoments,
    qos0_delivered: f64,
    /// The time to the first delivery.
    latency: DelayMoments,
    /// The time to PUBACK or PUBREC.
    acknowledged: DelayMoments,
}

impl Expected {
    /// The time from PUBREC to PUBCOMP: as from publishing to PUBREC, but it begins connected.
    fn released(&self, stream: &TcpHopModel) -> DelayMoments {
        let on_average = TcpHopModel { outage: self.outage.mean, ..*stream };
        let acknowledged = on_average.time_to_acknowledgement();
        let waiting = TcpHopModel { delay: 0.0, ..on_average }.time_to_first_delivery();
        let outages = stream.expect().publishes - 1.0;
        DelayMoments {
            mean: acknowledged.mean - waiting.mean,
            variance: acknowledged.variance - waiting.variance + outages * self.outage.variance,
        }
    }
}

fn publish_and_compare(
    scenario: &CutScenario,
    make_trial: impl Fn(u8) -> Trial,
    expected: &Expected,
) {
    let stream = scenario.stream();
    // Each connection that carries it is cut before it arrives, or its answer, or not.
    let [publishes, copies] = [stream.expect().publishes, stream.expect().copies].map(geometric);
    for qos in 0..=2 {
        let observers = (MessageCounts::default(), ConnectionLog::default());
        let (_, (tally, life)) = run_observed(&make_trial(qos), observers, ());
        assert_eq!(tally.messages.len(), MESSAGES as usize);
        let what = |name: &str| format!("QoS {qos}, {} s up: {name}", scenario.mean_uptime);
        assert!(life.outages.len() > 2 * MESSAGES as usize, "{} cuts", life.outages.len());
        assert_moments(&what("outage"), &life.outages, expected.outage);
        let all_copies = message_samples(&tally, |message| message.copies);
        if qos == 0 {
            assert_mean(&what("delivered"), &all_copies, bernoulli(expected.qos0_delivered));
            let at_most_once = tally.messages.iter().all(|message| message.copies <= 1);
            assert!(at_most_once, "{}", what("copies"));
            continue;
        }
        assert_eq!(tally.refused, 0);
        let all_publishes = message_samples(&tally, |message| message.packets[0][0]);
        assert_moments(&what("PUBLISH"), &all_publishes, publishes);
        let latencies = message_seconds(&tally, |message| message.latency);
        assert_moments(&what("latency"), &latencies, shifted(expected.latency, NEAR_HOP_SECONDS));
        let completions = message_seconds(&tally, |message| message.completion);
        if qos == 1 {
            assert_moments(&what("copies"), &all_copies, copies);
            assert_moments(&what("PUBACK"), &completions, expected.acknowledged);
        } else {
            let exactly_once = tally.messages.iter().all(|message| message.copies == 1);
            assert!(exactly_once, "{}", what("copies"));
            let releases = message_samples(&tally, |message| message.packets[0][3]);
            assert_moments(&what("PUBREL"), &releases, publishes);
            let completion =
                sum_of_independent([expected.acknowledged, expected.released(&stream)]);
            assert_moments(&what("PUBCOMP"), &completions, completion);
        }
    }
}

#[test]
fn cuts_of_connections_lose_and_repeat_as_theory_says() {
    for world in CUT_SCENARIOS {
        let stream = world.stream();
        let expected = Expected {
            outage: DelayMoments { mean: stream.outage, variance: 0.0 },
            qos0_delivered: stream.expect().qos0_delivered,
            latency: stream.time_to_first_delivery(),
            acknowledged: stream.time_to_acknowledgement(),
        };
        publish_and_compare(&world, |qos| world.cut_while_connected(qos), &expected);
    }
}

#[test]
fn cuts_that_hit_handshakes_too_lose_and_repeat_as_theory_says() {
    for world in CUT_SCENARIOS {
        let TcpHopModel { outage, delay, .. } = world.stream();
        // A connection now needs as much time without a cut as its handshake takes. So a message
        // is there when there was no cut for the time of a handshake and a trip, of which the
        // former may lie before publishing: theory for a stream without outages says when, seen
        // from a handshake earlier.
        let uncut_for = |time| TcpHopModel { outage: 0.0, delay: time, ..world.stream() };
        let until = |trip| shifted(uncut_for(outage + trip).time_to_first_delivery(), -outage);
        let expected = Expected {
            outage: uncut_for(outage).time_to_first_delivery(),
            qos0_delivered: uncut_for(outage + delay).expect().qos0_delivered,
            latency: until(delay),
            acknowledged: until(2.0 * delay),
        };
        publish_and_compare(&world, |qos| world.cut_at_any_time(qos), &expected);
    }
}
