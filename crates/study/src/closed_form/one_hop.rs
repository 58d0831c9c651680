//! One hop, with unlimited or limited transmissions.

use super::{expected_attempts, expected_failures, power, success_probability};
use qoslab_core::base::QoS;

/// One hop: a sender, a receiver, and what the network between them does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HopModel {
    /// `p`: the probability that a packet from sender to receiver is lost.
    pub loss: f64,
    /// `q`: the probability that an answer is lost.
    pub answer_loss: f64,
    /// The delay of each packet, one way, in seconds.
    pub delay: f64,
    /// The time from one transmission to the next, in seconds; longer than the round trip.
    pub retry_interval: f64,
    /// `N`: the greatest number of transmissions of one packet, the first included, at least 1; the
    /// PUBREL of QoS 2 has as many again. `None`: no limit.
    pub max_transmissions: Option<u32>,
    /// When a QoS 2 receiver delivers.
    pub qos2_delivery: Qos2Delivery,
}

/// When a QoS 2 receiver hands the message on (MQTT 3.1.1, figure 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Qos2Delivery {
    /// On PUBREL; until then it stores the message.
    OnPubrel,
    /// On the first PUBLISH; until PUBREL it stores the packet id.
    #[default]
    OnPublish,
}

/// The prediction of theory for one message on one hop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HopExpectation {
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
    pub packets: PacketMeans,
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
pub struct PacketMeans {
    pub publish: f64,
    pub puback: f64,
    pub pubrec: f64,
    pub pubrel: f64,
    pub pubcomp: f64,
}

impl PacketMeans {
    /// All packets.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.publish + self.puback + self.pubrec + self.pubrel + self.pubcomp
    }

    /// The numbers of each, multiplied by `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self {
            publish: self.publish * factor,
            puback: self.puback * factor,
            pubrec: self.pubrec * factor,
            pubrel: self.pubrel * factor,
            pubcomp: self.pubcomp * factor,
        }
    }
}

impl HopModel {
    /// A hop that loses as much each way and resends without limit.
    #[must_use]
    pub const fn symmetric(loss: f64, delay: f64, retry: f64) -> Self {
        Self {
            loss,
            answer_loss: loss,
            delay,
            retry_interval: retry,
            max_transmissions: None,
            qos2_delivery: Qos2Delivery::OnPublish,
        }
    }

    /// What theory expects of one message sent with `qos`.
    #[must_use]
    pub fn predict(&self, qos: QoS) -> HopExpectation {
        match qos {
            QoS::AtMostOnce => self.at_most_once(),
            QoS::AtLeastOnce => self.at_least_once(),
            QoS::ExactlyOnce => self.exactly_once(),
        }
    }

    /// `s`: the probability that one packet and its answer both get through.
    fn round_trip_probability(&self) -> f64 {
        (1.0 - self.loss) * (1.0 - self.answer_loss)
    }

    /// The probability generating function of a QoS 1 message's copies: the mean of `z^copies`.
    #[must_use]
    pub fn copies_generating_function(&self, z: f64) -> f64 {
        let (p, q) = (self.loss, self.answer_loss);
        match self.max_transmissions {
            None => (1.0 - q) * z / (1.0 - q * z),
            Some(limit) => {
                let goes_on = p + (1.0 - p) * q * z;
                let ends = (1.0 - p) * (1.0 - q) * z;
                ends * expected_attempts(goes_on, Some(limit)) + power(goes_on, limit)
            }
        }
    }

    /// The latency in seconds that a share `share` of all messages does not exceed, with QoS 1 or
    /// QoS 2 by method B and no limit of transmissions; `share` below 1.
    #[must_use]
    pub fn latency_quantile(&self, share: f64) -> f64 {
        if share <= 1.0 - self.loss {
            return self.delay;
        }
        let transmissions = (libm::log(1.0 - share) / libm::log(self.loss)).ceil();
        self.delay + self.retry_interval * (transmissions - 1.0)
    }

    fn at_most_once(&self) -> HopExpectation {
        let delivered = 1.0 - self.loss;
        HopExpectation {
            delivered,
            acknowledged: 1.0,
            false_failure: 0.0,
            held_id: 0.0,
            packets: PacketMeans { publish: 1.0, ..PacketMeans::default() },
            packets_variance: Some(0.0),
            copies: delivered,
            duplicates: 0.0,
            latency: self.delay,
            completion: 0.0,
        }
    }

    fn at_least_once(&self) -> HopExpectation {
        let exchange = RetriedExchange::from_hop(self);
        let copies = exchange.answers_sent;
        HopExpectation {
            delivered: exchange.arrival_probability,
            acknowledged: exchange.answer_probability,
            false_failure: exchange.arrival_probability - exchange.answer_probability,
            held_id: 0.0,
            packets: PacketMeans {
                publish: exchange.requests_sent,
                puback: exchange.answers_sent,
                ..PacketMeans::default()
            },
            packets_variance: self.exchange_variance(),
            copies,
            duplicates: copies - exchange.arrival_probability,
            latency: exchange.arrival_time,
            completion: exchange.completion_time,
        }
    }

    fn exactly_once(&self) -> HopExpectation {
        let exchange = RetriedExchange::from_hop(self);
        let RetriedExchange { arrival_probability: arrives, answer_probability: answered, .. } =
            exchange;
        let both = answered * answered;
        let (delivered, latency) = match self.qos2_delivery {
            Qos2Delivery::OnPubrel => {
                (answered * arrives, exchange.completion_time + exchange.arrival_time)
            }
            Qos2Delivery::OnPublish => (arrives, exchange.arrival_time),
        };
        HopExpectation {
            delivered,
            acknowledged: both,
            false_failure: delivered - both,
            held_id: (arrives - answered) + answered * (1.0 - arrives),
            packets: PacketMeans {
                publish: exchange.requests_sent,
                puback: 0.0,
                pubrec: exchange.answers_sent,
                pubrel: answered * exchange.requests_sent,
                pubcomp: answered * exchange.answers_sent,
            },
            packets_variance: self.exchange_variance().map(|variance| 2.0 * variance),
            copies: delivered,
            duplicates: 0.0,
            latency,
            completion: 2.0 * exchange.completion_time,
        }
    }

    /// The variance of the number of packets of one request and its answers.
    fn exchange_variance(&self) -> Option<f64> {
        if self.max_transmissions.is_some() {
            return None;
        }
        let (p, s) = (self.loss, self.round_trip_probability());
        let answer_lost = (1.0 - p) * self.answer_loss;
        let extra = (p + 2.0 * answer_lost) / s;
        Some((p + 4.0 * answer_lost) / s + extra * extra)
    }
}

/// A request that is repeated until its answer comes: PUBLISH and PUBACK, PUBLISH and PUBREC, or
/// PUBREL and PUBCOMP.
struct RetriedExchange {
    /// The probability that the request arrives at least once.
    arrival_probability: f64,
    /// `a`: the probability that an answer arrives.
    answer_probability: f64,
    /// How often the request is sent.
    requests_sent: f64,
    /// How often an answer is sent, which is how often the request arrives.
    answers_sent: f64,
    /// The time to the request's first arrival, given one.
    arrival_time: f64,
    /// The time to the answer's arrival, given one.
    completion_time: f64,
}

impl RetriedExchange {
    fn from_hop(hop: &HopModel) -> Self {
        let (s, limit) = (hop.round_trip_probability(), hop.max_transmissions);
        let requests = expected_attempts(1.0 - s, limit);
        Self {
            arrival_probability: success_probability(hop.loss, limit),
            answer_probability: success_probability(1.0 - s, limit),
            requests_sent: requests,
            answers_sent: (1.0 - hop.loss) * requests,
            arrival_time: hop.delay + hop.retry_interval * expected_failures(hop.loss, limit),
            completion_time: 2.0 * hop.delay
                + hop.retry_interval * expected_failures(1.0 - s, limit),
        }
    }
}
