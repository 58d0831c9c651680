//! Where messages went that were not lost on the way: refused, given up, dropped, expired, or
//! published while nobody was subscribed; and the retained copies that were owed.

use super::number::format_count_share;
use qoslab_core::base::{DropReason, QoS};
use qoslab_guarantee::DeliveryCounts;
use qoslab_sim::Setup;

/// One way that messages went.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "files"), expect(dead_code, reason = "tables show less than files"))]
pub(crate) struct Account {
    /// The name in files.
    pub name: &'static str,
    /// The meaning, for the dictionary of columns.
    pub about: &'static str,
    /// How many went so.
    pub count: fn(&DeliveryCounts) -> u64,
    /// Of how many.
    whole: fn(&DeliveryCounts) -> u64,
    /// What became of them, after `3 of 10`; `None` if another account says it too.
    words: Option<&'static str>,
}

/// All of them, in the order of a message's way.
pub(crate) const ACCOUNTS: [Account; 20] = [
    refused(
        "refused_queue_full",
        "messages refused by the publisher's own full queue",
        |it| it.refused_by_reason.count(DropReason::QueueFull),
        "refused by the publisher's own full queue",
    ),
    refused(
        "refused_offline",
        "QoS 0 messages dropped by a publisher without a connection",
        |it| it.refused_by_reason.count(DropReason::Offline),
        "dropped by the publisher while it was offline",
    ),
    refused(
        "refused_socket_full",
        "QoS 0 messages dropped by a publisher whose socket had no room",
        |it| it.refused_by_reason.count(DropReason::SocketFull),
        "dropped by the publisher, whose socket had no room",
    ),
    refused(
        "refused_session_ended",
        "messages given up by the publisher with its session",
        |it| it.refused_by_reason.count(DropReason::SessionEnded),
        "given up by the publisher with its session",
    ),
    refused(
        "refused_gave_up",
        "messages given up by the publisher after its last retry",
        |it| it.refused_by_reason.count(DropReason::GaveUp),
        "given up by the publisher after its last retry",
    ),
    refused(
        "refused_rejected",
        "messages that the broker refused with a negative acknowledgement",
        |it| it.refused_by_reason.count(DropReason::Rejected),
        "refused by the broker with a negative acknowledgement",
    ),
    refused(
        "refused_expired",
        "messages that expired at the publisher",
        |it| it.refused_by_reason.count(DropReason::Expired),
        "expired at the publisher",
    ),
    refused(
        "refused_too_large",
        "messages larger than the broker takes",
        |it| it.refused_by_reason.count(DropReason::TooLarge),
        "too large for the broker",
    ),
    refused(
        "nobody_subscribed",
        "messages published while nobody was subscribed to their topic; no unit",
        |it| it.nobody_subscribed,
        "published while nobody was subscribed, in no share",
    ),
    dropped(
        "not_subscribed",
        "messages times subscribers who were not subscribed when they were published, while \
         others were; no unit",
        |it| it.not_subscribed,
        |it| it.units + it.not_subscribed,
        "published while their subscriber was not subscribed, in no share",
    ),
    dropped_copies(
        "dropped_queue_full",
        "copies dropped by the broker's full queue",
        |it| it.dropped_by_reason.count(DropReason::QueueFull),
        "dropped by the broker's full queue",
    ),
    dropped_copies(
        "dropped_offline",
        "QoS 0 copies dropped by the broker for a subscriber without a connection",
        |it| it.dropped_by_reason.count(DropReason::Offline),
        "dropped by the broker while the subscriber was offline",
    ),
    dropped_copies(
        "dropped_socket_full",
        "QoS 0 copies dropped by the broker, whose socket had no room",
        |it| it.dropped_by_reason.count(DropReason::SocketFull),
        "dropped by the broker, whose socket had no room",
    ),
    dropped_copies(
        "dropped_session_ended",
        "copies given up by the broker with the subscriber's session",
        |it| it.dropped_by_reason.count(DropReason::SessionEnded),
        "given up by the broker with the subscriber's session",
    ),
    dropped_copies(
        "dropped_gave_up",
        "copies given up by the broker after its last retry",
        |it| it.dropped_by_reason.count(DropReason::GaveUp),
        "given up by the broker after its last retry",
    ),
    dropped_copies(
        "dropped_rejected",
        "copies that the subscriber refused with a negative acknowledgement",
        |it| it.dropped_by_reason.count(DropReason::Rejected),
        "refused by the subscriber with a negative acknowledgement",
    ),
    dropped_copies(
        "dropped_expired",
        "copies that expired at the broker",
        |it| it.dropped_by_reason.count(DropReason::Expired),
        "expired at the broker",
    ),
    dropped_copies(
        "dropped_too_large",
        "copies larger than the subscriber takes",
        |it| it.dropped_by_reason.count(DropReason::TooLarge),
        "too large for the subscriber",
    ),
    Account {
        name: "retained_owed",
        about: "retained messages owed because of a SUBSCRIBE; no unit",
        count: |it| it.retained_owed,
        whole: |it| it.retained_owed,
        words: None,
    },
    Account {
        name: "retained_delivered",
        about: "those of which at least one copy came",
        count: |it| it.retained_delivered,
        whole: |it| it.retained_owed,
        words: Some("retained messages delivered to new subscriptions"),
    },
];

/// Of messages published.
const fn refused(
    name: &'static str,
    about: &'static str,
    count: fn(&DeliveryCounts) -> u64,
    words: &'static str,
) -> Account {
    Account { name, about, count, whole: |it| it.messages, words: Some(words) }
}

/// Of copies owed, retained ones too.
const fn dropped_copies(
    name: &'static str,
    about: &'static str,
    count: fn(&DeliveryCounts) -> u64,
    words: &'static str,
) -> Account {
    dropped(name, about, count, |it| it.units + it.retained_owed, words)
}

const fn dropped(
    name: &'static str,
    about: &'static str,
    count: fn(&DeliveryCounts) -> u64,
    whole: fn(&DeliveryCounts) -> u64,
    words: &'static str,
) -> Account {
    Account { name, about, count, whole, words: Some(words) }
}

/// A line for each way that any message of this QoS went, in plain words:
/// `3,012 of 10,000 (30.1 %) refused by the publisher's own full queue (offline.max = 100)`.
#[must_use]
pub(crate) fn lines(totals: &DeliveryCounts, setup: &Setup, qos: QoS) -> Vec<String> {
    lines_with(totals, |account| setting(account, setup, qos).unwrap_or_default())
}

/// The same over several setups, whose settings may differ.
#[must_use]
pub(crate) fn lines_over_all(totals: &DeliveryCounts) -> Vec<String> {
    lines_with(totals, |_| String::new())
}

fn lines_with(totals: &DeliveryCounts, setting: impl Fn(&str) -> String) -> Vec<String> {
    let lines = ACCOUNTS.iter().filter_map(|account| {
        let (count, whole) = ((account.count)(totals), (account.whole)(totals));
        let words = account.words?;
        let is_retained = account.name == "retained_delivered";
        let line =
            || format!("{} {words}{}", format_count_share(count, whole), setting(account.name));
        (count > 0 || (is_retained && whole > 0)).then(line)
    });
    lines.collect()
}

/// The size of the queue that was full, where all publishers have the same.
fn setting(account: &str, setup: &Setup, qos: QoS) -> Option<String> {
    match account {
        "refused_queue_full" => {
            let streams = setup.publishers.iter().filter(|stream| stream.qos == qos);
            let mut sizes =
                streams.map(|it| setup.clients[it.client.index()].settings.hop.max_queued);
            let size = sizes.next()?;
            sizes.all(|other| other == size).then(|| format!(" (offline.max = {size})"))
        }
        "dropped_queue_full" => Some(format!(" (max_queued = {})", setup.broker.hop.max_queued)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qoslab_study::fixtures;

    #[test]
    fn only_what_happened_is_told_with_its_share() {
        let scenario = fixtures::scenario("");
        let setup = &scenario.points[0].setup;
        let mut totals = DeliveryCounts { messages: 10_000, ..DeliveryCounts::default() };
        assert_eq!(lines(&totals, setup, QoS::AtMostOnce), [""; 0]);
        totals.nobody_subscribed = 1;
        totals.retained_owed = 300;
        assert_eq!(
            lines(&totals, setup, QoS::AtMostOnce),
            [
                "1 of 10,000 published while nobody was subscribed, in no share",
                "0 of 300 retained messages delivered to new subscriptions",
            ]
        );
        totals.retained_delivered = 120;
        let told = lines(&totals, setup, QoS::AtMostOnce);
        assert!(told[1].starts_with("120 of 300 (40.0 %) retained messages delivered"), "{told:?}");
    }
}
