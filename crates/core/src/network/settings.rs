//! Settings of a link, in the words of tc-netem(8).

use crate::base::draw::Chance;
use crate::base::{Direction, Span};
use crate::impl_fingerprint;

/// The two directions between a client and the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkSettings {
    /// The transport of the packets.
    pub transport: Transport,
    /// From the client to the broker.
    pub up: DirectionSettings,
    /// From the broker to the client.
    pub down: DirectionSettings,
    /// Times in which both directions are down.
    pub outage: Option<OutageModel>,
}

/// The way in which packets are carried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transport {
    /// Each MQTT packet is a datagram of its own and meets its own fate, as under MQTT-SN.
    Datagram {
        /// Bytes that the transport adds to each packet; 28 for IPv4 and UDP.
        headers: u32,
    },
    /// Each connection is an ordered stream of bytes each way: a lost segment costs time.
    Tcp(TcpSettings),
}

/// Settings of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TcpSettings {
    /// Bytes of IP and TCP headers on each segment; 40 for IPv4 without options.
    pub headers: u32,
    /// The most bytes of MQTT and TLS in one segment; 1 to 65,495.
    pub mss: u32,
    /// TLS, if there is any.
    pub tls: Option<TlsSettings>,
    /// By how much the retransmission timeout is above the smoothed round trip at the least, as
    /// Linux has it, with 200 ms. RFC 6298 has 1 s for all of the timeout.
    pub rto_min: Span,
    /// How long a sent byte may stay unacknowledged before its sender gives the connection up;
    /// also how long opening one may take. RFC 5482.
    pub user_timeout: Span,
    /// A NAT on the way forgets a connection on which nothing was sent for this time.
    pub nat_idle: Option<Span>,
    /// The rule by which a sender's window grows and shrinks.
    pub congestion: CongestionControl,
    /// The socket at the client.
    pub client: SocketSettings,
    /// The socket at the broker.
    pub broker: SocketSettings,
}

impl TcpSettings {
    /// The socket of the end that sends in a direction.
    #[must_use]
    #[inline]
    pub const fn sending_socket(&self, direction: Direction) -> &SocketSettings {
        match direction {
            Direction::Up => &self.client,
            Direction::Down => &self.broker,
        }
    }

    /// The socket of the end that reads what is sent in a direction.
    #[must_use]
    #[inline]
    pub const fn reading_socket(&self, direction: Direction) -> &SocketSettings {
        self.sending_socket(direction.reverse())
    }
}

/// Settings of one end of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketSettings {
    /// Whether a small segment goes at once (`TCP_NODELAY`); if not, it waits while another small
    /// one is unacknowledged (Nagle's algorithm: RFC 9293, 3.7.4, as Minshall changed it and Linux
    /// has it).
    pub nodelay: bool,
    /// Room for what was written and is not acknowledged.
    pub send_buffer: SocketBuffer,
    /// Room for what has arrived and was not read.
    pub receive_buffer: SocketBuffer,
    /// The least time from reading one packet to reading the next; zero for a reader that is never
    /// behind.
    pub read_interval: Span,
}

impl SocketSettings {
    /// A socket of Linux with `TCP_NODELAY`, whose reader is never behind.
    pub const LINUX: Self = Self {
        nodelay: true,
        send_buffer: SocketBuffer::Autotuned,
        receive_buffer: SocketBuffer::Autotuned,
        read_interval: Span::ZERO,
    };

    /// Whether a buffer has a fixed size.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        matches!(self.send_buffer, SocketBuffer::Bytes(_))
            || matches!(self.receive_buffer, SocketBuffer::Bytes(_))
    }
}

/// The size of a socket's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketBuffer {
    /// As Linux has it: it begins with 64 KiB and grows with what the connection carries, up to 4
    /// MiB for sending (`tcp_wmem`, tcp(7)) and 3 MiB for receiving (half of `tcp_rmem`: the rest
    /// is for headers).
    Autotuned,
    /// This number of bytes, as small stacks have it; a segment at least.
    Bytes(u32),
}

/// Congestion control of a TCP sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CongestionControl {
    /// RFC 9438; the default of Linux, macOS and Windows.
    #[default]
    Cubic,
    /// RFC 5681; that of lwIP and most small stacks.
    Reno,
}

/// TLS on a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The version of TLS.
    pub version: TlsVersion,
    /// Whether all connections of a client but its first resume the TLS session of an earlier one.
    pub resumption: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246: two round trips, one with resumption.
    V12,
    /// RFC 8446: one round trip.
    V13,
}

/// One direction of a link.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectionSettings {
    /// The mean propagation delay.
    pub delay: Span,
    /// How far the delay strays from its mean; its meaning depends on the distribution.
    pub jitter: Span,
    /// The distribution of that deviation.
    pub distribution: Distribution,
    /// Model of packet loss.
    pub loss: LossModel,
    /// The chance that a packet which is not lost arrives twice.
    pub duplicate: Chance,
    /// Packets that skip the delay and so overtake others.
    pub reorder: Option<ReorderRule>,
    /// Rate at which bytes leave, in bits a second; `None` for at once.
    pub rate: Option<u64>,
    /// Limit of packets that wait to leave, the one that is leaving included; one more is dropped.
    /// Only with a rate; `None` for no limit.
    pub queue: Option<u32>,
}

/// Distribution of jitter around the delay. A delay never falls below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Evenly from delay - jitter to delay + jitter.
    #[default]
    Uniform,
    /// Normal, with the jitter as standard deviation.
    Normal,
    /// Pareto, long-tailed, with the jitter as standard deviation.
    Pareto,
}

/// Model of packet loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LossModel {
    /// Each packet on its own.
    Random(Chance),
    /// The Gilbert-Elliott model, stepped by each packet.
    GilbertElliott {
        /// From good to bad.
        p: Chance,
        /// From bad to good.
        r: Chance,
        /// Loss while bad (`1-h` in netem's words).
        loss_bad: Chance,
        /// Loss while good (`1-k`).
        loss_good: Chance,
    },
    /// Good and bad times of exponential length, the same for every QoS.
    Burst {
        /// Mean length of a good time.
        good: Span,
        /// Mean length of a bad time.
        bad: Span,
        /// Loss while bad.
        loss_bad: Chance,
        /// Loss while good.
        loss_good: Chance,
    },
}

/// Packets that are sent on at once, as netem's `reorder PERCENT gap N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReorderRule {
    /// The chance for each packet that may.
    pub chance: Chance,
    /// Only every so-manieth packet may; 1 for each.
    pub gap: u32,
}

/// Times in which a link is down, at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutageModel {
    /// From the end of one (or the start of the traffic) to the next.
    pub every: IntervalDistribution,
    /// Duration of an outage.
    pub lasts: IntervalDistribution,
}

/// A length of time that repeats, fixed or drawn anew each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntervalDistribution {
    /// Always the same.
    Fixed(Span),
    /// Evenly between two bounds.
    Uniform(Span, Span),
    /// Exponential with this mean: a Poisson process.
    Exponential(Span),
}

impl_fingerprint! {
    enum IntervalDistribution {
        Fixed(span),
        Uniform(from, to),
        Exponential(mean),
    }
}
