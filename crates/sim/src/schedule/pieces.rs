//! The parts of a schedule that can be taken out one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Came, Outage, Schedule, one_coming};
use crate::trial::{Setup, Trigger};
use qoslab_core::base::name::ClientIndex;
use qoslab_core::base::time::Span;
use qoslab_core::network::overrule::ForcedFate;
use qoslab_core::network::script::Sending;
use qoslab_core::network::settings::Interval;

/// One thing that was not plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// A fault, by its place in [`Setup::faults`].
    Fault(usize),
    /// What became of a packet or segment.
    Fate(Sending),
    /// An outage of a client's link, by its place in the list.
    Outage(ClientIndex, usize),
    /// A pause of a client before a connection; see [`Schedule::pauses`].
    Pause(ClientIndex, u32, u32),
}

impl Setup {
    /// All that is not plain.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces: Vec<_> = (0..self.faults.len()).map(Piece::Fault).collect();
        if let Some(schedule) = &self.schedule {
            let outages = schedule.outages.iter();
            pieces.extend(
                outages
                    .flat_map(|(client, list)| (0..list.len()).map(|n| Piece::Outage(*client, n))),
            );
            pieces.extend(schedule.fates.keys().map(|sending| Piece::Fate(*sending)));
            let pauses = schedule.pauses.keys();
            pieces.extend(pauses.map(|&(client, nth, attempt)| Piece::Pause(client, nth, attempt)));
        }
        pieces
    }

    /// One of its [`Setup::pieces`] in words.
    #[must_use]
    pub fn piece_text(&self, piece: Piece) -> String {
        let name = |client: ClientIndex| &self.clients[client.index()].name;
        match piece {
            Piece::Fault(place) => match &self.faults[place].trigger {
                Trigger::Named(packet) => {
                    format!(
                        "the fault `{}` at {}",
                        self.faults[place].name,
                        self.packet_text(packet)
                    )
                }
                _ => format!("the fault `{}`", self.faults[place].name),
            },
            Piece::Fate(sending) => {
                let packet = self.packet_text(&sending.packet);
                match (sending.segment, sending.attempt) {
                    (0, 0) => format!("the fate of {packet}"),
                    (segment, resend) => {
                        format!("the fate of {packet}, segment {segment}, resend {resend}")
                    }
                }
            }
            Piece::Outage(client, nth) => format!("outage {} of `{}`", nth + 1, name(client)),
            Piece::Pause(client, connection, failed) => format!(
                "the pause of `{}` before its connection {connection}, after {failed} failed",
                name(client)
            ),
        }
    }

    /// The same setup with only these of its [`Setup::pieces`].
    #[must_use]
    pub fn with_pieces(&self, kept: &BTreeSet<Piece>) -> Self {
        let mut setup = self.clone();
        let faults = (0..).zip(&self.faults).filter(|(n, _)| kept.contains(&Piece::Fault(*n)));
        setup.faults = faults.map(|(_, fault)| fault.clone()).collect();
        if let Some(schedule) = &mut setup.schedule {
            let schedule = Arc::make_mut(schedule);
            schedule.thin(kept);
        }
        setup
    }

    /// The same setup with each coming of a fault as a fault of its own, and none that did not
    /// come.
    #[must_use]
    pub fn with_faults_as_they_came(&self, came: &[Came]) -> Self {
        let mut times = vec![0; self.faults.len()];
        let faults = came.iter().map(|came| {
            let nth = &mut times[came.fault as usize];
            *nth += 1;
            one_coming(&self.faults[came.fault as usize], *nth, came)
        });
        Self { faults: faults.collect(), ..self.clone() }
    }

    /// The same setup with all that happens at a time so much earlier, as far as it goes.
    #[must_use]
    pub fn earlier(&self, by: Span) -> Self {
        let mut setup = self.clone();
        for fault in &mut setup.faults {
            if let Trigger::At(at) = &mut fault.trigger {
                *at = *at - by;
            }
        }
        if let Some(schedule) = &self.schedule {
            let mut moved = Schedule { messages: BTreeMap::new(), ..(**schedule).clone() };
            for (stream, sequence) in self.messages() {
                let own = &self.streams[stream.index()];
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
    /// multiple of `to`, lengths to one at least.
    #[must_use]
    pub fn rounded(&self, to: Span) -> Self {
        let whole = |span: Span| {
            let unit = to.as_nanos().max(1);
            Span::from_nanos(span.as_nanos().saturating_add(unit / 2) / unit * unit)
        };
        let length = |span: Span| if span == Span::ZERO { span } else { whole(span).max(to) };
        let mut setup = self.clone();
        for fault in &mut setup.faults {
            if let Trigger::At(at) = &mut fault.trigger {
                *at = whole(*at);
            }
            if let Some(Interval::Fixed(lasts)) = fault.action.lasts_mut() {
                *lasts = length(*lasts);
            }
        }
        if let Some(schedule) = &mut setup.schedule {
            let schedule = Arc::make_mut(schedule);
            for fate in Arc::make_mut(&mut schedule.fates).values_mut() {
                if let ForcedFate::Arrives { after, again } = fate {
                    *after = length(*after);
                    *again = again.map(length);
                }
            }
            schedule.pauses.values_mut().for_each(|pause| *pause = length(*pause));
            schedule.messages.values_mut().for_each(|timing| timing.at = whole(timing.at));
            for outage in schedule.outages.values_mut().flatten() {
                *outage = Outage { at: whole(outage.at), lasts: length(outage.lasts) };
            }
        }
        setup
    }

    /// When the first message, fault or outage comes at its time, after the start of the traffic.
    #[must_use]
    pub fn first_time(&self) -> Span {
        let schedule = self.schedule.as_deref();
        let faults = self.faults.iter().filter_map(|fault| match fault.trigger {
            Trigger::At(at) => Some(at),
            Trigger::Every(_) | Trigger::Packet(_) | Trigger::Named(_) => None,
        });
        let outages = schedule.into_iter().flat_map(|it| it.outages.values().flatten());
        let messages = self.messages().into_iter().filter_map(|(stream, sequence)| {
            Some(schedule?.timing(stream, &self.streams[stream.index()], sequence).at)
        });
        faults.chain(outages.map(|it| it.at)).chain(messages).min().unwrap_or(Span::ZERO)
    }
}

impl Schedule {
    fn thin(&mut self, kept: &BTreeSet<Piece>) {
        let fates = Arc::make_mut(&mut self.fates);
        fates.retain(|sending, _| kept.contains(&Piece::Fate(*sending)));
        for (client, list) in &mut self.outages {
            let mut places = 0..;
            list.retain(|_| {
                places.next().is_some_and(|n| kept.contains(&Piece::Outage(*client, n)))
            });
        }
        self.outages.retain(|_, list| !list.is_empty());
        self.pauses.retain(|&(client, nth, attempt), _| {
            kept.contains(&Piece::Pause(client, nth, attempt))
        });
    }

    /// Of the entries of this schedule those that another, of a run of it, met too: the others
    /// named what never came, or changed nothing.
    #[must_use]
    pub fn unmet(&self, met: &Self) -> Vec<Piece> {
        let fates = self.fates.keys().filter(|it| !met.fates.contains_key(it));
        let outages = self.outages.iter().flat_map(|(client, list)| {
            let came = met.outages.get(client).map_or(0, Vec::len);
            (came..list.len()).map(|n| Piece::Outage(*client, n))
        });
        let pauses = self.pauses.keys().filter(|it| !met.pauses.contains_key(it));
        let pauses = pauses.map(|&(client, nth, attempt)| Piece::Pause(client, nth, attempt));
        fates.map(|it| Piece::Fate(*it)).chain(outages).chain(pauses).collect()
    }
}
