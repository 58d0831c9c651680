//! One end of one client's connections: which is open, what may be said on it, and how long one
//! may be silent.

use serde::Serialize;

use super::book::{Book, Place};
use crate::rules::Rule;
use qoslab_core::base::event::{Body, Record};
use qoslab_core::base::fingerprint;
use qoslab_core::base::name::{Connection, Kind, Node};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::settings::Version;

/// How much later than due a timer may be seen to act: keep alive counts in whole seconds.
const TOLERANCE: Span = Span::from_secs(1);

/// What is known of the connection that is open at one end, if one is.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Line {
    pub(super) open: Option<Connection>,
    /// The last connection whose CONNACK accepted it.
    pub(super) accepted: Option<Connection>,
    /// CONNECT was sent (at a client) on the connection that is open.
    introduced: bool,
    /// CONNACK crossed this interface on it.
    welcomed: bool,
    /// This end sent DISCONNECT on it.
    parted: bool,
    /// What the client's CONNECT asked for, in seconds.
    asked_keep_alive: u16,
    /// What counts of it: 0 for none, before CONNACK, or once it was seen to be broken.
    keep_alive: u16,
    /// When a packet crossed last in the client's direction.
    // Matters to keep alive alone, which is off where states are compared.
    #[serde(skip)]
    heard: Time,
    /// When a client sent the PINGREQ that is not answered yet.
    pinged: Option<Time>,
    /// The peer's Maximum Packet Size; 0 for no limit.
    pub(super) max_packet_size: u32,
}

impl Line {
    /// A connection opened at this end.
    pub(super) fn opened(&mut self, now: Time, connection: Connection) {
        *self =
            Self { open: Some(connection), accepted: self.accepted, heard: now, ..Self::default() };
    }

    /// This end sent a packet on its connection.
    #[inline]
    pub(super) fn sent(&mut self, place: Place, record: &Record<'_>, book: &mut Book) {
        if self.max_packet_size != 0 && record.size.mqtt > self.max_packet_size {
            book.by_sender(place, Rule::TooLarge, record.tag);
        }
        if self.parted {
            book.by_peer(place, Rule::SentAfterDisconnect);
        }
        match place.node {
            Node::Broker => {
                if !self.welcomed && record.kind() != Kind::ConnAck {
                    self.welcomed = true;
                    book.by_peer(place, Rule::ConnAckNotFirst);
                }
            }
            Node::Client(_) => {
                if !self.introduced && record.kind() != Kind::Connect {
                    self.introduced = true;
                    book.by_peer(place, Rule::ConnectNotFirst);
                }
                if self.keep_alive != 0 {
                    self.watch(place, book);
                }
                self.heard = place.at;
            }
        }
        match record.kind() {
            Kind::Connect => {
                if self.introduced {
                    book.by_peer(place, Rule::SecondConnect);
                }
                self.introduced = true;
                self.asked(record);
            }
            Kind::ConnAck => {
                if self.welcomed {
                    book.by_peer(place, Rule::SecondConnAck);
                }
                self.welcomed = true;
            }
            Kind::PingReq => self.pinged = self.pinged.or(Some(place.at)),
            Kind::Disconnect => self.parted = true,
            _ => {}
        }
    }

    /// A packet came to this end on its connection.
    #[inline]
    pub(super) fn arrived(&mut self, place: Place, record: &Record<'_>, book: &mut Book) {
        if place.node == Node::Broker {
            if self.keep_alive != 0 {
                self.watch(place, book);
            }
            self.heard = place.at;
        }
        match record.kind() {
            Kind::Connect => self.asked(record),
            Kind::PingResp => self.pinged = None,
            _ => {}
        }
    }

    const fn asked(&mut self, record: &Record<'_>) {
        if let Body::Connect { keep_alive, .. } = record.body {
            self.asked_keep_alive = keep_alive;
        }
    }

    /// A CONNACK accepted the client: from now on its Keep Alive counts.
    pub(super) fn accepted(&mut self, now: Time) {
        self.accepted = self.open;
        self.keep_alive = self.asked_keep_alive;
        self.heard = now;
    }

    /// Whether this end was silent, or bore silence, for too long by now; told once a connection.
    pub(super) fn watch(&mut self, place: Place, book: &mut Book) {
        if self.keep_alive == 0 || self.open.is_none() {
            return;
        }
        let half = Span::from_millis(500 * u64::from(self.keep_alive));
        let passed = |since: Time, halves: u64| place.at > since + half.times(halves) + TOLERANCE;
        let (limit, rule) = match place.node {
            Node::Broker => (3, Rule::SilenceIgnored),
            Node::Client(_) => (2, Rule::ClientSilent),
        };
        if passed(self.heard, limit) {
            book.by_peer(place, rule);
            self.keep_alive = 0;
        }
        if self.pinged.is_some_and(|since| passed(since, 4)) {
            book.by_peer(place, Rule::PingUnheeded);
            self.pinged = None;
        }
    }
}

/// One life after the other of a client's session, as the broker has to know it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Life {
    session: Session,
    /// What the CONNECT asked for that has no CONNACK yet: a clean start, and 5.0's expiry.
    asked: Option<(bool, u32)>,
    ends_with_connection: bool,
    /// 5.0's Session Expiry Interval in seconds; `u32::MAX` for never.
    expiry: u32,
    /// When it ends without a connection; never while it has one.
    #[serde(serialize_with = "fingerprint::due")]
    ends: Time,
    /// The connection that the client had open when it opened another.
    replaced: Option<Connection>,
    /// It, where the broker accepted the client before closing it, and since when.
    left_open: Option<Connection>,
    // Only compared with the present time.
    #[serde(skip)]
    left_open_at: Time,
}

/// Whether the broker has a session for a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
enum Session {
    #[default]
    None,
    Kept,
    /// A crash may have lost it.
    Unknown,
}

impl Life {
    /// A CONNECT came.
    pub(super) const fn asked(&mut self, clean: bool, expiry: u32) {
        self.asked = Some((clean, expiry));
    }

    /// The client opened a connection while another was open.
    pub(super) const fn replaces(&mut self, old: Connection) {
        self.replaced = Some(old);
    }

    /// A connection closed at the broker; `current` if it was the client's newest.
    pub(super) fn closed(
        &mut self,
        place: Place,
        connection: Connection,
        current: bool,
        book: &mut Book,
    ) {
        let now = place.at;
        if self.replaced == Some(connection) {
            self.replaced = None;
        }
        // A broker may close the old one in another task, just after it accepted the client.
        if self.left_open == Some(connection) && now == self.left_open_at {
            self.left_open = None;
        }
        self.finish(place, book);
        if !current {
            return;
        }
        self.ends = match self.expiry {
            u32::MAX => Time::NEVER,
            expiry => now + Span::from_secs(u64::from(expiry)),
        };
        if self.asked.take().is_some() {
            // Nobody said whether that CONNECT still began something.
            self.session = Session::Unknown;
        } else if self.ends_with_connection {
            self.session = Session::None;
        }
    }

    /// The broker crashed, and no connection outlived that.
    pub(super) const fn crashed(&mut self) {
        (self.replaced, self.left_open) = (None, None);
    }

    /// Whatever is left open now was not closed in time.
    pub(super) fn finish(&mut self, place: Place, book: &mut Book) {
        if self.left_open.take().is_some() {
            book.by_peer(Place { at: self.left_open_at, ..place }, Rule::OldLeftOpen);
        }
    }

    /// The broker's store forgot, or may have.
    pub(super) const fn forgotten(&mut self) {
        self.session = Session::Unknown;
    }

    /// The broker ended the session because its time was over.
    pub(super) fn expired(&mut self, now: Time) {
        if self.session == Session::Kept && self.is_past(now) {
            self.session = Session::None;
        }
    }

    /// The broker accepted the client, for the first time on this connection.
    pub(super) fn accepted(&mut self, place: Place, session_present: bool, book: &mut Book) {
        let Some((clean, expiry)) = self.asked.take() else { return };
        self.finish(place, book);
        if let Some(old) = self.replaced.take() {
            (self.left_open, self.left_open_at) = (Some(old), place.at);
        }
        let rule = match (session_present, clean, self.session) {
            (true, true, _) => Some(Rule::PresentAfterClean),
            (true, false, Session::None) => Some(Rule::PresentWithoutSession),
            (false, false, Session::Kept) if !self.is_past(place.at) => Some(Rule::SessionLost),
            _ => None,
        };
        if let Some(rule) = rule {
            book.by_peer(place, rule);
        }
        self.session = Session::Kept;
        self.ends = Time::NEVER;
        (self.ends_with_connection, self.expiry) = match book.version(place) {
            Version::V31 | Version::V311 => (clean, u32::MAX),
            Version::V5 => (expiry == 0, expiry),
        };
    }

    /// Whether the session may have expired by now.
    fn is_past(&self, now: Time) -> bool {
        now >= self.ends
    }
}
