//! The simulation against theory: the same engine that users run must agree with
//! `qoslab::study::closed_form`, exactly where every pattern of losses can be enumerated, and
//! within 4.5 standard errors where it is sampled.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::cell::RefCell;

use crate::common::{MessageCount, MessageCounts, TwoHopScenario, run_and_count, run_observed};
use qoslab::base::{Direction, Hop as HopName, LossReason, PacketName, PacketSubject, QoS, Time};
use qoslab::network::ForcedFate;
use qoslab::study::closed_form::{
    ExpectedLatency, HopExpectation, HopModel, Qos2Delivery, predict_end_to_end,
};

use self::variations::{Burst, backoff_latency, duplicating_network, early_timer};

pub(crate) mod variations;

/// The maximum distance of a mean from theory, in standard errors.
const Z_MAX: f64 = 4.5;
const DELAY: f64 = 0.05;
const RETRY: f64 = 1.0;

// ---- exact enumeration ----

/// Sums over all patterns of losses on the first hop, each weighted by its probability.
#[derive(Debug, Default)]
struct WeightedSums {
    weight: f64,
    delivered: f64,
    acknowledged: f64,
    false_failure: f64,
    id_held: f64,
    packets: [f64; 5],
    copies: f64,
    duplicates: f64,
    latency: f64,
    completion: f64,
    patterns: u32,
}

impl WeightedSums {
    fn add(&mut self, weight: f64, message: &MessageCount) {
        let copies = f64::from(message.copies);
        let delivered = copies.min(1.0);
        let acknowledged = f64::from(u8::from(message.completion.is_some()));
        self.weight += weight;
        self.patterns += 1;
        self.delivered += weight * delivered;
        self.acknowledged += weight * acknowledged;
        self.false_failure += weight * delivered * (1.0 - acknowledged);
        let held = message.reached_broker[0] > 0 && message.reached_broker[1] == 0;
        self.id_held += weight * f64::from(u8::from(held));
        for (sum, packets) in self.packets.iter_mut().zip(message.packets[0]) {
            *sum += weight * f64::from(packets);
        }
        self.copies += weight * copies;
        self.duplicates += weight * (copies - delivered);
        let seconds =
            |span: Option<qoslab::base::Span>| span.map_or(0.0, qoslab::base::Span::as_secs_f64);
        // The second hop's microsecond is not part of the first hop's latency.
        self.latency += weight * (seconds(message.latency) - 1e-6 * delivered);
        self.completion += weight * seconds(message.completion);
    }
}

/// Runs the engine once for each pattern of losses of one message's packets on the first hop.
fn enumerate_losses(line: &TwoHopScenario<'_>, loss: f64, answer_loss: f64) -> WeightedSums {
    let trial = line.trial(1);
    let mut sums = WeightedSums::default();
    let mut forced_losses: Vec<bool> = Vec::new();
    loop {
        let decisions = RefCell::new(Vec::<(Direction, bool)>::new());
        let choose = |_: Time, name: &PacketName, _: Time| {
            let first_hop =
                matches!(name.subject, PacketSubject::Message { hop: HopName::First, .. });
            if !first_hop {
                return Some(ForcedFate::Undisturbed);
            }
            let mut taken = decisions.borrow_mut();
            let lost = forced_losses.get(taken.len()).copied().unwrap_or(false);
            taken.push((name.direction, lost));
            Some(if lost { ForcedFate::Lost(LossReason::Forced) } else { ForcedFate::Undisturbed })
        };
        let (_, tally) = run_observed(&trial, MessageCounts::default(), choose);
        let taken = decisions.into_inner();
        let weight = taken.iter().map(|(way, lost)| match (way, lost) {
            (Direction::Up, true) => loss,
            (Direction::Up, false) => 1.0 - loss,
            (Direction::Down, true) => answer_loss,
            (Direction::Down, false) => 1.0 - answer_loss,
        });
        sums.add(weight.product(), &tally.messages[0]);
        // The next pattern: the last packet that got through is lost, and what follows is new.
        let Some(last_delivered) = taken.iter().rposition(|(_, lost)| !lost) else { return sums };
        forced_losses =
            taken[..last_delivered].iter().map(|(_, lost)| *lost).chain([true]).collect();
    }
}

fn assert_exact(what: &str, measured: f64, expected: f64) {
    assert!((measured - expected).abs() < 1e-12, "{what}: {measured} instead of {expected}");
}

#[test]
fn every_pattern_of_losses_weighs_what_theory_says() {
    for (published, method) in
        [(1, Qos2Delivery::OnPublish), (2, Qos2Delivery::OnPublish), (2, Qos2Delivery::OnPubrel)]
    {
        let release = if method == Qos2Delivery::OnPubrel { "deliver_on = \"pubrel\"" } else { "" };
        for limit in 1..=6 {
            let retry = format!("retry = {{ every = \"1s\", max = {limit} }}");
            let broker = format!("retry = \"1s\"\n{release}");
            let line = TwoHopScenario {
                published,
                broker: &broker,
                sensor: &retry,
                ..TwoHopScenario::default()
            };
            let (loss, answer_loss) = (0.23, 0.41);
            let sums = enumerate_losses(&line, loss, answer_loss);
            let hop = HopModel {
                loss,
                answer_loss,
                delay: DELAY,
                retry_interval: RETRY,
                max_transmissions: Some(limit),
                qos2_delivery: method,
            };
            let qos = QoS::from_number(published).unwrap();
            let expected = hop.predict(qos);
            let what = |name: &str| format!("QoS {published}, {method:?}, N = {limit}: {name}");
            assert_exact(&what("all patterns"), sums.weight, 1.0);
            assert_exact(&what("delivered"), sums.delivered, expected.delivered);
            assert_exact(&what("acknowledged"), sums.acknowledged, expected.acknowledged);
            assert_exact(&what("false failure"), sums.false_failure, expected.false_failure);
            if qos == QoS::ExactlyOnce {
                assert_exact(&what("held id"), sums.id_held, expected.held_id);
            }
            let HopExpectation { packets, .. } = expected;
            let kinds =
                [packets.publish, packets.puback, packets.pubrec, packets.pubrel, packets.pubcomp];
            for (measured, expected) in sums.packets.into_iter().zip(kinds) {
                assert_exact(&what("packets"), measured, expected);
            }
            assert_exact(&what("copies"), sums.copies, expected.copies);
            assert_exact(&what("duplicates"), sums.duplicates, expected.duplicates);
            let latency = sums.latency / sums.delivered;
            assert_exact(&what("latency"), latency, expected.latency);
            let completion = sums.completion / sums.acknowledged;
            assert_exact(&what("completion"), completion, expected.completion);
            assert!(sums.patterns >= 1 << limit, "{} patterns", sums.patterns);
        }
    }
}

// ---- sampling ----

/// Samples whose mean is compared with theory.
#[derive(Default)]
struct MeanSample {
    count: f64,
    sum: f64,
    squares: f64,
}

impl MeanSample {
    fn from_values(values: impl Iterator<Item = f64>) -> Self {
        let mut sample = Self::default();
        for value in values {
            sample.count += 1.0;
            sample.sum += value;
            sample.squares += value * value;
        }
        sample
    }

    /// The mean is within [`Z_MAX`] standard errors of theory; the same where nothing varies.
    fn assert_agrees(&self, what: &str, expected: f64) {
        let mean = self.sum / self.count;
        let variance = (self.squares / self.count - mean * mean).max(0.0);
        let error = (variance / self.count).sqrt();
        if error < 1e-12 {
            assert!((mean - expected).abs() < 1e-9, "{what}: {mean} instead of {expected}");
        } else {
            let z = (mean - expected) / error;
            assert!(z.abs() <= Z_MAX, "{what}: {mean} instead of {expected}, z = {z:.2}");
        }
    }
}

fn sample(tally: &MessageCounts, value: impl Fn(&MessageCount) -> f64) -> MeanSample {
    MeanSample::from_values(tally.messages.iter().map(value))
}

fn delivered(tally: &MessageCounts) -> MeanSample {
    sample(tally, |message| f64::from(message.copies.min(1)))
}

fn copies(tally: &MessageCounts) -> MeanSample {
    sample(tally, |message| f64::from(message.copies))
}

fn latency(tally: &MessageCounts) -> MeanSample {
    let latencies = tally.messages.iter().filter_map(|message| message.latency);
    MeanSample::from_values(latencies.map(qoslab::base::Span::as_secs_f64))
}

fn packets_on_hop(tally: &MessageCounts, hop: usize) -> MeanSample {
    sample(tally, |message| f64::from(message.packets[hop].iter().sum::<u32>()))
}

fn link(up: f64, down: f64) -> String {
    format!("delay = \"50ms\"\nup = {{ loss = \"{up}%\" }}\ndown = {{ loss = \"{down}%\" }}")
}

/// A hop in theory with losses in percent.
fn hop_theory(loss: f64, answer_loss: f64) -> HopModel {
    let transmissions = None;
    let method = Qos2Delivery::OnPublish;
    HopModel {
        loss: loss / 100.0,
        answer_loss: answer_loss / 100.0,
        delay: DELAY,
        retry_interval: RETRY,
        max_transmissions: transmissions,
        qos2_delivery: method,
    }
}

/// Publishes, and compares all values that theory predicts from end to end.
fn compare_with_theory(
    line: &TwoHopScenario<'_>,
    seed: u64,
    first: &HopModel,
    second: &HopModel,
    what: &str,
) {
    let (_, tally) = run_and_count(&line.trial(seed));
    assert_eq!(tally.messages.len(), line.count as usize);
    let published = QoS::from_number(line.published).unwrap();
    let granted = QoS::from_number(line.granted).unwrap();
    let expected = predict_end_to_end(first, second, published, granted);
    let what = |name: &str| format!("{}/{} {what}: {name}", line.published, line.granted);
    delivered(&tally).assert_agrees(&what("delivered"), expected.delivered);
    copies(&tally).assert_agrees(&what("copies"), expected.copies);
    packets_on_hop(&tally, 0).assert_agrees(&what("packets on hop 1"), expected.first.total());
    packets_on_hop(&tally, 1).assert_agrees(&what("packets on hop 2"), expected.second.total());
    sample(&tally, |message| f64::from(message.all_packets()))
        .assert_agrees(&what("packets"), expected.packets());
    match expected.latency {
        ExpectedLatency::Exact(seconds) => latency(&tally).assert_agrees(&what("latency"), seconds),
        ExpectedLatency::AtMost(seconds) => {
            let sample = latency(&tally);
            let error = (sample.squares / sample.count).sqrt() / sample.count.sqrt();
            assert!(sample.sum / sample.count <= seconds + Z_MAX * error, "{}", what("latency"));
        }
        ExpectedLatency::Unknown => {}
    }
}

#[test]
fn all_nine_pairs_agree_at_every_rate_of_loss() {
    for published in 0..=2 {
        for granted in 0..=2 {
            for (seed, percent) in (1..).zip([0.0, 1.0, 5.0, 10.0, 20.0, 30.0]) {
                let both = link(percent, percent);
                let line = TwoHopScenario {
                    published,
                    granted,
                    count: 4_000,
                    first: &both,
                    second: &both,
                    ..TwoHopScenario::default()
                };
                let hop = hop_theory(percent, percent);
                compare_with_theory(&line, seed, &hop, &hop, &format!("at {percent} %"));
            }
        }
    }
}

#[test]
fn all_nine_pairs_agree_where_every_direction_loses_differently() {
    for published in 0..=2 {
        for granted in 0..=2 {
            let (first, second) = (link(5.0, 30.0), link(10.0, 20.0));
            let line = TwoHopScenario {
                published,
                granted,
                count: 10_000,
                first: &first,
                second: &second,
                ..TwoHopScenario::default()
            };
            // PUBLISH goes up on the first hop and down on the second.
            compare_with_theory(
                &line,
                11,
                &hop_theory(5.0, 30.0),
                &hop_theory(20.0, 10.0),
                "asymmetric",
            );
        }
    }
}

#[test]
fn limited_retries_agree_over_two_hops() {
    for (method, deliver_on) in
        [(Qos2Delivery::OnPublish, "publish"), (Qos2Delivery::OnPubrel, "pubrel")]
    {
        for published in 1..=2 {
            for granted in 0..=2 {
                let both = link(20.0, 30.0);
                let second = link(30.0, 20.0);
                let retry = "retry = { every = \"1s\", max = 3 }";
                let broker = format!("{retry}\ndeliver_on = \"{deliver_on}\"");
                let app = format!("deliver_on = \"{deliver_on}\"");
                let line = TwoHopScenario {
                    published,
                    granted,
                    count: 8_000,
                    broker: &broker,
                    sensor: retry,
                    app: &app,
                    first: &both,
                    second: &second,
                    ..TwoHopScenario::default()
                };
                let hop = HopModel {
                    max_transmissions: Some(3),
                    qos2_delivery: method,
                    ..hop_theory(20.0, 30.0)
                };
                compare_with_theory(&line, 5, &hop, &hop, &format!("limited, {method:?}"));
            }
        }
    }
}

#[test]
fn unlimited_packets_vary_as_theory_says() {
    let lossy = link(20.0, 20.0);
    for published in 1..=2 {
        let line =
            TwoHopScenario { published, count: 40_000, first: &lossy, ..TwoHopScenario::default() };
        let (_, tally) = run_and_count(&line.trial(3));
        let expected = hop_theory(20.0, 20.0).predict(QoS::from_number(published).unwrap());
        let mean = expected.packets.total();
        let packets = |message: &MessageCount| f64::from(message.packets[0].iter().sum::<u32>());
        let squared =
            sample(&tally, |message| (packets(message) - mean) * (packets(message) - mean));
        squared.assert_agrees("variance of packets", expected.packets_variance.unwrap());
    }
}

#[test]
fn backoff_stretches_latency_as_theory_says() {
    let lossy = link(30.0, 0.0);
    for limit in [None, Some(4)] {
        let max = limit.map_or(String::new(), |limit| format!(", max = {limit}"));
        let retry = format!("retry = {{ every = \"1s\", backoff = 2{max} }}");
        let line = TwoHopScenario {
            count: 20_000,
            sensor: &retry,
            first: &lossy,
            ..TwoHopScenario::default()
        };
        let (_, tally) = run_and_count(&line.trial(9));
        let expected = backoff_latency(0.3, DELAY, RETRY, 2.0, limit);
        latency(&tally).assert_agrees("latency", expected + 1e-6);
    }
}

#[test]
fn a_duplicating_network_adds_the_copies_that_theory_says() {
    let link =
        "delay = \"50ms\"\nup = { loss = \"10%\", duplicate = \"20%\" }\ndown = { loss = \"15%\" }";
    let line = |published| TwoHopScenario {
        published,
        count: 20_000,
        first: link,
        ..TwoHopScenario::default()
    };
    let (_, zero) = run_and_count(&line(0).trial(2));
    copies(&zero).assert_agrees("QoS 0", 0.9 * 1.2);
    let (_, one) = run_and_count(&line(1).trial(2));
    let expected = duplicating_network(0.1, 0.15, 0.2);
    copies(&one).assert_agrees("QoS 1", expected.copies);
    sample(&one, |message| f64::from(message.packets[0][0]))
        .assert_agrees("QoS 1's PUBLISHes", expected.publishes);
    let (_, two) = run_and_count(&line(2).trial(2));
    copies(&two).assert_agrees("QoS 2", 1.0);
}

#[test]
fn a_timer_shorter_than_the_round_trip_sends_everything_several_times() {
    for (percent, answer_percent) in [(0.0, 0.0), (10.0, 20.0)] {
        // Three transmissions are under way before the first answer can be back.
        let slow = link(percent, answer_percent).replace("50ms", "1250ms");
        let line = TwoHopScenario { count: 10_000, first: &slow, ..TwoHopScenario::default() };
        let (_, tally) = run_and_count(&line.trial(4));
        let expected = early_timer(percent / 100.0, answer_percent / 100.0, 1.25, RETRY);
        copies(&tally).assert_agrees("copies", expected.copies);
        sample(&tally, |message| f64::from(message.packets[0][0]))
            .assert_agrees("PUBLISHes", expected.publishes);
    }
}

#[test]
fn bursts_defeat_retries_as_theory_says() {
    let burst = "delay = \"50ms\"
up = { loss = { burst = { good = \"20s\", bad = \"5s\", loss_good = \"2%\", loss = \"80%\" } } }";
    let retry = "retry = { every = \"1s\", max = 4 }";
    // Far enough apart that messages meet independent bursts.
    let line = TwoHopScenario {
        count: 40_000,
        every: "200s",
        sensor: retry,
        first: burst,
        ..TwoHopScenario::default()
    };
    let (_, tally) = run_and_count(&line.trial(8));
    let chain = Burst::from_sojourns(20.0, 5.0, RETRY, (0.02, 0.8));
    let lost = sample(&tally, |message| f64::from(1 - message.copies.min(1)));
    lost.assert_agrees("all four lost", chain.all_lost(4));
    assert!(chain.all_lost(4) > 10.0 * chain.all_lost_if_independent(4));
}
