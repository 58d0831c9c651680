//! One client's session at the broker.

use std::sync::Arc;

use super::inbound::Inbound;
use super::outbound::Outbound;
use super::packet::Connect;
use super::session_context::{EndpointOutbox, SessionContext, SessionOwner};
use super::settings::{HopSettings, Version, Will};
use crate::base::{ConnectionNumber, Span, Time};
use crate::impl_fingerprint;

/// A Session Expiry Interval that has no end (MQTT 5.0, section 3.1.2.11.2).
pub(crate) const NEVER_EXPIRES: u32 = u32::MAX;

/// A session: both halves of a hop and the subscriptions, with or without a connection.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) client_id: Arc<str>,
    /// The version that its last CONNECT named.
    pub(crate) version: Version,
    pub(crate) connection: Option<ConnectionNumber>,
    /// Whether there is any state to resume.
    pub(crate) has_state: bool,
    /// Session Present flag of the CONNACK of this connection.
    pub(crate) present_at_connect: bool,
    /// How many seconds it outlives its connection: 5.0's Session Expiry Interval. Before 5.0 that
    /// is 0 with Clean Session, and without it [`NEVER_EXPIRES`].
    pub(crate) expiry: u32,
    /// The will of its connection, or of its last one while the will's delay runs.
    pub(crate) will: Option<Box<Will>>,
    /// How long its client may be silent; zero for ever.
    pub(crate) max_silence: Span,
    /// When its client was last heard of.
    pub(crate) last_heard: Time,
    pub(crate) outbound: Outbound,
    pub(crate) inbound: Inbound,
    /// The filters it subscribed to, for when it ends.
    pub(crate) filters: Vec<Arc<str>>,
    /// How many filters its SUBSCRIBEs had, which names the retained copies that answer them.
    pub(crate) filters_requested: u32,
}

impl_fingerprint! {
    struct Session {
        plain client_id, version, connection, has_state, present_at_connect, expiry, will,
            max_silence, outbound, inbound, filters;
        skip last_heard: "only matters to keep alive, which is off where states are compared";
        skip filters_requested: "only gives names";
    }
}

impl Session {
    pub(crate) const fn new(settings: &HopSettings, client_id: Arc<str>) -> Self {
        Self {
            client_id,
            version: Version::V311,
            connection: None,
            has_state: false,
            present_at_connect: false,
            expiry: 0,
            will: None,
            max_silence: Span::ZERO,
            last_heard: Time::ZERO,
            outbound: Outbound::new(settings),
            inbound: Inbound::new(),
            filters: Vec::new(),
            filters_requested: 0,
        }
    }

    /// A CONNECT was accepted. The caller has ended the old session if it is not to be resumed.
    pub(crate) fn attach(&mut self, now: Time, connection: ConnectionNumber, connect: &Connect) {
        self.connection = Some(connection);
        self.version = connect.version;
        self.outbound.set_peer_limits(connect.limits);
        self.present_at_connect = self.has_state;
        self.has_state = true;
        self.expiry = match connect.version {
            Version::V31 | Version::V311 if connect.clean => 0,
            Version::V31 | Version::V311 => NEVER_EXPIRES,
            Version::V5 => connect.session_expiry,
        };
        self.will = connect.will.clone().map(Box::new);
        // Keep Alive is in seconds, and half as much again is granted.
        self.max_silence = Span::from_millis(u64::from(connect.keep_alive) * 1_500);
        self.last_heard = now;
    }

    /// The halves of the hop, and what they need of the broker.
    pub(crate) fn split<'a>(
        &'a mut self,
        now: Time,
        index: u32,
        settings: &'a HopSettings,
        outbox: &'a mut EndpointOutbox,
    ) -> (&'a mut Outbound, &'a mut Inbound, SessionContext<'a>) {
        let context = SessionContext {
            now,
            settings,
            version: self.version,
            connection: self.connection,
            outbox,
            session: index,
            owner: SessionOwner::Subscriber(&self.client_id),
        };
        (&mut self.outbound, &mut self.inbound, context)
    }
}
