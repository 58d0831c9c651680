//! TCP connections: their two pipes, and the handshake that opens them.

use serde::Serialize;

use super::lines::Envelope;
use qoslab_core::base::fingerprint;
use qoslab_core::base::name::{ClientIndex, Connection, Node, Way};
use qoslab_core::base::time::Time;
use qoslab_core::network::settings::{Tls, TlsVersion};
use qoslab_core::network::tcp::Pipe;

/// One TCP connection. It exists from the client's SYN until both ends are done with it.
#[derive(Debug, Serialize)]
pub(super) struct Stream {
    pub(super) client: ClientIndex,
    /// Upwards and downwards.
    pub(super) pipes: [Pipe<Item>; 2],
    /// When the queue wakes each pipe; other such happenings are stale.
    pub(super) wakes_at: [Time; 2],
    /// What is exchanged before the client has its connection.
    pub(super) flights: &'static [Flight],
    /// Whether it died silently: nothing gets through any more, and nobody is told.
    pub(super) is_dark: bool,
    /// When the client's end may read next, while it reads slowly.
    #[serde(serialize_with = "fingerprint::due")]
    pub(super) reads_at: Time,
    /// Whether the end of each direction is under way, and awaited.
    pub(super) ends: [bool; 2],
    /// The node whose host lost its power: once it is back it answers with a reset.
    pub(super) lost_host: Option<Node>,
}

/// What travels in a pipe.
#[derive(Clone, Debug, Serialize)]
pub(super) enum Item {
    /// A flight of the handshake, by its place.
    Flight(u8),
    /// An MQTT packet.
    Packet(Envelope),
    /// The sender's end is closed; nothing follows.
    End,
}

/// One flight of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Flight {
    pub(super) way: Way,
    /// Bytes of TLS; 0 for TCP's own segments.
    pub(super) bytes: u32,
}

const fn up(bytes: u32) -> Flight {
    Flight { way: Way::Up, bytes }
}

const fn down(bytes: u32) -> Flight {
    Flight { way: Way::Down, bytes }
}

// The bytes of TLS assume X25519 or P-256, AES-128-GCM, a server name of 20 letters, one session
// ticket, and a chain of two certificates for P-256 keys of 700 bytes each; clients have none.
// They are sums of the fields of RFC 5246 and RFC 8446 and good to about a tenth.

/// SYN, SYN-ACK (RFC 9293, section 3.5); the last ACK goes with the first data.
const PLAIN: &[Flight] = &[up(0), down(0)];
/// `ClientHello`; `ServerHello` to Finished with the ticket; the client's Finished (RFC 8446).
const TLS_13: &[Flight] = &[up(0), down(0), up(250), down(2_000), up(74)];
/// The same with a pre-shared key from a ticket: no certificates.
const TLS_13_RESUMED: &[Flight] = &[up(0), down(0), up(480), down(400), up(74)];
/// `ClientHello`; `ServerHello` to `ServerHelloDone`; `ClientKeyExchange` to Finished; the server's
/// Finished with the ticket (RFC 5246).
const TLS_12: &[Flight] = &[up(0), down(0), up(230), down(1_750), up(130), down(260)];
/// The same with a ticket (RFC 5077): the server's Finished comes first.
const TLS_12_RESUMED: &[Flight] = &[up(0), down(0), up(420), down(140), up(51)];

/// The flights that open a connection.
pub(super) const fn flights(tls: Option<Tls>, resumes: bool) -> &'static [Flight] {
    let Some(tls) = tls else { return PLAIN };
    match (tls.version, resumes && tls.resumption) {
        (TlsVersion::V12, false) => TLS_12,
        (TlsVersion::V12, true) => TLS_12_RESUMED,
        (TlsVersion::V13, false) => TLS_13,
        (TlsVersion::V13, true) => TLS_13_RESUMED,
    }
}

impl Stream {
    pub(super) const fn new(client: ClientIndex, flights: &'static [Flight]) -> Self {
        Self {
            client,
            pipes: [Pipe::new(), Pipe::new()],
            wakes_at: [Time::NEVER; 2],
            flights,
            is_dark: false,
            reads_at: Time::ZERO,
            ends: [false; 2],
            lost_host: None,
        }
    }

    pub(super) fn pipe(&mut self, way: Way) -> &mut Pipe<Item> {
        &mut self.pipes[side(way)]
    }

    /// When anything was last sent, either way.
    pub(super) fn last_sent(&self) -> Time {
        self.pipes[0].last_sent().max(self.pipes[1].last_sent())
    }

    /// Nothing gets through from now on.
    pub(super) fn go_dark(&mut self) {
        self.is_dark = true;
        for pipe in &mut self.pipes {
            pipe.go_dark();
        }
    }

    /// Whether the client has its connection once this flight has arrived: the last downwards.
    pub(super) fn opens_with(&self, flight: u8) -> bool {
        let rest = &self.flights[usize::from(flight)..];
        rest[0].way == Way::Down && rest[1..].iter().all(|later| later.way == Way::Up)
    }
}

/// The place of a direction in [`Stream::pipes`].
pub(super) const fn side(way: Way) -> usize {
    match way {
        Way::Up => 0,
        Way::Down => 1,
    }
}

/// The number under which the queue knows one direction of a connection.
pub(super) const fn number(connection: Connection, way: Way) -> u32 {
    connection.0 << 1 | matches!(way, Way::Down) as u32
}

/// The connection and direction of a number.
pub(super) const fn numbered(number: u32) -> (Connection, Way) {
    let way = if number & 1 == 0 { Way::Up } else { Way::Down };
    (Connection(number >> 1), way)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Round trips until the client may send CONNECT.
    fn round_trips(tls: Option<Tls>, resumes: bool) -> usize {
        let flights = flights(tls, resumes);
        let stream = Stream::new(ClientIndex(0), flights);
        let last = (0..).zip(flights).find(|(n, _)| stream.opens_with(*n));
        last.map(|(n, _): (u8, _)| usize::from(n).div_ceil(2)).unwrap()
    }

    #[test]
    fn tls_costs_the_round_trips_of_its_version() {
        let tls = |version, resumption| Some(Tls { version, resumption });
        assert_eq!(round_trips(None, true), 1);
        assert_eq!(round_trips(tls(TlsVersion::V13, true), false), 2);
        assert_eq!(round_trips(tls(TlsVersion::V13, true), true), 2);
        assert_eq!(round_trips(tls(TlsVersion::V12, true), false), 3);
        assert_eq!(round_trips(tls(TlsVersion::V12, false), true), 3);
        assert_eq!(round_trips(tls(TlsVersion::V12, true), true), 2);
    }

    #[test]
    fn a_direction_of_a_connection_has_a_number() {
        for way in [Way::Up, Way::Down] {
            assert_eq!(numbered(number(Connection(7), way)), (Connection(7), way));
        }
    }
}
