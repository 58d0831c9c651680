//! Context that the two halves of a hop need of the endpoint they belong to.

use std::collections::VecDeque;
use std::sync::Arc;

use super::endpoint::{Backlog, Output};
use super::packet::Packet;
use super::retry::RetryTimers;
use super::settings::{HopSettings, Version};
use crate::base::{CloseReason, ConnectionNumber, DropReason, MessageTag, Time, Transmission};
use crate::impl_fingerprint;

/// Pending outputs of one endpoint, and the timers of all its sessions.
#[derive(Clone, Debug)]
pub struct EndpointOutbox {
    outputs: VecDeque<Output>,
    /// The retry timers of all its sessions.
    pub timers: RetryTimers,
    /// How many messages are in flight.
    pub in_flight: u32,
    /// How many messages wait to be sent for the first time.
    pub queued: u32,
}

impl_fingerprint! {
    struct EndpointOutbox {
        plain timers, in_flight, queued;
        skip outputs: "empty between two events";
    }
}

impl EndpointOutbox {
    /// An empty one.
    pub const fn new(settings: &HopSettings) -> Self {
        Self {
            outputs: VecDeque::new(),
            timers: RetryTimers::new(settings),
            in_flight: 0,
            queued: 0,
        }
    }

    /// Adds an output.
    pub fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Takes the oldest output.
    pub fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Closes a connection, after what was sent on it.
    pub fn close(&mut self, connection: ConnectionNumber, why: CloseReason) {
        self.push(Output::Close { connection, why });
    }

    /// The endpoint starts again after a crash: with its messages, but nothing to do.
    pub fn restart(&mut self) {
        self.outputs.clear();
        self.timers.clear();
    }

    /// Whether anything is to be sent.
    pub fn has_sends(&self) -> bool {
        self.outputs.iter().any(|output| matches!(output, Output::Send { .. }))
    }

    /// Sends a packet that belongs to no message.
    pub fn send_control(&mut self, connection: ConnectionNumber, packet: Packet) {
        self.send(connection, packet, Transmission::default());
    }

    /// Sends a packet; `sending` says which transmission of it this is.
    pub fn send(&mut self, connection: ConnectionNumber, packet: Packet, sending: Transmission) {
        self.push(Output::Send { connection, packet, transmission: sending });
    }

    /// The backlog, but for timers that the endpoint keeps itself.
    pub fn backlog(&self, has_other_timer: bool) -> Backlog {
        Backlog {
            in_flight: self.in_flight,
            queued: self.queued,
            has_armed_timer: has_other_timer || self.timers.next_deadline() != Time::NEVER,
        }
    }
}

/// One session's view of its endpoint during one call.
#[derive(Debug)]
pub struct SessionContext<'a> {
    /// The time of the call.
    pub now: Time,
    /// The settings of the hop.
    pub settings: &'a HopSettings,
    /// Version that the session's connection speaks, or the last one did.
    pub version: Version,
    /// The session's connection, while it has one that carries messages.
    pub connection: Option<ConnectionNumber>,
    /// Destination of outputs and timers.
    pub outbox: &'a mut EndpointOutbox,
    /// Number of the session at the endpoint; 0 at a client.
    pub session: u32,
    /// On whose behalf it sends.
    pub owner: SessionOwner<'a>,
}

/// On whose behalf a session sends.
#[derive(Clone, Copy, Debug)]
pub enum SessionOwner<'a> {
    /// The client's application, which learns how each of its messages ends.
    Application,
    /// The broker, for the subscriber with this client id.
    Subscriber(&'a Arc<str>),
}

impl SessionContext<'_> {
    /// A message came to a good end.
    pub fn report_complete(&mut self, tag: MessageTag) {
        if let SessionOwner::Application = self.owner {
            self.outbox.push(Output::Complete(tag));
        }
    }

    /// A message came to a bad end.
    pub fn report_dropped(&mut self, tag: MessageTag, why: DropReason) {
        self.outbox.push(match self.owner {
            SessionOwner::Application => Output::Refuse { tag, why },
            SessionOwner::Subscriber(client_id) => {
                Output::Drop { client_id: Arc::clone(client_id), tag, why }
            }
        });
    }
}
