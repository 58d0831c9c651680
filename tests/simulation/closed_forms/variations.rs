//! Closed forms for variations of the model: timers, backoff, duplication, bursts.

use qoslab::base::QoS;
use qoslab::study::closed_form::{HopModel, expected_failures, geometric_sum, power};

/// PUBLISH packets sent, and copies that the application sees, for one QoS 1 message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PublishesAndCopies {
    /// PUBLISH packets sent.
    pub(crate) publishes: f64,
    /// Copies the application sees.
    pub(crate) copies: f64,
}

/// QoS 1 with a timer that may be shorter than the round trip, at a constant delay.
///
/// Every message is sent `m - 1` times more than needed, `m = ceil(2 delay / retry)`; without
/// loss it is delivered exactly `m` times.
pub(crate) fn early_timer(
    loss: f64,
    answer_loss: f64,
    delay: f64,
    retry: f64,
) -> PublishesAndCopies {
    let needless = (2.0 * delay / retry).ceil().max(1.0) - 1.0;
    let publishes = 1.0 / ((1.0 - loss) * (1.0 - answer_loss)) + needless;
    PublishesAndCopies { publishes, copies: (1.0 - loss) * publishes }
}

/// The mean latency in seconds of a QoS 1 message, of those delivered, when each further interval
/// is `backoff` times as long as the one before, the first being `retry`.
///
/// Infinite where `backoff * loss` is 1 or more and nothing limits the `transmissions`.
pub(crate) fn backoff_latency(
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
            let sum = geometric_sum(scaled, limit);
            let mean = (1.0 - loss) * sum / (1.0 - power(loss, limit));
            delay + retry / (backoff - 1.0) * (mean - 1.0)
        }
    }
}

/// QoS 1 over a network that doubles each PUBLISH that survives with probability `duplicate`.
/// QoS 0 has `(1 - loss) (1 + duplicate)` copies, QoS 2 one, as long as the delay is constant.
pub(crate) fn duplicating_network(
    loss: f64,
    answer_loss: f64,
    duplicate: f64,
) -> PublishesAndCopies {
    let answered =
        (1.0 - duplicate) * (1.0 - answer_loss) + duplicate * (1.0 - answer_loss * answer_loss);
    let publishes = 1.0 / ((1.0 - loss) * answered);
    PublishesAndCopies { publishes, copies: (1.0 - loss) * (1.0 + duplicate) * publishes }
}

/// Loss in bursts: a chain of a good and a bad state, seen at attempts one timer period apart.
///
/// This is the model of `burst`, which flips in time; not of `gemodel`, which steps a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Burst {
    /// The probability that a good state has become a bad one after one period.
    pub(crate) good_to_bad: f64,
    /// The probability that a bad state has become a good one after one period.
    pub(crate) bad_to_good: f64,
    /// The loss in the good state.
    pub(crate) loss_good: f64,
    /// The loss in the bad state.
    pub(crate) loss_bad: f64,
}

impl Burst {
    /// The chain of a link that is good for `good` and bad for `bad` seconds on average, both
    /// exponential, seen every `period` seconds.
    pub(crate) fn from_sojourns(
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
    pub(crate) fn share_bad(&self) -> f64 {
        self.good_to_bad / (self.good_to_bad + self.bad_to_good)
    }

    /// The loss of a packet sent at any time.
    pub(crate) fn mean_loss(&self) -> f64 {
        let bad = self.share_bad();
        (1.0 - bad) * self.loss_good + bad * self.loss_bad
    }

    /// The probability that `transmissions` sent one period apart are all lost.
    pub(crate) fn all_lost(&self, transmissions: u32) -> f64 {
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
    pub(crate) fn all_lost_if_independent(&self, transmissions: u32) -> f64 {
        power(self.mean_loss(), transmissions)
    }
}

// ---- identities and worked numbers ----

#[track_caller]
pub(crate) fn assert_near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} +- {tolerance}");
}

#[test]
fn a_timer_m_times_too_early_delivers_m_copies() {
    assert_near(early_timer(0.0, 0.0, 3.0, 1.0).copies, 6.0, 0.0);
    assert_near(early_timer(0.0, 0.0, 0.05, 0.1).publishes, 1.0, 0.0);
    let late = HopModel { answer_loss: 0.2, ..HopModel::symmetric(0.1, 0.05, 1.0) }
        .predict(QoS::AtLeastOnce);
    let early = early_timer(0.1, 0.2, 0.05, 1.0);
    assert_near(early.publishes, late.packets.publish, 1e-12);
    assert_near(early.copies, late.copies, 1e-12);
    assert_near(early_timer(0.1, 0.2, 0.05, 0.03).copies, 1.0 / 0.8 + 3.0 * 0.9, 1e-12);
}

#[test]
fn backoff_agrees_with_the_sum_over_transmissions() {
    for (p, backoff, limit) in
        [(0.1, 2.0, 5), (0.5, 2.0, 8), (0.3, 1.5, 4), (0.2, 1.0, 6), (0.0, 2.0, 3)]
    {
        let (mut mean, mut share, mut waited, mut interval) = (0.0, 1.0 - p, 0.0, 1.0);
        for _ in 0..limit {
            mean += share * waited;
            share *= p;
            waited += interval;
            interval *= backoff;
        }
        mean /= 1.0 - power(p, limit);
        assert_near(backoff_latency(p, 0.05, 1.0, backoff, Some(limit)), 0.05 + mean, 1e-9);
    }
    assert_near(backoff_latency(0.1, 0.05, 1.0, 2.0, None), 0.05 + 0.1 / 0.8, 1e-12);
    assert_near(backoff_latency(0.1, 0.05, 1.0, 2.0, Some(60)), 0.05 + 0.1 / 0.8, 1e-12);
    assert!(backoff_latency(0.5, 0.05, 1.0, 2.0, None).is_infinite());
    let hop = HopModel::symmetric(0.3, 0.05, 1.0).predict(QoS::AtLeastOnce);
    assert_near(backoff_latency(0.3, 0.05, 1.0, 1.0, None), hop.latency, 1e-12);
}

#[test]
fn a_network_that_never_duplicates_changes_nothing() {
    let plain = duplicating_network(0.1, 0.2, 0.0);
    assert_near(plain.publishes, 1.0 / (0.9 * 0.8), 1e-12);
    assert_near(plain.copies, 1.0 / 0.8, 1e-12);
    // Every PUBLISH doubled and no loss: one PUBLISH, two copies.
    assert_eq!(
        duplicating_network(0.0, 0.0, 1.0),
        PublishesAndCopies { publishes: 1.0, copies: 2.0 }
    );
}

#[test]
fn losses_in_bursts_defeat_retries_that_independent_ones_do_not() {
    let burst = Burst { good_to_bad: 0.05, bad_to_good: 0.3, loss_good: 0.01, loss_bad: 0.8 };
    assert_near(burst.all_lost(4), 0.0203, 5e-5);
    assert_near(burst.all_lost_if_independent(4), 0.000_228, 5e-7);
    assert_near(burst.all_lost(4) / burst.all_lost_if_independent(4), 89.0, 0.5);
    assert_near(burst.all_lost(1), burst.mean_loss(), 1e-15);
    let even = Burst { loss_good: 0.2, loss_bad: 0.2, ..burst };
    assert_near(even.all_lost(5), even.all_lost_if_independent(5), 1e-15);
}

#[test]
fn a_burst_seen_twice_as_often_is_the_same_burst() {
    let seen = |period| Burst::from_sojourns(20.0, 1.0, period, (0.0, 1.0));
    let (once, twice) = (seen(1.0), seen(0.5));
    assert_near(once.share_bad(), 1.0 / 21.0, 1e-12);
    let stays_bad = 1.0 - twice.bad_to_good;
    let after_two = stays_bad * twice.bad_to_good + twice.bad_to_good * (1.0 - twice.good_to_bad);
    assert_near(once.bad_to_good, after_two, 1e-12);
}
