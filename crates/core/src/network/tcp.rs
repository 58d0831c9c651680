//! TCP: ordered streams of bytes in which loss costs time, not data.
//!
//! Items are written into a stream and cut into segments of at most the MSS when they are sent,
//! whatever they are of. Each segment meets the link's queue, loss, delay and jitter
//! ([`LinkState::segment_fate`](super::LinkState::segment_fate)), and so does each acknowledgement
//! that no data takes along. Items come out in order: a lost segment holds up whatever is behind
//! it. What a sender and a receiver do is what Linux does:
//!
//! - No more is in flight than the [congestion window](TcpSettings::congestion) allows, which
//!   begins with 10 segments (RFC 6928, RFC 5681, RFC 9438, RFC 6937).
//! - A loss shows when a segment sent later has arrived (SACK and RACK: RFC 2018, RFC 8985), by a
//!   tail loss probe, or at the timeout (RFC 6298).
//! - Of a loss that was none timestamps tell, and the window is as before (RFC 7323, RFC 3522,
//!   RFC 4015).
//! - An acknowledgement goes with data, with the second full segment, or 40 ms later; at once where
//!   something is missing.
//! - By [setting](super::SocketSettings::nodelay) one small segment is in flight at a time (Nagle).
//! - A socket holds what its [buffer](super::SocketSettings::send_buffer) has room for, and says
//!   when it [is full](TcpStreams::is_full).
//! - A reader that does not read closes its [window](super::SocketSettings::receive_buffer), and is
//!   asked for room.
//! - A byte that stays unacknowledged for the user timeout ends its sender's patience (RFC 5482).
//!
//! Every sending meets the link of that moment, so an outage swallows retransmissions too.

mod activity;
mod congestion;
mod rack;
mod receiver;
mod rto;
mod sender;
mod streams;

pub use self::activity::{DirectionActivity, TcpActivity};
pub use self::congestion::INITIAL_WINDOW;
pub use self::streams::{StreamItem, TcpContext, TcpStreams};
use super::settings::{TcpSettings, TlsSettings, TlsVersion};

/// Bytes of TLS records around one MQTT packet of `bytes` bytes. A record carries at most 16 KiB.
/// With AES-GCM each adds 5 bytes of header, 8 of nonce and 16 of tag in TLS 1.2 (RFC 5288), and 5
/// of header, 1 of content type and 16 of tag in TLS 1.3 (RFC 8446, section 5.2).
#[must_use]
pub fn tls_bytes(tls: Option<TlsSettings>, bytes: u32) -> u32 {
    let record = match tls.map(|tls| tls.version) {
        None => return 0,
        Some(TlsVersion::V12) => 5 + 8 + 16,
        Some(TlsVersion::V13) => 5 + 1 + 16,
    };
    record * bytes.div_ceil(1 << 14).max(1)
}

/// The number of segments that `bytes` bytes of a stream need.
#[must_use]
pub fn segment_count(tcp: &TcpSettings, bytes: u32) -> u32 {
    bytes.div_ceil(tcp.mss.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_records_have_their_sizes() {
        let tls = |version| Some(TlsSettings { version, resumption: false });
        assert_eq!(tls_bytes(None, 100), 0);
        for (version, record) in [(TlsVersion::V12, 29), (TlsVersion::V13, 22)] {
            let bytes = [0, 1, 16_384, 16_385].map(|bytes| tls_bytes(tls(version), bytes));
            assert_eq!(bytes, [record, record, record, 2 * record]);
        }
    }
}
