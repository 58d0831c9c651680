//! Streams: over TCP packet loss costs time, and only a connection that ends loses or duplicates.

use crate::closed_forms::variations::{assert_near, backoff_latency};
use qoslab::base::QoS;
use qoslab::base::draw::{DrawKey, uniform_open_unit};
use qoslab::study::closed_form::{HopModel, expected_failures};

/// A random time in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct DelayMoments {
    /// Its mean.
    pub(super) mean: f64,
    /// Its variance, in seconds squared.
    pub(super) variance: f64,
}

/// A TCP connection with so little traffic that one segment is under way at a time: a loss is
/// repaired by a probe after a while, and then by timeouts, each twice as long as the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ThinTcp {
    /// The probability that a segment is lost.
    pub(super) loss: f64,
    /// The delay one way in seconds.
    pub(super) delay: f64,
    /// When a lone segment is probed, in seconds after it was sent.
    pub(super) probe: f64,
    /// The first retransmission timeout after that, in seconds.
    pub(super) rto: f64,
}

impl ThinTcp {
    /// As Linux has them (RFC 8985, 7.2; RFC 6298): a probe after two round trips and 200 ms, a
    /// timeout of a round trip and its least margin; neither the probe later than the timeout.
    pub(super) fn linux(loss: f64, delay: f64, round_trip: f64, margin: f64) -> Self {
        let rto = round_trip + margin;
        Self { loss, delay, probe: (2.0 * round_trip + 0.2).min(rto), rto }
    }

    /// The delay of a segment: `delay + probe + rto (2^(k-1) - 1)` after `k` losses, and `delay`
    /// after none, which has the mean `delay + p probe + p^2 rto / (1 - 2p)`.
    ///
    /// The mean is infinite from a loss of a half on, the variance from a quarter on; the minute at
    /// which TCP stops doubling (RFC 6298, 2.5) is left out.
    pub(super) fn latency(&self) -> DelayMoments {
        let Self { loss, delay, probe, rto } = *self;
        // Given one loss, the further ones make the time probe - rto + rto 2^j. The moments of 2^j
        // are geometric series with the ratios 2p and 4p.
        let moment = |power: f64| {
            if power * loss < 1.0 { (1.0 - loss) / (1.0 - power * loss) } else { f64::INFINITY }
        };
        let (first, second) = (moment(2.0), moment(4.0));
        let fixed = probe - rto;
        let mean = loss * (fixed + rto * first);
        let square = loss * (fixed * fixed + 2.0 * fixed * rto * first + rto * rto * second);
        let variance = if square.is_finite() { square - mean * mean } else { f64::INFINITY };
        DelayMoments { mean: delay + mean, variance }
    }
}

/// One hop over a stream that is cut now and then, with a session that resumes: the rule of MQTT
/// 3.1.1 and 5.0, to send again on reconnect only [MQTT-4.4.0-1].
///
/// A cut loses what is under way. The session is persistent and every queue large enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TcpHopModel {
    /// Cuts a second while connected, exponential.
    pub(super) cut_rate: f64,
    /// The time in seconds from a cut to the next connection, detection included.
    pub(super) outage: f64,
    /// The delay one way in seconds.
    pub(super) delay: f64,
}

/// Theoretical values for a message published at a random time over a [`TcpHopModel`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TcpHopExpectation {
    /// The probability that a QoS 0 message is delivered, without an offline queue.
    pub(super) qos0_delivered: f64,
    /// The probability that a QoS 1 or 2 message is delivered: 1.
    pub(super) delivered: f64,
    /// PUBLISH packets for a QoS 1 or 2 message.
    pub(super) publishes: f64,
    /// The copies of a QoS 1 message; QoS 2 has one.
    pub(super) copies: f64,
    /// The time to its first delivery in seconds.
    pub(super) latency: f64,
    /// The time to its PUBACK or PUBREC in seconds.
    pub(super) completion: f64,
}

impl TcpHopModel {
    /// Computes the theoretical values.
    pub(super) fn expect(&self) -> TcpHopExpectation {
        let Self { cut_rate, outage, delay } = *self;
        TcpHopExpectation {
            qos0_delivered: libm::exp(-cut_rate * delay) / (1.0 + cut_rate * outage),
            delivered: 1.0,
            publishes: libm::exp(2.0 * cut_rate * delay),
            copies: libm::exp(cut_rate * delay),
            latency: self.time_to_first_delivery().mean,
            completion: self.time_to_acknowledgement().mean,
        }
    }

    /// The time from publishing to the first delivery of a QoS 1 or 2 message.
    pub(super) fn time_to_first_delivery(&self) -> DelayMoments {
        self.time_until_uncut_for(self.delay)
    }

    /// The time from publishing to its PUBACK or PUBREC.
    pub(super) fn time_to_acknowledgement(&self) -> DelayMoments {
        self.time_until_uncut_for(2.0 * self.delay)
    }

    /// The time from a random moment until a connection has lasted for `trip` seconds: with the
    /// mean `(e^(rate trip) - 1) (outage + 1/rate) + rate outage^2 / (2 (1 + rate outage))`.
    fn time_until_uncut_for(&self, trip: f64) -> DelayMoments {
        let Self { cut_rate, outage, .. } = *self;
        // The rest of an outage at a random moment: nothing, or evenly up to all of it.
        let share_down = cut_rate * outage / (1.0 + cut_rate * outage);
        let waiting = share_down * outage / 2.0;
        let waiting_squared = share_down * outage * outage / 3.0;
        // Each attempt is cut with this probability, and has then lasted for less than the trip.
        let cut = -libm::expm1(-cut_rate * trip);
        let failures = expected_failures(cut, None);
        let (duration, duration_squared) = self.cut_connection_moments(trip);
        let wasted = duration + outage;
        DelayMoments {
            mean: waiting + failures * wasted + trip,
            variance: waiting_squared - waiting * waiting
                + failures * (duration_squared - duration * duration)
                + failures / (1.0 - cut) * wasted * wasted,
        }
    }

    /// The first two moments of how long a connection lasted that was cut within `trip` seconds.
    fn cut_connection_moments(&self, trip: f64) -> (f64, f64) {
        let rate = self.cut_rate;
        let cut = -libm::expm1(-rate * trip);
        if cut <= 0.0 {
            return (0.0, 0.0);
        }
        let stays = 1.0 - cut;
        let mean = 1.0 / rate - trip * stays / cut;
        let squared = 2.0 / (rate * rate) - stays / cut * (trip * trip + 2.0 * trip / rate);
        (mean, squared)
    }
}

// ---- formulas against simulation without them ----

const MESSAGES: u32 = 200_000;

/// The mean of the samples, compared with the expected one; and their variance loosely.
fn assert_moments(what: &str, samples: &[f64], expected: DelayMoments) {
    let n = f64::from(u32::try_from(samples.len()).expect("there are few"));
    let mean = samples.iter().sum::<f64>() / n;
    let z = (mean - expected.mean) / (expected.variance / n).sqrt();
    assert!(z.abs() < 4.5, "{what}: {mean} instead of {}: z = {z}", expected.mean);
    let variance = samples.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    let ratio = variance / expected.variance;
    assert!((0.9..1.1).contains(&ratio), "{what}: a variance {ratio} times the expected one");
}

/// The fate of one message, simulated step by step without the formulas.
struct SimulatedMessage {
    publishes: f64,
    copies: f64,
    latency: f64,
    completion: f64,
    qos0_delivered: bool,
}

fn simulate_message(stream: &TcpHopModel, message: u32) -> SimulatedMessage {
    let TcpHopModel { cut_rate, outage, delay } = *stream;
    let draw = |nth| uniform_open_unit(DrawKey::new(1).draw([message, nth, 0, 0])[0]);
    let exponential = |nth| -libm::log(draw(nth)) / cut_rate;
    // The moment of publishing is random in a cycle of a connection and an outage.
    let up_share = 1.0 / (1.0 + cut_rate * outage);
    let is_up = draw(0) < up_share;
    let mut now = if is_up { 0.0 } else { draw(1) * outage };
    let mut result = SimulatedMessage {
        publishes: 0.0,
        copies: 0.0,
        latency: f64::INFINITY,
        completion: 0.0,
        qos0_delivered: false,
    };
    for attempt in 0.. {
        result.publishes += 1.0;
        let lasts = exponential(2 + attempt);
        if lasts > delay {
            result.copies += 1.0;
            result.latency = result.latency.min(now + delay);
            result.qos0_delivered |= attempt == 0 && is_up;
        }
        if lasts > 2.0 * delay {
            result.completion = now + 2.0 * delay;
            break;
        }
        now += lasts + outage;
    }
    result
}

#[test]
fn a_hop_simulated_step_by_step_agrees_with_the_formulas() {
    for stream in [
        TcpHopModel { cut_rate: 0.05, outage: 3.0, delay: 2.0 },
        TcpHopModel { cut_rate: 0.5, outage: 10.0, delay: 1.0 },
        TcpHopModel { cut_rate: 1.0 / 300.0, outage: 30.0, delay: 3.0 },
    ] {
        let results =
            (0..MESSAGES).map(|message| simulate_message(&stream, message)).collect::<Vec<_>>();
        let samples = |of: fn(&SimulatedMessage) -> f64| results.iter().map(of).collect::<Vec<_>>();
        let expected = stream.expect();
        // Both counts are geometric.
        let geometric = |mean: f64| DelayMoments { mean, variance: mean * (mean - 1.0) };
        let chance = |mean: f64| DelayMoments { mean, variance: mean * (1.0 - mean) };
        let delivered = samples(|story| f64::from(u8::from(story.qos0_delivered)));
        assert_moments("QoS 0", &delivered, chance(expected.qos0_delivered));
        let publishes = samples(|story| story.publishes);
        assert_moments("PUBLISH", &publishes, geometric(expected.publishes));
        assert_moments("copies", &samples(|story| story.copies), geometric(expected.copies));
        let latency = samples(|story| story.latency);
        assert_moments("latency", &latency, stream.time_to_first_delivery());
        let completion = samples(|story| story.completion);
        assert_moments("completion", &completion, stream.time_to_acknowledgement());
    }
}

#[test]
fn thin_tcp_with_a_probe_at_the_timeout_is_a_backoff_of_two_after_it() {
    for loss in [0.0, 0.01, 0.1, 0.24, 0.3, 0.49] {
        let thin = ThinTcp { loss, delay: 0.05, probe: 0.2, rto: 0.2 }.latency();
        // The probe doubles nothing: what follows is a backoff that begins with it.
        let plain = loss * (0.2 + backoff_latency(loss, 0.0, 0.2, 2.0, None));
        assert!((thin.mean - 0.05 - plain).abs() < 1e-12, "{loss}");
        assert_eq!(thin.variance.is_finite(), loss < 0.25);
    }
    let lost = ThinTcp { loss: 0.5, delay: 0.05, probe: 0.2, rto: 0.2 }.latency();
    assert!(lost.mean.is_infinite());
}

#[test]
fn thin_tcp_has_the_moments_of_its_series() {
    let thin = ThinTcp { loss: 0.1, delay: 0.05, probe: 0.3, rto: 0.2 };
    let (mut chance, mut late, mut timeout) = (0.9 * 0.1, 0.3, 0.2);
    let (mut first, mut second) = (0.0, 0.0);
    for _ in 0..60 {
        first += chance * late;
        second += chance * late * late;
        chance *= 0.1;
        late += timeout;
        timeout *= 2.0;
    }
    let expected = thin.latency();
    assert!((expected.mean - 0.05 - first).abs() < 1e-12);
    assert!((expected.variance - (second - first * first)).abs() < 1e-12);
}

#[test]
fn a_tcp_hop_without_cuts_in_flight_is_lossless() {
    let stream = TcpHopModel { cut_rate: 0.01, outage: 5.0, delay: 0.0 };
    let expected = stream.expect();
    assert_near(expected.qos0_delivered, 1.0 / 1.05, 1e-12);
    assert_near(expected.copies, 1.0, 0.0);
    assert_near(expected.latency, 0.01 * 25.0 / 2.1, 1e-12);
    // The same as one hop whose packets are lost with the probability of a cut in flight.
    let delayed = TcpHopModel { delay: 2.0, ..stream }.expect();
    let hop = HopModel::symmetric(1.0 - libm::exp(-0.02), 2.0, 5.0).predict(QoS::AtLeastOnce);
    assert_near(delayed.publishes, hop.packets.publish, 1e-12);
    assert_near(delayed.copies, hop.copies, 1e-12);
}
