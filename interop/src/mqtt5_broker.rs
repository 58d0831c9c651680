//! The broker of mqtt5.
//!
//! - **Transport**: its `BrokerTransport` knows TCP, TLS, QUIC and WebSocket streams. The last is a
//!   trait object, and the bytes that pass through it are plain MQTT, so a simulated socket goes in
//!   there. Its own listeners, their limits on new connections and `$SYS` topics are left out.
//! - **QoS 2**: it forwards a message on PUBREL.
//! - **Memory**: its `MemoryBackend`, gone in a crash. It also offers one of files, which is left
//!   out.
//! - **Time**: its sessions and messages expire by the wall clock, which stands still here: nothing
//!   expires.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use qoslab_testing::{BrokerHandle, BrokerSettings, Harness, SutResult};

use mqtt5::broker::client_handler::ClientHandler;
use mqtt5::broker::router::MessageRouter;
use mqtt5::broker::storage::QueueLimits;
use mqtt5::broker::sys_topics::BrokerStats;
use mqtt5::broker::transport::{BrokerTransport, WebSocketTransport};
use mqtt5::broker::{
    AllowAllAuthProvider, BrokerConfig, DynamicStorage, MemoryBackend, ResourceLimits,
    ResourceMonitor,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::broadcast;

use crate::sync_socket::SyncSocket;

/// The address from which clients seem to connect: the broker requires one, and nothing depends on
/// it.
const PEER_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1883);

/// Puts it in the place of the broker, with the properties that its users must know: it forgets all
/// in a crash, and forwards a QoS 2 message on PUBREL.
pub fn install(test: Harness) -> Harness {
    let test = test.set("broker.store", "\"volatile\"").set("broker.deliver_on", "\"pubrel\"");
    test.broker(run)
}

/// Runs it in the place of the broker.
///
/// # Errors
/// When no connection can be accepted any more.
pub async fn run(handle: BrokerHandle) -> SutResult {
    let config = Arc::new(config(handle.settings()));
    let queues = QueueLimits {
        max_messages: usize::try_from(handle.settings().hop.max_queued)?,
        ..QueueLimits::default()
    };
    let storage = Arc::new(DynamicStorage::Memory(MemoryBackend::with_queue_limits(queues)));
    let router = Arc::new(MessageRouter::with_storage(Arc::clone(&storage)));
    let stats = Arc::new(BrokerStats::new());
    let monitor = Arc::new(ResourceMonitor::new(ResourceLimits::default()));
    let (shutdown, _) = broadcast::channel(1);
    loop {
        let plain = PlainStream(SyncSocket::new(handle.accept().await?));
        let handler = ClientHandler::new(
            BrokerTransport::WebSocket(Box::new(plain)),
            PEER_ADDRESS,
            Arc::clone(&config),
            Arc::clone(&router),
            Arc::new(AllowAllAuthProvider),
            Some(Arc::clone(&storage)),
            Arc::clone(&stats),
            Arc::clone(&monitor),
            shutdown.subscribe(),
        );
        tokio::spawn(handler.run());
    }
}

fn config(settings: &BrokerSettings) -> BrokerConfig {
    let mut config = BrokerConfig::new()
        .with_maximum_qos(settings.max_qos.number())
        .with_max_outbound_inflight(settings.hop.max_inflight);
    if settings.limits.receive_maximum < u16::MAX {
        config = config.with_server_receive_maximum(settings.limits.receive_maximum);
    }
    config
}

/// A stream that carries MQTT without WebSocket's frames.
struct PlainStream(SyncSocket);

impl WebSocketTransport for PlainStream {
    fn peer_addr(&self) -> mqtt5::Result<SocketAddr> {
        Ok(PEER_ADDRESS)
    }
}

impl AsyncRead for PlainStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
