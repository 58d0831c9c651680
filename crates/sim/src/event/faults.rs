//! Faults to come, the packets they wait for, and the ends of their effects.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::queue::QueuedEvent;
use super::timeline::Timeline;
use crate::trial::{CrashPoint, FaultAction, FaultSetup, Setup, Trigger};
use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::{
    ClientIndex, Direction, Impairment, Node, PacketKind, PacketName, Span, Time,
};
use qoslab_core::impl_fingerprint;
use qoslab_core::network::IntervalDistribution;

/// The faults of a trial.
#[derive(Debug)]
pub(super) struct Faults {
    setup: Arc<Setup>,
    /// How often each has come.
    times_fired: Vec<u64>,
    draw_key: DrawKey,
    /// Faults at a given time that have not come yet.
    pub(super) timed_pending: usize,
    packet_counters: BTreeMap<(ClientIndex, Direction, PacketKind), WatchedPackets>,
    /// The faults that wait for a packet of this name.
    by_packet_name: BTreeMap<PacketName, Vec<u32>>,
    /// The faults that occur when a packet arrives.
    by_arrival: BTreeMap<PacketName, Vec<u32>>,
    fault_ends: Vec<FaultEnd>,
    /// The fault by which the node that handles something now will crash.
    pending_crash: Option<u32>,
    /// How many more packets that node may send.
    sends_left: Option<u32>,
}

impl_fingerprint! {
    struct Faults {
        plain timed_pending;
        skip by_arrival, fault_ends: "counts with the packets and the queue that wait for it";
        skip by_packet_name: "empty where states are compared";
        skip packet_counters: "faults at packets are all by name where states are compared";
        skip times_fired, draw_key: "nothing is drawn at random where states are compared";
        skip pending_crash, sends_left: "set within an event alone";
        skip setup: "the same in all states of a trial";
    }
}

/// Packets of one kind that a fault waits for.
#[derive(Debug, Default)]
struct WatchedPackets {
    sent_count: u32,
    /// The ordinal that each fault waits for, and the fault.
    faults: Vec<(u32, u32)>,
}

/// An effect of a fault that ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultEnd {
    /// A link is no longer impaired.
    ClearImpairment(ClientIndex, Impairment),
    /// A link is up again.
    LinkUp(ClientIndex),
    /// A crashed node starts again.
    Restart(Node),
    /// It has come.
    Done,
}

impl_fingerprint! {
    enum FaultEnd {
        ClearImpairment(client, impairment),
        LinkUp(client),
        Restart(node),
        Done,
    }
}

impl Faults {
    pub(super) fn new(setup: &Arc<Setup>, root: DrawKey) -> Self {
        let list = &*setup.faults;
        let mut watched = BTreeMap::<_, WatchedPackets>::new();
        let mut named = BTreeMap::<_, Vec<u32>>::new();
        for (n, fault) in (0..).zip(list) {
            match fault.trigger {
                Trigger::NthPacket(packet) => {
                    let key = (packet.client, packet.direction, packet.kind);
                    watched.entry(key).or_default().faults.push((packet.nth, n));
                }
                Trigger::NamedPacket(name) => named.entry(name).or_default().push(n),
                Trigger::At(_) | Trigger::Every(_) => {}
            }
        }
        Self {
            times_fired: vec![0; list.len()],
            draw_key: root.child(b"fault"),
            timed_pending: list.iter().filter(|it| matches!(it.trigger, Trigger::At(_))).count(),
            packet_counters: watched,
            by_packet_name: named,
            by_arrival: BTreeMap::new(),
            fault_ends: Vec::new(),
            pending_crash: None,
            sends_left: None,
            setup: Arc::clone(setup),
        }
    }

    /// Returns the effect of a fault.
    pub(super) fn action(&self, fault: u32) -> &FaultAction {
        &self.setup_of(fault).action
    }

    /// The traffic begins: when faults first come.
    pub(super) fn first_times(&self, now: Time) -> Vec<(Time, u32)> {
        let all = (0..).zip(&self.setup.faults);
        let first = all.filter_map(|(n, fault)| match fault.trigger {
            Trigger::At(after) => Some((now + after, n)),
            Trigger::Every(_) => self.next_time(n, now).map(|at| (at, n)),
            Trigger::NthPacket(_) | Trigger::NamedPacket(_) => None,
        });
        first.collect()
    }

    /// Returns the next time of a fault that recurs.
    pub(super) fn next_time(&self, fault: u32, now: Time) -> Option<Time> {
        let Trigger::Every(every) = self.setup_of(fault).trigger else { return None };
        Some(now + self.draw_interval(fault, b"every", every))
    }

    /// A fault comes.
    pub(super) fn mark_fired(&mut self, fault: u32) {
        self.times_fired[fault as usize] += 1;
        let at_a_time = matches!(self.setup_of(fault).trigger, Trigger::At(_));
        self.timed_pending -= usize::from(at_a_time);
    }

    /// Draws how long its effect lasts.
    pub(super) fn draw_duration(&self, fault: u32, interval: IntervalDistribution) -> Span {
        self.draw_interval(fault, b"lasts", interval)
    }

    /// A packet is sent: which faults wait for it.
    pub(super) fn take_triggered(&mut self, name: &PacketName) -> Vec<u32> {
        let mut triggered = self.by_packet_name.remove(name).unwrap_or_default();
        if let Some(watched) =
            self.packet_counters.get_mut(&(name.client, name.direction, name.kind))
        {
            watched.sent_count += 1;
            let due = watched.faults.iter().filter(|(nth, _)| *nth == watched.sent_count);
            triggered.extend(due.map(|(_, fault)| *fault));
        }
        triggered
    }

    /// Whether every packet that a fault waits for by its name was sent.
    pub(super) fn have_all_named_fired(&self) -> bool {
        self.by_packet_name.is_empty()
    }

    /// Whether any fault waits for a packet.
    pub(super) fn has_packet_triggers(&self) -> bool {
        !self.packet_counters.is_empty() || !self.by_packet_name.is_empty()
    }

    /// Whether a fault waits for a packet.
    pub(super) fn is_packet_triggered(&self, fault: u32) -> bool {
        matches!(self.setup_of(fault).trigger, Trigger::NthPacket(_) | Trigger::NamedPacket(_))
    }

    // ---- at arrivals ----

    /// A fault is to come when this packet arrives.
    pub(super) fn trigger_on_arrival(&mut self, name: &PacketName, fault: u32) {
        self.by_arrival.entry(*name).or_default().push(fault);
    }

    /// Whether any fault waits for an arrival.
    #[inline]
    pub(super) fn await_arrivals(&self) -> bool {
        !self.by_arrival.is_empty()
    }

    /// Returns the faults that wait for this packet's arrival.
    pub(super) fn actions_on_arrival(&self, name: &PacketName) -> Vec<&FaultAction> {
        let waiting = self.by_arrival.get(name).into_iter().flatten();
        waiting.map(|fault| self.action(*fault)).collect()
    }

    /// A packet is about to be read: the crash that falls into the work on it. Other faults that
    /// wait for it come next.
    pub(super) fn take_arrival_triggers(
        &mut self,
        timeline: &mut Timeline,
        name: &PacketName,
    ) -> Option<u32> {
        let mut crash = None;
        for fault in self.by_arrival.remove(name)? {
            if let FaultAction::Crash { point, .. } = *self.action(fault) {
                self.sends_left = match point {
                    CrashPoint::AfterCommit => Some(0),
                    CrashPoint::BetweenSends => Some(1),
                    CrashPoint::BetweenEvents | CrashPoint::BeforeCommit => None,
                };
                crash = crash.or(Some(fault));
            } else {
                timeline.schedule_now(QueuedEvent::Fault(fault));
            }
        }
        crash
    }

    // ---- crashes in the middle of an event ----

    /// Whether a node crashes before it stores what follows from a packet.
    pub(super) fn is_crash_before_reading(&self, fault: Option<u32>) -> bool {
        fault.is_some_and(|fault| match self.action(fault) {
            FaultAction::Crash { point, .. } => *point == CrashPoint::BeforeCommit,
            _ => false,
        })
    }

    /// A node crashes instead of sending a packet.
    pub(super) const fn crash_sender(&mut self, fault: u32) {
        self.pending_crash = Some(fault);
        self.sends_left = Some(0);
    }

    /// Whether a node crashes instead of sending the packet that it is about to send.
    #[inline]
    pub(super) const fn is_crash_before_sending(&self) -> bool {
        self.pending_crash.is_some()
    }

    /// The fault by which a node crashes that has tried to send.
    #[inline]
    pub(super) const fn take_pending_crash(&mut self) -> Option<u32> {
        self.pending_crash.take()
    }

    /// Whether the packet may be sent by a node that is about to crash.
    #[inline]
    pub(super) fn take_send_permit(&mut self) -> bool {
        let Some(left) = &mut self.sends_left else { return true };
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }

    /// How many more packets a node may send that is about to crash; it may send all from now on.
    pub(super) const fn take_sends_left(&mut self) -> Option<u32> {
        self.sends_left.take()
    }

    // ---- ends ----

    /// Schedules the end of a fault's effect.
    pub(super) fn schedule_end(
        &mut self,
        timeline: &mut Timeline,
        after: Span,
        fault_end: FaultEnd,
    ) {
        let index = u32::try_from(self.fault_ends.len()).expect("one an event at most");
        self.fault_ends.push(fault_end);
        timeline.schedule_after(after, QueuedEvent::FaultEnd(index));
    }

    /// Returns the effect that ends by the event of this number.
    pub(super) fn fault_end(&self, index: u32) -> FaultEnd {
        self.fault_ends[index as usize]
    }

    /// As [`Self::fault_end`], which comes now.
    pub(super) fn take_end(&mut self, index: u32) -> FaultEnd {
        std::mem::replace(&mut self.fault_ends[index as usize], FaultEnd::Done)
    }

    /// Ends all impairments of links now.
    pub(super) fn take_link_ends(&mut self) -> Vec<FaultEnd> {
        let of_links = self.fault_ends.iter_mut().filter(|fault_end| {
            matches!(fault_end, FaultEnd::LinkUp(_) | FaultEnd::ClearImpairment(..))
        });
        of_links.map(|fault_end| std::mem::replace(fault_end, FaultEnd::Done)).collect()
    }

    fn setup_of(&self, fault: u32) -> &FaultSetup {
        &self.setup.faults[fault as usize]
    }

    /// A length that is drawn for a fault; a nanosecond at least, for a length of none could not
    /// be written down.
    fn draw_interval(&self, fault: u32, purpose: &[u8], interval: IntervalDistribution) -> Span {
        let draw_key = self.draw_key.child(self.setup_of(fault).name.as_bytes()).child(purpose);
        interval.sample_at(draw_key, self.times_fired[fault as usize]).max(Span::from_nanos(1))
    }
}
