//! mqrstt, as an application with a careful author uses it.
//!
//! - **Acknowledging**: automatic, its only way. The handler gets the message before PUBACK or
//!   PUBREC is written, which is where the seat is told of it.
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
use qoslab::base::qos::QoS;
use qoslab::testing::{ClientSeat, Ran, Socket};

use crate::application::{Application, Client, Letter, PAUSE, duration};

/// Runs it in the place of a client.
///
/// # Errors
/// When it refuses its settings or a message.
pub async fn run(seat: ClientSeat) -> Ran {
    let options = options(&seat)?;
    let application = Rc::new(Application::new(seat));
    let (mut network, client) = NetworkBuilder::new_from_options(options).tokio_network();
    tokio::select! {
        biased;
        drove = drive(&application, &mut network) => drove,
        served = application.serve(&client) => served,
    }
}

fn options(seat: &ClientSeat) -> Result<ConnectOptions, Box<dyn std::error::Error>> {
    let settings = seat.settings();
    let mut options = ConnectOptions::new(&settings.client_id);
    options.set_clean_start(settings.clean);
    if !settings.clean {
        options.set_session_expiry_interval(settings.session_expiry);
    }
    options.set_keep_alive_interval(duration(settings.keep_alive));
    options.set_send_maximum(settings.hop.max_inflight);
    if settings.limits.receive_maximum < u16::MAX {
        options.set_receive_maximum(settings.limits.receive_maximum);
    }
    if settings.limits.max_packet_size < u32::MAX {
        options.set_maximum_packet_size(settings.limits.max_packet_size)?;
    }
    Ok(options)
}

/// Connects again and again while the application wants to be connected.
async fn drive(application: &Rc<Application>, network: &mut Network<Handler, Socket>) -> Ran {
    let mut handler = Handler(Rc::clone(application));
    let patience = application.seat.settings().connect_timeout.map_or(Duration::MAX, duration);
    loop {
        application.presence().await;
        let dial = async {
            let socket = application.seat.connect().await.ok()?;
            network.connect(socket, &mut handler).await.ok()
        };
        let connected = tokio::time::timeout(patience, dial).await.is_ok_and(|ack| ack.is_some());
        let ended = if connected { network.run(&mut handler).await.ok() } else { None };
        application.offline::<MqttClient>();
        if ended != Some(NetworkStatus::OutgoingDisconnect) || application.is_present() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

struct Handler(Rc<Application>);

impl AsyncEventHandler for Handler {
    fn handle(&mut self, packet: Packet) -> impl Future<Output = ()> + Send + Sync {
        match packet {
            Packet::ConnAck(ack) => self.0.online(ack.connack_flags.session_present),
            Packet::Publish(publish) => {
                self.0.seat.deliver(&publish.payload, level(publish.qos), publish.retain);
            }
            Packet::SubAck(_) => self.0.answered(true),
            Packet::UnsubAck(_) => self.0.answered(false),
            _ => {}
        }
        ready(())
    }
}

impl Client for MqttClient {
    const QUEUES: bool = true;
    const ASKS_AGAIN: bool = false;

    async fn publish(&self, letter: &Letter) -> Ran {
        let properties = PublishProperties {
            message_expiry_interval: letter.expiry,
            ..PublishProperties::default()
        };
        let (topic, payload) = (letter.topic.as_str(), letter.payload.clone());
        let qos = their_level(letter.qos);
        Ok(self.publish_with_properties(topic, qos, letter.retain, payload, properties).await?)
    }

    async fn subscribe(&self, filter: &str, qos: QoS) -> Ran {
        Ok(Self::subscribe(self, (filter, their_level(qos))).await?)
    }

    async fn unsubscribe(&self, filter: &str) -> Ran {
        Ok(Self::unsubscribe(self, filter).await?)
    }

    async fn disconnect(&self) -> Ran {
        Ok(Self::disconnect(self).await?)
    }
}

const fn their_level(qos: QoS) -> mqrstt::packets::QoS {
    match qos {
        QoS::AtMostOnce => mqrstt::packets::QoS::AtMostOnce,
        QoS::AtLeastOnce => mqrstt::packets::QoS::AtLeastOnce,
        QoS::ExactlyOnce => mqrstt::packets::QoS::ExactlyOnce,
    }
}

const fn level(qos: mqrstt::packets::QoS) -> QoS {
    match qos {
        mqrstt::packets::QoS::AtMostOnce => QoS::AtMostOnce,
        mqrstt::packets::QoS::AtLeastOnce => QoS::AtLeastOnce,
        mqrstt::packets::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}
