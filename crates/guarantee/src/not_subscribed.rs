//! Messages published while a subscriber to their topic was not subscribed: its session had
//! ended, its broker had forgotten it, or it had not subscribed yet. They are no units and in no
//! share, so they are counted by themselves.

use std::sync::Arc;

use super::delivery_unit::{DeliveryState, HandshakeEnd};
use super::ledger::{Ledger, PublisherLedger, SubscriberLedger};
use super::metrics::Metrics;
use super::shared_subscriptions::parse_shared_filter;
use qoslab_core::base::{ClientIndex, PublisherIndex};

/// The clients and groups that mean to get the messages of one stream.
#[derive(Clone, Debug, Default)]
struct Audience {
    clients: Vec<ClientIndex>,
    /// The filters of shared subscriptions.
    groups: Vec<Arc<str>>,
}

/// Counts, of each message that its publisher did not refuse, for whom it was published too early
/// or too late.
pub(super) fn count(ledger: &Ledger, metrics: &mut Metrics) {
    let audiences = audiences(ledger);
    for ((index, stream), audience) in
        (0..).map(PublisherIndex).zip(&ledger.publishers).zip(&audiences)
    {
        let slots: Vec<(ClientIndex, Option<&SubscriberLedger>)> =
            audience.clients.iter().map(|client| (*client, subscriber(stream, *client))).collect();
        for (sequence, progress) in (0..).zip(&stream.messages) {
            if matches!(
                progress.handshake_end(),
                HandshakeEnd::NotSubmitted | HandshakeEnd::Refused
            ) {
                continue;
            }
            let has_group_unit =
                |filter: &&Arc<str>| ledger.shared.has_unit(filter, index, sequence);
            let anybody = stream.subscribers.iter().any(|slot| has_unit(slot, sequence))
                || audience.groups.iter().any(|filter| has_group_unit(&filter));
            if !anybody {
                for metrics in metrics.of_message(&ledger.trial, index) {
                    metrics.counts.nobody_subscribed += 1;
                }
                continue;
            }
            let is_absent = |slot: Option<&SubscriberLedger>| {
                !slot.is_some_and(|slot| has_unit(slot, sequence))
            };
            for (client, _) in slots.iter().filter(|(_, slot)| is_absent(*slot)) {
                for metrics in metrics.of_unit(&ledger.trial, index, *client) {
                    metrics.counts.not_subscribed += 1;
                }
            }
            for _ in audience.groups.iter().filter(|filter| !has_group_unit(filter)) {
                for metrics in metrics.of_message(&ledger.trial, index) {
                    metrics.counts.not_subscribed += 1;
                }
            }
        }
    }
}

/// By stream.
fn audiences(ledger: &Ledger) -> Vec<Audience> {
    let mut audiences = vec![Audience::default(); ledger.publishers.len()];
    for (client, facts) in (0..).map(ClientIndex).zip(&ledger.trial.clients) {
        for subscription in &facts.subscriptions {
            let is_shared = parse_shared_filter(&subscription.filter).is_some();
            for stream in ledger.subscriptions.matching_publishers(&subscription.filter) {
                let is_own = ledger.trial.publishers[stream.index()].client == client;
                let audience = &mut audiences[stream.index()];
                if is_shared {
                    if !audience.groups.contains(&subscription.filter) {
                        audience.groups.push(Arc::clone(&subscription.filter));
                    }
                } else if !(is_own && subscription.no_local)
                    && audience.clients.last() != Some(&client)
                {
                    audience.clients.push(client);
                }
            }
        }
    }
    audiences
}

/// The slot of a client that ever had a live subscription.
fn subscriber(stream: &PublisherLedger, client: ClientIndex) -> Option<&SubscriberLedger> {
    let place = stream.subscribers.binary_search_by_key(&client, |slot| slot.client).ok()?;
    Some(&stream.subscribers[place])
}

fn has_unit(slot: &SubscriberLedger, sequence: u32) -> bool {
    let unit = slot.units.get(sequence as usize);
    unit.is_some_and(|unit| unit.state() != DeliveryState::NotSubscribed)
}
