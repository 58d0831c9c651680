//! The broker's forwarding to one client, judged by what that client asked for.

use std::collections::BTreeMap;

use super::violation_log::{EventContext, ViolationLog};
use crate::rules::Rule;
use qoslab_core::base::{
    MessageTag, PacketBody, PacketMeta, PublisherIndex, RetainHandling, SubscriptionRequest, Time,
};
use qoslab_core::impl_fingerprint;

/// The greatest number of messages whose expiry time is remembered.
const MAX_TRACKED_EXPIRIES: usize = 10_000;

/// The options that all SUBSCRIBEs of a client, in all its sessions, have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommonSubscribeOptions {
    has_subscribed: bool,
    /// Some want RETAIN as it was published.
    retain_as_published: bool,
    /// All refuse the client's own messages.
    no_local: bool,
    /// All refuse retained messages.
    no_retained: bool,
}

impl_fingerprint! {
    struct CommonSubscribeOptions {
        plain has_subscribed, retain_as_published, no_local, no_retained;
    }
}

/// When messages that expire came to the broker, and with how many seconds to live.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpiryTracker(BTreeMap<(PublisherIndex, u32), (Time, u32)>);

impl_fingerprint! { struct ExpiryTracker(by_message) { plain by_message; } }

impl CommonSubscribeOptions {
    pub(super) const NONE: Self = Self {
        has_subscribed: false,
        retain_as_published: false,
        no_local: true,
        no_retained: true,
    };

    /// A SUBSCRIBE came.
    pub(super) fn on_subscribe(&mut self, requests: &[SubscriptionRequest]) {
        for SubscriptionRequest { options, .. } in requests {
            self.has_subscribed = true;
            self.retain_as_published |= options.retain_as_published;
            self.no_local &= options.no_local;
            self.no_retained &= options.retain_handling == RetainHandling::DoNotSend;
        }
    }

    /// The broker sent a PUBLISH for the first time.
    #[inline]
    pub(super) fn on_forwarded(
        self,
        context: EventContext,
        packet: &PacketMeta<'_>,
        log: &mut ViolationLog,
    ) {
        let Some(message_id) = packet.tag.message_id() else { return };
        let tag = packet.tag;
        match (message_id.is_retained_copy(), packet.is_retain()) {
            (false, true) if !self.retain_as_published => {
                log.report_sender(context, Rule::RetainOnForward, tag);
            }
            (true, false) => log.report_sender(context, Rule::RetainedWithoutFlag, tag),
            _ => {}
        }
        if !self.has_subscribed {
            return;
        }
        if self.no_retained && message_id.is_retained_copy() {
            log.report_sender(context, Rule::RetainedUnwanted, tag);
        }
        if self.no_local
            && log.trial.publishers[message_id.publisher.index()].client == context.link
        {
            log.report_sender(context, Rule::ForwardedToItself, tag);
        }
    }
}

impl ExpiryTracker {
    /// A PUBLISH came to the broker.
    pub(super) fn on_publish(&mut self, now: Time, packet: &PacketMeta<'_>) {
        let PacketBody::Publish { expiry: Some(seconds), .. } = packet.body else { return };
        let Some(message_id) = packet.tag.message_id() else { return };
        let entry =
            self.0.entry((message_id.publisher, message_id.sequence)).or_insert((now, seconds));
        *entry = (now, entry.1.max(seconds));
        if self.0.len() > MAX_TRACKED_EXPIRIES {
            self.0.pop_first();
        }
    }

    /// The broker sent one on for the first time.
    #[inline]
    pub(super) fn on_forwarded(
        &self,
        context: EventContext,
        packet: &PacketMeta<'_>,
        log: &mut ViolationLog,
    ) {
        if !self.0.is_empty() {
            self.check_expiry(context, packet, packet.tag, log);
        }
    }

    fn check_expiry(
        &self,
        context: EventContext,
        packet: &PacketMeta<'_>,
        tag: MessageTag,
        log: &mut ViolationLog,
    ) {
        let PacketBody::Publish { expiry, .. } = packet.body else { return };
        let found = tag
            .message_id()
            .and_then(|message_id| self.0.get(&(message_id.publisher, message_id.sequence)));
        let Some(&(came, seconds)) = found else { return };
        let waited = context.at.since(came).as_nanos() / 1_000_000_000;
        if waited > u64::from(seconds) {
            log.report_sender(context, Rule::ExpiredForwarded, tag);
            return;
        }
        // A broker may round what is left up.
        let left = u64::from(seconds) - waited;
        if expiry.is_none_or(|expiry| u64::from(expiry) > left) {
            log.report_sender(context, Rule::ExpiryNotReduced, tag);
        }
    }
}
