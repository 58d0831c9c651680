//! What a careful application does around its MQTT client, whichever it is.
//!
//! It passes on what is wished for, remembers its subscriptions so that it can ask for them again,
//! and keeps the messages that its client does not take.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use qoslab::base::qos::QoS;
use qoslab::base::time::Span;
use qoslab::testing::{ClientSeat, Ran, Wish};
use tokio::sync::Notify;

/// How long an application waits after a lost connection or a failed dial.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// A message to publish.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expiry: Option<u32>,
}

/// The side of a client that its application talks to.
pub(crate) trait Client {
    /// Whether it takes messages while it has no connection, and sends them on the next.
    const QUEUES: bool;
    /// Whether a SUBSCRIBE or UNSUBSCRIBE that was not answered is sent again on the next
    /// connection.
    const ASKS_AGAIN: bool;

    /// Takes a message; may wait until it has room for it. An error says that it did not take it.
    async fn publish(&self, letter: &Letter) -> Ran;
    /// Sends SUBSCRIBE.
    async fn subscribe(&self, filter: &str, qos: QoS) -> Ran;
    /// Sends UNSUBSCRIBE.
    async fn unsubscribe(&self, filter: &str) -> Ran;
    /// Begins the orderly end of the connection.
    async fn disconnect(&self) -> Ran;
}

/// The state of an application. One task owns it: the half that passes wishes on and the half that
/// drives the connection take turns.
pub(crate) struct Application {
    pub(crate) seat: ClientSeat,
    filters: RefCell<Vec<Filter>>,
    held: RefCell<VecDeque<Letter>>,
    present: Cell<bool>,
    connected: Cell<bool>,
    news: Notify,
    returned: Notify,
}

/// A filter, and how far the broker has been told.
struct Filter {
    topic: String,
    qos: QoS,
    wanted: bool,
    asked: bool,
    answered: bool,
}

impl Application {
    pub(crate) fn new(seat: ClientSeat) -> Self {
        Self {
            seat,
            filters: RefCell::default(),
            held: RefCell::default(),
            present: Cell::new(true),
            connected: Cell::new(false),
            news: Notify::new(),
            returned: Notify::new(),
        }
    }

    /// Passes wishes on for ever, and does what a new connection makes necessary.
    pub(crate) async fn serve<C: Client>(&self, client: &C) -> Ran {
        loop {
            tokio::select! {
                biased;
                () = self.news.notified() => self.catch_up(client).await?,
                wish = self.seat.wish() => self.hear(client, wish).await?,
            }
        }
    }

    /// Whether the application wants to be connected.
    pub(crate) const fn is_present(&self) -> bool {
        self.present.get()
    }

    /// Whether CONNACK came on a connection that is not known to be lost.
    pub(crate) const fn is_connected(&self) -> bool {
        self.connected.get()
    }

    /// Waits until it does.
    pub(crate) async fn presence(&self) {
        while !self.present.get() {
            self.returned.notified().await;
        }
    }

    /// CONNACK came.
    pub(crate) fn online(&self, session_present: bool) {
        if !session_present && self.seat.settings().resubscribe {
            let mut filters = self.filters.borrow_mut();
            filters.retain(|filter| filter.wanted);
            for filter in filters.iter_mut() {
                (filter.asked, filter.answered) = (false, false);
            }
        }
        self.connected.set(true);
        self.news.notify_one();
    }

    /// SUBACK or UNSUBACK came: the broker answers in the order in which it was asked.
    pub(crate) fn answered(&self, subscribed: bool) {
        let mut filters = self.filters.borrow_mut();
        let due =
            |filter: &&mut Filter| filter.asked && !filter.answered && filter.wanted == subscribed;
        if let Some(filter) = filters.iter_mut().find(due) {
            filter.answered = true;
        }
        filters.retain(|filter| filter.wanted || !filter.answered);
    }

    /// The connection is lost, or none came about.
    pub(crate) fn offline<C: Client>(&self) {
        self.connected.set(false);
        if !C::ASKS_AGAIN {
            for filter in self.filters.borrow_mut().iter_mut() {
                filter.asked &= filter.answered;
            }
        }
    }

    async fn hear<C: Client>(&self, client: &C, wish: Wish) -> Ran {
        match wish {
            Wish::Publish { topic, payload, qos, retain, expiry } => {
                let letter = Letter { topic, payload, qos, retain, expiry };
                return self.publish(client, letter).await;
            }
            Wish::Subscribe { filter, qos } => self.want(filter, qos, true),
            Wish::Unsubscribe { filter } => self.want(filter, QoS::AtMostOnce, false),
            Wish::Leave => {
                self.present.set(false);
                if self.connected.get() {
                    client.disconnect().await?;
                }
                return Ok(());
            }
            Wish::Return => {
                self.present.set(true);
                self.returned.notify_one();
                return Ok(());
            }
        }
        if self.connected.get() { self.ask(client).await } else { Ok(()) }
    }

    fn want(&self, filter: String, qos: QoS, wanted: bool) {
        let mut filters = self.filters.borrow_mut();
        filters.retain(|known| known.topic != filter);
        filters.push(Filter { topic: filter, qos, wanted, asked: false, answered: false });
    }

    async fn publish<C: Client>(&self, client: &C, letter: Letter) -> Ran {
        let ready = self.present.get() && (C::QUEUES || self.connected.get());
        if !ready || !self.held.borrow().is_empty() {
            self.held.borrow_mut().push_back(letter);
            return Ok(());
        }
        match client.publish(&letter).await {
            Err(refused) if C::QUEUES => Err(refused),
            Err(_) => {
                self.held.borrow_mut().push_back(letter);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn catch_up<C: Client>(&self, client: &C) -> Ran {
        if !self.connected.get() {
            return Ok(());
        }
        if !self.present.get() {
            return client.disconnect().await;
        }
        self.ask(client).await?;
        while let Some(letter) = self.next_held() {
            if client.publish(&letter).await.is_err() {
                self.held.borrow_mut().push_front(letter);
                break;
            }
        }
        Ok(())
    }

    /// Asks for what was not asked for yet. A connection that is lost meanwhile is no error: the
    /// next one asks again.
    async fn ask<C: Client>(&self, client: &C) -> Ran {
        while let Some((filter, qos, wanted)) = self.next_to_ask() {
            let asked = if wanted {
                client.subscribe(&filter, qos).await
            } else {
                client.unsubscribe(&filter).await
            };
            if asked.is_err() {
                self.offline::<C>();
                break;
            }
        }
        Ok(())
    }

    fn next_held(&self) -> Option<Letter> {
        self.held.borrow_mut().pop_front()
    }

    fn next_to_ask(&self) -> Option<(String, QoS, bool)> {
        let mut filters = self.filters.borrow_mut();
        let filter = filters.iter_mut().find(|filter| !filter.asked)?;
        filter.asked = true;
        Some((filter.topic.clone(), filter.qos, filter.wanted))
    }
}

/// A span as the standard library's.
pub(crate) const fn duration(span: Span) -> Duration {
    Duration::from_nanos(span.as_nanos())
}

/// A keep alive as MQTT writes it.
pub(crate) fn whole_seconds(span: Span) -> u16 {
    u16::try_from(duration(span).as_secs()).unwrap_or(u16::MAX)
}
