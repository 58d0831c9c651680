//! Tracks which arrival at the broker made it forward a message, and which filter it answered by a
//! retained one.
//!
//! A broker does not report this. What it forwards at once belongs to the packet it has just read;
//! what comes later belongs to the first arrival of which its subscriber, or the group of a shared
//! subscription, has no copy.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::published_messages::{MessageKey, message_key};
use crate::trial::Setup;
use qoslab_core::base::{
    ClientIndex, MessageTag, PublisherIndex, RetainHandling, SubscriptionOptions, Transmission,
};
use qoslab_core::mqtt::{Publish, Subscribe, topics};

/// No arrival was passed on yet.
const NO_COPY: u32 = u32::MAX;

/// Tracks what the broker was given to pass on, and which copies went where.
pub(super) struct ForwardTracker {
    setup: Arc<Setup>,
    /// By stream and sequence number: the copy that the first arrival makes.
    first_copies: Vec<Vec<u32>>,
    /// The copies that further arrivals make.
    later_copies: BTreeMap<MessageKey, Vec<u32>>,
    /// By recipient and stream, for each sequence number: a bit for each arrival that is dealt
    /// with, the last for all from the eighth on.
    handled: BTreeMap<(Recipient, PublisherIndex), Vec<u8>>,
    /// The groups of shared subscriptions, by their whole filters.
    shared_groups: BTreeMap<Arc<str>, u32>,
    /// The message that the broker has just read, if that is passed on, and which arrival of it.
    latest_arrival: Option<(MessageKey, usize)>,
    /// By topic.
    retained: BTreeMap<Arc<str>, MessageKey>,
    subscriptions: Vec<SessionSubscriptions>,
}

/// Recipient of one copy of each arrival.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Recipient {
    Client(ClientIndex),
    Group(u32),
}

/// Subscriptions of a client's session at the broker.
#[derive(Default)]
struct SessionSubscriptions {
    by_filter: BTreeMap<Arc<str>, TrackedSubscription>,
    /// How many filters its SUBSCRIBEs had. It outlives the session.
    filters_requested: u32,
    /// Retained messages that are to answer a filter, in order.
    expected_retained: Vec<(MessageKey, u32)>,
}

struct TrackedSubscription {
    /// The number of the filter among all.
    filter_number: u32,
    options: SubscriptionOptions,
}

impl ForwardTracker {
    pub(super) fn new(setup: &Arc<Setup>) -> Self {
        Self {
            setup: Arc::clone(setup),
            first_copies: vec![Vec::new(); setup.publishers.len()],
            later_copies: BTreeMap::new(),
            handled: BTreeMap::new(),
            shared_groups: BTreeMap::new(),
            latest_arrival: None,
            retained: BTreeMap::new(),
            subscriptions: setup.clients.iter().map(|_| SessionSubscriptions::default()).collect(),
        }
    }

    /// The broker reads a packet: what it writes from now on is no longer due to the one before.
    pub(super) const fn clear_latest_arrival(&mut self) {
        self.latest_arrival = None;
    }

    /// The broker is to pass a message on, because of this arrival.
    pub(super) fn record_arrival(&mut self, id: MessageKey, arrival: Transmission) {
        let Some(stream) = self.first_copies.get_mut(id.0.index()) else { return };
        let copy = copy_from_transmission(arrival);
        let index = id.1 as usize;
        if stream.len() <= index {
            stream.resize(index + 1, NO_COPY);
        }
        let nth = if stream[index] == NO_COPY {
            stream[index] = copy;
            0
        } else {
            let further = self.later_copies.entry(id).or_default();
            further.push(copy);
            further.len()
        };
        self.latest_arrival = Some((id, nth));
    }

    /// The broker keeps a message for later subscribers.
    pub(super) fn record_retained(&mut self, id: MessageKey) {
        if let Some(stream) = self.setup.publishers.get(id.0.index()) {
            self.retained.insert(Arc::clone(&stream.topic), id);
        }
    }

    /// The broker has refused what it has just read.
    pub(super) fn record_refusal(&mut self, id: MessageKey) {
        if self.latest_arrival.take_if(|current| current.0 == id).is_none() {
            return;
        }
        if let Some(further) = self.later_copies.get_mut(&id).filter(|further| !further.is_empty())
        {
            further.pop();
        } else if let Some(first) = self.first_copies[id.0.index()].get_mut(id.1 as usize) {
            *first = NO_COPY;
        }
    }

    /// A client's SUBSCRIBE reached the broker.
    pub(super) fn record_subscribe(&mut self, client: ClientIndex, subscribe: &Subscribe) {
        let Some(subscriptions) = self.subscriptions.get_mut(client.index()) else { return };
        for request in &subscribe.requests {
            let (filter, options) = (&request.filter, request.options);
            let is_shared = topics::split_shared(filter).is_some();
            if is_shared && options.no_local || topics::validate_filter(filter).is_err() {
                continue;
            }
            subscriptions.filters_requested += 1;
            let nth = subscriptions.filters_requested;
            let subscription = TrackedSubscription { filter_number: nth, options };
            let is_new = subscriptions.by_filter.insert(Arc::clone(filter), subscription).is_none();
            let sends_retained = match options.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => is_new,
                RetainHandling::DoNotSend => false,
            };
            if sends_retained && !is_shared {
                let retained = self.retained.iter();
                let matching = retained.filter(|(topic, _)| topics::matches(filter, topic));
                subscriptions.expected_retained.extend(matching.map(|(_, &id)| (id, nth)));
            }
        }
    }

    /// A client's UNSUBSCRIBE reached the broker.
    pub(super) fn record_unsubscribe(&mut self, client: ClientIndex, filters: &[Arc<str>]) {
        if let Some(subscriptions) = self.subscriptions.get_mut(client.index()) {
            subscriptions.by_filter.retain(|filter, _| !filters.contains(filter));
        }
    }

    /// A client's session at the broker is gone.
    pub(super) fn end_session(&mut self, client: ClientIndex) {
        if let Some(subscriptions) = self.subscriptions.get_mut(client.index()) {
            subscriptions.by_filter.clear();
            subscriptions.expected_retained.clear();
        }
    }

    /// The broker writes a message to a client for the first time, or once more as a further copy.
    pub(super) fn tag_forwarded(
        &mut self,
        client: ClientIndex,
        tag: MessageTag,
        publish: &Publish,
    ) -> MessageTag {
        let Some(id) = tag.message_id().map(|parts| message_key(&parts)) else { return tag };
        let current = self.latest_arrival.filter(|current| current.0 == id).map(|(_, nth)| nth);
        if publish.retain
            && current.is_none()
            && let Some(nth) = self.answered_filter(client, id)
        {
            return tag.for_retained(nth);
        }
        let arrivals = self.arrival_count(id);
        let recipients = self.recipients(client, id);
        let mut open = recipients.iter().filter_map(|&recipient| {
            let handled = self.handled_arrivals(recipient, id);
            let nth = match current {
                Some(nth) => Some(nth).filter(|&nth| handled & arrival_bit(nth) == 0),
                None => (0..arrivals).find(|&nth| handled & arrival_bit(nth) == 0),
            };
            nth.map(|nth| (recipient, nth))
        });
        // More copies than there should be are named as the last one.
        let last = current.unwrap_or(arrivals.max(1) - 1);
        let (recipient, nth) = open.next().unwrap_or((Recipient::Client(client), last));
        self.mark_handled(recipient, id, nth);
        tag.forwarded(transmission_from_copy(self.copy_of_arrival(id, nth)))
    }

    /// As whose copies a message comes to a client.
    fn recipients(&mut self, client: ClientIndex, id: MessageKey) -> Vec<Recipient> {
        let mut recipients = Vec::new();
        let stream = self.setup.publishers.get(id.0.index());
        let subscriptions = self.subscriptions.get(client.index());
        if let (Some(stream), Some(audience)) = (stream, subscriptions) {
            for filter in audience.by_filter.keys() {
                let shared = topics::split_shared(filter);
                if topics::matches(shared.map_or(filter, |(_, inner)| inner), &stream.topic) {
                    recipients.push(match shared {
                        None => Recipient::Client(client),
                        Some(_) => Recipient::Group(group_number(&mut self.shared_groups, filter)),
                    });
                }
            }
        }
        recipients.sort_unstable();
        recipients.dedup();
        if recipients.is_empty() {
            recipients.push(Recipient::Client(client));
        }
        recipients
    }

    /// Which arrivals of a message are dealt with, as bits.
    fn handled_arrivals(&self, recipient: Recipient, id: MessageKey) -> u8 {
        let handled = self.handled.get(&(recipient, id.0)).and_then(|it| it.get(id.1 as usize));
        handled.copied().unwrap_or(0)
    }

    /// A copy was sent because of the `nth` arrival. To a subscriber copies come in order: of those
    /// before it, it gets none any more.
    fn mark_handled(&mut self, recipient: Recipient, id: MessageKey, nth: usize) {
        let handled = self.handled.entry((recipient, id.0)).or_default();
        let index = id.1 as usize;
        if handled.len() <= index {
            handled.resize(index + 1, 0);
        }
        handled[index] |= match recipient {
            Recipient::Client(_) => arrival_bit(nth) | (arrival_bit(nth) - 1),
            Recipient::Group(_) => arrival_bit(nth),
        };
    }

    /// Which filter of a client's a retained message answers; `None` if it is an ordinary copy that
    /// has kept its RETAIN flag.
    fn answered_filter(&mut self, client: ClientIndex, id: MessageKey) -> Option<u32> {
        let topic = &self.setup.publishers.get(id.0.index())?.topic;
        let subscriptions = self.subscriptions.get_mut(client.index())?;
        if let Some(index) = subscriptions.expected_retained.iter().position(|&(it, _)| it == id) {
            return Some(subscriptions.expected_retained.remove(index).1);
        }
        let matching =
            || subscriptions.by_filter.iter().filter(|(it, _)| topics::matches(it, topic));
        let keeps_flag = matching().any(|(_, asked)| asked.options.retain_as_published);
        if keeps_flag { None } else { matching().map(|(_, asked)| asked.filter_number).max() }
    }

    /// How many arrivals of a message were passed on.
    fn arrival_count(&self, id: MessageKey) -> usize {
        let first =
            self.first_copies.get(id.0.index()).and_then(|stream| stream.get(id.1 as usize));
        let is_first = first.is_some_and(|&first| first != NO_COPY);
        usize::from(is_first) + self.later_copies.get(&id).map_or(0, Vec::len)
    }

    /// The copy that an arrival makes; 0 for one that was not seen, as of a will.
    fn copy_of_arrival(&self, (stream, sequence): MessageKey, nth: usize) -> u32 {
        let copy = match nth {
            0 => self.first_copies.get(stream.index()).and_then(|it| it.get(sequence as usize)),
            _ => self.later_copies.get(&(stream, sequence)).and_then(|it| it.get(nth - 1)),
        };
        copy.copied().filter(|&copy| copy != NO_COPY).unwrap_or(0)
    }
}

/// The number of a group, which is given when it is first met.
fn group_number(groups: &mut BTreeMap<Arc<str>, u32>, filter: &Arc<str>) -> u32 {
    let next = u32::try_from(groups.len()).unwrap_or(u32::MAX);
    *groups.entry(Arc::clone(filter)).or_insert(next)
}

/// Returns the bit of an arrival.
fn arrival_bit(nth: usize) -> u8 {
    1 << nth.min(7)
}

/// Returns the result of [`MessageTag::forwarded`] for an arrival, without its tag.
const fn copy_from_transmission(arrival: Transmission) -> u32 {
    arrival.attempt << 1 | arrival.duplicate_index as u32 & 1
}

const fn transmission_from_copy(copy: u32) -> Transmission {
    Transmission { attempt: copy >> 1, duplicate_index: (copy & 1) as u8 }
}
