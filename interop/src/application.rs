//! The work of a careful application around any MQTT client.
//!
//! It passes on the requested commands, remembers its subscriptions so that it can subscribe again,
//! and keeps the messages that its client does not take.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use qoslab_testing::{AppCommand, ClientHandle, QoS, Span, SutResult};

use tokio::sync::Notify;

/// The pause of an application after a lost connection or a failed dial.
pub(crate) const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// A message to publish.
#[derive(Clone, Debug)]
pub(crate) struct OutgoingMessage {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expiry: Option<u32>,
}

/// The interface of a client to its application.
pub(crate) trait SutClient {
    /// Whether it takes messages while it has no connection, and sends them on the next.
    const QUEUES_WHILE_OFFLINE: bool;
    /// Whether a SUBSCRIBE or UNSUBSCRIBE that was not answered is sent again on the next
    /// connection.
    const RESENDS_SUBSCRIBE: bool;

    /// Takes a message; may wait until it has room for it. An error means that it did not take it.
    async fn publish(&self, letter: &OutgoingMessage) -> SutResult;
    /// Sends SUBSCRIBE.
    async fn subscribe(&self, filter: &str, qos: QoS) -> SutResult;
    /// Sends UNSUBSCRIBE.
    async fn unsubscribe(&self, filter: &str) -> SutResult;
    /// Begins the orderly end of the connection.
    async fn disconnect(&self) -> SutResult;
}

/// The state of an application. One task owns it: the half that passes commands on and the half
/// that drives the connection take turns.
pub(crate) struct SutApplication {
    pub(crate) handle: ClientHandle,
    filters: RefCell<Vec<FilterState>>,
    queued: RefCell<VecDeque<OutgoingMessage>>,
    wants_connection: Cell<bool>,
    connected: Cell<bool>,
    connection_opened: Notify,
    connection_wanted: Notify,
}

/// A filter, and the state of its request to the broker.
struct FilterState {
    topic: String,
    qos: QoS,
    is_subscribe: bool,
    is_sent: bool,
    is_acknowledged: bool,
}

impl SutApplication {
    pub(crate) fn new(seat: ClientHandle) -> Self {
        Self {
            handle: seat,
            filters: RefCell::default(),
            queued: RefCell::default(),
            wants_connection: Cell::new(true),
            connected: Cell::new(false),
            connection_opened: Notify::new(),
            connection_wanted: Notify::new(),
        }
    }

    /// Passes commands on for ever, and does what a new connection makes necessary.
    pub(crate) async fn run_commands<C: SutClient>(&self, client: &C) -> SutResult {
        loop {
            tokio::select! {
                biased;
                () = self.connection_opened.notified() => self.resume(client).await?,
                wish = self.handle.next_command() => self.handle_command(client, wish).await?,
            }
        }
    }

    /// Whether the application is to be connected.
    pub(crate) const fn is_connection_wanted(&self) -> bool {
        self.wants_connection.get()
    }

    /// Whether CONNACK came on a connection that is not known to be lost.
    pub(crate) const fn is_connected(&self) -> bool {
        self.connected.get()
    }

    /// Waits until the application is to be connected.
    pub(crate) async fn wait_until_connection_wanted(&self) {
        while !self.wants_connection.get() {
            self.connection_wanted.notified().await;
        }
    }

    /// Handles CONNACK.
    pub(crate) fn on_connected(&self, session_present: bool) {
        if !session_present && self.handle.settings().resubscribe {
            let mut filters = self.filters.borrow_mut();
            filters.retain(|filter| filter.is_subscribe);
            for filter in filters.iter_mut() {
                (filter.is_sent, filter.is_acknowledged) = (false, false);
            }
        }
        self.connected.set(true);
        self.connection_opened.notify_one();
    }

    /// Handles SUBACK or UNSUBACK: the broker answers in the order in which it was asked.
    pub(crate) fn on_subscription_acknowledged(&self, subscribed: bool) {
        let mut filters = self.filters.borrow_mut();
        let due = |filter: &&mut FilterState| {
            filter.is_sent && !filter.is_acknowledged && filter.is_subscribe == subscribed
        };
        if let Some(filter) = filters.iter_mut().find(due) {
            filter.is_acknowledged = true;
        }
        filters.retain(|filter| filter.is_subscribe || !filter.is_acknowledged);
    }

    /// Handles a lost connection or a failed dial.
    pub(crate) fn on_disconnected<C: SutClient>(&self) {
        self.connected.set(false);
        if !C::RESENDS_SUBSCRIBE {
            for filter in self.filters.borrow_mut().iter_mut() {
                filter.is_sent &= filter.is_acknowledged;
            }
        }
    }

    async fn handle_command<C: SutClient>(&self, client: &C, command: AppCommand) -> SutResult {
        match command {
            AppCommand::Publish { topic, payload, qos, retain, expiry } => {
                let letter = OutgoingMessage { topic, payload, qos, retain, expiry };
                return self.publish(client, letter).await;
            }
            AppCommand::Subscribe { filter, qos } => self.set_filter(filter, qos, true),
            AppCommand::Unsubscribe { filter } => self.set_filter(filter, QoS::AtMostOnce, false),
            AppCommand::Disconnect => {
                self.wants_connection.set(false);
                if self.connected.get() {
                    client.disconnect().await?;
                }
                return Ok(());
            }
            AppCommand::Connect => {
                self.wants_connection.set(true);
                self.connection_wanted.notify_one();
                return Ok(());
            }
        }
        if self.connected.get() { self.send_pending_subscriptions(client).await } else { Ok(()) }
    }

    fn set_filter(&self, filter: String, qos: QoS, wanted: bool) {
        let mut filters = self.filters.borrow_mut();
        filters.retain(|known| known.topic != filter);
        filters.push(FilterState {
            topic: filter,
            qos,
            is_subscribe: wanted,
            is_sent: false,
            is_acknowledged: false,
        });
    }

    async fn publish<C: SutClient>(&self, client: &C, letter: OutgoingMessage) -> SutResult {
        let ready =
            self.wants_connection.get() && (C::QUEUES_WHILE_OFFLINE || self.connected.get());
        if !ready || !self.queued.borrow().is_empty() {
            self.queued.borrow_mut().push_back(letter);
            return Ok(());
        }
        match client.publish(&letter).await {
            Err(refused) if C::QUEUES_WHILE_OFFLINE => Err(refused),
            Err(_) => {
                self.queued.borrow_mut().push_back(letter);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn resume<C: SutClient>(&self, client: &C) -> SutResult {
        if !self.connected.get() {
            return Ok(());
        }
        if !self.wants_connection.get() {
            return client.disconnect().await;
        }
        self.send_pending_subscriptions(client).await?;
        while let Some(letter) = self.next_queued() {
            if client.publish(&letter).await.is_err() {
                self.queued.borrow_mut().push_front(letter);
                break;
            }
        }
        Ok(())
    }

    /// Sends the requests that were not sent yet. A connection that is lost meanwhile is no error:
    /// the next one sends them again.
    async fn send_pending_subscriptions<C: SutClient>(&self, client: &C) -> SutResult {
        while let Some((filter, qos, wanted)) = self.next_unsent_filter() {
            let asked = if wanted {
                client.subscribe(&filter, qos).await
            } else {
                client.unsubscribe(&filter).await
            };
            if asked.is_err() {
                self.on_disconnected::<C>();
                break;
            }
        }
        Ok(())
    }

    fn next_queued(&self) -> Option<OutgoingMessage> {
        self.queued.borrow_mut().pop_front()
    }

    fn next_unsent_filter(&self) -> Option<(String, QoS, bool)> {
        let mut filters = self.filters.borrow_mut();
        let filter = filters.iter_mut().find(|filter| !filter.is_sent)?;
        filter.is_sent = true;
        Some((filter.topic.clone(), filter.qos, filter.is_subscribe))
    }
}

/// A duration as the standard library's type.
pub(crate) const fn to_std_duration(span: Span) -> Duration {
    Duration::from_nanos(span.as_nanos())
}

/// A keep alive as MQTT writes it.
pub(crate) fn whole_seconds(span: Span) -> u16 {
    u16::try_from(to_std_duration(span).as_secs()).unwrap_or(u16::MAX)
}
