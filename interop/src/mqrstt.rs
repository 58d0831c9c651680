//! mqrstt, as an application with a careful author uses it.
//!
//! - **Acknowledging**: automatic, its only way. The handler gets the message before PUBACK or
//!   PUBREC is written, which is when the handle is notified of it.
//! - **Memory**: `Network` keeps the session from one connection to the next; it offers no
//!   persistence.
//! - **Reconnecting**: left to the application.
//! - **Messages**: its channel takes them, also while disconnected; `publish()` waits when all of
//!   its packet ids, of which there are as many as the window has places, are in use.
//! - **Leaving**: `disconnect()` sends DISCONNECT after what the channel holds.

use std::future::ready;
use std::rc::Rc;
use std::time::Duration;

use mqrstt::packets::{Packet, PublishProperties};
use mqrstt::tokio::Network;
use mqrstt::{AsyncEventHandler, ConnectOptions, MqttClient, NetworkBuilder, NetworkStatus};
use qoslab_testing::{ClientHandle, QoS, Socket, SutResult};

use crate::application::{
    OutgoingMessage, RECONNECT_DELAY, SutApplication, SutClient, to_std_duration,
};

/// Runs it in the place of a client.
///
/// # Errors
/// When it refuses its settings or a message.
pub async fn run(handle: ClientHandle) -> SutResult {
    let options = options(&handle)?;
    let application = Rc::new(SutApplication::new(handle));
    let (mut network, client) = NetworkBuilder::new_from_options(options).tokio_network();
    tokio::select! {
        biased;
        drove = drive_connection(&application, &mut network) => drove,
        served = application.run_commands(&client) => served,
    }
}

fn options(handle: &ClientHandle) -> Result<ConnectOptions, Box<dyn std::error::Error>> {
    let settings = handle.settings();
    let mut options = ConnectOptions::new(&settings.client_id);
    options.set_clean_start(settings.clean);
    if !settings.clean {
        options.set_session_expiry_interval(settings.session_expiry);
    }
    options.set_keep_alive_interval(to_std_duration(settings.keep_alive));
    options.set_send_maximum(settings.hop.max_inflight);
    if settings.limits.receive_maximum < u16::MAX {
        options.set_receive_maximum(settings.limits.receive_maximum);
    }
    if settings.limits.max_packet_size < u32::MAX {
        options.set_maximum_packet_size(settings.limits.max_packet_size)?;
    }
    Ok(options)
}

/// Connects again and again while the application is to be connected.
async fn drive_connection(
    application: &Rc<SutApplication>,
    network: &mut Network<Handler, Socket>,
) -> SutResult {
    let mut handler = Handler(Rc::clone(application));
    let connect_timeout =
        application.handle.settings().connect_timeout.map_or(Duration::MAX, to_std_duration);
    loop {
        application.wait_until_connection_wanted().await;
        let dial = async {
            let socket = application.handle.connect().await.ok()?;
            network.connect(socket, &mut handler).await.ok()
        };
        let connected =
            tokio::time::timeout(connect_timeout, dial).await.is_ok_and(|ack| ack.is_some());
        let ended = if connected { network.run(&mut handler).await.ok() } else { None };
        application.on_disconnected::<MqttClient>();
        if ended != Some(NetworkStatus::OutgoingDisconnect) || application.is_connection_wanted() {
            tokio::time::sleep(RECONNECT_DELAY).await;
        }
    }
}

struct Handler(Rc<SutApplication>);

impl AsyncEventHandler for Handler {
    fn handle(&mut self, packet: Packet) -> impl Future<Output = ()> + Send + Sync {
        match packet {
            Packet::ConnAck(ack) => self.0.on_connected(ack.connack_flags.session_present),
            Packet::Publish(publish) => {
                self.0.handle.deliver(&publish.payload, from_sut_qos(publish.qos), publish.retain);
            }
            Packet::SubAck(_) => self.0.on_subscription_acknowledged(true),
            Packet::UnsubAck(_) => self.0.on_subscription_acknowledged(false),
            _ => {}
        }
        ready(())
    }
}

impl SutClient for MqttClient {
    const QUEUES_WHILE_OFFLINE: bool = true;
    const RESENDS_SUBSCRIBE: bool = false;

    async fn publish(&self, letter: &OutgoingMessage) -> SutResult {
        let properties = PublishProperties {
            message_expiry_interval: letter.expiry,
            ..PublishProperties::default()
        };
        let (topic, payload) = (letter.topic.as_str(), letter.payload.clone());
        let qos = to_sut_qos(letter.qos);
        Ok(self.publish_with_properties(topic, qos, letter.retain, payload, properties).await?)
    }

    async fn subscribe(&self, filter: &str, qos: QoS) -> SutResult {
        Ok(Self::subscribe(self, (filter, to_sut_qos(qos))).await?)
    }

    async fn unsubscribe(&self, filter: &str) -> SutResult {
        Ok(Self::unsubscribe(self, filter).await?)
    }

    async fn disconnect(&self) -> SutResult {
        Ok(Self::disconnect(self).await?)
    }
}

const fn to_sut_qos(qos: QoS) -> mqrstt::packets::QoS {
    match qos {
        QoS::AtMostOnce => mqrstt::packets::QoS::AtMostOnce,
        QoS::AtLeastOnce => mqrstt::packets::QoS::AtLeastOnce,
        QoS::ExactlyOnce => mqrstt::packets::QoS::ExactlyOnce,
    }
}

const fn from_sut_qos(qos: mqrstt::packets::QoS) -> QoS {
    match qos {
        mqrstt::packets::QoS::AtMostOnce => QoS::AtMostOnce,
        mqrstt::packets::QoS::AtLeastOnce => QoS::AtLeastOnce,
        mqrstt::packets::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}
