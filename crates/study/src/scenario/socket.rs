//! The TCP sockets of the broker and the clients.

use std::sync::Arc;

#[cfg(feature = "studies")]
use schemars::JsonSchema;
use serde::Serialize;

use super::diagnostic::Diagnostics;
use super::from_toml::read_table;
use super::keywords::SocketFullKeyword;
use super::quantities::{BufferSize, Duration};
use super::value::Located;
use qoslab_core::base::Span;
use qoslab_core::base::units::format_count;
use qoslab_core::mqtt::WhenSocketFull;
use qoslab_core::network::{LinkSettings, SocketBuffer, SocketSettings, TcpSettings, Transport};

/// What ESP-IDF gives lwIP each way: `CONFIG_LWIP_TCP_SND_BUF_DEFAULT` and
/// `CONFIG_LWIP_TCP_WND_DEFAULT`.
const ESP_IDF_BUFFER: u32 = 5_760;
/// lwIP's own `TCP_SND_BUF` and `TCP_WND` (`opt.h`), in segments.
const LWIP_SEND_SEGMENTS: u32 = 2;
const LWIP_RECEIVE_SEGMENTS: u32 = 4;

/// One end's TCP socket, and how its owner uses it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct SocketTable {
    /// Whether small segments go at once (`TCP_NODELAY`). If not, one waits while another is
    /// unacknowledged (Nagle's algorithm: RFC 9293, 3.7.4), as in most client libraries.
    pub nodelay: bool,
    /// Room for what was written and is not acknowledged: `"linux"`, which grows with the traffic
    /// from 64 KiB to 4 MiB; `"esp-idf"`, 5,760 B; `"lwip"`, two segments; or a number of bytes, a
    /// segment at least.
    pub send_buffer: Located<BufferSize>,
    /// Room for what has arrived and was not read: `"linux"`, from 64 KiB to 3 MiB; `"esp-idf"`,
    /// 5,760 B; `"lwip"`, four segments; or a number of bytes, a segment at least.
    pub receive_buffer: Located<BufferSize>,
    /// What happens to a QoS 0 message while the socket is full. QoS 1 and 2 keep to
    /// `max_inflight`, and what is in flight is written when there is room.
    pub when_full: Located<SocketFullKeyword>,
    /// A client reads at most one packet in this time, for good: a consumer that is too slow.
    pub read_every: Located<Duration>,
}
read_table!(SocketTable or default {
    nodelay, send_buffer, receive_buffer, when_full, read_every,
});

impl Default for SocketTable {
    fn default() -> Self {
        Self {
            nodelay: true,
            send_buffer: Located::from_default(BufferSize::Linux),
            receive_buffer: Located::from_default(BufferSize::Linux),
            when_full: Located::default(),
            read_every: Located::from_default(Duration(Span::ZERO)),
        }
    }
}

impl BufferSize {
    fn settings(self, lwip_segments: u32, mss: u32) -> SocketBuffer {
        match self {
            Self::Linux => SocketBuffer::Autotuned,
            Self::EspIdf => SocketBuffer::Bytes(ESP_IDF_BUFFER),
            Self::Lwip => SocketBuffer::Bytes(lwip_segments.saturating_mul(mss)),
            Self::Bytes(bytes) => SocketBuffer::Bytes(bytes),
        }
    }
}

impl SocketTable {
    fn settings(&self, mss: u32) -> SocketSettings {
        SocketSettings {
            nodelay: self.nodelay,
            send_buffer: self.send_buffer.value.settings(LWIP_SEND_SEGMENTS, mss),
            receive_buffer: self.receive_buffer.value.settings(LWIP_RECEIVE_SEGMENTS, mss),
            read_interval: self.read_every.value.0,
        }
    }

    /// Whether each buffer has room for a segment.
    pub(super) fn check_buffers(&self, mss: u32, errors: &mut Diagnostics) {
        let settings = self.settings(mss);
        for (field, given, buffer) in [
            ("send", &self.send_buffer, settings.send_buffer),
            ("receive", &self.receive_buffer, settings.receive_buffer),
        ] {
            let SocketBuffer::Bytes(bytes) = buffer else { continue };
            if bytes < mss {
                let [bytes, mss] = [bytes, mss].map(|bytes| format_count(bytes.into()));
                let title = format!("a {field} buffer holds a segment at least");
                errors
                    .error(
                        &given.span,
                        title,
                        format!("{bytes} B, and a segment has up to {mss} B"),
                    )
                    .help("make it larger, or the link's `mss` smaller");
            }
        }
    }
}

/// What a message meets at a full socket.
pub(super) fn when_socket_full(table: Option<&Located<SocketTable>>) -> WhenSocketFull {
    table.map_or_else(WhenSocketFull::default, |table| table.value.when_full.value.into())
}

/// Refuses what only a client's socket has.
pub(super) fn check_broker_socket(table: &SocketTable, errors: &mut Diagnostics) {
    if table.when_full.value == SocketFullKeyword::Wait {
        errors
            .error(&table.when_full.span, "a broker has no application that could wait", "")
            .help("write \"queue\", and how many may wait in `max_queued`, or \"drop\"");
    }
    if table.read_every.value.0 > Span::ZERO {
        errors
            .error(&table.read_every.span, "`read_every` is a client's", "the broker reads at once")
            .help("write it in the `socket` of a client, or leave it out");
    }
}

/// An end with TCP has a socket, be it of defaults alone; one without has none, and the file may
/// not give it one. What a profile says of it comes to nothing.
pub(super) fn fill_socket(
    table: &mut Option<Located<SocketTable>>,
    has_tcp: bool,
    errors: &mut Diagnostics,
) {
    if has_tcp {
        table.get_or_insert_default();
    } else if let Some(given) = table.take().filter(|given| !given.is_from_default()) {
        errors
            .error(&given.span, "`socket` needs tcp", "a datagram is sent at once, or is lost")
            .help("add `transport = \"tcp\"` to the link, or leave this out");
    }
}

/// The links of one table's clients with their sockets; clients that share a link share it still.
#[derive(Default)]
pub(super) struct SocketLinks {
    /// Those that were made, and what of.
    known: Vec<(Arc<LinkSettings>, Arc<LinkSettings>)>,
}

impl SocketLinks {
    pub(super) fn with_sockets(
        &mut self,
        link: Arc<LinkSettings>,
        client: Option<&Located<SocketTable>>,
        broker: Option<&Located<SocketTable>>,
        errors: &mut Diagnostics,
    ) -> Arc<LinkSettings> {
        if let Some((_, after)) = self.known.iter().find(|(before, _)| Arc::ptr_eq(before, &link)) {
            return Arc::clone(after);
        }
        let Transport::Tcp(tcp) = link.transport else { return link };
        if let Some(table) = client {
            table.value.check_buffers(tcp.mss, errors);
        }
        let settings = |table: Option<&Located<SocketTable>>| {
            table.map_or(SocketSettings::LINUX, |table| table.value.settings(tcp.mss))
        };
        let tcp = TcpSettings { client: settings(client), broker: settings(broker), ..tcp };
        let transport = Transport::Tcp(tcp);
        let after = if transport == link.transport {
            Arc::clone(&link)
        } else {
            Arc::new(LinkSettings { transport, ..(*link).clone() })
        };
        self.known.push((link, Arc::clone(&after)));
        after
    }
}
