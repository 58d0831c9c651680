//! Exact expectations by going through every pattern of losses, without the formulas.

use super::{HopModel, PacketMeans, Qos2Delivery};
use qoslab_core::base::QoS;

/// The losses of one pattern: those so far are given, further packets arrive.
struct LossPattern {
    lost: Vec<bool>,
    next: usize,
    weight: f64,
}

impl LossPattern {
    /// Whether the next packet is lost, which has this probability.
    fn is_lost(&mut self, probability: f64) -> bool {
        if self.next == self.lost.len() {
            self.lost.push(false);
        }
        let lost = self.lost[self.next];
        self.next += 1;
        self.weight *= if lost { probability } else { 1.0 - probability };
        lost
    }
}

/// Runs `simulate` once for every pattern of losses, and hands each outcome and its weight on.
fn every_pattern<T>(simulate: impl Fn(&mut LossPattern) -> T, mut each: impl FnMut(f64, T)) {
    let mut lost = Vec::new();
    loop {
        let mut pattern = LossPattern { lost, next: 0, weight: 1.0 };
        let outcome = simulate(&mut pattern);
        assert_eq!(pattern.next, pattern.lost.len(), "a prefix of a story is a story's prefix");
        each(pattern.weight, outcome);
        lost = pattern.lost;
        // The next pattern: the last packet that arrived is lost instead.
        while lost.pop_if(|lost| *lost).is_some() {}
        match lost.last_mut() {
            Some(arrived) => *arrived = true,
            None => return,
        }
    }
}

/// The outcome of one message on one hop.
#[derive(Default)]
struct MessageResult {
    /// When each copy reached the application.
    copies: Vec<f64>,
    /// When the handshake ended well.
    acknowledged: Option<f64>,
    held_id: bool,
    packets: PacketMeans,
}

/// A request repeated until answered: when it arrived, and when its answer came.
fn simulate_exchange(
    hop: &HopModel,
    start: f64,
    pattern: &mut LossPattern,
) -> (u32, Vec<f64>, Option<f64>) {
    let limit = hop.max_transmissions.expect("only a limit makes the patterns finite");
    let mut arrivals = Vec::new();
    for sent in 0..limit {
        let at = start + f64::from(sent) * hop.retry_interval;
        if pattern.is_lost(hop.loss) {
            continue;
        }
        arrivals.push(at + hop.delay);
        if !pattern.is_lost(hop.answer_loss) {
            return (sent + 1, arrivals, Some(at + 2.0 * hop.delay));
        }
    }
    (limit, arrivals, None)
}

#[expect(clippy::cast_precision_loss, reason = "a handful of packets")]
fn simulate_message(
    hop: &HopModel,
    qos: QoS,
    start: f64,
    pattern: &mut LossPattern,
) -> MessageResult {
    let mut result = MessageResult::default();
    if qos == QoS::AtMostOnce {
        result.packets.publish = 1.0;
        result.acknowledged = Some(start);
        if !pattern.is_lost(hop.loss) {
            result.copies.push(start + hop.delay);
        }
        return result;
    }
    let (sent, arrivals, answered) = simulate_exchange(hop, start, pattern);
    result.packets.publish = f64::from(sent);
    if qos == QoS::AtLeastOnce {
        result.packets.puback = arrivals.len() as f64;
        result.copies = arrivals;
        result.acknowledged = answered;
        return result;
    }
    result.packets.pubrec = arrivals.len() as f64;
    result.held_id = !arrivals.is_empty();
    if hop.qos2_delivery == Qos2Delivery::OnPublish {
        result.copies.extend(arrivals.first());
    }
    let Some(release) = answered else { return result };
    let (sent, arrivals, answered) = simulate_exchange(hop, release, pattern);
    result.packets.pubrel = f64::from(sent);
    result.packets.pubcomp = arrivals.len() as f64;
    result.held_id = arrivals.is_empty();
    if hop.qos2_delivery == Qos2Delivery::OnPubrel {
        result.copies.extend(arrivals.first());
    }
    result.acknowledged = answered;
    result
}

/// Sums over all patterns; latency and completion are still to be divided by their shares.
#[derive(Default)]
struct PatternSums {
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

fn earliest(copies: &[f64]) -> Option<f64> {
    copies.iter().copied().reduce(f64::min)
}

#[expect(clippy::cast_precision_loss, reason = "a handful of copies")]
impl PatternSums {
    fn add(&mut self, weight: f64, result: &MessageResult) {
        self.weight += weight;
        self.copies += weight * result.copies.len() as f64;
        if let Some(latency) = earliest(&result.copies) {
            self.delivered += weight;
            self.latency += weight * latency;
            if result.acknowledged.is_none() {
                self.false_failure += weight;
            }
        }
        if let Some(completion) = result.acknowledged {
            self.acknowledged += weight;
            self.completion += weight * completion;
        }
        if result.held_id {
            self.held_id += weight;
        }
        for (sum, count) in self.packets.iter_mut().zip(counts_by_kind(&result.packets)) {
            *sum += weight * count;
        }
    }
}

fn counts_by_kind(packets: &PacketMeans) -> [f64; 5] {
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
                (QoS::AtMostOnce, Qos2Delivery::OnPublish),
                (QoS::AtLeastOnce, Qos2Delivery::OnPublish),
                (QoS::ExactlyOnce, Qos2Delivery::OnPubrel),
                (QoS::ExactlyOnce, Qos2Delivery::OnPublish),
            ] {
                let transmissions = Some(limit);
                let hop = HopModel {
                    answer_loss: q,
                    max_transmissions: transmissions,
                    qos2_delivery: method,
                    ..HopModel::symmetric(p, 0.05, 1.0)
                };
                let mut sums = PatternSums::default();
                every_pattern(
                    |pattern| simulate_message(&hop, qos, 0.0, pattern),
                    |weight, story| sums.add(weight, &story),
                );
                let expected = hop.predict(qos);
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
                for (found, expected) in
                    sums.packets.into_iter().zip(counts_by_kind(&expected.packets))
                {
                    assert_equal(&what("packets"), found, expected);
                }
            }
        }
    }
}

#[test]
fn every_pattern_of_losses_on_two_hops_agrees() {
    use super::{ExpectedLatency, predict_end_to_end};
    for method in [Qos2Delivery::OnPubrel, Qos2Delivery::OnPublish] {
        let up = HopModel {
            answer_loss: 0.3,
            max_transmissions: Some(3),
            qos2_delivery: method,
            ..HopModel::symmetric(0.2, 0.05, 1.0)
        };
        let down = HopModel {
            answer_loss: 0.25,
            max_transmissions: Some(2),
            qos2_delivery: method,
            ..HopModel::symmetric(0.1, 0.02, 0.7)
        };
        for published in QoS::ALL {
            for granted in QoS::ALL {
                let mut sums = PatternSums::default();
                let end_to_end = |pattern: &mut LossPattern| {
                    let mut result = simulate_message(&up, published, 0.0, pattern);
                    let mut packets = counts_by_kind(&result.packets).iter().sum::<f64>();
                    let mut copies = Vec::new();
                    for arrival in &result.copies {
                        let onward =
                            simulate_message(&down, published.min(granted), *arrival, pattern);
                        packets += counts_by_kind(&onward.packets).iter().sum::<f64>();
                        copies.extend(onward.copies);
                    }
                    result.copies = copies;
                    result.packets = PacketMeans { publish: packets, ..PacketMeans::default() };
                    result
                };
                every_pattern(end_to_end, |weight, story| sums.add(weight, &story));
                let expected = predict_end_to_end(&up, &down, published, granted);
                let what = |name: &str| format!("{name} of {published}/{granted}, {method:?}");
                assert_equal(&what("weight"), sums.weight, 1.0);
                assert_equal(&what("delivered"), sums.delivered, expected.delivered);
                assert_equal(&what("copies"), sums.copies, expected.copies);
                assert_equal(&what("packets"), sums.packets[0], expected.packets());
                match expected.latency {
                    ExpectedLatency::Exact(latency) => {
                        assert_equal(&what("latency"), sums.latency / sums.delivered, latency);
                    }
                    ExpectedLatency::AtMost(_) | ExpectedLatency::Unknown => {
                        assert!(published == QoS::AtLeastOnce && granted != QoS::AtMostOnce);
                    }
                }
            }
        }
    }
}
