//! Which arrival at the broker made it forward a message, and which filter it answered by a
//! retained one.
//!
//! A broker does not say so. What it forwards at once belongs to the packet that it has just read;
//! what comes later belongs to the first arrival of which its subscriber, or the group of a shared
//! subscription, has no copy.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::messages::{Id, id_of};
use crate::trial::Setup;
use qoslab_core::base::event::{RetainHandling, SubscriptionOptions};
use qoslab_core::base::name::{ClientIndex, StreamIndex, Tag, Transmission};
use qoslab_core::mqtt::packet::{Publish, Subscribe};
use qoslab_core::mqtt::topics;

/// No arrival was passed on yet.
const NONE: u32 = u32::MAX;

/// What the broker was given to pass on, and what of it went where.
pub(super) struct Copies {
    setup: Arc<Setup>,
    /// By stream and sequence number: the copy that the first arrival makes.
    first: Vec<Vec<u32>>,
    /// The copies that further arrivals make.
    further: BTreeMap<Id, Vec<u32>>,
    /// By recipient and stream, for each sequence number: a bit for each arrival that is dealt
    /// with, the last for all from the eighth on.
    dealt: BTreeMap<(Recipient, StreamIndex), Vec<u8>>,
    /// The groups of shared subscriptions, by their whole filters.
    groups: BTreeMap<Arc<str>, u32>,
    /// What the broker has just read, if that is passed on: the message, and which arrival of it.
    current: Option<(Id, usize)>,
    /// By topic.
    retained: BTreeMap<Arc<str>, Id>,
    audiences: Vec<Audience>,
}

/// Who gets one copy of each arrival.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Recipient {
    Client(ClientIndex),
    Group(u32),
}

/// What a client's session at the broker asked for.
#[derive(Default)]
struct Audience {
    filters: BTreeMap<Arc<str>, Asked>,
    /// How many filters its SUBSCRIBEs had. It outlives the session.
    asked: u32,
    /// Retained messages that are to answer a filter, in order.
    expected: Vec<(Id, u32)>,
}

struct Asked {
    /// Which of all filters it is.
    nth: u32,
    options: SubscriptionOptions,
}

impl Copies {
    pub(super) fn new(setup: &Arc<Setup>) -> Self {
        Self {
            setup: Arc::clone(setup),
            first: vec![Vec::new(); setup.streams.len()],
            further: BTreeMap::new(),
            dealt: BTreeMap::new(),
            groups: BTreeMap::new(),
            current: None,
            retained: BTreeMap::new(),
            audiences: setup.clients.iter().map(|_| Audience::default()).collect(),
        }
    }

    /// The broker reads a packet: what it writes from now on is no longer due to the one before.
    pub(super) const fn turn(&mut self) {
        self.current = None;
    }

    /// The broker is to pass a message on, because of this arrival.
    pub(super) fn arrived(&mut self, id: Id, arrival: Transmission) {
        let Some(stream) = self.first.get_mut(id.0.index()) else { return };
        let copy = copy_of(arrival);
        let place = id.1 as usize;
        if stream.len() <= place {
            stream.resize(place + 1, NONE);
        }
        let nth = if stream[place] == NONE {
            stream[place] = copy;
            0
        } else {
            let further = self.further.entry(id).or_default();
            further.push(copy);
            further.len()
        };
        self.current = Some((id, nth));
    }

    /// The broker keeps a message for who asks later.
    pub(super) fn retain(&mut self, id: Id) {
        if let Some(stream) = self.setup.streams.get(id.0.index()) {
            self.retained.insert(Arc::clone(&stream.topic), id);
        }
    }

    /// The broker has refused what it has just read.
    pub(super) fn refused(&mut self, id: Id) {
        if self.current.take_if(|current| current.0 == id).is_none() {
            return;
        }
        if let Some(further) = self.further.get_mut(&id).filter(|further| !further.is_empty()) {
            further.pop();
        } else if let Some(first) = self.first[id.0.index()].get_mut(id.1 as usize) {
            *first = NONE;
        }
    }

    /// A client's SUBSCRIBE reached the broker.
    pub(super) fn asked(&mut self, client: ClientIndex, subscribe: &Subscribe) {
        let Some(audience) = self.audiences.get_mut(client.index()) else { return };
        for request in &subscribe.requests {
            let (filter, options) = (&request.filter, request.options);
            let is_shared = topics::split_shared(filter).is_some();
            if is_shared && options.no_local || topics::validate_filter(filter).is_err() {
                continue;
            }
            audience.asked += 1;
            let nth = audience.asked;
            let asked = Asked { nth, options };
            let is_new = audience.filters.insert(Arc::clone(filter), asked).is_none();
            let wants = match options.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => is_new,
                RetainHandling::DoNotSend => false,
            };
            if wants && !is_shared {
                let kept = self.retained.iter();
                let wanted = kept.filter(|(topic, _)| topics::matches(filter, topic));
                audience.expected.extend(wanted.map(|(_, &id)| (id, nth)));
            }
        }
    }

    /// A client's UNSUBSCRIBE reached the broker.
    pub(super) fn no_longer_asked(&mut self, client: ClientIndex, filters: &[Arc<str>]) {
        if let Some(audience) = self.audiences.get_mut(client.index()) {
            audience.filters.retain(|filter, _| !filters.contains(filter));
        }
    }

    /// A client's session at the broker is gone.
    pub(super) fn end_session(&mut self, client: ClientIndex) {
        if let Some(audience) = self.audiences.get_mut(client.index()) {
            audience.filters.clear();
            audience.expected.clear();
        }
    }

    /// The broker writes a message to a client for the first time, or once more as a further copy.
    pub(super) fn forwarded(&mut self, client: ClientIndex, tag: Tag, publish: &Publish) -> Tag {
        let Some(id) = tag.parts().map(|parts| id_of(&parts)) else { return tag };
        let current = self.current.filter(|current| current.0 == id).map(|(_, nth)| nth);
        if publish.retain
            && current.is_none()
            && let Some(nth) = self.answered_filter(client, id)
        {
            return tag.retained(nth);
        }
        let copies = self.copies(id);
        let recipients = self.recipients(client, id);
        let mut open = recipients.iter().filter_map(|&recipient| {
            let dealt = self.dealt(recipient, id);
            let nth = match current {
                Some(nth) => Some(nth).filter(|&nth| dealt & bit(nth) == 0),
                None => (0..copies).find(|&nth| dealt & bit(nth) == 0),
            };
            nth.map(|nth| (recipient, nth))
        });
        // More copies than there should be are named as the last one.
        let last = current.unwrap_or(copies.max(1) - 1);
        let (recipient, nth) = open.next().unwrap_or((Recipient::Client(client), last));
        self.deal(recipient, id, nth);
        tag.forwarded(arrival_of(self.copy(id, nth)))
    }

    /// As whose copies a message comes to a client.
    fn recipients(&mut self, client: ClientIndex, id: Id) -> Vec<Recipient> {
        let mut recipients = Vec::new();
        let stream = self.setup.streams.get(id.0.index());
        let audience = self.audiences.get(client.index());
        if let (Some(stream), Some(audience)) = (stream, audience) {
            for filter in audience.filters.keys() {
                let shared = topics::split_shared(filter);
                if topics::matches(shared.map_or(filter, |(_, inner)| inner), &stream.topic) {
                    recipients.push(match shared {
                        None => Recipient::Client(client),
                        Some(_) => Recipient::Group(number(&mut self.groups, filter)),
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
    fn dealt(&self, recipient: Recipient, id: Id) -> u8 {
        let dealt = self.dealt.get(&(recipient, id.0)).and_then(|it| it.get(id.1 as usize));
        dealt.copied().unwrap_or(0)
    }

    /// A copy was sent because of the `nth` arrival. To a subscriber copies come in order: of those
    /// before it, it gets none any more.
    fn deal(&mut self, recipient: Recipient, id: Id, nth: usize) {
        let dealt = self.dealt.entry((recipient, id.0)).or_default();
        let place = id.1 as usize;
        if dealt.len() <= place {
            dealt.resize(place + 1, 0);
        }
        dealt[place] |= match recipient {
            Recipient::Client(_) => bit(nth) | (bit(nth) - 1),
            Recipient::Group(_) => bit(nth),
        };
    }

    /// Which filter of a client's a retained message answers; `None` if it is an ordinary copy that
    /// has kept its RETAIN flag.
    fn answered_filter(&mut self, client: ClientIndex, id: Id) -> Option<u32> {
        let topic = &self.setup.streams.get(id.0.index())?.topic;
        let audience = self.audiences.get_mut(client.index())?;
        if let Some(place) = audience.expected.iter().position(|&(it, _)| it == id) {
            return Some(audience.expected.remove(place).1);
        }
        let matching = || audience.filters.iter().filter(|(it, _)| topics::matches(it, topic));
        let keeps_flag = matching().any(|(_, asked)| asked.options.retain_as_published);
        if keeps_flag { None } else { matching().map(|(_, asked)| asked.nth).max() }
    }

    /// How many arrivals of a message were passed on.
    fn copies(&self, id: Id) -> usize {
        let first = self.first.get(id.0.index()).and_then(|stream| stream.get(id.1 as usize));
        let is_first = first.is_some_and(|&first| first != NONE);
        usize::from(is_first) + self.further.get(&id).map_or(0, Vec::len)
    }

    /// The copy that an arrival makes; 0 for one that was not seen, as of a will.
    fn copy(&self, (stream, sequence): Id, nth: usize) -> u32 {
        let copy = match nth {
            0 => self.first.get(stream.index()).and_then(|it| it.get(sequence as usize)),
            _ => self.further.get(&(stream, sequence)).and_then(|it| it.get(nth - 1)),
        };
        copy.copied().filter(|&copy| copy != NONE).unwrap_or(0)
    }
}

/// The number of a group, which is given when it is first met.
fn number(groups: &mut BTreeMap<Arc<str>, u32>, filter: &Arc<str>) -> u32 {
    let next = u32::try_from(groups.len()).unwrap_or(u32::MAX);
    *groups.entry(Arc::clone(filter)).or_insert(next)
}

/// The bit of an arrival.
fn bit(nth: usize) -> u8 {
    1 << nth.min(7)
}

/// What [`Tag::forwarded`] makes of an arrival, without its tag.
const fn copy_of(arrival: Transmission) -> u32 {
    arrival.attempt << 1 | arrival.echo as u32 & 1
}

const fn arrival_of(copy: u32) -> Transmission {
    Transmission { attempt: copy >> 1, echo: (copy & 1) as u8 }
}
