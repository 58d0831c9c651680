//! Variations of the model: timers, backoff, duplication, bursts, bytes, reordering.

use super::{expected_failures, power};
use qoslab_core::base::qos::QoS;

/// PUBLISH packets sent, and copies that the application sees, for one QoS 1 message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishesAndCopies {
    /// PUBLISH packets sent.
    pub publishes: f64,
    /// Copies the application sees.
    pub copies: f64,
}

/// QoS 1 with a timer that may be shorter than the round trip, at a constant delay.
///
/// Every message is sent `m - 1` times more than needed, `m = ceil(2 delay / retry)`; without
/// loss it is delivered exactly `m` times.
#[must_use]
pub fn early_timer(loss: f64, answer_loss: f64, delay: f64, retry: f64) -> PublishesAndCopies {
    let needless = (2.0 * delay / retry).ceil().max(1.0) - 1.0;
    let publishes = 1.0 / ((1.0 - loss) * (1.0 - answer_loss)) + needless;
    PublishesAndCopies { publishes, copies: (1.0 - loss) * publishes }
}

/// The mean latency in seconds of a QoS 1 message, of those delivered, when each further interval
/// is `backoff` times as long as the one before, the first being `retry`.
///
/// Infinite where `backoff * loss` is 1 or more and nothing limits the `transmissions`.
#[must_use]
pub fn backoff_latency(
    loss: f64,
    delay: f64,
    retry: f64,
    backoff: f64,
    transmissions: Option<u32>,
) -> f64 {
    let scaled = backoff * loss;
    match transmissions {
        None if scaled >= 1.0 => f64::INFINITY,
        None => delay + retry * loss / (1.0 - scaled),
        // The limit of the formula below.
        Some(_) if (backoff - 1.0).abs() < 1e-9 => {
            delay + retry * expected_failures(loss, transmissions)
        }
        Some(limit) => {
            let sum = super::geometric_sum(scaled, limit);
            let mean = (1.0 - loss) * sum / (1.0 - power(loss, limit));
            delay + retry / (backoff - 1.0) * (mean - 1.0)
        }
    }
}

/// QoS 1 over a network that doubles each PUBLISH that survives with probability `duplicate`.
/// QoS 0 has `(1 - loss) (1 + duplicate)` copies, QoS 2 one, as long as the delay is constant.
#[must_use]
pub fn duplicating_network(loss: f64, answer_loss: f64, duplicate: f64) -> PublishesAndCopies {
    let answered =
        (1.0 - duplicate) * (1.0 - answer_loss) + duplicate * (1.0 - answer_loss * answer_loss);
    let publishes = 1.0 / ((1.0 - loss) * answered);
    PublishesAndCopies { publishes, copies: (1.0 - loss) * (1.0 + duplicate) * publishes }
}

/// Loss in bursts: a chain of a good and a bad state, seen at attempts one timer period apart.
///
/// This is the model of `burst`, which flips in time; not of `gemodel`, which steps a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// The probability that a good state has become a bad one after one period.
    pub good_to_bad: f64,
    /// The probability that a bad state has become a good one after one period.
    pub bad_to_good: f64,
    /// The loss in the good state.
    pub loss_good: f64,
    /// The loss in the bad state.
    pub loss_bad: f64,
}

impl Burst {
    /// The chain of a link that is good for `good` and bad for `bad` seconds on average, both
    /// exponential, seen every `period` seconds.
    #[must_use]
    pub fn from_sojourns(
        good: f64,
        bad: f64,
        period: f64,
        (loss_good, loss_bad): (f64, f64),
    ) -> Self {
        let forgotten = -libm::expm1(-(1.0 / good + 1.0 / bad) * period);
        Self {
            good_to_bad: bad / (good + bad) * forgotten,
            bad_to_good: good / (good + bad) * forgotten,
            loss_good,
            loss_bad,
        }
    }

    /// The share of time in the bad state.
    #[must_use]
    pub fn share_bad(&self) -> f64 {
        self.good_to_bad / (self.good_to_bad + self.bad_to_good)
    }

    /// The loss of a packet sent at any time.
    #[must_use]
    pub fn mean_loss(&self) -> f64 {
        let bad = self.share_bad();
        (1.0 - bad) * self.loss_good + bad * self.loss_bad
    }

    /// The probability that `transmissions` sent one period apart are all lost.
    #[must_use]
    pub fn all_lost(&self, transmissions: u32) -> f64 {
        let mut good = 1.0 - self.share_bad();
        let mut bad = self.share_bad();
        for attempt in 0..transmissions {
            if attempt > 0 {
                let falls = good * self.good_to_bad;
                let rises = bad * self.bad_to_good;
                (good, bad) = (good - falls + rises, bad - rises + falls);
            }
            good *= self.loss_good;
            bad *= self.loss_bad;
        }
        good + bad
    }

    /// The same if losses of the same mean came independently.
    #[must_use]
    pub fn all_lost_if_independent(&self, transmissions: u32) -> f64 {
        power(self.mean_loss(), transmissions)
    }
}

/// The bytes of a PUBLISH; `v5` adds the byte of an empty property list.
#[must_use]
pub fn publish_bytes(topic_bytes: u32, payload_bytes: u32, qos: QoS, v5: bool) -> u32 {
    let id = if qos == QoS::AtMostOnce { 0 } else { 2 };
    let remaining = 2 + topic_bytes + id + u32::from(v5) + payload_bytes;
    let length = match remaining {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    };
    1 + length + remaining
}

/// QoS 2 over datagrams that overtake each other: how many messages are delivered more than once,
/// with no loss, one message at a time on one hop, a delay uniform from 0 to `max_delay` each
/// way and a timer of one second.
///
/// After PUBCOMP a PUBLISH with the same id is a new message [MQTT-4.3.3-12], so a late repeat is
/// delivered again and no endpoint is at fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReorderedDuplicates {
    /// The longest delay one way in seconds.
    pub max_delay: f64,
    /// The share with a sender that takes no notice of a repeated PUBREC.
    pub first_pubrec_answered: f64,
    /// The share with a sender that answers every PUBREC with PUBREL [MQTT-4.3.3-4].
    pub every_pubrec_answered: f64,
}

/// Not formulas but estimates, by simulations that share no code with this one; good to 0.005. Up
/// to half a second a round trip ends before the timer, and nothing is sent twice.
pub const REORDERED_QOS2: [ReorderedDuplicates; 4] = [
    ReorderedDuplicates { max_delay: 0.5, first_pubrec_answered: 0.0, every_pubrec_answered: 0.0 },
    ReorderedDuplicates {
        max_delay: 1.0,
        first_pubrec_answered: 0.121,
        every_pubrec_answered: 0.125,
    },
    ReorderedDuplicates {
        max_delay: 2.0,
        first_pubrec_answered: 0.267,
        every_pubrec_answered: 0.282,
    },
    ReorderedDuplicates {
        max_delay: 4.0,
        first_pubrec_answered: 0.502,
        every_pubrec_answered: 0.552,
    },
];
