//! rumqttc-v4-next, as an application with a careful author uses it.
//!
//! - **Acknowledging**: automatic, its default. PUBACK and PUBREC are written before `poll()`
//!   hands the message out, which is where the seat is told of it.
//! - **Memory**: it offers a store that outlives the process, which is left out. `disconnect()`
//!   ends an `EventLoop` for good, so its session is handed to the next one by a [`SessionStore`]
//!   that lives in the application's memory: a crash loses it.
//! - **Reconnecting**: `poll()` dials again at once, so the application pauses after an error.
//! - **Messages**: the request channel of its default size takes them, also while disconnected;
//!   when it is full, `publish()` waits.
//! - **Leaving**: `disconnect_with_timeout()`, which waits for what is in flight. What the channel
//!   still holds is discarded, as its documentation says.

use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use qoslab::base::qos::QoS;
use qoslab::testing::{ClientSeat, Ran};
use rumqttc_v4::{
    AsyncClient, Broker, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet,
    PersistedSession, PublishOptions, SessionStore, SessionStoreError, SessionStoreKey,
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
    loop {
        let options = options(&application.seat, &memory)?;
        let (client, mut events) = AsyncClient::builder(options).try_build()?;
        events.set_network_options(patience(&application.seat));
        tokio::select! {
            biased;
            left = drive(&application, &mut events) => left?,
            served = application.serve(&client) => served?,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn options(seat: &ClientSeat, memory: &Arc<Memory>) -> Result<MqttOptions, Box<dyn Error>> {
    let settings = seat.settings();
    let mut options = MqttOptions::new(&*settings.client_id, Broker::tcp("broker", 1883));
    options.try_set_clean_session(settings.clean)?;
    options.try_set_inflight(settings.hop.max_inflight)?;
    options.set_keep_alive(whole_seconds(settings.keep_alive));
    let limit = usize::try_from(settings.limits.max_packet_size)?;
    options.set_max_packet_size(limit, limit);
    let store: Arc<dyn SessionStore> = memory.clone();
    options.set_session_store_arc(store);
    let seat = seat.clone();
    options.set_socket_connector(move |_, _| {
        let seat = seat.clone();
        async move { seat.connect().await.map(Stream::new) }
    });
    Ok(options)
}

fn patience(seat: &ClientSeat) -> NetworkOptions {
    let mut options = NetworkOptions::new();
    if let Some(patience) = seat.settings().connect_timeout {
        options.set_connection_timeout(duration(patience).as_secs().max(1));
    }
    options
}

/// Polls until it has disconnected as it was asked to.
async fn drive(application: &Application, events: &mut EventLoop) -> Ran {
    loop {
        if !application.is_connected() {
            application.presence().await;
        }
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(ack))) => application.online(ack.session_present),
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
        let options = PublishOptions::new(level(letter.qos)).retain(letter.retain);
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

const fn level(qos: QoS) -> rumqttc_v4::QoS {
    match qos {
        QoS::AtMostOnce => rumqttc_v4::QoS::AtMostOnce,
        QoS::AtLeastOnce => rumqttc_v4::QoS::AtLeastOnce,
        QoS::ExactlyOnce => rumqttc_v4::QoS::ExactlyOnce,
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
