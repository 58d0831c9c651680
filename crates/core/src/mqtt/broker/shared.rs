//! Shared subscriptions: each message goes to one member of a group (MQTT 5.0, section 4.8.2).
//!
//! Before 5.0 the standard knows none; brokers offer them there all the same, and so does this
//! one. Retained messages are not sent to a session that joins.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::routing::Subscription;
use crate::impl_fingerprint;
use crate::mqtt::topics::{self, FilterTree};

/// All groups, by their whole filters: `$share/GROUP/FILTER`.
#[derive(Clone, Debug)]
pub(super) struct SharedGroups {
    by_filter: BTreeMap<Arc<str>, SharedGroup>,
    /// The groups that a topic reaches.
    tree: FilterTree<Arc<str>, ()>,
}

impl_fingerprint! {
    struct SharedGroups {
        plain by_filter;
        skip tree: "follows from the rest";
    }
}

#[derive(Clone, Debug, Default)]
struct SharedGroup {
    /// Sessions, in the order of joining.
    members: Vec<(u32, Subscription)>,
    /// Index of the member whose turn it is.
    next_index: usize,
}

impl_fingerprint! { struct SharedGroup { plain members, next_index; } }

impl SharedGroups {
    pub(super) fn new() -> Self {
        Self { by_filter: BTreeMap::new(), tree: FilterTree::new() }
    }

    /// A session joins the filter's group, or subscribes to it again; whether it is new there.
    pub(super) fn join(
        &mut self,
        filter: &Arc<str>,
        session: u32,
        subscription: Subscription,
    ) -> bool {
        if !self.by_filter.contains_key(filter) {
            self.tree.insert(inner_filter(filter), Arc::clone(filter), ());
        }
        let group = self.by_filter.entry(Arc::clone(filter)).or_default();
        let member = group.members.iter_mut().find(|(member, _)| *member == session);
        let is_new = member.is_none();
        match member {
            Some((_, previous)) => *previous = subscription,
            None => group.members.push((session, subscription)),
        }
        is_new
    }

    /// A session leaves the filter's group; whether it was there.
    pub(super) fn leave(&mut self, filter: &Arc<str>, session: u32) -> bool {
        let Some(group) = self.by_filter.get_mut(filter) else { return false };
        let Some(place) = group.members.iter().position(|(member, _)| *member == session) else {
            return false;
        };
        group.members.remove(place);
        // The turn stays with its current member.
        group.next_index -= usize::from(place < group.next_index);
        if group.members.is_empty() {
            self.by_filter.remove(filter);
            self.tree.remove(inner_filter(filter), filter);
        }
        true
    }

    /// Calls `visit` with the filter of every group that a topic reaches.
    pub(super) fn for_each_match(&self, topic: &str, mut visit: impl FnMut(&Arc<str>)) {
        self.tree.for_each_match(topic, |filter, ()| visit(filter));
    }

    /// Returns the member that gets the next message: the next connected one, in turn; while none
    /// is, the next member of all, for whom it waits.
    pub(super) fn next_member(
        &self,
        filter: &str,
        is_connected: impl Fn(u32) -> bool,
    ) -> Option<(u32, Subscription)> {
        let group = self.by_filter.get(filter)?;
        group.members.get(group.next_member_index(is_connected)).copied()
    }

    /// The group's next message was given to a session: the turn is the next one's.
    pub(super) fn advance_turn(&mut self, filter: &str, session: u32) {
        let Some(group) = self.by_filter.get_mut(filter) else { return };
        let place = group.members.iter().position(|(member, _)| *member == session);
        group.next_index = place.map_or(0, |place| (place + 1) % group.members.len());
    }
}

impl SharedGroup {
    fn next_member_index(&self, is_connected: impl Fn(u32) -> bool) -> usize {
        let start = self.next_index.min(self.members.len() - 1);
        let mut in_turn = (start..self.members.len()).chain(0..start);
        in_turn.find(|&place| is_connected(self.members[place].0)).unwrap_or(start)
    }
}

/// The topic filter within a group's.
fn inner_filter(filter: &str) -> &str {
    topics::split_shared(filter).map_or(filter, |(_, filter)| filter)
}
