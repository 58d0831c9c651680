//! mqtt-endpoint-tokio, as an application with a careful author uses it, in both versions.
//!
//! - **Acknowledging**: automatic, its default. PUBACK and PUBREC are written before `recv()`
//!   hands the message out, which is when the handle is notified of it.
//! - **Memory**: the endpoint keeps the session from one connection to the next; what it offers to
//!   store elsewhere is left out.
//! - **Reconnecting**: left to the application.
//! - **Messages**: by default it refuses them while disconnected, so the application holds them.
//! - **Window**: it has none of its own. In 5.0 it waits for a place in the broker's Receive
//!   Maximum (`queuing_receive_maximum`).
//! - **Leaving**: DISCONNECT, then `close()`.

use std::error::Error;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::time::Duration;

use qoslab_testing::{ClientHandle, ClientSettings, QoS, Socket, SutResult, Version};

use mqtt_endpoint_tokio::mqtt_ep::packet::{
    MessageExpiryInterval, Packet, Property, Qos, ReceiveMaximum, SessionExpiryInterval, SubEntry,
    SubOpts, v3_1_1, v5_0,
};
use mqtt_endpoint_tokio::mqtt_ep::role;
use mqtt_endpoint_tokio::mqtt_ep::transport::{TransportError, TransportOps};
use mqtt_endpoint_tokio::mqtt_ep::{self, ConnectionOption, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::application::{
    OutgoingMessage, RECONNECT_DELAY, SutApplication, SutClient, to_std_duration, whole_seconds,
};

type BuildResult<T> = Result<T, Box<dyn Error>>;

/// Runs it in the place of a client, in the scenario's MQTT version.
///
/// # Errors
/// When it refuses its settings.
pub async fn run(handle: ClientHandle) -> SutResult {
    let version = handle.settings().version;
    let endpoint = VersionedEndpoint {
        inner: mqtt_ep::Endpoint::new(match version {
            Version::V5 => mqtt_ep::Version::V5_0,
            Version::V31 | Version::V311 => mqtt_ep::Version::V3_1_1,
        }),
        version,
        disconnect_sent: Notify::new(),
    };
    let application = SutApplication::new(handle);
    tokio::select! {
        biased;
        drove = drive_connection(&application, &endpoint) => drove,
        served = application.run_commands(&endpoint) => served,
    }
}

/// Connects again and again while the application is to be connected.
async fn drive_connection(application: &SutApplication, endpoint: &VersionedEndpoint) -> SutResult {
    let settings = application.handle.settings();
    let connect_timeout = settings.connect_timeout.map_or(Duration::MAX, to_std_duration);
    let options = ConnectionOption::builder()
        .connection_establish_timeout_ms(millis(connect_timeout))
        .pingresp_recv_timeout_ms(millis(to_std_duration(settings.keep_alive)))
        .queuing_receive_maximum(true)
        .build()?;
    let connect = build_connect(settings)?;
    loop {
        application.wait_until_connection_wanted().await;
        let dial = tokio::time::timeout(connect_timeout, application.handle.connect());
        if let Ok(Ok(socket)) = dial.await {
            endpoint.run_connection(application, socket, options.clone(), connect.clone()).await;
        }
        application.on_disconnected::<VersionedEndpoint>();
        let _already_gone = endpoint.inner.close().await;
        if application.is_connection_wanted() {
            tokio::time::sleep(RECONNECT_DELAY).await;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn build_connect(settings: &ClientSettings) -> BuildResult<Packet> {
    let (id, keep_alive) = (&*settings.client_id, whole_seconds(settings.keep_alive));
    if settings.version != Version::V5 {
        let connect = v3_1_1::Connect::builder().client_id(id)?;
        let connect = connect.clean_session(settings.clean).keep_alive(keep_alive);
        return Ok(connect.build()?.into());
    }
    let mut properties = Vec::new();
    if !settings.clean && settings.session_expiry > 0 {
        let expiry = SessionExpiryInterval::new(settings.session_expiry)?;
        properties.push(Property::SessionExpiryInterval(expiry));
    }
    if settings.limits.receive_maximum < u16::MAX {
        let most = ReceiveMaximum::new(settings.limits.receive_maximum)?;
        properties.push(Property::ReceiveMaximum(most));
    }
    let connect = v5_0::Connect::builder().client_id(id)?;
    let connect = connect.clean_start(settings.clean).keep_alive(keep_alive).props(properties);
    Ok(connect.build()?.into())
}

/// The endpoint, and its protocol version.
struct VersionedEndpoint {
    inner: mqtt_ep::Endpoint<role::Client>,
    version: Version,
    disconnect_sent: Notify,
}

impl VersionedEndpoint {
    /// One connection, until it ends.
    async fn run_connection(
        &self,
        application: &SutApplication,
        socket: Socket,
        options: ConnectionOption,
        connect: Packet,
    ) {
        let transport = SocketTransport(socket);
        if self.inner.attach_with_options(transport, Mode::Client, options).await.is_err()
            || self.inner.send(connect).await.is_err()
        {
            return;
        }
        while application.is_connection_wanted() {
            tokio::select! {
                biased;
                // `close()` would not end a `recv()` that waits.
                () = self.disconnect_sent.notified() => {}
                packet = self.inner.recv() => match packet {
                    Ok(packet) => handle_packet(application, &packet),
                    Err(_) => return,
                },
            }
        }
    }

    async fn packet_id(&self) -> BuildResult<u16> {
        Ok(self.inner.acquire_packet_id_when_available().await?)
    }
}

/// Handles a packet from the broker.
fn handle_packet(application: &SutApplication, packet: &Packet) {
    let handle = &application.handle;
    match packet {
        Packet::V3_1_1Connack(ack) => application.on_connected(ack.session_present()),
        Packet::V5_0Connack(ack) => application.on_connected(ack.session_present()),
        Packet::V3_1_1Publish(publish) => {
            handle.deliver(
                publish.payload().as_slice(),
                from_sut_qos(publish.qos()),
                publish.retain(),
            );
        }
        Packet::V5_0Publish(publish) => {
            handle.deliver(
                publish.payload().as_slice(),
                from_sut_qos(publish.qos()),
                publish.retain(),
            );
        }
        Packet::V3_1_1Suback(_) | Packet::V5_0Suback(_) => {
            application.on_subscription_acknowledged(true);
        }
        Packet::V3_1_1Unsuback(_) | Packet::V5_0Unsuback(_) => {
            application.on_subscription_acknowledged(false);
        }
        _ => {}
    }
}

impl SutClient for VersionedEndpoint {
    const QUEUES_WHILE_OFFLINE: bool = false;
    const RESENDS_SUBSCRIBE: bool = false;

    async fn publish(&self, letter: &OutgoingMessage) -> SutResult {
        let id = match letter.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(self.packet_id().await?),
        };
        let packet = match self.version {
            Version::V5 => publish_v5(letter, id)?,
            Version::V31 | Version::V311 => publish_v3(letter, id)?,
        };
        Ok(self.inner.send(packet).await?)
    }

    async fn subscribe(&self, filter: &str, qos: QoS) -> SutResult {
        let id = self.packet_id().await?;
        let options = SubOpts::new().set_qos(to_sut_qos(qos));
        let entries = vec![SubEntry::new(filter, options)?];
        let packet: Packet = match self.version {
            Version::V5 => {
                v5_0::Subscribe::builder().packet_id(id).entries(entries).build().map(Into::into)
            }
            Version::V31 | Version::V311 => {
                v3_1_1::Subscribe::builder().packet_id(id).entries(entries).build().map(Into::into)
            }
        }?;
        Ok(self.inner.send(packet).await?)
    }

    async fn unsubscribe(&self, filter: &str) -> SutResult {
        let id = self.packet_id().await?;
        let packet: Packet = match self.version {
            Version::V5 => {
                let unsubscribe = v5_0::Unsubscribe::builder().packet_id(id).entries([filter]);
                unsubscribe?.build().map(Into::into)
            }
            Version::V31 | Version::V311 => {
                let unsubscribe = v3_1_1::Unsubscribe::builder().packet_id(id).entries([filter]);
                unsubscribe?.build().map(Into::into)
            }
        }?;
        Ok(self.inner.send(packet).await?)
    }

    async fn disconnect(&self) -> SutResult {
        let packet: Packet = match self.version {
            Version::V5 => v5_0::Disconnect::builder().build().map(Into::into),
            Version::V31 | Version::V311 => v3_1_1::Disconnect::builder().build().map(Into::into),
        }?;
        // Without a connection there is nothing to end.
        let _sent = self.inner.send(packet).await;
        self.disconnect_sent.notify_one();
        Ok(())
    }
}

fn publish_v3(letter: &OutgoingMessage, id: Option<u16>) -> BuildResult<Packet> {
    let publish = v3_1_1::Publish::builder()
        .topic_name(letter.topic.as_str())?
        .qos(to_sut_qos(letter.qos))
        .retain(letter.retain)
        .packet_id(id)
        .payload(letter.payload.clone());
    Ok(publish.build()?.into())
}

fn publish_v5(letter: &OutgoingMessage, id: Option<u16>) -> BuildResult<Packet> {
    let mut properties = Vec::new();
    if let Some(expiry) = letter.expiry {
        let expiry = MessageExpiryInterval::new(expiry)?;
        properties.push(Property::MessageExpiryInterval(expiry));
    }
    let publish = v5_0::Publish::builder()
        .topic_name(letter.topic.as_str())?
        .qos(to_sut_qos(letter.qos))
        .retain(letter.retain)
        .packet_id(id)
        .props(properties)
        .payload(letter.payload.clone());
    Ok(publish.build()?.into())
}

const fn to_sut_qos(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

const fn from_sut_qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// A simulated socket, as its own transports are written.
struct SocketTransport(Socket);

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl TransportOps for SocketTransport {
    fn send<'a>(
        &'a mut self,
        buffers: &'a [IoSlice<'a>],
    ) -> BoxFuture<'a, Result<(), TransportError>> {
        // One write for one packet, though it comes in pieces.
        let packet: Vec<u8> = buffers.iter().flat_map(|piece| piece.iter().copied()).collect();
        Box::pin(async move {
            let written: io::Result<()> = async {
                self.0.write_all(&packet).await?;
                self.0.flush().await
            }
            .await;
            written.map_err(TransportError::Io)
        })
    }

    fn recv<'a>(
        &'a mut self,
        buffer: &'a mut [u8],
    ) -> BoxFuture<'a, Result<usize, TransportError>> {
        Box::pin(async { self.0.read(buffer).await.map_err(TransportError::Io) })
    }

    fn shutdown(&mut self, timeout: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // If it does not end in time, dropping it ends it.
            let _ended = tokio::time::timeout(timeout, self.0.shutdown()).await;
        })
    }
}
