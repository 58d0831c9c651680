//! Shared subscriptions: a message is owed to a group, whichever member gets it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::meter::Meter;
use super::unit::{Standing, Unit};
use qoslab_core::base::event::Dropped;
use qoslab_core::base::name::{ClientIndex, Parts, StreamIndex};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;

/// The groups of a trial, by their whole filter `$share/name/filter`.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Shared {
    groups: BTreeMap<Arc<str>, Group>,
    /// The filters of the groups that each stream's topic matches, in order.
    of_stream: BTreeMap<StreamIndex, Vec<Arc<str>>>,
}

/// Those who subscribe to one filter under one name.
#[derive(Clone, Debug, Default, Serialize)]
struct Group {
    /// Who subscribes now, with the QoS granted.
    members: BTreeMap<ClientIndex, QoS>,
    /// Who ever did: a copy may still be on its way to somebody.
    known: Vec<ClientIndex>,
    /// Whether the broker is known to have the subscriptions.
    doubtful: bool,
    units: BTreeMap<(StreamIndex, u32), GroupUnit>,
}

/// One message and one group.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct GroupUnit {
    pub(super) unit: Unit,
    /// To whom the broker began to send it.
    to: Option<ClientIndex>,
}

/// The name and the topic filter of a shared subscription; `None` for any other filter.
pub(super) fn group_of(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

impl Shared {
    /// A client joined the group of a filter.
    pub(super) fn joined(
        &mut self,
        client: ClientIndex,
        filter: &Arc<str>,
        qos: QoS,
        streams: Vec<StreamIndex>,
    ) {
        if !self.groups.contains_key(filter) {
            for stream in streams {
                let filters = self.of_stream.entry(stream).or_default();
                if let Err(place) = filters.binary_search(filter) {
                    filters.insert(place, Arc::clone(filter));
                }
            }
        }
        let group = self.groups.entry(Arc::clone(filter)).or_default();
        group.members.insert(client, qos);
        group.doubtful = false;
        if !group.known.contains(&client) {
            group.known.push(client);
        }
    }

    /// A client left the group of a filter. What the broker has not begun to send, it may have kept
    /// for this member, and need not send any more.
    pub(super) fn left(&mut self, client: ClientIndex, filter: &str) {
        let Some(group) = self.groups.get_mut(filter) else { return };
        group.members.remove(&client);
        for GroupUnit { unit, .. } in group.units.values_mut() {
            if unit.standing() == Standing::Must {
                unit.stand(Standing::Withdrawn, unit.granted());
            }
        }
    }

    /// A session ended, or was forgotten.
    pub(super) fn forgot(&mut self, client: ClientIndex) {
        for group in self.groups.values_mut() {
            group.members.remove(&client);
        }
    }

    /// The broker's store brought an older state back, or crashed while it was asked.
    pub(super) fn doubt(&mut self) {
        for group in self.groups.values_mut() {
            group.doubtful = true;
        }
    }

    /// A member's session turned out to go on.
    pub(super) fn trust(&mut self, client: ClientIndex) {
        for group in self.groups.values_mut().filter(|it| it.members.contains_key(&client)) {
            group.doubtful = false;
        }
    }

    /// A message was taken by the broker.
    #[inline]
    pub(super) fn taken(&mut self, parts: &Parts, first: bool) {
        let Self { groups, of_stream } = self;
        for filter in of_stream.get(&parts.stream).into_iter().flatten() {
            let Some(group) = groups.get_mut(filter) else { continue };
            // Nobody knows to whom it goes: the least that any member was granted is promised.
            let Some(granted) = group.members.values().min().copied() else { continue };
            let GroupUnit { unit, .. } =
                group.units.entry((parts.stream, parts.sequence)).or_default();
            if first && !group.doubtful {
                unit.stand(Standing::Must, granted);
            } else if unit.standing() < Standing::May {
                unit.stand(Standing::May, granted);
            }
        }
    }

    /// The broker began to send a message to a client.
    #[inline]
    pub(super) fn begun(&mut self, client: ClientIndex, parts: &Parts) {
        if let Some(it) = self.of(client, parts, |_| true)
            && matches!(it.unit.standing(), Standing::Must | Standing::Withdrawn)
        {
            it.unit.stand(Standing::Begun, it.unit.granted());
            it.to = Some(client);
        }
    }

    /// A client that may have it got a copy; `spare`: it has got its own already, or is owed none.
    /// Says whether the copy counts as a group's.
    pub(super) fn delivered(
        &mut self,
        now: Time,
        client: ClientIndex,
        parts: &Parts,
        spare: bool,
        meter: &mut Meter,
    ) -> bool {
        let is_owed = |it: &GroupUnit| {
            it.unit.standing() >= Standing::May && (spare || it.unit.copies() == 0)
        };
        let Some(it) = self.of(client, parts, is_owed) else { return false };
        let metrics = &mut meter.metrics.qos[parts.qos.index()];
        if it.unit.copies() == 0 {
            metrics.latency.record(now.since(parts.published));
        } else {
            metrics.counts.extra_copies += 1;
        }
        it.unit.add_copy();
        it.to = Some(client);
        true
    }

    /// The broker dropped what it kept for a member: says how that is excused.
    pub(super) fn dropped(
        &mut self,
        client: ClientIndex,
        parts: &Parts,
        why: Dropped,
        as_: Option<Standing>,
    ) {
        let standing = if why == Dropped::SessionEnded { Some(Standing::Ended) } else { as_ };
        if let (Some(standing), Some(it)) = (standing, self.of(client, parts, |_| true))
            && matches!(it.unit.standing(), Standing::Must | Standing::Begun)
            && it.to.is_none_or(|to| to == client)
        {
            it.unit.stand(standing, it.unit.granted());
            it.to = Some(client);
        }
    }

    /// Every unit, with the member that stands for its group.
    pub(super) fn units(&self) -> impl Iterator<Item = (StreamIndex, u32, ClientIndex, Unit)> {
        self.groups.values().flat_map(|group| {
            group.units.iter().filter_map(|((stream, sequence), it)| {
                let member = it.to.or_else(|| group.known.first().copied())?;
                Some((*stream, *sequence, member, it.unit))
            })
        })
    }

    #[inline]
    fn of(
        &mut self,
        client: ClientIndex,
        parts: &Parts,
        test: impl Fn(&GroupUnit) -> bool,
    ) -> Option<&mut GroupUnit> {
        let key = (parts.stream, parts.sequence);
        let Self { groups, of_stream } = self;
        let mut filters = of_stream.get(&parts.stream)?.iter();
        let filter = filters.find(|filter| {
            groups.get(*filter).is_some_and(|group| {
                group.units.get(&key).is_some_and(&test) && group.known.contains(&client)
            })
        })?;
        groups.get_mut(filter)?.units.get_mut(&key)
    }
}
