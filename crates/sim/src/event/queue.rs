//! The queue of future events, in order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use qoslab_core::base::Time;
use qoslab_core::impl_fingerprint;

/// The rank of a kind of event among others of the same instant: lower goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum EventClass {
    /// A packet reaches a node.
    Arrival = 0,
    /// An application acts, or a client dials.
    Application = 1,
    /// The network changes.
    Fault = 2,
    /// A node's timer.
    Timer = 3,
}

/// One event to come. The number gives its subject, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueuedEvent {
    /// A packet arrives: its place among those under way.
    Arrival(u32),
    /// Something is due on a TCP connection: its number.
    TcpDue(u32),
    /// A stream publishes its next message.
    Publish(u32),
    /// A client subscribes, unsubscribes, leaves or comes back: its place in the plan.
    ApplicationAction(u32),
    /// A client opens a connection.
    Connect(u32),
    /// The traffic may begin.
    TrafficStart,
    /// A client's link goes down or comes up.
    Outage(u32),
    /// A fault occurs: its place in the trial's list.
    Fault(u32),
    /// The effect of a fault is over: its place among the engine's remedies.
    FaultEnd(u32),
    /// A node's storage is written: the node's number.
    Snapshot(u32),
    /// A node wakes by its timer.
    NodeTimer(u32),
}

impl_fingerprint! {
    enum QueuedEvent {
        Arrival(number),
        TcpDue(number),
        Publish(number),
        ApplicationAction(number),
        Connect(number),
        TrafficStart,
        Outage(number),
        Fault(number),
        FaultEnd(number),
        Snapshot(number),
        NodeTimer(number),
    }
}

/// The queue: ordered by time, then class, then insertion.
///
/// An entry is one word of 128 bits that compares in that order: time (62 bits), class (2),
/// insertion (34), kind of event within its class (2), its number (28).
///
/// Most arrivals are added in the order in which they come: on a link of constant delay all are.
/// So an entry goes to the back of a sorted run where it fits, and only otherwise into the heap;
/// the next is the first of the runs' fronts and the heap's top.
#[derive(Debug)]
pub(super) struct EventQueue {
    runs: [VecDeque<u128>; RUNS],
    heap: BinaryHeap<Reverse<u128>>,
    /// The first entry of each run and, last, of the heap; [`NO_ENTRY`] where there is none.
    fronts: [u128; RUNS + 1],
    /// The last entry of each run; 0 where there is none.
    backs: [u128; RUNS],
    inserted: u64,
}

/// Compares greater than every entry.
const NO_ENTRY: u128 = u128::MAX;

/// A few links of different delays each fill a run; more would cost more than they save.
const RUNS: usize = 4;

const TIME_BITS: u32 = 62;
const INSERTION_BITS: u32 = 34;
const NUMBER_BITS: u32 = 28;

/// The highest number that a [`QueuedEvent`] can carry: it limits the packets in transit, streams
/// and clients.
pub(super) const MAX_NUMBER: usize = (1 << NUMBER_BITS) - 1;

impl Default for EventQueue {
    fn default() -> Self {
        Self {
            runs: Default::default(),
            heap: BinaryHeap::new(),
            fronts: [NO_ENTRY; RUNS + 1],
            backs: [0; RUNS],
            inserted: 0,
        }
    }
}

impl EventQueue {
    /// Adds an event; one that is never to happen is not added.
    #[inline]
    pub(super) fn push(&mut self, at: Time, event: QueuedEvent) {
        if at.as_nanos() >> TIME_BITS != 0 {
            return;
        }
        let (class, kind, number) = event.to_parts();
        debug_assert!(number as usize <= MAX_NUMBER, "{event:?} does not fit");
        let time_and_class = at.as_nanos() << 2 | u64::from(class as u8);
        let order_kind_number = (self.inserted << 2 | kind) << NUMBER_BITS | u64::from(number);
        self.inserted += 1;
        self.insert(u128::from(time_and_class) << 64 | u128::from(order_kind_number));
    }

    /// Takes the next event, unless it comes after `deadline`.
    #[inline]
    pub(super) fn pop_until(&mut self, deadline: Time) -> Option<(Time, QueuedEvent)> {
        let (entry, run) = self.earliest();
        if entry == NO_ENTRY || time_of(entry) > deadline {
            return None;
        }
        self.remove_front(run);
        Some((time_of(entry), event_of(entry)))
    }

    /// Returns the time of the next event; [`Time::NEVER`] if there is none.
    #[cfg(any(test, feature = "turmoil"))]
    pub(super) fn next_event_time(&self) -> Time {
        match self.earliest().0 {
            NO_ENTRY => Time::NEVER,
            entry => time_of(entry),
        }
    }

    /// Adds an entry behind the latest that it may follow.
    #[inline]
    fn insert(&mut self, entry: u128) {
        let mut latest_run = None;
        for (place, &back) in self.backs.iter().enumerate() {
            if back <= entry && latest_run.is_none_or(|(latest, _)| back > latest) {
                latest_run = Some((back, place));
            }
        }
        let Some((_, place)) = latest_run else {
            self.heap.push(Reverse(entry));
            self.fronts[RUNS] = self.fronts[RUNS].min(entry);
            return;
        };
        self.runs[place].push_back(entry);
        self.backs[place] = entry;
        self.fronts[place] = self.fronts[place].min(entry);
    }

    /// The first entry and where it is.
    #[inline]
    fn earliest(&self) -> (u128, usize) {
        let mut first = (self.fronts[RUNS], RUNS);
        for (place, &front) in self.fronts[..RUNS].iter().enumerate() {
            let sooner = front < first.0;
            first.0 = if sooner { front } else { first.0 };
            first.1 = if sooner { place } else { first.1 };
        }
        first
    }

    #[inline]
    fn remove_front(&mut self, run_index: usize) {
        let Some(entries) = self.runs.get_mut(run_index) else {
            self.heap.pop();
            self.fronts[RUNS] = self.heap.peek().map_or(NO_ENTRY, |Reverse(entry)| *entry);
            return;
        };
        entries.pop_front();
        self.fronts[run_index] = entries.front().copied().unwrap_or(NO_ENTRY);
        if entries.is_empty() {
            self.backs[run_index] = 0;
        }
    }

    /// Returns all events to come, in order.
    pub(super) fn sorted_events(&self) -> impl Iterator<Item = (Time, QueuedEvent)> {
        let heap = self.heap.iter().map(|Reverse(entry)| entry);
        let mut all: Vec<u128> = self.runs.iter().flatten().chain(heap).copied().collect();
        all.sort_unstable();
        all.into_iter().map(|entry| (time_of(entry), event_of(entry)))
    }

    /// Whether insertions can no longer be numbered: after 17 thousand million of them.
    pub(super) const fn is_exhausted(&self) -> bool {
        // Room for what one more event may insert.
        self.inserted >= (1 << INSERTION_BITS) - (1 << 30)
    }
}

const fn time_of(entry: u128) -> Time {
    Time::from_nanos((entry >> 66) as u64)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "takes an entry apart")]
const fn event_of(entry: u128) -> QueuedEvent {
    let number = entry as u32 & MAX_NUMBER as u32;
    let which = (entry as u32 >> NUMBER_BITS) & 0b11;
    let class = (entry >> 64) as u8 & 0b11;
    QueuedEvent::from_parts(class, which, number)
}

impl QueuedEvent {
    const fn to_parts(self) -> (EventClass, u64, u32) {
        match self {
            Self::Arrival(n) => (EventClass::Arrival, 0, n),
            Self::TcpDue(n) => (EventClass::Arrival, 1, n),
            Self::Publish(n) => (EventClass::Application, 0, n),
            Self::ApplicationAction(n) => (EventClass::Application, 1, n),
            Self::Connect(n) => (EventClass::Application, 2, n),
            Self::TrafficStart => (EventClass::Application, 3, 0),
            Self::Outage(n) => (EventClass::Fault, 0, n),
            Self::Fault(n) => (EventClass::Fault, 1, n),
            Self::FaultEnd(n) => (EventClass::Fault, 2, n),
            Self::Snapshot(n) => (EventClass::Fault, 3, n),
            Self::NodeTimer(n) => (EventClass::Timer, 0, n),
        }
    }

    const fn from_parts(class: u8, kind: u32, number: u32) -> Self {
        match (class, kind) {
            (0, 0) => Self::Arrival(number),
            (0, _) => Self::TcpDue(number),
            (1, 0) => Self::Publish(number),
            (1, 1) => Self::ApplicationAction(number),
            (1, 2) => Self::Connect(number),
            (1, _) => Self::TrafficStart,
            (2, 0) => Self::Outage(number),
            (2, 1) => Self::Fault(number),
            (2, 2) => Self::FaultEnd(number),
            (2, _) => Self::Snapshot(number),
            _ => Self::NodeTimer(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use qoslab_core::base::Span;

    #[test]
    fn an_entry_has_room_for_all_its_parts() {
        assert_eq!(TIME_BITS + 2, 64);
        assert_eq!(INSERTION_BITS + 2 + NUMBER_BITS, 64);
        assert!(Span::LIMIT.as_nanos() >> TIME_BITS == 0);
    }

    fn event_from(class: u8, number: u32) -> QueuedEvent {
        QueuedEvent::from_parts(class >> 2, u32::from(class & 0b11), number)
    }

    #[test]
    fn at_one_instant_arrivals_precede_applications_faults_and_timers() {
        let mut queue = EventQueue::default();
        let now = Time::from_nanos(5);
        let backwards = [
            QueuedEvent::NodeTimer(0),
            QueuedEvent::Outage(1),
            QueuedEvent::Connect(2),
            QueuedEvent::ApplicationAction(3),
            QueuedEvent::Publish(4),
            QueuedEvent::Arrival(5),
            QueuedEvent::Arrival(4),
        ];
        for happening in backwards {
            queue.push(now, happening);
        }
        queue.push(Time::from_nanos(4), QueuedEvent::NodeTimer(9));
        let order: Vec<_> =
            std::iter::from_fn(|| queue.pop_until(Time::NEVER)).map(|(_, it)| it).collect();
        assert_eq!(
            order,
            [
                QueuedEvent::NodeTimer(9),
                QueuedEvent::Arrival(5),
                QueuedEvent::Arrival(4),
                QueuedEvent::Connect(2),
                QueuedEvent::ApplicationAction(3),
                QueuedEvent::Publish(4),
                QueuedEvent::Outage(1),
                QueuedEvent::NodeTimer(0),
            ]
        );
    }

    #[test]
    fn an_event_at_time_never_is_not_queued() {
        let mut queue = EventQueue::default();
        queue.push(Time::NEVER, QueuedEvent::NodeTimer(0));
        assert_eq!(queue.pop_until(Time::NEVER), None);
    }

    proptest! {
        #[test]
        fn the_order_is_time_then_class_then_insertion(
            pushes in prop::collection::vec((0..4_u64, 0..16_u8, 0..1_u32 << NUMBER_BITS), 0..60)
        ) {
            let mut queue = EventQueue::default();
            let mut expected = Vec::new();
            for (nanos, class, number) in pushes {
                let (at, it) = (Time::from_nanos(nanos), event_from(class, number));
                queue.push(at, it);
                expected.push((at, it));
            }
            expected.sort_by_key(|(at, it)| (*at, it.to_parts().0));
            let order: Vec<_> = std::iter::from_fn(|| queue.pop_until(Time::NEVER)).collect();
            prop_assert_eq!(order, expected);
        }
    }
}
