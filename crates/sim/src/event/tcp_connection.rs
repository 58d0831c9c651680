//! TCP connections: their two streams, and the handshake that opens them.

use super::links::PacketInFlight;
use qoslab_core::base::{ClientIndex, Direction, Node, Time};
use qoslab_core::impl_fingerprint;
use qoslab_core::network::tcp::TcpStreams;
use qoslab_core::network::{TlsSettings, TlsVersion};

/// One TCP connection. It exists from the client's SYN until both ends are done with it.
#[derive(Debug)]
pub(super) struct TcpConnection {
    pub(super) client: ClientIndex,
    pub(super) streams: TcpStreams<TcpItem>,
    /// When the queue wakes it; other such events are stale.
    pub(super) wakes_at: Time,
    /// The handshake before the client has its connection.
    pub(super) handshake: &'static [HandshakeFlight],
    /// When the client's end may read next, while it reads slowly.
    pub(super) next_read_at: Time,
    /// Whether the end of each direction is under way, and awaited.
    pub(super) fin_awaited: [bool; 2],
    /// The node whose host lost its power: once it is back it answers with a reset.
    pub(super) powered_off_node: Option<Node>,
}

impl_fingerprint! {
    struct TcpConnection {
        plain client, streams, handshake, fin_awaited, powered_off_node;
        future_only next_read_at;
        skip wakes_at: "counts with the queue, in which each wake-up is";
    }
}

/// Contents of a stream.
#[derive(Clone, Debug)]
pub(super) enum TcpItem {
    /// A flight of the handshake, by its place.
    Handshake(u8),
    /// An MQTT packet.
    Packet(PacketInFlight),
    /// The sender's end is closed; nothing follows.
    Fin,
}

impl_fingerprint! {
    enum TcpItem {
        Handshake(flight),
        Packet(packet),
        Fin,
    }
}

/// One flight of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HandshakeFlight {
    pub(super) direction: Direction,
    /// Bytes of TLS; 0 for TCP's own segments.
    pub(super) bytes: u32,
}

impl_fingerprint! { struct HandshakeFlight { plain direction, bytes; } }

const fn up(bytes: u32) -> HandshakeFlight {
    HandshakeFlight { direction: Direction::Up, bytes }
}

const fn down(bytes: u32) -> HandshakeFlight {
    HandshakeFlight { direction: Direction::Down, bytes }
}

// The bytes of TLS assume X25519 or P-256, AES-128-GCM, a server name of 20 letters, one session
// ticket, and a chain of two certificates for P-256 keys of 700 bytes each; clients have none.
// They are sums of the fields of RFC 5246 and RFC 8446 and good to about a tenth.

/// SYN, SYN-ACK (RFC 9293, section 3.5); the last ACK goes with the first data.
const TCP_ONLY: &[HandshakeFlight] = &[up(0), down(0)];
/// `ClientHello`; `ServerHello` to Finished with the ticket; the client's Finished (RFC 8446).
const TLS_13: &[HandshakeFlight] = &[up(0), down(0), up(250), down(2_000), up(74)];
/// The same with a pre-shared key from a ticket: no certificates.
const TLS_13_RESUMED: &[HandshakeFlight] = &[up(0), down(0), up(480), down(400), up(74)];
/// `ClientHello`; `ServerHello` to `ServerHelloDone`; `ClientKeyExchange` to Finished; the server's
/// Finished with the ticket (RFC 5246).
const TLS_12: &[HandshakeFlight] = &[up(0), down(0), up(230), down(1_750), up(130), down(260)];
/// The same with a ticket (RFC 5077): the server's Finished comes first.
const TLS_12_RESUMED: &[HandshakeFlight] = &[up(0), down(0), up(420), down(140), up(51)];

/// The flights that open a connection.
pub(super) const fn handshake_flights(
    tls: Option<TlsSettings>,
    resumes: bool,
) -> &'static [HandshakeFlight] {
    let Some(tls) = tls else { return TCP_ONLY };
    match (tls.version, resumes && tls.resumption) {
        (TlsVersion::V12, false) => TLS_12,
        (TlsVersion::V12, true) => TLS_12_RESUMED,
        (TlsVersion::V13, false) => TLS_13,
        (TlsVersion::V13, true) => TLS_13_RESUMED,
    }
}

impl TcpConnection {
    pub(super) const fn new(client: ClientIndex, flights: &'static [HandshakeFlight]) -> Self {
        Self {
            client,
            streams: TcpStreams::new(),
            wakes_at: Time::NEVER,
            handshake: flights,
            next_read_at: Time::ZERO,
            fin_awaited: [false; 2],
            powered_off_node: None,
        }
    }

    /// Whether the client has its connection once this flight has arrived: the last downwards.
    pub(super) fn is_open_after_flight(&self, flight: u8) -> bool {
        let rest = &self.handshake[usize::from(flight)..];
        rest[0].direction == Direction::Down
            && rest[1..].iter().all(|later| later.direction == Direction::Up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Round trips until the client may send CONNECT.
    fn round_trips(tls: Option<TlsSettings>, resumes: bool) -> usize {
        let handshake = handshake_flights(tls, resumes);
        let connection = TcpConnection::new(ClientIndex(0), handshake);
        let last = (0..).zip(handshake).find(|(n, _)| connection.is_open_after_flight(*n));
        last.map(|(n, _): (u8, _)| usize::from(n).div_ceil(2)).unwrap()
    }

    #[test]
    fn tls_costs_the_round_trips_of_its_version() {
        let tls = |version, resumption| Some(TlsSettings { version, resumption });
        assert_eq!(round_trips(None, true), 1);
        assert_eq!(round_trips(tls(TlsVersion::V13, true), false), 2);
        assert_eq!(round_trips(tls(TlsVersion::V13, true), true), 2);
        assert_eq!(round_trips(tls(TlsVersion::V12, true), false), 3);
        assert_eq!(round_trips(tls(TlsVersion::V12, false), true), 3);
        assert_eq!(round_trips(tls(TlsVersion::V12, true), true), 2);
    }
}
