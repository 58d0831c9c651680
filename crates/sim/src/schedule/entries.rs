//! The parts of a schedule that can be taken out one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{FaultOccurrence, Schedule, ScheduledOutage, single_occurrence};
use crate::trial::{FaultAction, Setup, Trigger};
use qoslab_core::base::{ClientIndex, Span};
use qoslab_core::network::{FateKey, ForcedFate, IntervalDistribution};

/// One deviation from the plain course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScheduleEntry {
    /// A fault, by its place in [`Setup::faults`].
    Fault(usize),
    /// The fate of a packet or segment.
    Fate(FateKey),
    /// An outage of a client's link, by its place in the list.
    Outage(ClientIndex, usize),
    /// A pause of a client before a connection; see [`Schedule::pauses`].
    Pause(ClientIndex, u32, u32),
}

impl Setup {
    /// Returns all deviations from the plain course.
    #[must_use]
    pub fn schedule_entries(&self) -> Vec<ScheduleEntry> {
        let mut pieces: Vec<_> = (0..self.faults.len()).map(ScheduleEntry::Fault).collect();
        if let Some(schedule) = &self.schedule {
            let outages = schedule.outages.iter();
            pieces.extend(outages.flat_map(|(client, list)| {
                (0..list.len()).map(|n| ScheduleEntry::Outage(*client, n))
            }));
            pieces.extend(schedule.fates.keys().map(|sending| ScheduleEntry::Fate(*sending)));
            let pauses = schedule.pauses.keys();
            pieces.extend(
                pauses.map(|&(client, nth, attempt)| ScheduleEntry::Pause(client, nth, attempt)),
            );
        }
        pieces
    }

    /// One of its [`Setup::schedule_entries`] in words.
    #[must_use]
    pub fn entry_text(&self, element: ScheduleEntry) -> String {
        let name = |client: ClientIndex| &self.clients[client.index()].name;
        match element {
            ScheduleEntry::Fault(place) => match &self.faults[place].trigger {
                Trigger::NamedPacket(packet) => {
                    format!(
                        "the fault `{}` at {}",
                        self.faults[place].name,
                        self.format_packet_name(packet)
                    )
                }
                _ => format!("the fault `{}`", self.faults[place].name),
            },
            ScheduleEntry::Fate(FateKey::Sending(sending)) => {
                let packet = self.format_packet_name(&sending.packet);
                match (sending.offset, sending.attempt) {
                    (0, 0) => format!("the fate of {packet}"),
                    (byte, resend) => format!("the fate of {packet}, byte {byte}, resend {resend}"),
                }
            }
            ScheduleEntry::Fate(FateKey::Ack(ack)) => {
                format!("the fate of TCP's acknowledgement {}", self.format_ack_name(&ack))
            }
            ScheduleEntry::Outage(client, nth) => {
                format!("outage {} of `{}`", nth + 1, name(client))
            }
            ScheduleEntry::Pause(client, connection, failed) => format!(
                "the pause of `{}` before its connection {connection}, after {failed} failed",
                name(client)
            ),
        }
    }

    /// The same setup with only these of its [`Setup::schedule_entries`].
    #[must_use]
    pub fn with_entries(&self, kept: &BTreeSet<ScheduleEntry>) -> Self {
        let mut setup = self.clone();
        let faults =
            (0..).zip(&self.faults).filter(|(n, _)| kept.contains(&ScheduleEntry::Fault(*n)));
        setup.faults = faults.map(|(_, fault)| fault.clone()).collect();
        if let Some(schedule) = &mut setup.schedule {
            let schedule = Arc::make_mut(schedule);
            schedule.retain_entries(kept);
        }
        setup
    }

    /// The same setup without one of its faults, a cut by which a client came to open one more
    /// connection: its pauses from that before connection `nth` on belong to the one before. `None`
    /// if the fault is no cut.
    #[must_use]
    pub fn without_cut(&self, fault: usize, nth: u32) -> Option<Self> {
        let FaultAction::Cut { client, .. } = self.faults.get(fault)?.action else { return None };
        let mut setup = self.clone();
        setup.faults.remove(fault);
        if let Some(schedule) = &mut setup.schedule {
            let pauses = schedule.pauses.iter().map(|(&(whose, number, failed), pause)| {
                let is_later = whose == client && number >= nth;
                ((whose, number.saturating_sub(u32::from(is_later)), failed), *pause)
            });
            let pauses = pauses.collect();
            Arc::make_mut(schedule).pauses = pauses;
        }
        Some(setup)
    }

    /// The connections before which a client pauses.
    #[must_use]
    pub fn paused_connections(&self, client: ClientIndex) -> BTreeSet<u32> {
        let pauses = self.schedule.iter().flat_map(|schedule| schedule.pauses.keys());
        pauses.filter(|(whose, ..)| *whose == client).map(|(_, nth, _)| *nth).collect()
    }

    /// The same setup with each occurrence of a fault as a fault of its own, and none that did not
    /// occur.
    #[must_use]
    pub fn with_fault_occurrences(&self, occurrences: &[FaultOccurrence]) -> Self {
        let mut times = vec![0; self.faults.len()];
        let faults = occurrences.iter().map(|came| {
            let nth = &mut times[came.fault as usize];
            *nth += 1;
            single_occurrence(&self.faults[came.fault as usize], *nth, came)
        });
        Self { faults: faults.collect(), ..self.clone() }
    }

    /// The same setup with everything at a fixed time moved earlier by `by`, as far as it goes.
    #[must_use]
    pub fn shifted_earlier(&self, by: Span) -> Self {
        let mut setup = self.clone();
        for fault in &mut setup.faults {
            if let Trigger::At(at) = &mut fault.trigger {
                *at = *at - by;
            }
        }
        if let Some(schedule) = &self.schedule {
            let mut moved = Schedule { messages: BTreeMap::new(), ..(**schedule).clone() };
            for (stream, sequence) in self.messages() {
                let own = &self.publishers[stream.index()];
                let mut timing = schedule.timing(stream, own, sequence);
                timing.at = timing.at - by;
                if moved.timing(stream, own, sequence) != timing {
                    moved.messages.insert((stream, sequence), timing);
                }
            }
            for outage in moved.outages.values_mut().flatten() {
                outage.at = outage.at - by;
            }
            setup.schedule = Some(Arc::new(moved));
        }
        setup
    }

    /// The same setup with all times of faults, fates, outages, messages and pauses rounded to a
    /// multiple of `step`, lengths to one at least.
    #[must_use]
    pub fn with_rounded_times(&self, step: Span) -> Self {
        let rounded = |span: Span| {
            let unit = step.as_nanos().max(1);
            Span::from_nanos(span.as_nanos().saturating_add(unit / 2) / unit * unit)
        };
        let length = |span: Span| if span == Span::ZERO { span } else { rounded(span).max(step) };
        let mut setup = self.clone();
        for fault in &mut setup.faults {
            if let Trigger::At(at) = &mut fault.trigger {
                *at = rounded(*at);
            }
            if let Some(IntervalDistribution::Fixed(lasts)) = fault.action.lasts_mut() {
                *lasts = length(*lasts);
            }
        }
        if let Some(schedule) = &mut setup.schedule {
            let schedule = Arc::make_mut(schedule);
            for fate in Arc::make_mut(&mut schedule.fates).values_mut() {
                if let ForcedFate::Arrives { delay: after, duplicate_delay: again } = fate {
                    *after = length(*after);
                    *again = again.map(length);
                }
            }
            schedule.pauses.values_mut().for_each(|pause| *pause = length(*pause));
            schedule.messages.values_mut().for_each(|timing| timing.at = rounded(timing.at));
            for outage in schedule.outages.values_mut().flatten() {
                *outage = ScheduledOutage { at: rounded(outage.at), lasts: length(outage.lasts) };
            }
        }
        setup
    }

    /// Returns the time of the first message, fault or outage, after the start of the traffic.
    #[must_use]
    pub fn first_event_time(&self) -> Span {
        let schedule = self.schedule.as_deref();
        let faults = self.faults.iter().filter_map(|fault| match fault.trigger {
            Trigger::At(at) => Some(at),
            Trigger::Every(_) | Trigger::NthPacket(_) | Trigger::NamedPacket(_) => None,
        });
        let outages = schedule.into_iter().flat_map(|it| it.outages.values().flatten());
        let messages = self.messages().into_iter().filter_map(|(stream, sequence)| {
            Some(schedule?.timing(stream, &self.publishers[stream.index()], sequence).at)
        });
        faults.chain(outages.map(|it| it.at)).chain(messages).min().unwrap_or(Span::ZERO)
    }
}

impl Schedule {
    fn retain_entries(&mut self, kept: &BTreeSet<ScheduleEntry>) {
        let fates = Arc::make_mut(&mut self.fates);
        fates.retain(|sending, _| kept.contains(&ScheduleEntry::Fate(*sending)));
        for (client, list) in &mut self.outages {
            let mut places = 0..;
            list.retain(|_| {
                places.next().is_some_and(|n| kept.contains(&ScheduleEntry::Outage(*client, n)))
            });
        }
        self.outages.retain(|_, list| !list.is_empty());
        self.pauses.retain(|&(client, nth, attempt), _| {
            kept.contains(&ScheduleEntry::Pause(client, nth, attempt))
        });
    }

    /// Of the entries of this schedule those that another, of a run of it, met too: the others
    /// named what never came, or changed nothing.
    #[must_use]
    pub fn unused_entries(&self, used: &Self) -> Vec<ScheduleEntry> {
        let fates = self.fates.keys().filter(|it| !used.fates.contains_key(it));
        let outages = self.outages.iter().flat_map(|(client, list)| {
            let came = used.outages.get(client).map_or(0, Vec::len);
            (came..list.len()).map(|n| ScheduleEntry::Outage(*client, n))
        });
        let pauses = self.pauses.keys().filter(|it| !used.pauses.contains_key(it));
        let pauses =
            pauses.map(|&(client, nth, attempt)| ScheduleEntry::Pause(client, nth, attempt));
        fates.map(|it| ScheduleEntry::Fate(*it)).chain(outages).chain(pauses).collect()
    }
}
