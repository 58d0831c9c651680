//! rumqttc-v5-next, as an application with a careful author uses it.
//!
//! - **Acknowledging**: automatic, its default. PUBACK and PUBREC are written before `poll()`
//!   hands the message out, which is when the handle is notified of it.
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

use qoslab_testing::{ClientHandle, QoS, SutResult};

use rumqttc_v5::{
    AsyncClient, Broker, ConnectionError, Event, EventLoop, MqttOptions, Packet, PersistedSession,
    PublishOptions, PublishProperties, SessionStore, SessionStoreError, SessionStoreKey,
};

use crate::application::{
    OutgoingMessage, RECONNECT_DELAY, SutApplication, SutClient, to_std_duration, whole_seconds,
};
use crate::sync_socket::SyncSocket;

/// The time that leaving waits for what is in flight.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs it in the place of a client.
///
/// # Errors
/// When it refuses its settings or a message.
pub async fn run(handle: ClientHandle) -> SutResult {
    let application = SutApplication::new(handle);
    let memory = Arc::new(SessionMemory::default());
    let mut options = options(&application.handle, &memory);
    options.set_clean_start(options.clean_start() || application.handle.earlier_starts() > 0);
    loop {
        let (client, mut events) = AsyncClient::builder(options.clone()).try_build()?;
        tokio::select! {
            biased;
            left = drive_connection(&application, &mut events) => left?,
            served = application.run_commands(&client) => served?,
        }
        options.set_clean_start(application.handle.settings().clean);
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

fn options(handle: &ClientHandle, memory: &Arc<SessionMemory>) -> MqttOptions {
    let settings = handle.settings();
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
        options.set_connect_timeout(to_std_duration(patience));
    }
    let store: Arc<dyn SessionStore> = memory.clone();
    options.set_session_store_arc(store);
    let seat = handle.clone();
    options.set_socket_connector(move |_, _| {
        let seat = seat.clone();
        async move { seat.connect().await.map(SyncSocket::new) }
    });
    options
}

/// Polls until it has disconnected as it was asked to.
async fn drive_connection(application: &SutApplication, events: &mut EventLoop) -> SutResult {
    loop {
        if !application.is_connected() {
            application.wait_until_connection_wanted().await;
        }
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                events.options.set_clean_start(application.handle.settings().clean);
                application.on_connected(ack.session_present);
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let qos = QoS::from_number(publish.qos as u8).ok_or("a QoS above 2")?;
                application.handle.deliver(&publish.payload, qos, publish.retain);
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                application.on_subscription_acknowledged(true);
            }
            Ok(Event::Incoming(Packet::UnsubAck(_))) => {
                application.on_subscription_acknowledged(false);
            }
            Ok(_) => {}
            Err(ConnectionError::RequestsDone) => {
                application.on_disconnected::<AsyncClient>();
                return Ok(());
            }
            Err(_) => {
                application.on_disconnected::<AsyncClient>();
                tokio::time::sleep(RECONNECT_DELAY).await;
            }
        }
    }
}

impl SutClient for AsyncClient {
    const QUEUES_WHILE_OFFLINE: bool = true;
    const RESENDS_SUBSCRIBE: bool = true;

    async fn publish(&self, letter: &OutgoingMessage) -> SutResult {
        let mut options = PublishOptions::new(to_sut_qos(letter.qos)).retain(letter.retain);
        if letter.expiry.is_some() {
            options = options.properties(PublishProperties {
                message_expiry_interval: letter.expiry,
                ..PublishProperties::default()
            });
        }
        Ok(Self::publish(self, &*letter.topic, letter.payload.clone(), options).await?)
    }

    async fn subscribe(&self, filter: &str, qos: QoS) -> SutResult {
        Ok(Self::subscribe(self, filter, to_sut_qos(qos)).await?)
    }

    async fn unsubscribe(&self, filter: &str) -> SutResult {
        Ok(Self::unsubscribe(self, filter).await?)
    }

    async fn disconnect(&self) -> SutResult {
        Ok(self.disconnect_with_timeout(DISCONNECT_TIMEOUT).await?)
    }
}

const fn to_sut_qos(qos: QoS) -> rumqttc_v5::QoS {
    match qos {
        QoS::AtMostOnce => rumqttc_v5::QoS::AtMostOnce,
        QoS::AtLeastOnce => rumqttc_v5::QoS::AtLeastOnce,
        QoS::ExactlyOnce => rumqttc_v5::QoS::ExactlyOnce,
    }
}

/// The session, from one event loop to the next.
#[derive(Debug, Default)]
struct SessionMemory(Mutex<Option<PersistedSession>>);

impl SessionMemory {
    fn replace(&self, session: Option<PersistedSession>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }
}

/// The future that a store returns.
type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

impl SessionStore for SessionMemory {
    fn load<'a>(&'a self, _: &'a SessionStoreKey) -> StoreFuture<'a, Option<PersistedSession>> {
        let session = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async { Ok(session) })
    }

    fn save<'a>(
        &'a self,
        _: &'a SessionStoreKey,
        session: &'a PersistedSession,
    ) -> StoreFuture<'a, ()> {
        self.replace(Some(session.clone()));
        Box::pin(async { Ok(()) })
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> StoreFuture<'a, ()> {
        self.replace(None);
        Box::pin(async { Ok(()) })
    }
}
