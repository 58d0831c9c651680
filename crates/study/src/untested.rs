//! Whether runs say anything about delivery. Over TCP messages are lost and repeated only where
//! something breaks: without that every QoS delivers all, and none has been put to the test.

use super::result::ScenarioResult;
use super::sweep::Study;
use qoslab_core::network::Transport;

/// The counters of what can make a message over TCP be lost or repeated.
const TESTS_OF_DELIVERY: [&str; 18] = [
    "outage",
    "partition",
    "stall",
    "cut",
    "half-open",
    "nat-forgot",
    "crash",
    "keep-alive-expired",
    "user-timeout",
    "reconnect",
    "session-lost",
    "takeover",
    "queue-overflow",
    "socket-full",
    "message-expired",
    "too-large",
    "give-up",
    "dup-resend",
];

impl ScenarioResult {
    /// Whether all its links are TCP, and in no run a message was lost or repeated or anything
    /// happened that can do that.
    #[must_use]
    pub fn is_delivery_untested(&self) -> bool {
        let clients = self.scenario.points.iter().flat_map(|point| &point.setup.clients);
        let mut links = clients.map(|client| client.link.transport);
        let is_quiet = |word: &&str| {
            self.points
                .iter()
                .all(|point| point.sometimes.get(word).is_none_or(|count| *count == 0))
        };
        self.finished > 0
            && links.all(|transport| matches!(transport, Transport::Tcp(_)))
            && TESTS_OF_DELIVERY.iter().all(is_quiet)
            && self
                .points
                .iter()
                .flat_map(|point| &point.trials)
                .flat_map(|trial| &trial.qos)
                .all(|row| row.counts.lost == 0 && row.counts.duplicated == 0)
    }
}

impl Study {
    /// Whether it is so of each cell.
    #[must_use]
    pub fn is_delivery_untested(&self) -> bool {
        !self.cells.is_empty() && self.cells.iter().all(|cell| cell.result.is_delivery_untested())
    }
}

#[cfg(test)]
mod tests {

    use crate::fixtures::study_of;

    #[test]
    fn what_puts_delivery_to_the_test_is_counted() {
        for word in super::TESTS_OF_DELIVERY {
            assert!(qoslab_guarantee::COUNTER_NAMES.contains(&word), "nothing counts {word}");
        }
    }

    #[test]
    fn runs_over_tcp_in_which_nothing_breaks_say_nothing_about_delivery() {
        let scenario = |link: &str, more: &str| {
            format!(
                r#"
                schema = 1
                name = "quiet"
                seeds = {{ from = 1, count = 2 }}
                [[client]]
                name = "sensor"
                publish = [{{ topic = "t", qos = [0, 1], count = 20, every = "1s" }}]
                [[client]]
                name = "dashboard"
                subscribe = [{{ filter = "t", qos = 1 }}]
                [[link]]
                between = ["*", "broker"]
                delay = "20ms"
                {link}
                {more}
                "#
            )
        };
        let tcp = "transport = \"tcp\"";
        let lossy = format!("{tcp}\nloss = \"5%\"");
        let outage = format!("{tcp}\noutage = {{ every = \"5s\", lasts = \"1s\" }}");
        let cut = "[[fault]]\nat = \"5s\"\non = \"sensor\"\ndo = \"cut\"";
        for (link, more, untested) in [
            (tcp, "", true),
            (lossy.as_str(), "", true),
            (outage.as_str(), "", false),
            (tcp, cut, false),
            ("transport = \"datagram\"", "", false),
        ] {
            let study = study_of(&scenario(link, more));
            assert_eq!(study.is_delivery_untested(), untested, "{link} {more}");
        }
    }
}
