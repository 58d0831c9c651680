//! Where products under test sit: what a client or a broker that we did not write finds around it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::hosts::{Ears, of_scene, open, stream_to_broker};
use super::scene::{Place, Scene};
use super::socket::Socket;
use crate::trial::Setup;
use crate::witness::mark;
use qoslab_core::base::name::{ClientIndex, Node};
use qoslab_core::base::qos::QoS;
use qoslab_core::mqtt::settings::{BrokerSettings, ClientSettings, Request};

/// A client's place in a trial, from one start of its host to the next crash.
#[derive(Clone, Debug)]
pub struct ClientSeat {
    client: ClientIndex,
    setup: Arc<Setup>,
    starts: u32,
    application: Arc<Mutex<Application>>,
}

/// The application behind a client, as it was when the client last asked.
#[derive(Debug, Default)]
struct Application {
    wishes: VecDeque<Wish>,
    /// Whether it wanted a connection before, which a client that starts has anyway.
    has_begun: bool,
}

/// What the application behind a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// That a message is published.
    Publish {
        /// The topic name.
        topic: String,
        /// The payload, by which the message is known: at least 12 bytes. It must arrive as it is.
        payload: Vec<u8>,
        /// With which QoS.
        qos: QoS,
        /// With which RETAIN flag.
        retain: bool,
        /// 5.0's Message Expiry Interval in seconds.
        expiry: Option<u32>,
    },
    /// A subscription.
    Subscribe {
        /// The topic filter.
        filter: String,
        /// The highest QoS of what is to come.
        qos: QoS,
    },
    /// That a subscription ends.
    Unsubscribe {
        /// The topic filter.
        filter: String,
    },
    /// That the client sends DISCONNECT and stays away.
    Leave,
    /// That it connects again.
    Return,
}

impl ClientSeat {
    pub(super) fn new(client: ClientIndex, setup: &Arc<Setup>, starts: u32) -> Self {
        Self { client, setup: Arc::clone(setup), starts, application: Arc::default() }
    }

    /// The client's name in the scenario.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.setup.clients[self.client.index()].name
    }

    /// What the scenario sets it to: client id, version, Clean Session, Session Expiry Interval,
    /// keep alive, window (`hop.max_inflight`), limits.
    #[must_use]
    pub fn settings(&self) -> &ClientSettings {
        &self.setup.clients[self.client.index()].settings
    }

    /// How often its host had started before: 0 at first, 1 after the first crash.
    #[must_use]
    pub const fn starts(&self) -> u32 {
        self.starts
    }

    /// Opens a connection to the broker, which takes the time that it takes on the scenario's link.
    /// A connection that is open, or being opened, is given up.
    ///
    /// # Errors
    /// If the broker is down, or the link is for longer than TCP has patience.
    pub async fn connect(&self) -> io::Result<Socket> {
        let connection = open(self.client, 0).await?;
        let place = Place { connection, node: Node::Client(self.client) };
        Ok(Socket::foreign(place, stream_to_broker(connection).await))
    }

    /// The next thing that the application wants; waits for ever if there is nothing more. The
    /// client wants a connection from its start, which is not told. May be dropped while it waits.
    pub async fn wish(&self) -> Wish {
        loop {
            if let Some(wish) = self.with_application(|it| it.wishes.pop_front()) {
                return wish;
            }
            let request =
                of_scene(|scene, context| scene.with(|stage| stage.request(self.client, context)));
            let request = request.await;
            self.with_application(|application| application.wants(request));
        }
    }

    /// The client hands a message to its application. `retain` is the flag that it came with.
    pub fn deliver(&self, payload: &[u8], qos: QoS, retain: bool) {
        if let Some(scene) = Scene::current() {
            scene.with(|stage| stage.delivered(self.client, payload, qos, retain));
        }
    }

    fn with_application<T>(&self, act: impl FnOnce(&mut Application) -> T) -> T {
        act(&mut self.application.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Application {
    fn wants(&mut self, request: Request) {
        match request {
            Request::Connect if !self.has_begun => self.has_begun = true,
            Request::Connect | Request::Reconnect => self.wishes.push_back(Wish::Return),
            Request::Disconnect => self.wishes.push_back(Wish::Leave),
            Request::Publish { message, qos, retain, expiry } => {
                self.wishes.push_back(Wish::Publish {
                    topic: message.topic.to_string(),
                    payload: mark(message.tag, message.payload.len()),
                    qos,
                    retain,
                    expiry,
                });
            }
            Request::Subscribe(requests) => self.wishes.extend(
                requests
                    .into_iter()
                    .map(|it| Wish::Subscribe { filter: it.filter.to_string(), qos: it.qos }),
            ),
            Request::Unsubscribe(filters) => {
                let filters = filters.into_iter().map(|it| it.to_string());
                self.wishes.extend(filters.map(|filter| Wish::Unsubscribe { filter }));
            }
        }
    }
}

/// The broker's place in a trial, from one start of its host to the next crash.
#[derive(Clone, Debug)]
pub struct BrokerSeat {
    setup: Arc<Setup>,
    starts: u32,
    ears: Arc<tokio::sync::Mutex<Ears>>,
}

impl BrokerSeat {
    pub(super) fn new(setup: &Arc<Setup>, starts: u32, ears: Ears) -> Self {
        Self { setup: Arc::clone(setup), starts, ears: Arc::new(tokio::sync::Mutex::new(ears)) }
    }

    /// What the scenario sets it to.
    #[must_use]
    pub fn settings(&self) -> &BrokerSettings {
        &self.setup.broker
    }

    /// How often its host had started before: 0 at first, 1 after the first crash.
    #[must_use]
    pub const fn starts(&self) -> u32 {
        self.starts
    }

    /// The next connection of a client, once its first packet has come. May be dropped while it
    /// waits.
    ///
    /// # Errors
    /// If turmoil's listener fails.
    pub async fn accept(&self) -> io::Result<Socket> {
        let (connection, stream) = self.ears.lock().await.next().await?;
        Ok(Socket::foreign(Place { connection, node: Node::Broker }, stream))
    }
}
