//! One client's session at the broker, by the judge's own clock: when it may end, whatever the
//! broker says of it.

use qoslab_core::base::{Span, Time};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::Version;

/// A Session Expiry Interval that has no end (MQTT 5.0, section 3.1.2.11.2).
const NEVER_EXPIRES: u32 = u32::MAX;

/// What the broker owes a client of its session: to keep it until a clean start, or until its
/// expiry interval has passed without a connection.
#[derive(Clone, Debug)]
pub(super) struct SessionClock {
    /// The broker accepted the client, and the session has not ended since.
    exists: bool,
    /// What the CONNECT asked for that has no CONNACK yet: a clean start, and its expiry.
    pending_connect: Option<(bool, u32)>,
    /// The Session Expiry Interval in seconds.
    expiry: u32,
    /// When it ends unless the client comes back; never while it has a connection.
    expires_at: Time,
    /// Its connection died with the broker: the interval begins when the broker is back.
    begins_at_restart: bool,
    /// A crash fell where nobody outside can know what was stored.
    is_unknown: bool,
}

impl_fingerprint! {
    struct SessionClock {
        plain exists, pending_connect, expiry, begins_at_restart, is_unknown;
        future_only expires_at;
    }
}

impl Default for SessionClock {
    fn default() -> Self {
        Self {
            exists: false,
            pending_connect: None,
            expiry: NEVER_EXPIRES,
            expires_at: Time::NEVER,
            begins_at_restart: false,
            is_unknown: false,
        }
    }
}

impl SessionClock {
    /// A CONNECT came to the broker. Before 5.0 a session ends with its connection or never.
    pub(super) const fn on_connect(&mut self, version: Version, clean: bool, expiry: u32) {
        let expiry = match version {
            Version::V31 | Version::V311 if clean => 0,
            Version::V31 | Version::V311 => NEVER_EXPIRES,
            Version::V5 => expiry,
        };
        self.pending_connect = Some((clean, expiry));
    }

    /// The broker accepted the client.
    pub(super) const fn on_accepted(&mut self) {
        if let Some((_, expiry)) = self.pending_connect {
            self.expiry = expiry;
        }
        self.pending_connect = None;
        self.exists = true;
        self.expires_at = Time::NEVER;
        self.begins_at_restart = false;
        self.is_unknown = false;
    }

    /// The connection on which the broker accepted the client closed at the broker.
    pub(super) fn on_closed(&mut self, now: Time) {
        if self.exists && self.expiry != NEVER_EXPIRES {
            self.expires_at = now + Span::from_secs(u64::from(self.expiry));
        }
    }

    /// That connection died with the broker.
    pub(super) const fn on_closed_by_crash(&mut self) {
        self.expires_at = Time::NEVER;
        self.begins_at_restart = true;
    }

    /// The broker crashed.
    pub(super) fn on_broker_crashed(&mut self, loses_state: bool) {
        // Whether a CONNECT that had no answer began or carried on a session is not known.
        self.is_unknown |= loses_state || self.pending_connect.take().is_some();
    }

    /// The broker runs again.
    pub(super) fn on_broker_restarted(&mut self, now: Time) {
        if std::mem::take(&mut self.begins_at_restart) {
            self.on_closed(now);
        } else if self.expires_at != Time::NEVER {
            // What was due meanwhile is done now.
            self.expires_at = self.expires_at.max(now);
        }
    }

    /// The session ended.
    pub(super) const fn end(&mut self) {
        self.exists = false;
        self.expires_at = Time::NEVER;
        self.begins_at_restart = false;
    }

    /// When it ends by itself.
    pub(super) const fn expires_at(&self) -> Time {
        if self.is_unknown { Time::NEVER } else { self.expires_at }
    }

    /// Whether a broker that says now that the session has expired may be right.
    pub(super) fn may_expire(&self, now: Time) -> bool {
        self.is_unknown || now >= self.expires_at
    }

    /// Whether there is a reason for which the broker may have no session: there was none, the
    /// client sends it away, or its time is over.
    pub(super) fn may_be_gone(&self, now: Time) -> bool {
        let replaced = self.pending_connect.is_some_and(|(clean, _)| clean || self.expiry == 0);
        !self.exists || replaced || self.may_expire(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Time {
        Time::ZERO + Span::from_secs(secs)
    }

    fn connected(expiry: u32) -> SessionClock {
        let mut clock = SessionClock::default();
        clock.on_connect(Version::V5, false, expiry);
        clock.on_accepted();
        clock
    }

    #[test]
    fn a_session_without_a_connection_ends_when_its_interval_has_passed_and_not_before() {
        let mut clock = connected(10);
        assert!(!clock.may_be_gone(at(1_000)), "it has a connection");
        clock.on_closed(at(5));
        assert!(!clock.may_be_gone(at(14)));
        assert!(clock.may_be_gone(at(15)));
        assert_eq!(clock.expires_at(), at(15));
        clock.on_connect(Version::V5, false, 10);
        clock.on_accepted();
        assert!(!clock.may_be_gone(at(1_000)));
    }

    #[test]
    fn a_clean_start_ends_a_session_and_a_plain_connect_does_not() {
        for (clean, ends) in [(true, true), (false, false)] {
            let mut clock = connected(NEVER_EXPIRES);
            clock.on_closed(at(5));
            clock.on_connect(Version::V5, clean, NEVER_EXPIRES);
            assert_eq!(clock.may_be_gone(at(1_000_000)), ends);
        }
    }

    #[test]
    fn the_interval_of_a_connection_that_died_with_the_broker_begins_when_it_is_back() {
        let mut clock = connected(10);
        clock.on_closed_by_crash();
        clock.on_broker_crashed(false);
        assert!(!clock.may_be_gone(at(100)));
        clock.on_broker_restarted(at(100));
        assert!(!clock.may_be_gone(at(109)));
        assert!(clock.may_be_gone(at(110)));
    }

    #[test]
    fn the_interval_of_an_earlier_connection_runs_on_while_the_broker_is_down() {
        let mut clock = connected(10);
        clock.on_closed(at(5));
        clock.on_broker_crashed(false);
        clock.on_broker_restarted(at(12));
        assert!(!clock.may_be_gone(at(14)));
        assert!(clock.may_be_gone(at(15)));
    }
}
