//! Which faults are to come, and what is hampered meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::trial::{Action, FaultSetup, Setup, Trigger};
use qoslab_core::base::draw::Key;
use qoslab_core::base::event::Hindrance;
use qoslab_core::base::name::{ClientIndex, Kind, Node, PacketName, Way};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::network::settings::Interval;

/// The faults of a trial.
#[derive(Debug)]
pub(super) struct Faults {
    setup: Arc<Setup>,
    /// How often each has come.
    told: Vec<u64>,
    luck: Key,
    /// Faults at a given time that have not come yet.
    pub(super) awaited: usize,
    watched: BTreeMap<(ClientIndex, Way, Kind), Watched>,
    /// Which faults wait for a packet of this name.
    named: BTreeMap<PacketName, Vec<u32>>,
    /// Which faults come when a packet arrives.
    pub(super) on_arrival: BTreeMap<PacketName, Vec<u32>>,
    pub(super) remedies: Vec<Remedy>,
}

/// Packets of one kind that a fault waits for.
#[derive(Debug, Default, Serialize)]
struct Watched {
    sent: u32,
    /// Which of them, and which fault.
    faults: Vec<(u32, u32)>,
}

/// What ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Remedy {
    /// A link is no longer hampered.
    Unhamper(ClientIndex, Hindrance),
    /// A link is up again.
    Up(ClientIndex),
    /// A crashed node starts again.
    Restart(Node),
    /// It has come.
    Done,
}

impl Faults {
    pub(super) fn new(setup: &Arc<Setup>, root: Key) -> Self {
        let list = &*setup.faults;
        let mut watched = BTreeMap::<_, Watched>::new();
        let mut named = BTreeMap::<_, Vec<u32>>::new();
        for (n, fault) in (0..).zip(list) {
            match fault.trigger {
                Trigger::Packet(packet) => {
                    let key = (packet.client, packet.way, packet.kind);
                    watched.entry(key).or_default().faults.push((packet.nth, n));
                }
                Trigger::Named(name) => named.entry(name).or_default().push(n),
                Trigger::At(_) | Trigger::Every(_) => {}
            }
        }
        Self {
            told: vec![0; list.len()],
            luck: root.child(b"fault"),
            awaited: list.iter().filter(|it| matches!(it.trigger, Trigger::At(_))).count(),
            watched,
            named,
            on_arrival: BTreeMap::new(),
            remedies: Vec::new(),
            setup: Arc::clone(setup),
        }
    }

    /// What a fault does.
    pub(super) fn action(&self, fault: u32) -> &Action {
        &self.of(fault).action
    }

    /// The traffic begins: when faults first come.
    pub(super) fn begin(&self, now: Time) -> Vec<(Time, u32)> {
        let all = (0..).zip(&self.setup.faults);
        let first = all.filter_map(|(n, fault)| match fault.trigger {
            Trigger::At(after) => Some((now + after, n)),
            Trigger::Every(_) => self.next(n, now).map(|at| (at, n)),
            Trigger::Packet(_) | Trigger::Named(_) => None,
        });
        first.collect()
    }

    /// When a fault that comes again and again comes next.
    pub(super) fn next(&self, fault: u32, now: Time) -> Option<Time> {
        let Trigger::Every(every) = self.of(fault).trigger else { return None };
        Some(now + self.draw(fault, b"every", every))
    }

    /// A fault comes.
    pub(super) fn came(&mut self, fault: u32) {
        self.told[fault as usize] += 1;
        let at_a_time = matches!(self.of(fault).trigger, Trigger::At(_));
        self.awaited -= usize::from(at_a_time);
    }

    /// How long what it does lasts.
    pub(super) fn lasts(&self, fault: u32, interval: Interval) -> Span {
        self.draw(fault, b"lasts", interval)
    }

    /// A packet is sent: which faults wait for it.
    pub(super) fn sent(&mut self, name: &PacketName) -> Vec<u32> {
        let mut these = self.named.remove(name).unwrap_or_default();
        if let Some(watched) = self.watched.get_mut(&(name.client, name.way, name.kind)) {
            watched.sent += 1;
            let due = watched.faults.iter().filter(|(nth, _)| *nth == watched.sent);
            these.extend(due.map(|(_, fault)| *fault));
        }
        these
    }

    /// Whether every packet that a fault waits for by its name was sent.
    pub(super) fn have_met_their_packets(&self) -> bool {
        self.named.is_empty()
    }

    /// Whether any fault waits for a packet.
    pub(super) fn watches_packets(&self) -> bool {
        !self.watched.is_empty() || !self.named.is_empty()
    }

    /// Whether a fault waits for a packet.
    pub(super) fn waits_for_a_packet(&self, fault: u32) -> bool {
        matches!(self.of(fault).trigger, Trigger::Packet(_) | Trigger::Named(_))
    }

    fn of(&self, fault: u32) -> &FaultSetup {
        &self.setup.faults[fault as usize]
    }

    fn draw(&self, fault: u32, purpose: &[u8], interval: Interval) -> Span {
        let luck = self.luck.child(self.of(fault).name.as_bytes()).child(purpose);
        interval.nth(luck, self.told[fault as usize])
    }
}
