//! One client's session at the broker.

use std::sync::Arc;

use super::host::{Host, Outbox, Owner};
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::packet::Connect;
use super::settings::{HopSettings, Version};
use crate::base::name::Connection;
use crate::base::time::Time;

/// A session: both halves of a hop and the subscriptions, with or without a connection.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) client_id: Arc<str>,
    /// The version that its last CONNECT named.
    pub(crate) version: Version,
    pub(crate) connection: Option<Connection>,
    /// Whether there is any state to resume.
    pub(crate) exists: bool,
    /// What the CONNACK of this connection said of an earlier session.
    pub(crate) was_present: bool,
    /// Whether it ends with its connection: Clean Session of 3.1 and 3.1.1, or 5.0's Session
    /// Expiry Interval of 0.
    pub(crate) ends_with_connection: bool,
    pub(crate) outbound: Outbound,
    pub(crate) inbound: Inbound,
    /// The filters it subscribed to, for when it ends.
    pub(crate) filters: Vec<Arc<str>>,
    /// How many filters its SUBSCRIBEs had, which names the retained copies that answer them.
    pub(crate) filters_asked: u32,
}

impl Session {
    pub(crate) const fn new(settings: &HopSettings, client_id: Arc<str>) -> Self {
        Self {
            client_id,
            version: Version::V311,
            connection: None,
            exists: false,
            was_present: false,
            ends_with_connection: true,
            outbound: Outbound::new(settings),
            inbound: Inbound::new(),
            filters: Vec::new(),
            filters_asked: 0,
        }
    }

    /// A CONNECT was accepted. The caller has ended the old session if it is not to be resumed.
    pub(crate) fn attach(&mut self, connection: Connection, connect: &Connect) {
        self.connection = Some(connection);
        self.version = connect.version;
        self.outbound.set_peer_limits(connect.limits);
        self.was_present = self.exists;
        self.exists = true;
        self.ends_with_connection = match connect.version {
            Version::V31 | Version::V311 => connect.clean,
            Version::V5 => connect.session_expiry == 0,
        };
    }

    /// The halves of the hop, and what they need of the broker.
    pub(crate) fn split<'a>(
        &'a mut self,
        now: Time,
        index: u32,
        settings: &'a HopSettings,
        outbox: &'a mut Outbox,
    ) -> (&'a mut Outbound, &'a mut Inbound, Host<'a>) {
        let host = Host {
            now,
            settings,
            version: self.version,
            connection: self.connection,
            outbox,
            session: index,
            owner: Owner::Subscriber(&self.client_id),
        };
        (&mut self.outbound, &mut self.inbound, host)
    }
}
