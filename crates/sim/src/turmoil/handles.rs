//! Handles for systems under test: the environment of a third-party client or broker.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::own_nodes::{Acceptor, open_connection, poll_sim, stream_to_broker};
use super::sim_context::{ConnectionEnd, SimContext};
use super::socket::Socket;
use crate::packet_tracker::payload_with_id;
use crate::trial::Setup;
use qoslab_core::base::draw::{DrawKey, DrawStream};
use qoslab_core::base::{ClientIndex, Node, QoS};
use qoslab_core::mqtt::{BrokerSettings, ClientRequest, ClientSettings};

/// A client's handle to a trial, from one start of its host to the next crash.
#[derive(Clone, Debug)]
pub struct ClientHandle {
    client: ClientIndex,
    setup: Arc<Setup>,
    earlier_starts: u32,
    draw_key: DrawKey,
    application: Arc<Mutex<ApplicationQueue>>,
}

/// The application behind a client, as it was when the client last asked.
#[derive(Debug, Default)]
struct ApplicationQueue {
    commands: VecDeque<AppCommand>,
    /// Whether it wanted a connection before, which a client that starts has anyway.
    has_connected: bool,
}

/// Request of the application behind a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppCommand {
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
    Disconnect,
    /// That it connects again.
    Connect,
}

impl ClientHandle {
    pub(super) fn new(client: ClientIndex, setup: &Arc<Setup>, seed: u64, starts: u32) -> Self {
        Self {
            client,
            setup: Arc::clone(setup),
            earlier_starts: starts,
            draw_key: sut_draw_key(seed, &setup.clients[client.index()].name, starts),
            application: Arc::default(),
        }
    }

    /// The client's name in the scenario.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.setup.clients[self.client.index()].name
    }

    /// Its settings in the scenario: client id, version, Clean Session, Session Expiry Interval,
    /// keep alive, window (`hop.max_inflight`), limits.
    #[must_use]
    pub fn settings(&self) -> &ClientSettings {
        &self.setup.clients[self.client.index()].settings
    }

    /// How often its host had started before: 0 at first, 1 after the first crash.
    #[must_use]
    pub const fn earlier_starts(&self) -> u32 {
        self.earlier_starts
    }

    /// The client's random draws, from their beginning: a generator of the `rand` crate, the same
    /// for the same seed, name and start. Code that draws here runs the same trial always the same.
    /// Keep the generator and draw on: each call begins again.
    #[must_use]
    pub const fn rng(&self) -> DrawStream {
        self.draw_key.stream()
    }

    /// Opens a connection to the broker, which takes the time that it takes on the scenario's link.
    /// A connection that is open, or being opened, is given up.
    ///
    /// # Errors
    /// If the broker is down, or the link is for longer than TCP has patience.
    pub async fn connect(&self) -> io::Result<Socket> {
        let connection = open_connection(self.client, 0).await?;
        let end = ConnectionEnd { connection, node: Node::Client(self.client) };
        Ok(Socket::for_sut(end, stream_to_broker(connection).await))
    }

    /// The next thing that the application wants; waits for ever if there is nothing more. The
    /// client wants a connection from its start, without a command. May be dropped while it waits.
    pub async fn next_command(&self) -> AppCommand {
        loop {
            if let Some(command) = self.with_application(|it| it.commands.pop_front()) {
                return command;
            }
            let request = poll_sim(|sim_context, context| {
                sim_context.with(|sim| sim.poll_request(self.client, context))
            });
            let request = request.await;
            self.with_application(|application| application.push_request(request));
        }
    }

    /// The client hands a message to its application. `retain` is the flag that it came with.
    pub fn deliver(&self, payload: &[u8], qos: QoS, retain: bool) {
        if let Some(sim_context) = SimContext::current() {
            sim_context.with(|sim| sim.deliver_to_application(self.client, payload, qos, retain));
        }
    }

    fn with_application<T>(&self, act: impl FnOnce(&mut ApplicationQueue) -> T) -> T {
        act(&mut self.application.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ApplicationQueue {
    fn push_request(&mut self, request: ClientRequest) {
        match request {
            ClientRequest::Connect if !self.has_connected => self.has_connected = true,
            ClientRequest::Connect | ClientRequest::Reconnect => {
                self.commands.push_back(AppCommand::Connect);
            }
            ClientRequest::Disconnect => self.commands.push_back(AppCommand::Disconnect),
            ClientRequest::Publish { message, qos, retain, expiry } => {
                self.commands.push_back(AppCommand::Publish {
                    topic: message.topic.to_string(),
                    payload: payload_with_id(message.tag, message.payload.len()),
                    qos,
                    retain,
                    expiry,
                });
            }
            ClientRequest::Subscribe(requests) => self.commands.extend(
                requests
                    .into_iter()
                    .map(|it| AppCommand::Subscribe { filter: it.filter.to_string(), qos: it.qos }),
            ),
            ClientRequest::Unsubscribe(filters) => {
                let filters = filters.into_iter().map(|it| it.to_string());
                self.commands.extend(filters.map(|filter| AppCommand::Unsubscribe { filter }));
            }
        }
    }
}

/// The broker's handle to a trial, from one start of its host to the next crash.
#[derive(Clone, Debug)]
pub struct BrokerHandle {
    setup: Arc<Setup>,
    earlier_starts: u32,
    draw_key: DrawKey,
    acceptor: Arc<tokio::sync::Mutex<Acceptor>>,
}

impl BrokerHandle {
    pub(super) fn new(setup: &Arc<Setup>, seed: u64, starts: u32, acceptor: Acceptor) -> Self {
        Self {
            setup: Arc::clone(setup),
            earlier_starts: starts,
            draw_key: sut_draw_key(seed, "broker", starts),
            acceptor: Arc::new(tokio::sync::Mutex::new(acceptor)),
        }
    }

    /// Its settings in the scenario.
    #[must_use]
    pub fn settings(&self) -> &BrokerSettings {
        &self.setup.broker
    }

    /// How often its host had started before: 0 at first, 1 after the first crash.
    #[must_use]
    pub const fn earlier_starts(&self) -> u32 {
        self.earlier_starts
    }

    /// The broker's random draws; see [`ClientHandle::rng`].
    #[must_use]
    pub const fn rng(&self) -> DrawStream {
        self.draw_key.stream()
    }

    /// The next connection of a client, once its first packet has come. May be dropped while it
    /// waits.
    ///
    /// # Errors
    /// If turmoil's listener fails.
    pub async fn accept(&self) -> io::Result<Socket> {
        let (connection, stream) = self.acceptor.lock().await.accept().await?;
        Ok(Socket::for_sut(ConnectionEnd { connection, node: Node::Broker }, stream))
    }
}

/// The key of what a node under test draws after one of its starts.
fn sut_draw_key(seed: u64, name: &str, starts: u32) -> DrawKey {
    DrawKey::new(seed).child(b"sut").child(name.as_bytes()).child(&starts.to_le_bytes())
}
