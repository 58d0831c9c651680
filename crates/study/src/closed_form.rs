//! The oracle: the predictions of theory for what MQTT's QoS levels deliver and cost.
//!
//! The simulation must reproduce these formulas, and charts draw them beside what was measured.
//!
//! # Model
//! One [`HopModel`] is a sender and a receiver. Each packet of the sender is lost independently
//! with probability `p`, each answer with `q`; a round trip succeeds with `s = (1-p)(1-q)`.
//! Packets take a constant `delay`, the receiver answers at once, and the sender sends again
//! `retry` seconds after each sending without an answer. Unless said otherwise `retry` is longer
//! than the round trip. QoS 2 is two such exchanges, one after the other.
//!
//! Times are in seconds, probabilities between 0 and 1. Where nothing can get through (`p` or `q`
//! of 1 and no limit of transmissions), results are infinite or NaN.
//!
//! ```
//! use qoslab_core::base::QoS;
//! use qoslab_study::closed_form::HopModel;
//!
//! // A tenth of all packets lost each way, 50 ms of delay, sent again after a second.
//! let hop = HopModel::symmetric(0.1, 0.05, 1.0);
//! assert_eq!(hop.predict(QoS::AtMostOnce).delivered, 0.9);
//! assert!((hop.predict(QoS::AtLeastOnce).duplicates - 0.1111).abs() < 1e-4);
//! assert!((hop.predict(QoS::ExactlyOnce).packets.total() - 4.691).abs() < 1e-3);
//! ```

mod one_hop;
mod two_hops;

#[cfg(test)]
mod enumeration;
#[cfg(test)]
mod tests;

pub use one_hop::{HopExpectation, HopModel, PacketMeans, Qos2Delivery};
pub use two_hops::{EndToEndExpectation, ExpectedLatency, predict_end_to_end};

/// `base` to the power of `exponent`, by repeated squaring: the same on every machine.
#[must_use]
pub fn power(mut base: f64, mut exponent: u32) -> f64 {
    let mut result = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    result
}

/// The expected number of attempts, each failing with probability `failure`, until one succeeds
/// or `limit` are made: `(1 - failure^limit) / (1 - failure)`.
fn expected_attempts(failure: f64, limit: Option<u32>) -> f64 {
    match limit {
        None => 1.0 / (1.0 - failure),
        Some(limit) => geometric_sum(failure, limit),
    }
}

/// `1 + ratio + ... + ratio^(terms-1)`; at a ratio of 1, the number of terms.
#[must_use]
pub fn geometric_sum(ratio: f64, terms: u32) -> f64 {
    if (1.0 - ratio).abs() < 1e-9 {
        f64::from(terms)
    } else {
        (1.0 - power(ratio, terms)) / (1.0 - ratio)
    }
}

/// How many attempts fail before the first success, given that one of at most `limit` succeeds:
/// `f/(1-f) - N f^N / (1-f^N)`.
#[must_use]
pub fn expected_failures(failure: f64, limit: Option<u32>) -> f64 {
    let unlimited = failure / (1.0 - failure);
    limit.map_or(unlimited, |limit| {
        let all = power(failure, limit);
        unlimited - f64::from(limit) * all / (1.0 - all)
    })
}

/// The probability that at least one of at most `limit` attempts succeeds.
fn success_probability(failure: f64, limit: Option<u32>) -> f64 {
    limit.map_or(1.0, |limit| 1.0 - power(failure, limit))
}
