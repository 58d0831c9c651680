//! The catalogue of metrics: what a trial measured.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;

use hdrhistogram::Histogram;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::drop_counts::DropCounts;
use super::metric_groups::GroupMetrics;
use qoslab_core::base::radio_use::RadioUse;
use qoslab_core::base::{PacketKind, Span};

/// What one trial measured, up to the end of the first calm (`docs/model.md`, "Metrics").
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metrics {
    /// By the published QoS.
    pub qos: [QosMetrics; 3],
    /// Control packets that belong to no message, by [`PacketKind`]'s number, and handshakes.
    pub control: [PacketCount; PacketKind::ALL.len()],
    /// All wire bytes by purpose.
    pub bytes: BytesByPurpose,
    /// The most messages awaiting an acknowledgement at one time, over all nodes.
    pub in_flight_peak: u64,
    /// The most messages waiting for a window or a connection at one time, over all nodes.
    pub queued_peak: u64,
    /// From the last fault's end until nothing was in flight or queued; `None` without a fault,
    /// or if that never came.
    pub recovery: Option<Span>,
    /// What the clients' radios used since the traffic began; `None` if no client has one.
    pub radio: Option<RadioUse>,
    /// What is kept apart, in the order of [`TrialFacts::groups`](super::TrialFacts::groups).
    pub groups: Vec<GroupMetrics>,
    /// What the billed devices sent and received since the traffic began.
    pub bill: Bill,
}

/// Bytes on the wire of the billed devices, both ways, and their price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// All bytes on their links.
    pub bytes: u64,
    /// What they cost, in the scenario's currency; zero without a price.
    pub cost: f64,
}

/// What one trial measured of the messages published with one QoS.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct QosMetrics {
    /// Messages and units.
    pub counts: DeliveryCounts,
    /// From `publish()` to the first delivery, a value for each delivered unit.
    pub latency: LatencyHistogram,
    /// From `publish()` to the end of the publisher's handshake.
    pub completion: LatencyHistogram,
    /// Packets and wire bytes of these messages, by [`Hop`](qoslab_core::base::Hop), by
    /// [`MESSAGE_KINDS`].
    pub traffic: [[KindTraffic; MESSAGE_KINDS.len()]; 2],
}

/// Messages and units by what became of them. A unit is one message and one subscriber whose
/// subscription was live when it was published or taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryCounts {
    /// Calls to `publish()`.
    pub messages: u64,
    /// Units.
    pub units: u64,
    /// Units with at least one copy.
    pub delivered: u64,
    /// Units without a copy, allowed or not, excused or not.
    pub lost: u64,
    /// Units with more than one copy.
    pub duplicated: u64,
    /// Copies beyond the first, over all units.
    pub extra_copies: u64,
    /// Deliveries to clients that were not subscribed.
    pub unexpected: u64,
    /// Units delivered though the publisher never learnt of it.
    pub recovered: u64,
    /// Messages accepted and never acknowledged, though their session lived.
    pub stuck: u64,
    /// First copies that came after the first copy of a later message.
    pub reordered: u64,
    /// Messages that the publisher's endpoint refused or gave up.
    pub refused: u64,
    /// The same by reason.
    pub refused_by_reason: DropCounts,
    /// Copies that the broker let go, retained ones too.
    pub dropped_by_reason: DropCounts,
    /// Messages published while no subscription to their topic was live: no unit.
    pub nobody_subscribed: u64,
    /// Messages and subscribers of their topic whose subscription was not live when they were
    /// published, while another's was: no unit either.
    pub not_subscribed: u64,
    /// Retained messages owed to clients because of a SUBSCRIBE.
    pub retained_owed: u64,
    /// Those of them of which at least one copy came.
    pub retained_delivered: u64,
}

/// The kinds of packet that belong to a message, in the order of [`QosMetrics::traffic`].
pub const MESSAGE_KINDS: [PacketKind; 5] = [
    PacketKind::Publish,
    PacketKind::PubAck,
    PacketKind::PubRec,
    PacketKind::PubRel,
    PacketKind::PubComp,
];

/// Packets of one kind on one hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindTraffic {
    /// First sendings.
    pub first: PacketCount,
    /// Resends.
    pub resent: PacketCount,
}

/// How many packets, with how many bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketCount {
    /// Packets sent, lost ones included; the network's duplicates are not counted as sent.
    pub packets: u64,
    /// Their bytes on the wire, transport headers included.
    pub bytes: u64,
}

/// Wire bytes by purpose; their sum is all that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BytesByPurpose {
    /// Payloads of first sendings.
    pub payload: u64,
    /// The rest of first sendings of PUBLISH: topic, framing, transport headers. Over TCP also the
    /// headers of segments that went later than what they carry was written.
    pub framing: u64,
    /// PUBACK, PUBREC, PUBCOMP, and PUBREL's first sending.
    pub acknowledgements: u64,
    /// PUBLISH and PUBREL sent again, whole, and what TCP sent again.
    pub resends: u64,
    /// PINGREQ and PINGRESP.
    pub keep_alive: u64,
    /// CONNECT, CONNACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, resets, and the
    /// handshakes of TCP and TLS.
    pub connecting: u64,
    /// TCP's acknowledgements that no data took along.
    pub tcp_acknowledgements: u64,
}

/// One of [`BytesByPurpose::PURPOSES`]: its name, what it is, and its bytes.
pub(crate) type Purpose = (&'static str, &'static str, fn(&BytesByPurpose) -> u64);

impl BytesByPurpose {
    /// Each purpose.
    pub const PURPOSES: [Purpose; 7] = [
        ("payload", "payloads of first sendings", |bytes| bytes.payload),
        ("framing", "the rest of first PUBLISH packets", |bytes| bytes.framing),
        ("acknowledgements", "PUBACK, PUBREC, first PUBREL, PUBCOMP", |it| it.acknowledgements),
        ("resends", "packets and TCP segments sent again", |bytes| bytes.resends),
        ("keep_alive", "PINGREQ and PINGRESP", |bytes| bytes.keep_alive),
        ("connecting", "connecting, subscribing, handshakes", |bytes| bytes.connecting),
        ("tcp_acknowledgements", "TCP's own acknowledgements", |it| it.tcp_acknowledgements),
    ];

    /// What messages took: the rest belongs to none.
    #[must_use]
    pub const fn of_messages(&self) -> u64 {
        self.payload + self.framing + self.acknowledgements + self.resends
    }

    /// All that was sent.
    #[must_use]
    pub fn total(&self) -> u64 {
        Self::PURPOSES.iter().map(|(.., bytes)| bytes(self)).sum()
    }
}

/// A distribution of times, kept in microseconds with three significant digits, so that it can be
/// merged over seeds.
#[derive(Clone)]
pub struct LatencyHistogram {
    histogram: Histogram<u32>,
    max: Span,
    total_nanos: u128,
}

impl LatencyHistogram {
    /// No values yet.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "three digits are within the library's range")]
    pub fn new() -> Self {
        let histogram = Histogram::new(3).expect("three significant digits are within 0 to 5");
        Self { histogram, max: Span::ZERO, total_nanos: 0 }
    }

    /// Adds a value.
    #[expect(clippy::missing_panics_doc, reason = "an auto-resizing histogram takes any value")]
    pub fn record(&mut self, span: Span) {
        self.max = self.max.max(span);
        self.total_nanos += u128::from(span.as_nanos());
        self.histogram
            .record((span.as_nanos() + 500) / 1000)
            .expect("an auto-resizing histogram takes any value");
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The exact mean of the values; `None` without any.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a statistic")]
    pub fn mean(&self) -> Option<Span> {
        (self.count() > 0)
            .then(|| Span::from_nanos_f64(self.total_nanos as f64 / self.count() as f64))
    }

    /// The exact maximum; zero without values.
    #[must_use]
    pub const fn max(&self) -> Span {
        self.max
    }

    /// The quantile `q` from 0 to 1 over `population` values, those missing counted as infinite:
    /// `None` if the quantile falls among them.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank within the population"
    )]
    pub fn quantile(&self, q: f64, population: u64) -> Option<Span> {
        let rank = ((q * population as f64).ceil() as u64).clamp(1, population.max(1));
        if rank > self.count() {
            return None;
        }
        let share = rank as f64 / self.count() as f64;
        let micros = self.histogram.value_at_quantile(share);
        Some(Span::from_nanos(micros * 1000).min(self.max))
    }

    /// Adds all values of another distribution.
    #[expect(clippy::missing_panics_doc, reason = "an auto-resizing histogram takes any value")]
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("an auto-resizing histogram takes any value");
        self.max = self.max.max(other.max);
        self.total_nanos += other.total_nanos;
    }
}

/// A distribution as it is stored: the buckets that are not empty, each by its lowest value in
/// microseconds and how many values it has. What is read again merges as the original does.
#[derive(Debug, Serialize, Deserialize)]
struct SparseHistogram {
    buckets: Vec<(u64, u32)>,
    max: Span,
    total_nanos: u128,
}

impl LatencyHistogram {
    fn to_sparse(&self) -> SparseHistogram {
        let recorded = self.histogram.iter_recorded().map(|bucket| {
            let lowest = self.histogram.lowest_equivalent(bucket.value_iterated_to());
            (lowest, bucket.count_at_value())
        });
        SparseHistogram {
            buckets: recorded.collect(),
            max: self.max,
            total_nanos: self.total_nanos,
        }
    }
}

/// Without the thousands of empty buckets.
impl fmt::Debug for LatencyHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_sparse().fmt(f)
    }
}

impl Serialize for LatencyHistogram {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.to_sparse().serialize(to)
    }
}

impl<'de> Deserialize<'de> for LatencyHistogram {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let SparseHistogram { buckets, max, total_nanos } = SparseHistogram::deserialize(from)?;
        let mut latency = Self { max, total_nanos, ..Self::new() };
        for (lowest, count) in buckets {
            latency.histogram.record_n(lowest, count).map_err(D::Error::custom)?;
        }
        Ok(latency)
    }
}

impl AddAssign for DeliveryCounts {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.units += other.units;
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.extra_copies += other.extra_copies;
        self.unexpected += other.unexpected;
        self.recovered += other.recovered;
        self.stuck += other.stuck;
        self.reordered += other.reordered;
        self.refused += other.refused;
        self.refused_by_reason += other.refused_by_reason;
        self.dropped_by_reason += other.dropped_by_reason;
        self.nobody_subscribed += other.nobody_subscribed;
        self.not_subscribed += other.not_subscribed;
        self.retained_owed += other.retained_owed;
        self.retained_delivered += other.retained_delivered;
    }
}

impl Sum for DeliveryCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let mut total = Self::default();
        all.for_each(|one| total += one);
        total
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            qos: std::array::from_fn(|_| QosMetrics::default()),
            control: [PacketCount::default(); PacketKind::ALL.len()],
            bytes: BytesByPurpose::default(),
            in_flight_peak: 0,
            queued_peak: 0,
            recovery: None,
            radio: None,
            bill: Bill::default(),
            groups: Vec::new(),
        }
    }
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_distribution_merges_as_the_original() {
        let mut one = LatencyHistogram::new();
        let mut two = LatencyHistogram::new();
        for nth in 1..2_000 {
            one.record(Span::from_nanos(nth * nth * 1_234_567));
            two.record(Span::from_nanos(nth * 99));
        }
        let bytes = postcard::to_stdvec(&one).unwrap();
        let mut read: LatencyHistogram = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(postcard::to_stdvec(&read).unwrap(), bytes);
        for latency in [&mut one, &mut read] {
            latency.merge(&two);
        }
        assert_eq!(read.mean(), one.mean());
        for thousandth in 0..=1_000 {
            let quantile = f64::from(thousandth) / 1_000.0;
            assert_eq!(read.quantile(quantile, 5_000), one.quantile(quantile, 5_000));
        }
    }

    #[test]
    fn a_long_latency_is_kept_to_three_digits() {
        let mut latency = LatencyHistogram::new();
        latency.record(Span::from_millis(1));
        latency.record(Span::from_secs(9_000));
        let median = latency.quantile(0.5, 2).expect("two of two came");
        assert_eq!(median.as_nanos() / 10_000, 100);
        assert_eq!(latency.quantile(1.0, 2), Some(Span::from_secs(9_000)));
        assert_eq!(latency.quantile(0.9, 3), None, "the third never came");
    }
}
