//! A client's will, as the broker has to keep and publish it.
//!
//! It is owed if, and only if, the connection ended without DISCONNECT of reason 0, and its delay
//! passed before a new connection came. After a crash of the broker it may come late or not at all.

use super::violation_log::{EventContext, ViolationLog};
use crate::rules::Rule;
use qoslab_core::base::{ConnectionNumber, Span, Time};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::Version;

/// The will of a client's connection, and that of its last one until it is published.
#[derive(Clone, Debug, Default)]
pub(super) struct WillMonitor {
    /// What the CONNECT says that has no CONNACK yet.
    pending: Option<PendingWill>,
    /// The connection that is accepted and has a will, and how many seconds that is delayed.
    held: Option<(ConnectionNumber, u32)>,
    /// When the will of a connection that has ended is due.
    due: Option<Time>,
    /// The broker crashed with a will: one may come.
    may_come: bool,
}

impl_fingerprint! {
    struct WillMonitor {
        plain pending, held, due, may_come;
    }
}

/// What a CONNECT says of a will.
#[derive(Clone, Copy, Debug)]
struct PendingWill {
    connection: ConnectionNumber,
    clean: bool,
    delay: Option<u32>,
}

impl_fingerprint! {
    struct PendingWill {
        plain connection, clean, delay;
    }
}

impl WillMonitor {
    /// A CONNECT came on a connection. A will is delayed no longer than its session lives.
    pub(super) fn on_connect(
        &mut self,
        version: Version,
        connection: Option<ConnectionNumber>,
        (clean, session_expiry, will_delay): (bool, u32, Option<u32>),
    ) {
        let longest = if version == Version::V5 { session_expiry } else { 0 };
        let delay = will_delay.map(|delay| delay.min(longest));
        self.pending = connection.map(|connection| PendingWill { connection, clean, delay });
    }

    /// The broker accepted the client. The will of the last connection is published by now, or
    /// never: a new connection within its delay takes it away [MQTT-3.1.3-9]. One that is due at
    /// this very instant may go either way.
    pub(super) fn on_accepted(&mut self, context: EventContext, log: &mut ViolationLog) {
        if let Some(due) = self.due.take().filter(|due| *due < context.at) {
            log.report_will(context, Rule::WillNotPublished, due);
        }
        let Some(PendingWill { connection, delay, .. }) = self.pending.take() else { return };
        self.held = delay.map(|delay| (connection, delay));
    }

    /// DISCONNECT came: with reason 0 it takes the will away [MQTT-3.1.2-10].
    pub(super) const fn on_disconnect(&mut self, reason: u8) {
        if reason == 0 {
            self.held = None;
        }
    }

    /// A connection ended at the broker; `crashed`: with the broker.
    pub(super) fn on_closed(&mut self, now: Time, connection: ConnectionNumber, crashed: bool) {
        let Some((_, delay)) = self.held.filter(|held| held.0 == connection) else { return };
        self.held = None;
        if crashed {
            self.may_come = true;
        } else {
            self.due = Some(now + Span::from_secs(u64::from(delay)));
        }
    }

    /// The broker crashed.
    pub(super) fn on_broker_crashed(&mut self) {
        self.may_come |= self.due.take().is_some() || self.held.take().is_some();
        self.pending = None;
    }

    /// The broker published a will of this client.
    pub(super) fn on_published(&mut self, context: EventContext, log: &mut ViolationLog) {
        match self.due {
            // A clean start ends the session, and with it the delay.
            Some(due) if due <= context.at || self.pending.is_some_and(|it| it.clean) => {
                self.due = None;
            }
            Some(_) => {
                self.due = None;
                log.report_will(context, Rule::WillTooEarly, context.at);
            }
            None if self.may_come => self.may_come = false,
            None => log.report_will(context, Rule::WillUnowed, context.at),
        }
    }

    /// The trial is over. What is due at this very instant may still have come.
    pub(super) fn finish(&mut self, context: EventContext, log: &mut ViolationLog) {
        if let Some(due) = self.due.take().filter(|due| *due < context.at) {
            log.report_will(context, Rule::WillNotPublished, due);
        }
    }
}
