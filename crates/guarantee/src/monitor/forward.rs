//! What the broker forwards to one client, by what that client asked for.

use std::collections::BTreeMap;

use serde::Serialize;

use super::book::{Book, Place};
use crate::rules::Rule;
use qoslab_core::base::event::{Body, Record, RetainHandling, SubscriptionRequest};
use qoslab_core::base::name::{StreamIndex, Tag};
use qoslab_core::base::time::Time;

/// Of at most so many messages it is remembered when they would expire.
const MAX_EXPIRING: usize = 10_000;

/// What all SUBSCRIBEs of a client, in all its sessions, have in common.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Wishes {
    any: bool,
    /// Some want RETAIN as it was published.
    retain_as_published: bool,
    /// All refuse the client's own messages.
    no_local: bool,
    /// All refuse retained messages.
    no_retained: bool,
}

/// When messages that expire came to the broker, and with how many seconds to live.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Expiring(BTreeMap<(StreamIndex, u32), (Time, u32)>);

impl Wishes {
    pub(super) const NONE: Self =
        Self { any: false, retain_as_published: false, no_local: true, no_retained: true };

    /// A SUBSCRIBE came.
    pub(super) fn asked(&mut self, requests: &[SubscriptionRequest]) {
        for SubscriptionRequest { options, .. } in requests {
            self.any = true;
            self.retain_as_published |= options.retain_as_published;
            self.no_local &= options.no_local;
            self.no_retained &= options.retain_handling == RetainHandling::DoNotSend;
        }
    }

    /// The broker sent a PUBLISH for the first time.
    #[inline]
    pub(super) fn forwarded(self, place: Place, record: &Record<'_>, book: &mut Book) {
        let Some(parts) = record.tag.parts() else { return };
        let tag = record.tag;
        match (parts.is_retained_copy(), record.retain()) {
            (false, true) if !self.retain_as_published => {
                book.by_sender(place, Rule::RetainOnForward, tag);
            }
            (true, false) => book.by_sender(place, Rule::RetainedWithoutFlag, tag),
            _ => {}
        }
        if !self.any {
            return;
        }
        if self.no_retained && parts.is_retained_copy() {
            book.by_sender(place, Rule::RetainedUnwanted, tag);
        }
        if self.no_local && book.roster.streams[parts.stream.index()].client == place.link {
            book.by_sender(place, Rule::ForwardedToItself, tag);
        }
    }
}

impl Expiring {
    /// A PUBLISH came to the broker.
    pub(super) fn came(&mut self, now: Time, record: &Record<'_>) {
        let Body::Publish { expiry: Some(seconds), .. } = record.body else { return };
        let Some(parts) = record.tag.parts() else { return };
        let entry = self.0.entry((parts.stream, parts.sequence)).or_insert((now, seconds));
        *entry = (now, entry.1.max(seconds));
        if self.0.len() > MAX_EXPIRING {
            self.0.pop_first();
        }
    }

    /// The broker sent one on for the first time.
    #[inline]
    pub(super) fn forwarded(&self, place: Place, record: &Record<'_>, book: &mut Book) {
        if !self.0.is_empty() {
            self.check(place, record, record.tag, book);
        }
    }

    fn check(&self, place: Place, record: &Record<'_>, tag: Tag, book: &mut Book) {
        let Body::Publish { expiry, .. } = record.body else { return };
        let found = tag.parts().and_then(|parts| self.0.get(&(parts.stream, parts.sequence)));
        let Some(&(came, seconds)) = found else { return };
        let waited = place.at.since(came).as_nanos() / 1_000_000_000;
        if waited > u64::from(seconds) {
            book.by_sender(place, Rule::ExpiredForwarded, tag);
            return;
        }
        // A broker may round what is left up.
        let left = u64::from(seconds) - waited;
        if expiry.is_none_or(|expiry| u64::from(expiry) > left) {
            book.by_sender(place, Rule::ExpiryNotReduced, tag);
        }
    }
}
