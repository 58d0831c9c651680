//! Exact expectations by going through every pattern of losses, without the formulas.

use super::{Hop, Method, Packets};
use qoslab_core::base::qos::QoS;

/// The losses of one pattern: those so far are given, further packets arrive.
struct Fates {
    lost: Vec<bool>,
    used: usize,
    weight: f64,
}

impl Fates {
    /// Whether the next packet is lost, which has this probability.
    fn lost(&mut self, probability: f64) -> bool {
        if self.used == self.lost.len() {
            self.lost.push(false);
        }
        let lost = self.lost[self.used];
        self.used += 1;
        self.weight *= if lost { probability } else { 1.0 - probability };
        lost
    }
}

/// Runs `story` once for every pattern of losses, and hands each outcome and its weight on.
fn every_pattern<T>(story: impl Fn(&mut Fates) -> T, mut each: impl FnMut(f64, T)) {
    let mut lost = Vec::new();
    loop {
        let mut fates = Fates { lost, used: 0, weight: 1.0 };
        let outcome = story(&mut fates);
        assert_eq!(fates.used, fates.lost.len(), "a prefix of a story is a story's prefix");
        each(fates.weight, outcome);
        lost = fates.lost;
        // The next pattern: the last packet that arrived is lost instead.
        while lost.pop_if(|lost| *lost).is_some() {}
        match lost.last_mut() {
            Some(arrived) => *arrived = true,
            None => return,
        }
    }
}

/// What became of one message on one hop.
#[derive(Default)]
struct Story {
    /// When each copy reached the application.
    copies: Vec<f64>,
    /// When the handshake ended well.
    acknowledged: Option<f64>,
    held_id: bool,
    packets: Packets,
}

/// A request repeated until answered: when it arrived, and when its answer came.
fn exchange(hop: &Hop, start: f64, fates: &mut Fates) -> (u32, Vec<f64>, Option<f64>) {
    let limit = hop.transmissions.expect("only a limit makes the patterns finite");
    let mut arrivals = Vec::new();
    for sent in 0..limit {
        let at = start + f64::from(sent) * hop.retry;
        if fates.lost(hop.loss) {
            continue;
        }
        arrivals.push(at + hop.delay);
        if !fates.lost(hop.answer_loss) {
            return (sent + 1, arrivals, Some(at + 2.0 * hop.delay));
        }
    }
    (limit, arrivals, None)
}

#[expect(clippy::cast_precision_loss, reason = "a handful of packets")]
fn story(hop: &Hop, qos: QoS, start: f64, fates: &mut Fates) -> Story {
    let mut story = Story::default();
    if qos == QoS::AtMostOnce {
        story.packets.publish = 1.0;
        story.acknowledged = Some(start);
        if !fates.lost(hop.loss) {
            story.copies.push(start + hop.delay);
        }
        return story;
    }
    let (sent, arrivals, answered) = exchange(hop, start, fates);
    story.packets.publish = f64::from(sent);
    if qos == QoS::AtLeastOnce {
        story.packets.puback = arrivals.len() as f64;
        story.copies = arrivals;
        story.acknowledged = answered;
        return story;
    }
    story.packets.pubrec = arrivals.len() as f64;
    story.held_id = !arrivals.is_empty();
    if hop.method == Method::B {
        story.copies.extend(arrivals.first());
    }
    let Some(release) = answered else { return story };
    let (sent, arrivals, answered) = exchange(hop, release, fates);
    story.packets.pubrel = f64::from(sent);
    story.packets.pubcomp = arrivals.len() as f64;
    story.held_id = arrivals.is_empty();
    if hop.method == Method::A {
        story.copies.extend(arrivals.first());
    }
    story.acknowledged = answered;
    story
}

/// Sums over all patterns; latency and completion are still to be divided by their shares.
#[derive(Default)]
struct Sums {
    weight: f64,
    delivered: f64,
    acknowledged: f64,
    false_failure: f64,
    held_id: f64,
    packets: [f64; 5],
    copies: f64,
    latency: f64,
    completion: f64,
}

fn first(copies: &[f64]) -> Option<f64> {
    copies.iter().copied().reduce(f64::min)
}

#[expect(clippy::cast_precision_loss, reason = "a handful of copies")]
impl Sums {
    fn add(&mut self, weight: f64, story: &Story) {
        self.weight += weight;
        self.copies += weight * story.copies.len() as f64;
        if let Some(latency) = first(&story.copies) {
            self.delivered += weight;
            self.latency += weight * latency;
            if story.acknowledged.is_none() {
                self.false_failure += weight;
            }
        }
        if let Some(completion) = story.acknowledged {
            self.acknowledged += weight;
            self.completion += weight * completion;
        }
        if story.held_id {
            self.held_id += weight;
        }
        for (sum, count) in self.packets.iter_mut().zip(kinds(&story.packets)) {
            *sum += weight * count;
        }
    }
}

fn kinds(packets: &Packets) -> [f64; 5] {
    [packets.publish, packets.puback, packets.pubrec, packets.pubrel, packets.pubcomp]
}

#[track_caller]
fn assert_equal(what: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-12 * expected.abs().max(1.0),
        "{what}: {found} {expected}"
    );
}

#[test]
fn every_pattern_of_losses_on_one_hop_agrees() {
    for (p, q) in [(0.0, 0.0), (0.1, 0.1), (0.3, 0.05), (0.05, 0.4), (0.5, 0.5), (0.0, 0.9)] {
        for limit in 1..=6 {
            for (qos, method) in [
                (QoS::AtMostOnce, Method::B),
                (QoS::AtLeastOnce, Method::B),
                (QoS::ExactlyOnce, Method::A),
                (QoS::ExactlyOnce, Method::B),
            ] {
                let transmissions = Some(limit);
                let hop =
                    Hop { answer_loss: q, transmissions, method, ..Hop::symmetric(p, 0.05, 1.0) };
                let mut sums = Sums::default();
                every_pattern(
                    |fates| story(&hop, qos, 0.0, fates),
                    |weight, story| sums.add(weight, &story),
                );
                let expected = hop.expect(qos);
                let what =
                    |name: &str| format!("{name} of QoS {qos}, {method:?}, N {limit}, {p} {q}");
                for (name, found, expected) in [
                    ("weight", sums.weight, 1.0),
                    ("delivered", sums.delivered, expected.delivered),
                    ("acknowledged", sums.acknowledged, expected.acknowledged),
                    ("held id", sums.held_id, expected.held_id),
                    ("copies", sums.copies, expected.copies),
                    ("duplicates", sums.copies - sums.delivered, expected.duplicates),
                    ("latency", sums.latency / sums.delivered, expected.latency),
                    ("completion", sums.completion / sums.acknowledged, expected.completion),
                ] {
                    assert_equal(&what(name), found, expected);
                }
                // Delivered by method A implies PUBREL's arrival, not PUBCOMP's.
                assert_equal(&what("false failure"), sums.false_failure, expected.false_failure);
                for (found, expected) in sums.packets.into_iter().zip(kinds(&expected.packets)) {
                    assert_equal(&what("packets"), found, expected);
                }
            }
        }
    }
}

#[test]
fn every_pattern_of_losses_on_two_hops_agrees() {
    use super::{Latency, two_hops};
    for method in [Method::A, Method::B] {
        let up = Hop {
            answer_loss: 0.3,
            transmissions: Some(3),
            method,
            ..Hop::symmetric(0.2, 0.05, 1.0)
        };
        let down = Hop {
            answer_loss: 0.25,
            transmissions: Some(2),
            method,
            ..Hop::symmetric(0.1, 0.02, 0.7)
        };
        for published in QoS::ALL {
            for granted in QoS::ALL {
                let mut sums = Sums::default();
                let end_to_end = |fates: &mut Fates| {
                    let mut whole = story(&up, published, 0.0, fates);
                    let mut packets = kinds(&whole.packets).iter().sum::<f64>();
                    let mut copies = Vec::new();
                    for arrival in &whole.copies {
                        let onward = story(&down, published.min(granted), *arrival, fates);
                        packets += kinds(&onward.packets).iter().sum::<f64>();
                        copies.extend(onward.copies);
                    }
                    whole.copies = copies;
                    whole.packets = Packets { publish: packets, ..Packets::default() };
                    whole
                };
                every_pattern(end_to_end, |weight, story| sums.add(weight, &story));
                let expected = two_hops(&up, &down, published, granted);
                let what = |name: &str| format!("{name} of {published}/{granted}, {method:?}");
                assert_equal(&what("weight"), sums.weight, 1.0);
                assert_equal(&what("delivered"), sums.delivered, expected.delivered);
                assert_equal(&what("copies"), sums.copies, expected.copies);
                assert_equal(&what("packets"), sums.packets[0], expected.packets());
                match expected.latency {
                    Latency::Exact(latency) => {
                        assert_equal(&what("latency"), sums.latency / sums.delivered, latency);
                    }
                    Latency::AtMost(_) | Latency::Open => {
                        assert!(published == QoS::AtLeastOnce && granted != QoS::AtMostOnce);
                    }
                }
            }
        }
    }
}
