//! Subscriptions of a setup, grouped so that queries stay cheap for fleets.

use std::collections::BTreeMap;

use qoslab_core::base::QoS;
use qoslab_core::mqtt::topics::{self, FilterTree};
use qoslab_sim::{ClientSetup, Setup};

/// All subscriptions of a setup, those with one filter and one granted QoS together.
pub(super) struct SubscriberGroups {
    tree: FilterTree<usize, ()>,
    groups: Vec<SubscriberGroup>,
}

/// Equal subscriptions of several clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubscriberGroup {
    /// The QoS that the broker grants.
    pub granted: QoS,
    /// The number of clients.
    pub clients: u64,
    /// The sum over them of a weight that the caller chose.
    pub weight: f64,
}

impl SubscriberGroups {
    /// Groups the subscriptions; `client_weight` is summed over the clients of each group.
    pub(super) fn new(setup: &Setup, client_weight: impl Fn(&ClientSetup) -> f64) -> Self {
        let mut positions: BTreeMap<(&str, QoS), usize> = BTreeMap::new();
        let mut audience = Self { tree: FilterTree::new(), groups: Vec::new() };
        for client in &setup.clients {
            let weight = client_weight(client);
            for subscription in &client.subscriptions {
                let filter = &*subscription.request.filter;
                let granted = subscription.request.qos.min(setup.broker.max_qos);
                let next = audience.groups.len();
                let position = *positions.entry((filter, granted)).or_insert(next);
                if position == next {
                    audience.groups.push(SubscriberGroup { granted, clients: 0, weight: 0.0 });
                    audience.tree.insert(without_share_name(filter), next, ());
                }
                let group = &mut audience.groups[position];
                group.clients += 1;
                group.weight += weight;
            }
        }
        audience
    }

    /// Visits every group that gets messages of this topic, in a fixed order.
    pub(super) fn for_each_match(&self, topic: &str, mut visit: impl FnMut(&SubscriberGroup)) {
        self.tree.for_each_match(topic, |position, ()| visit(&self.groups[*position]));
    }
}

/// The filter by which messages are chosen: a shared subscription's without its group.
pub(super) fn without_share_name(filter: &str) -> &str {
    topics::split_shared(filter).map_or(filter, |(_, plain)| plain)
}
