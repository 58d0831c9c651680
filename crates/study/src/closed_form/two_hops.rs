//! Two hops, from publisher to broker to subscriber.

use super::{HopModel, PacketMeans, expected_failures};
use qoslab_core::base::QoS;

/// The prediction of theory for one message for one subscriber, from end to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndToEndExpectation {
    /// The probability that the subscriber's application sees the message.
    pub delivered: f64,
    /// How often it sees the message.
    pub copies: f64,
    /// Copies beyond the first.
    pub duplicates: f64,
    /// Packets between publisher and broker.
    pub first: PacketMeans,
    /// Packets between broker and subscriber.
    pub second: PacketMeans,
    /// The mean time from publishing to the first delivery, of the messages that are delivered.
    pub latency: ExpectedLatency,
}

/// A mean latency in seconds, as far as theory knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExpectedLatency {
    /// Exactly this.
    Exact(f64),
    /// At most this: exact when the broker sends one message at a time; with a larger window a
    /// forwarded duplicate can overtake the first copy.
    AtMost(f64),
    /// Not known: the second hop gives up, and a later copy may succeed where the first did not.
    Unknown,
}

impl EndToEndExpectation {
    /// All packets on both hops.
    #[must_use]
    pub fn packets(&self) -> f64 {
        self.first.total() + self.second.total()
    }
}

/// What theory expects of a message published with `published` for a subscription granted
/// `granted`: any of the nine pairs, with or without limits of transmissions.
///
/// The second hop has the lower of both QoS [MQTT-3.8.4-6]. The broker forwards every copy of a
/// QoS 1 message that reaches it, as each counts as new (MQTT 3.1.1, section 4.3.2).
#[must_use]
pub fn predict_end_to_end(
    first: &HopModel,
    second: &HopModel,
    published: QoS,
    granted: QoS,
) -> EndToEndExpectation {
    let onward = published.min(granted);
    let in_broker = first.predict(published);
    let at_app = second.predict(onward);
    let delivered = if published == QoS::AtLeastOnce {
        1.0 - first.copies_generating_function(1.0 - at_app.delivered)
    } else {
        in_broker.delivered * at_app.delivered
    };
    let copies = in_broker.copies * at_app.copies;
    let sum = in_broker.latency + at_app.latency;
    let latency = match (published, onward) {
        (QoS::AtLeastOnce, QoS::AtMostOnce) => {
            ExpectedLatency::Exact(qos1_to_qos0_latency(first, second))
        }
        (QoS::AtLeastOnce, _) if second.max_transmissions.is_some() => ExpectedLatency::Unknown,
        (QoS::AtLeastOnce, _) => ExpectedLatency::AtMost(sum),
        _ => ExpectedLatency::Exact(sum),
    };
    EndToEndExpectation {
        delivered,
        copies,
        duplicates: copies - delivered,
        first: in_broker.packets,
        second: at_app.packets.scaled(in_broker.copies),
        latency,
    }
}

/// The latency of QoS 1 forwarded at QoS 0: each transmission either reaches the application, or
/// ends the exchange, or is followed by another.
fn qos1_to_qos0_latency(first: &HopModel, second: &HopModel) -> f64 {
    let p = first.loss;
    let goes_on = p + (1.0 - p) * first.answer_loss * second.loss;
    let failures = expected_failures(goes_on, first.max_transmissions);
    first.delay + second.delay + first.retry_interval * failures
}
