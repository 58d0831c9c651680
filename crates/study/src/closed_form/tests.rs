//! The worked numbers of the derivations, and identities between the formulas.

use super::*;
use qoslab_core::base::QoS;

#[track_caller]
fn assert_near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} +- {tolerance}");
}

const LOSSES: [f64; 6] = [0.0, 0.01, 0.05, 0.1, 0.3, 0.5];

#[test]
fn the_worked_table_is_reproduced() {
    // Loss each way; QoS 0 delivered on two hops; QoS 1 packets on one hop and two, duplicates on
    // one and two; QoS 2 packets on one and two; latency by method B and A. T = 1 s, d = 50 ms.
    let table = [
        (0.0, 1.0, 2.0, 4.0, 0.0, 0.0, 4.0, 8.0, 0.05, 0.15),
        (0.01, 0.9801, 2.030, 4.081, 0.0101, 0.0203, 4.061, 8.122, 0.0601, 0.1804),
        (0.05, 0.9025, 2.161, 4.435, 0.0526, 0.1080, 4.321, 8.643, 0.1026, 0.3107),
        (0.1, 0.81, 2.346, 4.952, 0.1111, 0.2346, 4.691, 9.383, 0.1611, 0.4957),
        (0.2, 0.64, 2.812, 6.328, 0.25, 0.5625, 5.625, 11.25, 0.3, 0.9625),
        (0.3, 0.49, 3.469, 8.426, 0.4286, 1.0408, 6.939, 13.878, 0.4786, 1.6194),
        (0.5, 0.25, 6.0, 18.0, 1.0, 3.0, 12.0, 24.0, 1.05, 4.15),
    ];
    for (p, q0, q1, q1_two, dups, dups_two, q2, q2_two, latency_b, latency_a) in table {
        let hop = HopModel::symmetric(p, 0.05, 1.0);
        let both = |qos| predict_end_to_end(&hop, &hop, qos, qos);
        assert_near(hop.predict(QoS::AtMostOnce).delivered, 1.0 - p, 1e-12);
        assert_near(both(QoS::AtMostOnce).delivered, q0, 1e-12);
        assert_near(hop.predict(QoS::AtLeastOnce).packets.total(), q1, 6e-4);
        assert_near(both(QoS::AtLeastOnce).packets(), q1_two, 6e-4);
        assert_near(hop.predict(QoS::AtLeastOnce).duplicates, dups, 6e-5);
        assert_near(both(QoS::AtLeastOnce).duplicates, dups_two, 6e-5);
        assert_near(hop.predict(QoS::ExactlyOnce).packets.total(), q2, 6e-4);
        assert_near(both(QoS::ExactlyOnce).packets(), q2_two, 6e-4);
        assert_near(hop.predict(QoS::AtLeastOnce).latency, latency_b, 6e-5);
        assert_near(hop.predict(QoS::ExactlyOnce).latency, latency_b, 6e-5);
        let stored = HopModel { qos2_delivery: Qos2Delivery::OnPubrel, ..hop };
        assert_near(stored.predict(QoS::ExactlyOnce).latency, latency_a, 6e-5);
    }
}

#[test]
fn a_transmission_limit_leaves_some_losses_and_false_failures() {
    for (limit, lost, false_failure) in [(2, 1e-2, 2.6e-2), (4, 1e-4, 1.2e-3), (6, 1e-6, 4.6e-5)] {
        let hop =
            HopModel { max_transmissions: Some(limit), ..HopModel::symmetric(0.1, 0.05, 1.0) };
        let expected = hop.predict(QoS::AtLeastOnce);
        assert_near(1.0 - expected.delivered, lost, 1e-12);
        assert_near(expected.false_failure, false_failure, 0.03 * false_failure);
    }
}

#[test]
fn on_a_symmetric_hop_qos_2_takes_twice_the_packets_of_qos_1() {
    for p in LOSSES {
        let hop = HopModel::symmetric(p, 0.05, 1.0);
        let once = hop.predict(QoS::AtLeastOnce);
        assert_near(once.packets.total(), (2.0 - p) / ((1.0 - p) * (1.0 - p)), 1e-12);
        assert_near(
            hop.predict(QoS::ExactlyOnce).packets.total(),
            2.0 * once.packets.total(),
            1e-12,
        );
        assert_near(once.duplicates, p / (1.0 - p), 1e-12);
        let both = predict_end_to_end(&hop, &hop, QoS::AtLeastOnce, QoS::AtLeastOnce);
        let (wins, fails) = (1.0 - p, 2.0 - p);
        assert_near(both.packets(), fails * fails / (wins * wins * wins), 1e-11);
        assert_near(both.duplicates, p * fails / (wins * wins), 1e-11);
    }
}

#[test]
fn copies_depend_on_lost_answers_only_and_losses_on_lost_messages_only() {
    let hop = |loss, answer_loss| HopModel { answer_loss, ..HopModel::symmetric(loss, 0.05, 1.0) };
    for p in LOSSES {
        assert_near(hop(p, 0.2).predict(QoS::AtLeastOnce).copies, 1.25, 1e-12);
        assert_near(hop(0.2, p).predict(QoS::AtMostOnce).delivered, 0.8, 0.0);
    }
}

#[test]
fn a_large_limit_is_no_limit() {
    for p in LOSSES {
        for method in [Qos2Delivery::OnPubrel, Qos2Delivery::OnPublish] {
            let unlimited = HopModel {
                answer_loss: 0.2,
                qos2_delivery: method,
                ..HopModel::symmetric(p, 0.05, 1.0)
            };
            let limited = HopModel { max_transmissions: Some(2000), ..unlimited };
            for qos in QoS::ALL {
                let (a, b) = (limited.predict(qos), unlimited.predict(qos));
                assert_near(a.delivered, b.delivered, 1e-12);
                assert_near(a.acknowledged, b.acknowledged, 1e-12);
                assert_near(a.packets.total(), b.packets.total(), 1e-10);
                assert_near(a.copies, b.copies, 1e-12);
                assert_near(a.latency, b.latency, 1e-10);
                assert_near(a.completion, b.completion, 1e-10);
                let a = predict_end_to_end(&limited, &limited, QoS::AtLeastOnce, qos);
                let b = predict_end_to_end(&unlimited, &unlimited, QoS::AtLeastOnce, qos);
                assert_near(a.delivered, b.delivered, 1e-12);
            }
        }
    }
}

#[test]
fn one_transmission_of_qos_1_delivers_as_qos_0_does() {
    let hop = HopModel { max_transmissions: Some(1), ..HopModel::symmetric(0.3, 0.05, 1.0) };
    let (once, most) = (hop.predict(QoS::AtLeastOnce), hop.predict(QoS::AtMostOnce));
    assert_near(once.delivered, most.delivered, 1e-12);
    assert_near(once.latency, most.latency, 1e-12);
}

#[test]
fn the_generating_function_gives_total_mean_and_probabilities() {
    for transmissions in [None, Some(1), Some(3), Some(10)] {
        for p in LOSSES {
            let hop = HopModel {
                answer_loss: 0.35,
                max_transmissions: transmissions,
                ..HopModel::symmetric(p, 0.05, 1.0)
            };
            let at = |z| hop.copies_generating_function(z);
            assert_near(at(1.0), 1.0, 1e-12);
            assert_near(1.0 - at(0.0), hop.predict(QoS::AtLeastOnce).delivered, 1e-12);
            let slope = (at(1.0 + 1e-5) - at(1.0 - 1e-5)) / 2e-5;
            assert_near(slope, hop.predict(QoS::AtLeastOnce).copies, 1e-7);
        }
    }
    // Of c copies, with probability (1-q) q^(c-1).
    let hop = HopModel { answer_loss: 0.35, ..HopModel::symmetric(0.2, 0.05, 1.0) };
    let sum = |z: f64| (0..200).map(|more| 0.65 * power(0.35 * z, more) * z).sum::<f64>();
    assert_near(sum(1.0), 1.0, 1e-12);
    assert_near(sum(0.6), hop.copies_generating_function(0.6), 1e-12);
}

#[test]
fn the_variance_of_packets_is_that_of_the_distribution() {
    // Each failed attempt takes one packet or two, the last one two; summed term by term.
    let hop = HopModel { answer_loss: 0.2, ..HopModel::symmetric(0.3, 0.05, 1.0) };
    let mut shares = vec![0.0; 2000];
    shares[0] = 1.0;
    let (mut mean, mut square) = (0.0, 0.0);
    for packets in 0..1990_usize {
        let here = shares[packets];
        shares[packets + 1] += here * 0.3;
        shares[packets + 2] += here * 0.7 * 0.2;
        let total = f64::from(u32::try_from(packets + 2).expect("below 2000"));
        mean += here * 0.7 * 0.8 * total;
        square += here * 0.7 * 0.8 * total * total;
    }
    let (once, exactly) = (hop.predict(QoS::AtLeastOnce), hop.predict(QoS::ExactlyOnce));
    assert_near(once.packets.total(), mean, 1e-9);
    assert_near(once.packets_variance.expect("unlimited"), square - mean * mean, 1e-9);
    assert_near(exactly.packets_variance.expect("unlimited"), 2.0 * (square - mean * mean), 1e-9);
}

#[test]
fn latency_quantiles_invert_the_distribution() {
    let hop = HopModel::symmetric(0.1, 0.05, 1.0);
    assert_near(hop.latency_quantile(0.5), 0.05, 0.0);
    assert_near(hop.latency_quantile(0.9), 0.05, 0.0);
    assert_near(hop.latency_quantile(0.95), 1.05, 1e-12);
    assert_near(hop.latency_quantile(0.995), 2.05, 1e-12);
    assert_near(HopModel::symmetric(0.0, 0.05, 1.0).latency_quantile(0.999), 0.05, 0.0);
}

#[test]
fn the_table_of_nine_pairs_is_reproduced() {
    let (p1, q1, p2, q2) = (0.1, 0.2, 0.3, 0.05);
    let up = HopModel { answer_loss: q1, ..HopModel::symmetric(p1, 0.05, 1.0) };
    let down = HopModel { answer_loss: q2, ..HopModel::symmetric(p2, 0.05, 1.0) };
    let (s1, s2) = (0.9 * 0.8, 0.7 * 0.95);
    let second = (2.0 - p2) / s2;
    let first = (2.0 - p1) / s1;
    for (published, granted, copies, delivered, packets) in [
        (0, 0, 0.63, 0.63, 1.9),
        (0, 1, 0.63, 0.63, 1.9),
        (0, 2, 0.63, 0.63, 1.9),
        (1, 0, 0.7 / 0.8, 0.7 / (1.0 - q1 * p2), first + 1.0 / 0.8),
        (1, 1, 1.0 / (0.8 * 0.95), 1.0, first + second / 0.8),
        (1, 2, 1.0 / (0.8 * 0.95), 1.0, first + second / 0.8),
        (2, 0, 0.7, 0.7, 2.0 * first + 1.0),
        (2, 1, 1.0 / 0.95, 1.0, 2.0 * first + second),
        (2, 2, 1.0, 1.0, 2.0 * first + 2.0 * second),
    ] {
        let qos = |number| QoS::from_number(number).expect("0 to 2");
        let found = predict_end_to_end(&up, &down, qos(published), qos(granted));
        assert_near(found.copies, copies, 1e-12);
        assert_near(found.delivered, delivered, 1e-12);
        assert_near(found.packets(), packets, 1e-12);
    }
    let hop = HopModel::symmetric(0.2, 0.05, 1.0);
    let twice = predict_end_to_end(&hop, &hop, QoS::AtLeastOnce, QoS::AtLeastOnce);
    assert_eq!(twice.latency, ExpectedLatency::AtMost(2.0 * hop.predict(QoS::AtLeastOnce).latency));
}
