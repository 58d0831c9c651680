//! Metrics that are kept apart, by client and by topic, for those that asked for them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::metrics::{Metrics, QosMetrics};
use super::trial_facts::TrialFacts;
use qoslab_core::base::{ClientIndex, PublisherIndex};

/// Messages of some topics that some clients publish or are to get.
#[derive(Clone, Debug)]
pub struct MetricGroup {
    /// The name by which results have it.
    pub name: Arc<str>,
    /// By [`PublisherIndex`]: whether the topic of these messages is one of the group's.
    pub topics: Vec<bool>,
    /// By [`ClientIndex`]: whether it is one of the group's clients; `None` for all.
    pub clients: Option<Vec<bool>>,
}

impl MetricGroup {
    fn has_client(&self, client: ClientIndex) -> bool {
        self.clients.as_ref().is_none_or(|clients| clients[client.index()])
    }
}

/// What one trial measured of one [`MetricGroup`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct GroupMetrics {
    /// The group's name.
    pub name: String,
    /// By the published QoS. Its traffic is not kept apart: zero.
    pub qos: [QosMetrics; 3],
}

impl Metrics {
    /// Metrics without values, of a trial's groups too.
    pub(super) fn for_trial(trial: &TrialFacts) -> Self {
        let group = |group: &MetricGroup| GroupMetrics {
            name: group.name.to_string(),
            ..GroupMetrics::default()
        };
        Self { groups: trial.groups.iter().map(group).collect(), ..Self::default() }
    }

    /// All metrics that count a message: those of its QoS, and of groups that its publisher is in.
    #[inline]
    pub(super) fn of_message<'a>(
        &'a mut self,
        trial: &'a TrialFacts,
        publisher: PublisherIndex,
    ) -> impl Iterator<Item = &'a mut QosMetrics> {
        let client = trial.publishers[publisher.index()].client;
        self.with_groups(trial, publisher, move |group| group.has_client(client))
    }

    /// All metrics that count a unit: those of its QoS, and of groups that its publisher or its
    /// subscriber is in.
    #[inline]
    pub(super) fn of_unit<'a>(
        &'a mut self,
        trial: &'a TrialFacts,
        publisher: PublisherIndex,
        subscriber: ClientIndex,
    ) -> impl Iterator<Item = &'a mut QosMetrics> {
        let client = trial.publishers[publisher.index()].client;
        self.with_groups(trial, publisher, move |group| {
            group.has_client(client) || group.has_client(subscriber)
        })
    }

    #[inline]
    fn with_groups<'a>(
        &'a mut self,
        trial: &'a TrialFacts,
        publisher: PublisherIndex,
        has_clients: impl Fn(&MetricGroup) -> bool + 'a,
    ) -> impl Iterator<Item = &'a mut QosMetrics> {
        let level = trial.publishers[publisher.index()].qos.index();
        let groups = trial.groups.iter().zip(&mut self.groups);
        let groups = groups
            .filter(move |(group, _)| group.topics[publisher.index()] && has_clients(group))
            .map(move |(_, metrics)| &mut metrics.qos[level]);
        std::iter::once(&mut self.qos[level]).chain(groups)
    }
}
