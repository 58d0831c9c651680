//! The packet rules that the monitor knows, with their ids in both standards.

use crate::base::name::Node;
use crate::mqtt::settings::Version;

/// A rule that an endpoint can be seen to break at its own interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A PUBLISH sent again has DUP=1.
    ResendWithoutDup,
    /// A QoS 1 PUBLISH sent for the first time has DUP=0.
    FirstWithDup,
    /// So has one of QoS 2, by a sentence of its own.
    FirstOfQosTwoWithDup,
    /// A QoS 0 PUBLISH has DUP=0.
    QosZeroWithDup,
    /// A new message gets a packet id that is not in use.
    IdInUse,
    /// No PUBLISH is sent again after its PUBREL.
    PublishAfterRelease,
    /// A QoS 2 message goes onward once while its id is held.
    SecondDelivery,
    /// A QoS 1 PUBLISH is answered by PUBACK.
    PublishUnacknowledged,
    /// A QoS 2 PUBLISH is answered by PUBREC.
    PublishUnrecorded,
    /// A PUBREL is answered by PUBCOMP.
    ReleaseUnanswered,
    /// An acknowledgement repeats the id of what it acknowledges.
    AnswerUnasked,
    /// Nothing is forwarded above the granted QoS.
    AboveGranted,
    /// Nothing is forwarded to somebody whose subscription had ended, or who never had one.
    NotSubscribed,
    /// A message that the broker acknowledged goes to every subscriber.
    NeverForwarded,
    /// A message that the client acknowledged goes to its application. No single sentence of the
    /// standard says so; the promise itself does.
    NeverDelivered,
}

/// What is written about a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    rule: Rule,
    /// The id in MQTT 3.1.1, for a client and for the broker; `None` where no single sentence
    /// says it. MQTT 3.1 has none of its own.
    v311: Option<[&'static str; 2]>,
    /// The id in MQTT 5.0, likewise.
    v5: Option<[&'static str; 2]>,
    /// What the endpoint did, after its name.
    says: &'static str,
}

const fn must(rule: Rule, v311: &'static str, v5: &'static str, says: &'static str) -> Facts {
    Facts { rule, v311: Some([v311; 2]), v5: Some([v5; 2]), says }
}

/// The table: one row a rule.
const TABLE: [Facts; 15] = [
    must(Rule::ResendWithoutDup, "MQTT-3.3.1-1", "MQTT-3.3.1-1", "sent a PUBLISH again with DUP=0"),
    must(
        Rule::FirstWithDup,
        "MQTT-4.3.2-1",
        "MQTT-4.3.2-2",
        "sent a QoS 1 PUBLISH for the first time with DUP=1",
    ),
    must(
        Rule::FirstOfQosTwoWithDup,
        "MQTT-4.3.3-1",
        "MQTT-4.3.3-2",
        "sent a QoS 2 PUBLISH for the first time with DUP=1",
    ),
    must(Rule::QosZeroWithDup, "MQTT-3.3.1-2", "MQTT-3.3.1-2", "sent a QoS 0 PUBLISH with DUP=1"),
    Facts {
        rule: Rule::IdInUse,
        v311: Some(["MQTT-2.3.1-2", "MQTT-2.3.1-4"]),
        v5: Some(["MQTT-2.2.1-3", "MQTT-2.2.1-4"]),
        says: "gave a packet id to a new message while another still used it",
    },
    must(
        Rule::PublishAfterRelease,
        "MQTT-4.3.3-1",
        "MQTT-4.3.3-6",
        "sent a PUBLISH again after its PUBREL",
    ),
    must(
        Rule::SecondDelivery,
        "MQTT-4.3.3-2",
        "MQTT-4.3.3-10",
        "passed a QoS 2 message on again although it held its packet id",
    ),
    must(
        Rule::PublishUnacknowledged,
        "MQTT-4.3.2-2",
        "MQTT-4.3.2-4",
        "did not answer a QoS 1 PUBLISH with PUBACK",
    ),
    must(
        Rule::PublishUnrecorded,
        "MQTT-4.3.3-2",
        "MQTT-4.3.3-8",
        "did not answer a QoS 2 PUBLISH with PUBREC",
    ),
    must(
        Rule::ReleaseUnanswered,
        "MQTT-4.3.3-2",
        "MQTT-4.3.3-11",
        "did not answer a PUBREL with PUBCOMP",
    ),
    must(
        Rule::AnswerUnasked,
        "MQTT-2.3.1-6",
        "MQTT-2.2.1-5",
        "acknowledged a packet id that it had not received",
    ),
    must(
        Rule::AboveGranted,
        "MQTT-3.8.4-6",
        "MQTT-3.8.4-8",
        "forwarded a message above the granted QoS",
    ),
    must(
        Rule::NotSubscribed,
        "MQTT-3.10.4-2",
        "MQTT-3.10.4-2",
        "forwarded a message to a client that had no subscription for it",
    ),
    must(
        Rule::NeverForwarded,
        "MQTT-4.5.0-1",
        "MQTT-4.5.0-1",
        "acknowledged a message and never sent it to this subscriber",
    ),
    Facts {
        rule: Rule::NeverDelivered,
        v311: None,
        v5: None,
        says: "acknowledged a message and never handed it to its application",
    },
];

impl Rule {
    /// The rule's id in the standard, for the node that broke it and the version it speaks;
    /// `None` where no single sentence of the standard says it.
    #[must_use]
    pub fn id(self, version: Version, node: Node) -> Option<&'static str> {
        let ids = match version {
            Version::V31 | Version::V311 => self.facts().v311,
            Version::V5 => self.facts().v5,
        };
        ids.map(|ids| ids[usize::from(node == Node::Broker)])
    }

    /// What an endpoint did that broke it, as the rest of a sentence after the endpoint's name.
    #[must_use]
    pub fn says(self) -> &'static str {
        self.facts().says
    }

    fn facts(self) -> &'static Facts {
        let row = TABLE.iter().find(|facts| facts.rule == self);
        row.expect("every rule has its row, as a test checks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_exactly_one_row_and_rows_stand_in_order() {
        assert!(TABLE.windows(2).all(|rows| rows[0].rule < rows[1].rule));
        assert_eq!(TABLE[TABLE.len() - 1].rule, Rule::NeverDelivered);
        assert_eq!(Rule::NeverDelivered as usize + 1, TABLE.len());
    }
}
