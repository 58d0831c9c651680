//! The simulation against theory: the same engine that users run must give what
//! `qoslab::study::closed_form` says, exactly where every pattern of losses can be enumerated, and within
//! 4.5 standard errors where it is sampled.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::cell::RefCell;

use common::{Line, Message, Tally, count, watch};
use qoslab::base::event::Loss;
use qoslab::base::name::{Hop as HopName, PacketName, Subject, Way};
use qoslab::base::qos::QoS;
use qoslab::base::time::Time;
use qoslab::network::overrule::ForcedFate;
use qoslab::study::closed_form::{
    Burst, Expected, Hop, Latency, Method, backoff_latency, duplicating_network, early_timer,
    two_hops,
};

/// No mean may be further from theory than so many standard errors.
const Z_MAX: f64 = 4.5;
const DELAY: f64 = 0.05;
const RETRY: f64 = 1.0;

// ---- exact enumeration ----

/// Sums over all patterns of losses on the first hop, each weighted by its probability.
#[derive(Debug, Default)]
struct Sums {
    weight: f64,
    delivered: f64,
    acknowledged: f64,
    false_failure: f64,
    held_id: f64,
    packets: [f64; 5],
    copies: f64,
    duplicates: f64,
    latency: f64,
    completion: f64,
    patterns: u32,
}

impl Sums {
    fn add(&mut self, weight: f64, message: &Message) {
        let copies = f64::from(message.copies);
        let delivered = copies.min(1.0);
        let acknowledged = f64::from(u8::from(message.completion.is_some()));
        self.weight += weight;
        self.patterns += 1;
        self.delivered += weight * delivered;
        self.acknowledged += weight * acknowledged;
        self.false_failure += weight * delivered * (1.0 - acknowledged);
        let held = message.reached_broker[0] > 0 && message.reached_broker[1] == 0;
        self.held_id += weight * f64::from(u8::from(held));
        for (sum, packets) in self.packets.iter_mut().zip(message.packets[0]) {
            *sum += weight * f64::from(packets);
        }
        self.copies += weight * copies;
        self.duplicates += weight * (copies - delivered);
        let seconds = |span: Option<qoslab::base::time::Span>| {
            span.map_or(0.0, qoslab::base::time::Span::as_secs_f64)
        };
        // The second hop's microsecond is no part of the first hop's latency.
        self.latency += weight * (seconds(message.latency) - 1e-6 * delivered);
        self.completion += weight * seconds(message.completion);
    }
}

/// Runs the engine once for each pattern of losses of one message's packets on the first hop.
fn enumerate(line: &Line<'_>, loss: f64, answer_loss: f64) -> Sums {
    let trial = line.trial(1);
    let mut sums = Sums::default();
    let mut script: Vec<bool> = Vec::new();
    loop {
        let taken = RefCell::new(Vec::<(Way, bool)>::new());
        let choose = |_: Time, name: &PacketName, _: Time| {
            let first_hop = matches!(name.subject, Subject::Message { hop: HopName::First, .. });
            if !first_hop {
                return Some(ForcedFate::Plain);
            }
            let mut taken = taken.borrow_mut();
            let lost = script.get(taken.len()).copied().unwrap_or(false);
            taken.push((name.way, lost));
            Some(if lost { ForcedFate::Lost(Loss::Forced) } else { ForcedFate::Plain })
        };
        let (_, tally) = watch(&trial, Tally::default(), choose);
        let taken = taken.into_inner();
        let weight = taken.iter().map(|(way, lost)| match (way, lost) {
            (Way::Up, true) => loss,
            (Way::Up, false) => 1.0 - loss,
            (Way::Down, true) => answer_loss,
            (Way::Down, false) => 1.0 - answer_loss,
        });
        sums.add(weight.product(), &tally.messages[0]);
        // The next pattern: the last packet that got through is lost, and what follows is new.
        let Some(turn) = taken.iter().rposition(|(_, lost)| !lost) else { return sums };
        script = taken[..turn].iter().map(|(_, lost)| *lost).chain([true]).collect();
    }
}

fn assert_exact(what: &str, measured: f64, expected: f64) {
    assert!((measured - expected).abs() < 1e-12, "{what}: {measured} instead of {expected}");
}

#[test]
fn every_pattern_of_losses_weighs_what_theory_says() {
    for (published, method) in [(1, Method::B), (2, Method::B), (2, Method::A)] {
        let release = if method == Method::A { "deliver_on = \"pubrel\"" } else { "" };
        for limit in 1..=6 {
            let retry = format!("retry = {{ every = \"1s\", max = {limit} }}");
            let broker = format!("retry = \"1s\"\n{release}");
            let line = Line { published, broker: &broker, sensor: &retry, ..Line::default() };
            let (loss, answer_loss) = (0.23, 0.41);
            let sums = enumerate(&line, loss, answer_loss);
            let hop = Hop {
                loss,
                answer_loss,
                delay: DELAY,
                retry: RETRY,
                transmissions: Some(limit),
                method,
            };
            let qos = QoS::from_number(published).unwrap();
            let expected = hop.expect(qos);
            let what = |name: &str| format!("QoS {published}, {method:?}, N = {limit}: {name}");
            assert_exact(&what("all patterns"), sums.weight, 1.0);
            assert_exact(&what("delivered"), sums.delivered, expected.delivered);
            assert_exact(&what("acknowledged"), sums.acknowledged, expected.acknowledged);
            assert_exact(&what("false failure"), sums.false_failure, expected.false_failure);
            if qos == QoS::ExactlyOnce {
                assert_exact(&what("held id"), sums.held_id, expected.held_id);
            }
            let Expected { packets, .. } = expected;
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

/// Numbers of which the mean is compared with theory.
#[derive(Default)]
struct Sample {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sample {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sample = Self::default();
        for value in values {
            sample.count += 1.0;
            sample.sum += value;
            sample.squares += value * value;
        }
        sample
    }

    /// The mean is within [`Z_MAX`] standard errors of theory; the same where nothing varies.
    fn agrees(&self, what: &str, expected: f64) {
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

fn sample(tally: &Tally, value: impl Fn(&Message) -> f64) -> Sample {
    Sample::of(tally.messages.iter().map(value))
}

fn delivered(tally: &Tally) -> Sample {
    sample(tally, |message| f64::from(message.copies.min(1)))
}

fn copies(tally: &Tally) -> Sample {
    sample(tally, |message| f64::from(message.copies))
}

fn latency(tally: &Tally) -> Sample {
    let latencies = tally.messages.iter().filter_map(|message| message.latency);
    Sample::of(latencies.map(qoslab::base::time::Span::as_secs_f64))
}

fn on_hop(tally: &Tally, hop: usize) -> Sample {
    sample(tally, |message| f64::from(message.packets[hop].iter().sum::<u32>()))
}

fn link(up: f64, down: f64) -> String {
    format!("delay = \"50ms\"\nup = {{ loss = \"{up}%\" }}\ndown = {{ loss = \"{down}%\" }}")
}

/// A hop in theory with losses in percent.
fn theory(loss: f64, answer_loss: f64) -> Hop {
    let transmissions = None;
    let method = Method::B;
    Hop {
        loss: loss / 100.0,
        answer_loss: answer_loss / 100.0,
        delay: DELAY,
        retry: RETRY,
        transmissions,
        method,
    }
}

/// Publishes, and compares everything that theory knows from end to end.
fn compare(line: &Line<'_>, seed: u64, first: &Hop, second: &Hop, what: &str) {
    let (_, tally) = count(&line.trial(seed));
    assert_eq!(tally.messages.len(), line.count as usize);
    let published = QoS::from_number(line.published).unwrap();
    let granted = QoS::from_number(line.granted).unwrap();
    let expected = two_hops(first, second, published, granted);
    let what = |name: &str| format!("{}/{} {what}: {name}", line.published, line.granted);
    delivered(&tally).agrees(&what("delivered"), expected.delivered);
    copies(&tally).agrees(&what("copies"), expected.copies);
    on_hop(&tally, 0).agrees(&what("packets on hop 1"), expected.first.total());
    on_hop(&tally, 1).agrees(&what("packets on hop 2"), expected.second.total());
    sample(&tally, |message| f64::from(message.all_packets()))
        .agrees(&what("packets"), expected.packets());
    match expected.latency {
        Latency::Exact(seconds) => latency(&tally).agrees(&what("latency"), seconds),
        Latency::AtMost(seconds) => {
            let sample = latency(&tally);
            let error = (sample.squares / sample.count).sqrt() / sample.count.sqrt();
            assert!(sample.sum / sample.count <= seconds + Z_MAX * error, "{}", what("latency"));
        }
        Latency::Open => {}
    }
}

#[test]
fn all_nine_pairs_agree_at_every_rate_of_loss() {
    for published in 0..=2 {
        for granted in 0..=2 {
            for (seed, percent) in (1..).zip([0.0, 1.0, 5.0, 10.0, 20.0, 30.0]) {
                let both = link(percent, percent);
                let line = Line {
                    published,
                    granted,
                    count: 4_000,
                    first: &both,
                    second: &both,
                    ..Line::default()
                };
                let hop = theory(percent, percent);
                compare(&line, seed, &hop, &hop, &format!("at {percent} %"));
            }
        }
    }
}

#[test]
fn all_nine_pairs_agree_where_every_direction_loses_differently() {
    for published in 0..=2 {
        for granted in 0..=2 {
            let (first, second) = (link(5.0, 30.0), link(10.0, 20.0));
            let line = Line {
                published,
                granted,
                count: 10_000,
                first: &first,
                second: &second,
                ..Line::default()
            };
            // PUBLISH goes up on the first hop and down on the second.
            compare(&line, 11, &theory(5.0, 30.0), &theory(20.0, 10.0), "asymmetric");
        }
    }
}

#[test]
fn limited_retries_agree_over_two_hops() {
    for (method, deliver_on) in [(Method::B, "publish"), (Method::A, "pubrel")] {
        for published in 1..=2 {
            for granted in 0..=2 {
                let both = link(20.0, 30.0);
                let second = link(30.0, 20.0);
                let retry = "retry = { every = \"1s\", max = 3 }";
                let broker = format!("{retry}\ndeliver_on = \"{deliver_on}\"");
                let app = format!("deliver_on = \"{deliver_on}\"");
                let line = Line {
                    published,
                    granted,
                    count: 8_000,
                    broker: &broker,
                    sensor: retry,
                    app: &app,
                    first: &both,
                    second: &second,
                    ..Line::default()
                };
                let hop = Hop { transmissions: Some(3), method, ..theory(20.0, 30.0) };
                compare(&line, 5, &hop, &hop, &format!("limited, {method:?}"));
            }
        }
    }
}

#[test]
fn unlimited_packets_vary_as_theory_says() {
    let lossy = link(20.0, 20.0);
    for published in 1..=2 {
        let line = Line { published, count: 40_000, first: &lossy, ..Line::default() };
        let (_, tally) = count(&line.trial(3));
        let expected = theory(20.0, 20.0).expect(QoS::from_number(published).unwrap());
        let mean = expected.packets.total();
        let packets = |message: &Message| f64::from(message.packets[0].iter().sum::<u32>());
        let squared =
            sample(&tally, |message| (packets(message) - mean) * (packets(message) - mean));
        squared.agrees("variance of packets", expected.packets_variance.unwrap());
    }
}

#[test]
fn backoff_stretches_latency_as_theory_says() {
    let lossy = link(30.0, 0.0);
    for limit in [None, Some(4)] {
        let max = limit.map_or(String::new(), |limit| format!(", max = {limit}"));
        let retry = format!("retry = {{ every = \"1s\", backoff = 2{max} }}");
        let line = Line { count: 20_000, sensor: &retry, first: &lossy, ..Line::default() };
        let (_, tally) = count(&line.trial(9));
        let expected = backoff_latency(0.3, DELAY, RETRY, 2.0, limit);
        latency(&tally).agrees("latency", expected + 1e-6);
    }
}

#[test]
fn a_duplicating_network_adds_the_copies_that_theory_says() {
    let link =
        "delay = \"50ms\"\nup = { loss = \"10%\", duplicate = \"20%\" }\ndown = { loss = \"15%\" }";
    let line = |published| Line { published, count: 20_000, first: link, ..Line::default() };
    let (_, zero) = count(&line(0).trial(2));
    copies(&zero).agrees("QoS 0", 0.9 * 1.2);
    let (_, one) = count(&line(1).trial(2));
    let expected = duplicating_network(0.1, 0.15, 0.2);
    copies(&one).agrees("QoS 1", expected.copies);
    sample(&one, |message| f64::from(message.packets[0][0]))
        .agrees("QoS 1's PUBLISHes", expected.publishes);
    let (_, two) = count(&line(2).trial(2));
    copies(&two).agrees("QoS 2", 1.0);
}

#[test]
fn a_timer_shorter_than_the_round_trip_sends_everything_several_times() {
    for (percent, answer_percent) in [(0.0, 0.0), (10.0, 20.0)] {
        // Three transmissions are under way before the first answer can be back.
        let slow = link(percent, answer_percent).replace("50ms", "1250ms");
        let line = Line { count: 10_000, first: &slow, ..Line::default() };
        let (_, tally) = count(&line.trial(4));
        let expected = early_timer(percent / 100.0, answer_percent / 100.0, 1.25, RETRY);
        copies(&tally).agrees("copies", expected.copies);
        sample(&tally, |message| f64::from(message.packets[0][0]))
            .agrees("PUBLISHes", expected.publishes);
    }
}

#[test]
fn bursts_defeat_retries_as_theory_says() {
    let burst = "delay = \"50ms\"
up = { loss = { burst = { good = \"20s\", bad = \"5s\", loss_good = \"2%\", loss = \"80%\" } } }";
    let retry = "retry = { every = \"1s\", max = 4 }";
    // Far enough apart that messages meet independent bursts.
    let line =
        Line { count: 40_000, every: "200s", sensor: retry, first: burst, ..Line::default() };
    let (_, tally) = count(&line.trial(8));
    let chain = Burst::from_sojourns(20.0, 5.0, RETRY, (0.02, 0.8));
    let lost = sample(&tally, |message| f64::from(1 - message.copies.min(1)));
    lost.agrees("all four lost", chain.all_lost(4));
    assert!(chain.all_lost(4) > 10.0 * chain.all_lost_if_independent(4));
}
