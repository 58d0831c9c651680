//! Named deviations from the standard, as implementations have them: each one `if` in one place.

use std::fmt;

/// One deviation. The names are those of scenario files; `docs/quirks.md` has the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Quirk {
    /// A QoS 2 receiver delivers every PUBLISH, also one whose id it holds.
    NoDedupe,
    /// A QoS 2 receiver forgets an id that it has held for 5 s without a PUBREL.
    DedupeTtl,
    /// A QoS 2 receiver forgets its ids in a crash, whatever its store.
    DedupeLostOnRestart,
    /// On resuming, a sender repeats the PUBLISH of what it had already sent PUBREL for.
    ReplayPublishAfterPubrel,
    /// On resuming, a sender does not repeat a PUBREL that is owed, and forgets the exchange.
    DropOwedPubrel,
    /// A receiver closes the connection on a PUBREL whose id it does not hold.
    DisconnectOnUnknownPubrel,
    /// On resuming, a sender forgets what was in flight.
    DropInflightOnResume,
    /// A resent PUBLISH has DUP=0.
    DupNeverSet,
    /// On resuming, a sender gives what was in flight new packet ids.
    NewIdsOnResume,
    /// A packet id is given out though it is in use.
    IdWrapNoCheck,
    /// A sender carries the window's count over to a new connection, on top of what it resends.
    QuotaNotReset,
    /// A PUBREC or PUBACK that refuses does not give its place in the window back.
    QuotaLeakOnErrorPubrec,
    /// On resuming, a sender repeats what was in flight in the order of packet ids, highest first.
    ResendUnordered,
    /// On resuming, a sender first sends what has waited, and then repeats what was in flight.
    NewBeforeStored,
    /// A client keeps its state, and its subscriptions as granted, though Session Present is 0.
    IgnoreSessionPresent,
    /// The broker acknowledges before it stores: what it has taken is gone after a crash.
    AckBeforeStore,
    /// The broker acknowledges a message and drops it because a queue is full.
    AckThenDropOnFull,
    /// The broker forwards at the published QoS, whatever was granted, also what is retained.
    NoQosCap,
    /// Of overlapping filters the broker takes the lowest granted QoS.
    OverlapMinQos,
    /// An expired QoS 2 message is dropped after its PUBREC, and its PUBREL never sent.
    ExpireInflightQos2,
    /// A sender repeats what is unacknowledged after 1 s, on the same connection.
    TimerResend,
    /// A sender drops what waits 20 s before it expires.
    EarlyExpiry,
    /// A sender sends what has waited newest first.
    QueueUnordered,
    /// On resuming, a sender does not repeat the last of what was in flight.
    ResendAllButLast,
    /// The broker forgets a session that it has to keep, and says so by Session Present 0.
    ForgetSession,
    /// On resuming, the broker forgets the last filter that the session subscribed to.
    ForgetLastFilter,
    /// The broker keeps the first retained message of a topic, whatever comes later.
    KeepOldRetained,
    /// The broker publishes a will after DISCONNECT, too.
    WillAfterDisconnect,
    /// The broker publishes no will.
    DropWill,
}

/// The side of a hop on which a quirk can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuirkSide {
    /// On a client only.
    Client,
    /// On the broker only.
    Broker,
    /// On both.
    Either,
}

/// A set of quirks.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quirks(u32);

impl Quirk {
    /// Every quirk, in the order of `docs/quirks.md`.
    pub const ALL: [Self; 29] = [
        Self::NoDedupe,
        Self::DedupeTtl,
        Self::DedupeLostOnRestart,
        Self::ReplayPublishAfterPubrel,
        Self::DropOwedPubrel,
        Self::DisconnectOnUnknownPubrel,
        Self::DropInflightOnResume,
        Self::DupNeverSet,
        Self::NewIdsOnResume,
        Self::IdWrapNoCheck,
        Self::QuotaNotReset,
        Self::QuotaLeakOnErrorPubrec,
        Self::ResendUnordered,
        Self::NewBeforeStored,
        Self::IgnoreSessionPresent,
        Self::AckBeforeStore,
        Self::AckThenDropOnFull,
        Self::NoQosCap,
        Self::OverlapMinQos,
        Self::ExpireInflightQos2,
        Self::TimerResend,
        Self::EarlyExpiry,
        Self::QueueUnordered,
        Self::ResendAllButLast,
        Self::ForgetSession,
        Self::ForgetLastFilter,
        Self::KeepOldRetained,
        Self::WillAfterDisconnect,
        Self::DropWill,
    ];

    /// Its name in scenario files.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoDedupe => "no_dedupe",
            Self::DedupeTtl => "dedupe_ttl",
            Self::DedupeLostOnRestart => "dedupe_lost_on_restart",
            Self::ReplayPublishAfterPubrel => "replay_publish_after_pubrel",
            Self::DropOwedPubrel => "drop_owed_pubrel",
            Self::DisconnectOnUnknownPubrel => "disconnect_on_unknown_pubrel",
            Self::DropInflightOnResume => "drop_inflight_on_resume",
            Self::DupNeverSet => "dup_never_set",
            Self::NewIdsOnResume => "new_ids_on_resume",
            Self::IdWrapNoCheck => "id_wrap_no_check",
            Self::QuotaNotReset => "quota_not_reset",
            Self::QuotaLeakOnErrorPubrec => "quota_leak_on_error_pubrec",
            Self::ResendUnordered => "resend_unordered",
            Self::NewBeforeStored => "new_before_stored",
            Self::IgnoreSessionPresent => "ignore_session_present",
            Self::AckBeforeStore => "ack_before_store",
            Self::AckThenDropOnFull => "ack_then_drop_on_full",
            Self::NoQosCap => "no_qos_cap",
            Self::OverlapMinQos => "overlap_min_qos",
            Self::ExpireInflightQos2 => "expire_inflight_qos2",
            Self::TimerResend => "timer_resend",
            Self::EarlyExpiry => "early_expiry",
            Self::QueueUnordered => "queue_unordered",
            Self::ResendAllButLast => "resend_all_but_last",
            Self::ForgetSession => "forget_session",
            Self::ForgetLastFilter => "forget_last_filter",
            Self::KeepOldRetained => "keep_old_retained",
            Self::WillAfterDisconnect => "will_after_disconnect",
            Self::DropWill => "drop_will",
        }
    }

    /// Returns the side on which it can be set.
    #[must_use]
    pub const fn side(self) -> QuirkSide {
        match self {
            Self::IgnoreSessionPresent => QuirkSide::Client,
            Self::AckBeforeStore
            | Self::AckThenDropOnFull
            | Self::NoQosCap
            | Self::OverlapMinQos
            | Self::ForgetSession
            | Self::ForgetLastFilter
            | Self::KeepOldRetained
            | Self::WillAfterDisconnect
            | Self::DropWill => QuirkSide::Broker,
            _ => QuirkSide::Either,
        }
    }
}

impl Quirks {
    /// A correct endpoint.
    pub const NONE: Self = Self(0);

    /// This set with one more.
    #[must_use]
    pub const fn with(self, quirk: Quirk) -> Self {
        Self(self.0 | 1 << quirk as u32)
    }

    /// Whether a quirk is on.
    #[must_use]
    #[inline]
    pub const fn has(self, quirk: Quirk) -> bool {
        self.0 >> quirk as u32 & 1 == 1
    }

    /// The quirks that are on, in order.
    pub fn iter(self) -> impl Iterator<Item = Quirk> {
        Quirk::ALL.into_iter().filter(move |quirk| self.has(*quirk))
    }
}

impl From<Quirk> for Quirks {
    fn from(quirk: Quirk) -> Self {
        Self::NONE.with(quirk)
    }
}

impl fmt::Debug for Quirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Quirk::label)).finish()
    }
}
