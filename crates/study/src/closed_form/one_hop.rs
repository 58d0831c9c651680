//! One hop, with unlimited or limited transmissions.

use super::{any_succeeds, expected_attempts, expected_failures, power};
use qoslab_core::base::qos::QoS;

/// One hop: a sender, a receiver, and what the network between them does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hop {
    /// `p`: the probability that a packet from sender to receiver is lost.
    pub loss: f64,
    /// `q`: the probability that an answer is lost.
    pub answer_loss: f64,
    /// The delay of each packet, one way, in seconds.
    pub delay: f64,
    /// The time from one transmission to the next, in seconds; longer than the round trip.
    pub retry: f64,
    /// `N`: at most so many transmissions of one packet, the first included, at least 1; the
    /// PUBREL of QoS 2 has as many again. `None`: no limit.
    pub transmissions: Option<u32>,
    /// When a QoS 2 receiver delivers.
    pub method: Method,
}

/// When a QoS 2 receiver hands the message on (MQTT 3.1.1, figure 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// On PUBREL; until then it stores the message.
    A,
    /// On the first PUBLISH; until PUBREL it stores the packet id.
    #[default]
    B,
}

/// What theory expects of one message on one hop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// The probability that the receiving application sees the message.
    pub delivered: f64,
    /// The probability that the sender sees its handshake end well.
    pub acknowledged: f64,
    /// The probability that the message was delivered and the sender gave it up all the same.
    pub false_failure: f64,
    /// The probability that a QoS 2 receiver keeps a packet id that its sender has given up. The
    /// next message with that id is then taken for a repeat, and silently lost.
    pub held_id: f64,
    /// How many packets are sent.
    pub packets: Packets,
    /// The variance of the number of all packets; known for unlimited transmissions only.
    pub packets_variance: Option<f64>,
    /// How often the application sees the message.
    pub copies: f64,
    /// Copies beyond the first.
    pub duplicates: f64,
    /// The time to the first delivery in seconds, of the messages that are delivered.
    pub latency: f64,
    /// The time to the end of the handshake in seconds, of those that are acknowledged; 0 for
    /// QoS 0, which is done when it is sent.
    pub completion: f64,
}

/// How many packets of each kind are sent, with all repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "MQTT's own names")]
pub struct Packets {
    pub publish: f64,
    pub puback: f64,
    pub pubrec: f64,
    pub pubrel: f64,
    pub pubcomp: f64,
}

impl Packets {
    /// The length in bytes of each of the four acknowledgements.
    const ACK_BYTES: f64 = 4.0;

    /// All packets.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.publish + self.acks()
    }

    /// All packets but PUBLISH.
    #[must_use]
    pub fn acks(&self) -> f64 {
        self.puback + self.pubrec + self.pubrel + self.pubcomp
    }

    /// Their bytes: `publish_bytes` for each PUBLISH (see [`super::publish_bytes`]), four for
    /// each other packet, and the transport's `header_bytes` for every one.
    #[must_use]
    pub fn bytes(&self, publish_bytes: f64, header_bytes: f64) -> f64 {
        self.publish * publish_bytes + self.acks() * Self::ACK_BYTES + self.total() * header_bytes
    }

    /// So many times as many of each.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        Self {
            publish: self.publish * factor,
            puback: self.puback * factor,
            pubrec: self.pubrec * factor,
            pubrel: self.pubrel * factor,
            pubcomp: self.pubcomp * factor,
        }
    }
}

impl Hop {
    /// A hop that loses as much each way and resends without limit.
    #[must_use]
    pub const fn symmetric(loss: f64, delay: f64, retry: f64) -> Self {
        Self { loss, answer_loss: loss, delay, retry, transmissions: None, method: Method::B }
    }

    /// What theory expects of one message sent with `qos`.
    #[must_use]
    pub fn expect(&self, qos: QoS) -> Expected {
        match qos {
            QoS::AtMostOnce => self.at_most_once(),
            QoS::AtLeastOnce => self.at_least_once(),
            QoS::ExactlyOnce => self.exactly_once(),
        }
    }

    /// `s`: the probability that one packet and its answer both get through.
    #[must_use]
    pub fn round_trip(&self) -> f64 {
        (1.0 - self.loss) * (1.0 - self.answer_loss)
    }

    /// The probability that the application sees a QoS 1 message exactly `copies` times, without
    /// a limit of transmissions: `(1-q) q^(c-1)`.
    #[must_use]
    pub fn copies_probability(&self, copies: u32) -> f64 {
        match copies.checked_sub(1) {
            None => 0.0,
            Some(more) => (1.0 - self.answer_loss) * power(self.answer_loss, more),
        }
    }

    /// The probability generating function of a QoS 1 message's copies: the mean of `z^copies`.
    #[must_use]
    pub fn copies_generating_function(&self, z: f64) -> f64 {
        let (p, q) = (self.loss, self.answer_loss);
        match self.transmissions {
            None => (1.0 - q) * z / (1.0 - q * z),
            Some(limit) => {
                let goes_on = p + (1.0 - p) * q * z;
                let ends = (1.0 - p) * (1.0 - q) * z;
                ends * expected_attempts(goes_on, Some(limit)) + power(goes_on, limit)
            }
        }
    }

    /// The probability that a message is delivered within the delay and `retries` timer periods,
    /// with QoS 1 or QoS 2 by method B: `1 - p^(k+1)`.
    #[must_use]
    pub fn latency_within(&self, retries: u32) -> f64 {
        1.0 - power(self.loss, retries.saturating_add(1))
    }

    /// The latency in seconds that a share `share` of all messages does not exceed, with QoS 1 or
    /// QoS 2 by method B and no limit of transmissions; `share` below 1.
    #[must_use]
    pub fn latency_quantile(&self, share: f64) -> f64 {
        if share <= 1.0 - self.loss {
            return self.delay;
        }
        let transmissions = (libm::log(1.0 - share) / libm::log(self.loss)).ceil();
        self.delay + self.retry * (transmissions - 1.0)
    }

    /// When the sender gives up, in seconds after the first transmission, if nothing is answered;
    /// of QoS 2 each of the two exchanges has so long. `None` without a limit.
    #[must_use]
    pub fn gives_up_after(&self) -> Option<f64> {
        self.transmissions.map(|limit| f64::from(limit) * self.retry)
    }

    fn at_most_once(&self) -> Expected {
        let delivered = 1.0 - self.loss;
        Expected {
            delivered,
            acknowledged: 1.0,
            false_failure: 0.0,
            held_id: 0.0,
            packets: Packets { publish: 1.0, ..Packets::default() },
            packets_variance: Some(0.0),
            copies: delivered,
            duplicates: 0.0,
            latency: self.delay,
            completion: 0.0,
        }
    }

    fn at_least_once(&self) -> Expected {
        let exchange = Exchange::of(self);
        let copies = exchange.answers;
        Expected {
            delivered: exchange.arrives,
            acknowledged: exchange.answered,
            false_failure: exchange.arrives - exchange.answered,
            held_id: 0.0,
            packets: Packets {
                publish: exchange.requests,
                puback: exchange.answers,
                ..Packets::default()
            },
            packets_variance: self.exchange_variance(),
            copies,
            duplicates: copies - exchange.arrives,
            latency: exchange.arrival,
            completion: exchange.completion,
        }
    }

    fn exactly_once(&self) -> Expected {
        let exchange = Exchange::of(self);
        let Exchange { arrives, answered, .. } = exchange;
        let both = answered * answered;
        let (delivered, latency) = match self.method {
            Method::A => (answered * arrives, exchange.completion + exchange.arrival),
            Method::B => (arrives, exchange.arrival),
        };
        Expected {
            delivered,
            acknowledged: both,
            false_failure: delivered - both,
            held_id: (arrives - answered) + answered * (1.0 - arrives),
            packets: Packets {
                publish: exchange.requests,
                puback: 0.0,
                pubrec: exchange.answers,
                pubrel: answered * exchange.requests,
                pubcomp: answered * exchange.answers,
            },
            packets_variance: self.exchange_variance().map(|variance| 2.0 * variance),
            copies: delivered,
            duplicates: 0.0,
            latency,
            completion: 2.0 * exchange.completion,
        }
    }

    /// The variance of the number of packets of one request and its answers.
    fn exchange_variance(&self) -> Option<f64> {
        if self.transmissions.is_some() {
            return None;
        }
        let (p, s) = (self.loss, self.round_trip());
        let answer_lost = (1.0 - p) * self.answer_loss;
        let extra = (p + 2.0 * answer_lost) / s;
        Some((p + 4.0 * answer_lost) / s + extra * extra)
    }
}

/// A request that is repeated until its answer comes: PUBLISH and PUBACK, PUBLISH and PUBREC, or
/// PUBREL and PUBCOMP.
struct Exchange {
    /// The probability that the request arrives at least once.
    arrives: f64,
    /// `a`: the probability that an answer arrives.
    answered: f64,
    /// How often the request is sent.
    requests: f64,
    /// How often an answer is sent, which is how often the request arrives.
    answers: f64,
    /// The time to the request's first arrival, given one.
    arrival: f64,
    /// The time to the answer's arrival, given one.
    completion: f64,
}

impl Exchange {
    fn of(hop: &Hop) -> Self {
        let (s, limit) = (hop.round_trip(), hop.transmissions);
        let requests = expected_attempts(1.0 - s, limit);
        Self {
            arrives: any_succeeds(hop.loss, limit),
            answered: any_succeeds(1.0 - s, limit),
            requests,
            answers: (1.0 - hop.loss) * requests,
            arrival: hop.delay + hop.retry * expected_failures(hop.loss, limit),
            completion: 2.0 * hop.delay + hop.retry * expected_failures(1.0 - s, limit),
        }
    }
}
