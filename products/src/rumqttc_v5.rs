//! rumqttc-v5-next, as an application with a careful author uses it.
//!
//! - **Acknowledging**: automatic, its default. PUBACK and PUBREC are written before `poll()`
//!   hands the message out, which is where the seat is told of it.
//! - **Memory**: it offers a store that outlives the process, which is left out. `disconnect()`
//!   ends an `EventLoop` for good, so its session is handed to the next one by a [`SessionStore`]
//!   that lives in the application's memory: a crash loses it. A session that only the broker has
//!   is refused by default ([MQTT-3.2.2-4]), so the application begins with Clean Start after a
//!   crash, and turns it off once it is connected.
//! - **Reconnecting**: `poll()` dials again at once, so the application pauses after an error.
//! - **Messages**: the request channel of its default size takes them, also while disconnected;
//!   when it is full, `publish()` waits.
//! - **Leaving**: `disconnect_with_timeout()`, which waits for what is in flight. What the channel
//!   still holds is discarded, as its documentation says.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use qoslab::base::qos::QoS;
use qoslab::testing::{ClientSeat, Ran};
use rumqttc_v5::{
    AsyncClient, Broker, ConnectionError, Event, EventLoop, MqttOptions, Packet, PersistedSession,
    PublishOptions, PublishProperties, SessionStore, SessionStoreError, SessionStoreKey,
};

use crate::application::{Application, Client, Letter, PAUSE, duration, whole_seconds};
use crate::stream::Stream;

/// How long leaving waits for what is in flight.
const FAREWELL: Duration = Duration::from_secs(10);

/// Runs it in the place of a client.
///
/// # Errors
/// When it refuses its settings or a message.
pub async fn run(seat: ClientSeat) -> Ran {
    let application = Application::new(seat);
    let memory = Arc::new(Memory::default());
    let mut options = options(&application.seat, &memory);
    options.set_clean_start(options.clean_start() || application.seat.starts() > 0);
    loop {
        let (client, mut events) = AsyncClient::builder(options.clone()).try_build()?;
        tokio::select! {
            biased;
            left = drive(&application, &mut events) => left?,
            served = application.serve(&client) => served?,
        }
        options.set_clean_start(application.seat.settings().clean);
        tokio::time::sleep(PAUSE).await;
    }
}

fn options(seat: &ClientSeat, memory: &Arc<Memory>) -> MqttOptions {
    let settings = seat.settings();
    let mut options = MqttOptions::new(&*settings.client_id, Broker::tcp("broker", 1883));
    options.set_clean_start(settings.clean);
    if !settings.clean {
        options.set_session_expiry_interval(Some(settings.session_expiry));
    }
    options.set_outgoing_inflight_upper_limit(settings.hop.max_inflight);
    options.set_keep_alive(whole_seconds(settings.keep_alive));
    if settings.limits.receive_maximum < u16::MAX {
        options.set_receive_maximum(Some(settings.limits.receive_maximum));
    }
    match settings.limits.max_packet_size {
        u32::MAX => options.set_unlimited_incoming_packet_size(),
        limit => options.set_max_packet_size(Some(limit)),
    };
    if let Some(patience) = settings.connect_timeout {
        options.set_connect_timeout(duration(patience));
    }
    let store: Arc<dyn SessionStore> = memory.clone();
    options.set_session_store_arc(store);
    let seat = seat.clone();
    options.set_socket_connector(move |_, _| {
        let seat = seat.clone();
        async move { seat.connect().await.map(Stream::new) }
    });
    options
}

/// Polls until it has disconnected as it was asked to.
async fn drive(application: &Application, events: &mut EventLoop) -> Ran {
    loop {
        if !application.is_connected() {
            application.presence().await;
        }
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                events.options.set_clean_start(application.seat.settings().clean);
                application.online(ack.session_present);
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let qos = QoS::from_number(publish.qos as u8).ok_or("a QoS above 2")?;
                application.seat.deliver(&publish.payload, qos, publish.retain);
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => application.answered(true),
            Ok(Event::Incoming(Packet::UnsubAck(_))) => application.answered(false),
            Ok(_) => {}
            Err(ConnectionError::RequestsDone) => {
                application.offline::<AsyncClient>();
                return Ok(());
            }
            Err(_) => {
                application.offline::<AsyncClient>();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Client for AsyncClient {
    const QUEUES: bool = true;
    const ASKS_AGAIN: bool = true;

    async fn publish(&self, letter: &Letter) -> Ran {
        let mut options = PublishOptions::new(level(letter.qos)).retain(letter.retain);
        if letter.expiry.is_some() {
            options = options.properties(PublishProperties {
                message_expiry_interval: letter.expiry,
                ..PublishProperties::default()
            });
        }
        Ok(Self::publish(self, &*letter.topic, letter.payload.clone(), options).await?)
    }

    async fn subscribe(&self, filter: &str, qos: QoS) -> Ran {
        Ok(Self::subscribe(self, filter, level(qos)).await?)
    }

    async fn unsubscribe(&self, filter: &str) -> Ran {
        Ok(Self::unsubscribe(self, filter).await?)
    }

    async fn disconnect(&self) -> Ran {
        Ok(self.disconnect_with_timeout(FAREWELL).await?)
    }
}

const fn level(qos: QoS) -> rumqttc_v5::QoS {
    match qos {
        QoS::AtMostOnce => rumqttc_v5::QoS::AtMostOnce,
        QoS::AtLeastOnce => rumqttc_v5::QoS::AtLeastOnce,
        QoS::ExactlyOnce => rumqttc_v5::QoS::ExactlyOnce,
    }
}

/// The session, from one event loop to the next.
#[derive(Debug, Default)]
struct Memory(Mutex<Option<PersistedSession>>);

impl Memory {
    fn replace(&self, session: Option<PersistedSession>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }
}

/// What a store answers with.
type Kept<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

impl SessionStore for Memory {
    fn load<'a>(&'a self, _: &'a SessionStoreKey) -> Kept<'a, Option<PersistedSession>> {
        let session = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async { Ok(session) })
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, session: &'a PersistedSession) -> Kept<'a, ()> {
        self.replace(Some(session.clone()));
        Box::pin(async { Ok(()) })
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> Kept<'a, ()> {
        self.replace(None);
        Box::pin(async { Ok(()) })
    }
}
