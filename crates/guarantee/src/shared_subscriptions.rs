//! Shared subscriptions: a message is owed to a group, whichever member gets it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::deliveries::DeliveredCopy;
use super::delivery_unit::{DeliveryState, DeliveryUnit};
use super::ledger::PublisherLedger;
use qoslab_core::base::{ClientIndex, MessageId, PublisherIndex, QoS, Time};
use qoslab_core::impl_fingerprint;

/// The groups of a trial, by their whole filter `$share/name/filter`.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedSubscriptions {
    groups: BTreeMap<Arc<str>, ShareGroup>,
    /// The filters of the groups that each stream's topic matches, in order.
    filters_of_publisher: BTreeMap<PublisherIndex, Vec<Arc<str>>>,
}

impl_fingerprint! {
    struct SharedSubscriptions {
        plain groups, filters_of_publisher;
    }
}

/// The clients that subscribe to one filter under one name.
#[derive(Clone, Debug, Default)]
struct ShareGroup {
    /// The current subscribers, with the QoS granted.
    members: BTreeMap<ClientIndex, QoS>,
    /// All past and current subscribers: a copy may still be on its way to one of them.
    ever_members: Vec<ClientIndex>,
    /// Whether the broker is known to have the subscriptions.
    uncertain: bool,
    units: BTreeMap<(PublisherIndex, u32), GroupUnit>,
}

impl_fingerprint! {
    struct ShareGroup {
        plain members, ever_members, uncertain, units;
    }
}

/// One message and one group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GroupUnit {
    pub(super) unit: DeliveryUnit,
    /// The client to which the broker began to send it.
    recipient: Option<ClientIndex>,
}

impl_fingerprint! { struct GroupUnit { plain unit, recipient; } }

/// The name and the topic filter of a shared subscription; `None` for any other filter.
pub(super) fn parse_shared_filter(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

impl SharedSubscriptions {
    /// A client joined the group of a filter.
    pub(super) fn on_joined(
        &mut self,
        client: ClientIndex,
        filter: &Arc<str>,
        qos: QoS,
        publishers: Vec<PublisherIndex>,
    ) {
        if !self.groups.contains_key(filter) {
            for stream in publishers {
                let filters = self.filters_of_publisher.entry(stream).or_default();
                if let Err(place) = filters.binary_search(filter) {
                    filters.insert(place, Arc::clone(filter));
                }
            }
        }
        let group = self.groups.entry(Arc::clone(filter)).or_default();
        group.members.insert(client, qos);
        group.uncertain = false;
        if !group.ever_members.contains(&client) {
            group.ever_members.push(client);
        }
    }

    /// A client left the group of a filter. What the broker has not begun to send, it may have kept
    /// for this member, and need not send any more.
    pub(super) fn on_left(&mut self, client: ClientIndex, filter: &str) {
        let Some(group) = self.groups.get_mut(filter) else { return };
        group.members.remove(&client);
        for GroupUnit { unit, .. } in group.units.values_mut() {
            if matches!(unit.state(), DeliveryState::MustDeliver | DeliveryState::NoExcuse) {
                unit.set_state(DeliveryState::Withdrawn, unit.granted());
            }
        }
    }

    /// A session ended, or was forgotten.
    pub(super) fn remove_client(&mut self, client: ClientIndex) {
        for group in self.groups.values_mut() {
            group.members.remove(&client);
        }
    }

    /// The broker's store brought an older state back, or crashed while it was asked.
    pub(super) fn mark_uncertain(&mut self) {
        for group in self.groups.values_mut() {
            group.uncertain = true;
        }
    }

    /// A member's session turned out to go on.
    pub(super) fn mark_certain(&mut self, client: ClientIndex) {
        for group in self.groups.values_mut().filter(|it| it.members.contains_key(&client)) {
            group.uncertain = false;
        }
    }

    /// A message was taken by the broker: any member may be the one for whom it waits.
    #[inline]
    pub(super) fn on_accepted_by_broker(
        &mut self,
        message_id: &MessageId,
        first: bool,
        mut may_wait_for: impl FnMut(ClientIndex),
    ) {
        let Self { groups, filters_of_publisher: of_stream } = self;
        for filter in of_stream.get(&message_id.publisher).into_iter().flatten() {
            let Some(group) = groups.get_mut(filter) else { continue };
            group.members.keys().copied().for_each(&mut may_wait_for);
            // Which member gets it is unknown: the least that any member was granted is promised.
            let Some(granted) = group.members.values().min().copied() else { continue };
            let GroupUnit { unit, .. } =
                group.units.entry((message_id.publisher, message_id.sequence)).or_default();
            if first && !group.uncertain {
                unit.set_state(DeliveryState::MustDeliver, granted);
            } else if unit.state() < DeliveryState::MayDeliver {
                unit.set_state(DeliveryState::MayDeliver, granted);
            }
        }
    }

    /// The broker began to send a message to a client: the first, or one after the member whose
    /// session ended with it unacknowledged.
    #[inline]
    pub(super) fn on_sending_began(&mut self, client: ClientIndex, message_id: &MessageId) {
        // A member of several groups gets a copy for each.
        let rank = |it: &GroupUnit| {
            let is_begun = it.unit.state() == DeliveryState::ForwardingStarted;
            Some(u8::from(is_begun))
        };
        if let Some((_, it)) = self.find_unit(client, message_id, rank)
            && matches!(
                it.unit.state(),
                DeliveryState::MustDeliver
                    | DeliveryState::NoExcuse
                    | DeliveryState::Withdrawn
                    | DeliveryState::ForwardingStarted
            )
        {
            it.unit.set_state(DeliveryState::ForwardingStarted, it.unit.granted());
            it.recipient = Some(client);
        }
    }

    /// A client that may have it got a copy; `is_extra`: it has got its own already, or is owed
    /// none. Gives which copy of a group's it is, if it counts as one.
    pub(super) fn on_delivered(
        &mut self,
        client: ClientIndex,
        message_id: &MessageId,
        is_extra: bool,
    ) -> Option<DeliveredCopy> {
        // Of several groups, one that has no copy yet.
        let rank = |it: &GroupUnit| match it.unit.copies() {
            _ if it.unit.state() < DeliveryState::MayDeliver => None,
            0 => Some(0),
            _ => is_extra.then_some(1),
        };
        let (_, group_unit) = self.find_unit(client, message_id, rank)?;
        let copy = DeliveredCopy::after(group_unit.unit.copies());
        group_unit.unit.add_copy();
        group_unit.recipient = Some(client);
        Some(copy)
    }

    /// The broker dropped what it kept for a member, and this is how that is excused.
    pub(super) fn on_dropped(
        &mut self,
        client: ClientIndex,
        message_id: &MessageId,
        state: DeliveryState,
    ) {
        let Some((members, it)) = self.find_unit(client, message_id, |_| Some(0)) else { return };
        // Another member may have got it after the one to which it was sent first.
        let is_another_s = it.recipient.is_some_and(|to| to != client && members.contains_key(&to));
        if it.unit.state().is_owed() && !is_another_s {
            it.unit.set_state(state, it.unit.granted());
            it.recipient = Some(client);
        }
    }

    /// A message is larger than a member takes, and it may be that member's turn.
    pub(super) fn on_too_large(&mut self, client: ClientIndex, message_id: &MessageId) {
        if let Some((members, it)) = self.find_unit(client, message_id, |_| Some(0))
            && members.contains_key(&client)
            && it.unit.state() == DeliveryState::MustDeliver
        {
            it.unit.set_state(DeliveryState::TooLarge, it.unit.granted());
        }
    }

    /// What had expired by the end, and was not begun, is not owed.
    pub(super) fn excuse_expired(&mut self, publishers: &[PublisherLedger], now: Time) {
        for ((publisher, sequence), it) in self.groups.values_mut().flat_map(|it| &mut it.units) {
            let expiry = publishers[publisher.index()].expiry(*sequence);
            let is_over = expiry.is_some_and(|expiry| expiry.last <= now);
            if is_over && it.unit.copies() == 0 && it.unit.state() == DeliveryState::MustDeliver {
                it.unit.set_state(DeliveryState::Expired, it.unit.granted());
            }
        }
    }

    /// How many groups a stream's messages go to.
    pub(super) fn groups_of(&self, publisher: PublisherIndex) -> u32 {
        let filters = self.filters_of_publisher.get(&publisher).map_or(0, Vec::len);
        u32::try_from(filters).unwrap_or(u32::MAX)
    }

    /// The members of the groups that a stream's messages go to.
    pub(super) fn members_of(
        &self,
        publisher: PublisherIndex,
    ) -> impl Iterator<Item = ClientIndex> {
        let filters = self.filters_of_publisher.get(&publisher).into_iter().flatten();
        let groups = filters.filter_map(|filter| self.groups.get(filter));
        groups.flat_map(|group| group.members.keys().copied())
    }

    /// Whether a message was taken while the group of a filter had members.
    pub(super) fn has_unit(&self, filter: &str, publisher: PublisherIndex, sequence: u32) -> bool {
        let group = self.groups.get(filter);
        group.is_some_and(|group| group.units.contains_key(&(publisher, sequence)))
    }

    /// Every unit, with the member that stands for its group.
    pub(super) fn units(
        &self,
    ) -> impl Iterator<Item = (PublisherIndex, u32, ClientIndex, DeliveryUnit)> {
        self.groups.values().flat_map(|group| {
            group.units.iter().filter_map(|((stream, sequence), it)| {
                let member = it.recipient.or_else(|| group.ever_members.first().copied())?;
                Some((*stream, *sequence, member, it.unit))
            })
        })
    }

    /// The unit of the client's group that has the lowest rank, of equals the first, with the
    /// group's current members. Units without a rank do not fit.
    #[inline]
    fn find_unit(
        &mut self,
        client: ClientIndex,
        message_id: &MessageId,
        rank: impl Fn(&GroupUnit) -> Option<u8>,
    ) -> Option<(&BTreeMap<ClientIndex, QoS>, &mut GroupUnit)> {
        let key = (message_id.publisher, message_id.sequence);
        let Self { groups, filters_of_publisher: of_stream } = self;
        let filters = of_stream.get(&message_id.publisher)?.iter();
        let ranked = filters.filter_map(|filter| {
            let group = groups.get(filter)?;
            let rank = rank(group.units.get(&key)?)?;
            group.ever_members.contains(&client).then_some((rank, filter))
        });
        let (_, filter) = ranked.min_by_key(|(rank, _)| *rank)?;
        let ShareGroup { members, units, .. } = groups.get_mut(filter)?;
        Some((members, units.get_mut(&key)?))
    }
}
