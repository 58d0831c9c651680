//! mqtt-endpoint-tokio, as an application with a careful author uses it, in both versions.
//!
//! - **Acknowledging**: automatic, its default. PUBACK and PUBREC are written before `recv()`
//!   hands the message out, which is where the seat is told of it.
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

use mqtt_endpoint_tokio::mqtt_ep::packet::{
    MessageExpiryInterval, Packet, Property, Qos, ReceiveMaximum, SessionExpiryInterval, SubEntry,
    SubOpts, v3_1_1, v5_0,
};
use mqtt_endpoint_tokio::mqtt_ep::role;
use mqtt_endpoint_tokio::mqtt_ep::transport::{TransportError, TransportOps};
use mqtt_endpoint_tokio::mqtt_ep::{self, ConnectionOption, Mode};
use qoslab::base::qos::QoS;
use qoslab::mqtt::settings::{ClientSettings, Version};
use qoslab::testing::{ClientSeat, Ran, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::application::{Application, Client, Letter, PAUSE, duration, whole_seconds};

type Built<T> = Result<T, Box<dyn Error>>;

/// Runs it in the place of a client, in the version that the scenario says.
///
/// # Errors
/// When it refuses its settings.
pub async fn run(seat: ClientSeat) -> Ran {
    let version = seat.settings().version;
    let endpoint = Endpoint {
        inner: mqtt_ep::Endpoint::new(match version {
            Version::V5 => mqtt_ep::Version::V5_0,
            Version::V31 | Version::V311 => mqtt_ep::Version::V3_1_1,
        }),
        version,
        left: Notify::new(),
    };
    let application = Application::new(seat);
    tokio::select! {
        biased;
        drove = drive(&application, &endpoint) => drove,
        served = application.serve(&endpoint) => served,
    }
}

/// Connects again and again while the application wants to be connected.
async fn drive(application: &Application, endpoint: &Endpoint) -> Ran {
    let settings = application.seat.settings();
    let patience = settings.connect_timeout.map_or(Duration::MAX, duration);
    let options = ConnectionOption::builder()
        .connection_establish_timeout_ms(millis(patience))
        .pingresp_recv_timeout_ms(millis(duration(settings.keep_alive)))
        .queuing_receive_maximum(true)
        .build()?;
    let connect = connect(settings)?;
    loop {
        application.presence().await;
        let dial = tokio::time::timeout(patience, application.seat.connect());
        if let Ok(Ok(socket)) = dial.await {
            endpoint.converse(application, socket, options.clone(), connect.clone()).await;
        }
        application.offline::<Endpoint>();
        let _already_gone = endpoint.inner.close().await;
        if application.is_present() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn connect(settings: &ClientSettings) -> Built<Packet> {
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

/// The endpoint, and what it speaks.
struct Endpoint {
    inner: mqtt_ep::Endpoint<role::Client>,
    version: Version,
    left: Notify,
}

impl Endpoint {
    /// One connection, until it ends.
    async fn converse(
        &self,
        application: &Application,
        socket: Socket,
        options: ConnectionOption,
        connect: Packet,
    ) {
        let transport = Transport(socket);
        if self.inner.attach_with_options(transport, Mode::Client, options).await.is_err()
            || self.inner.send(connect).await.is_err()
        {
            return;
        }
        while application.is_present() {
            tokio::select! {
                biased;
                // `close()` would not end a `recv()` that waits.
                () = self.left.notified() => {}
                packet = self.inner.recv() => match packet {
                    Ok(packet) => take(application, &packet),
                    Err(_) => return,
                },
            }
        }
    }

    async fn packet_id(&self) -> Built<u16> {
        Ok(self.inner.acquire_packet_id_when_available().await?)
    }
}

/// What came from the broker.
fn take(application: &Application, packet: &Packet) {
    let seat = &application.seat;
    match packet {
        Packet::V3_1_1Connack(ack) => application.online(ack.session_present()),
        Packet::V5_0Connack(ack) => application.online(ack.session_present()),
        Packet::V3_1_1Publish(publish) => {
            seat.deliver(publish.payload().as_slice(), level(publish.qos()), publish.retain());
        }
        Packet::V5_0Publish(publish) => {
            seat.deliver(publish.payload().as_slice(), level(publish.qos()), publish.retain());
        }
        Packet::V3_1_1Suback(_) | Packet::V5_0Suback(_) => application.answered(true),
        Packet::V3_1_1Unsuback(_) | Packet::V5_0Unsuback(_) => application.answered(false),
        _ => {}
    }
}

impl Client for Endpoint {
    const QUEUES: bool = false;
    const ASKS_AGAIN: bool = false;

    async fn publish(&self, letter: &Letter) -> Ran {
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

    async fn subscribe(&self, filter: &str, qos: QoS) -> Ran {
        let id = self.packet_id().await?;
        let options = SubOpts::new().set_qos(their_level(qos));
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

    async fn unsubscribe(&self, filter: &str) -> Ran {
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

    async fn disconnect(&self) -> Ran {
        let packet: Packet = match self.version {
            Version::V5 => v5_0::Disconnect::builder().build().map(Into::into),
            Version::V31 | Version::V311 => v3_1_1::Disconnect::builder().build().map(Into::into),
        }?;
        // Without a connection there is nothing to end.
        let _sent = self.inner.send(packet).await;
        self.left.notify_one();
        Ok(())
    }
}

fn publish_v3(letter: &Letter, id: Option<u16>) -> Built<Packet> {
    let publish = v3_1_1::Publish::builder()
        .topic_name(letter.topic.as_str())?
        .qos(their_level(letter.qos))
        .retain(letter.retain)
        .packet_id(id)
        .payload(letter.payload.clone());
    Ok(publish.build()?.into())
}

fn publish_v5(letter: &Letter, id: Option<u16>) -> Built<Packet> {
    let mut properties = Vec::new();
    if let Some(expiry) = letter.expiry {
        let expiry = MessageExpiryInterval::new(expiry)?;
        properties.push(Property::MessageExpiryInterval(expiry));
    }
    let publish = v5_0::Publish::builder()
        .topic_name(letter.topic.as_str())?
        .qos(their_level(letter.qos))
        .retain(letter.retain)
        .packet_id(id)
        .props(properties)
        .payload(letter.payload.clone());
    Ok(publish.build()?.into())
}

const fn their_level(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

const fn level(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// A simulated socket, as its own transports are written.
struct Transport(Socket);

type Done<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl TransportOps for Transport {
    fn send<'a>(&'a mut self, buffers: &'a [IoSlice<'a>]) -> Done<'a, Result<(), TransportError>> {
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

    fn recv<'a>(&'a mut self, buffer: &'a mut [u8]) -> Done<'a, Result<usize, TransportError>> {
        Box::pin(async { self.0.read(buffer).await.map_err(TransportError::Io) })
    }

    fn shutdown(&mut self, timeout: Duration) -> Done<'_, ()> {
        Box::pin(async move {
            // Where it does not end in time, it ends by being dropped.
            let _ended = tokio::time::timeout(timeout, self.0.shutdown()).await;
        })
    }
}
