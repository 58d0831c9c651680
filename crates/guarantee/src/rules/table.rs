//! The table of rules: one row for each rule.

use super::CheckedAt::{Broker, Client, Either, Receiver, Sender};
use super::Citation::{Both, NotInVersion, Sides, Unnumbered};
use super::row::must_rule;
use super::second_pass::SECOND_PASS_RULES;
use super::{Rule, RuleFacts, Strength};

const WIRE_RULES: [RuleFacts; 63] = [
    must_rule(
        Rule::ResendWithoutDup,
        "resend-without-dup",
        Sender,
        (Both("MQTT-3.3.1-1"), Both("MQTT-3.3.1-1")),
    )
    .description("sent a PUBLISH again with DUP=0"),
    must_rule(
        Rule::FirstWithDup,
        "first-with-dup",
        Sender,
        (Both("MQTT-4.3.2-1"), Both("MQTT-4.3.2-2")),
    )
    .description("sent a QoS 1 PUBLISH for the first time with DUP=1"),
    must_rule(
        Rule::FirstOfQosTwoWithDup,
        "first-of-qos2-with-dup",
        Sender,
        (Both("MQTT-4.3.3-1"), Both("MQTT-4.3.3-2")),
    )
    .description("sent a QoS 2 PUBLISH for the first time with DUP=1"),
    must_rule(
        Rule::QosZeroWithDup,
        "qos0-with-dup",
        Sender,
        (Both("MQTT-3.3.1-2"), Both("MQTT-3.3.1-2")),
    )
    .description("sent a QoS 0 PUBLISH with DUP=1"),
    must_rule(
        Rule::ReservedQos,
        "reserved-qos",
        Sender,
        (Both("MQTT-3.3.1-4"), Both("MQTT-3.3.1-4")),
    )
    .description("sent a PUBLISH with the reserved QoS 3"),
    must_rule(
        Rule::ReleaseFlags,
        "release-flags",
        Sender,
        (Both("MQTT-3.6.1-1"), Both("MQTT-3.6.1-1")),
    )
    .description("sent a PUBREL whose flags are not 0010"),
    must_rule(
        Rule::SubscribeFlags,
        "subscribe-flags",
        Client,
        (Both("MQTT-3.8.1-1"), Both("MQTT-3.8.1-1")),
    )
    .description("sent a SUBSCRIBE whose flags are not 0010"),
    must_rule(
        Rule::UnsubscribeFlags,
        "unsubscribe-flags",
        Client,
        (Both("MQTT-3.10.1-1"), Both("MQTT-3.10.1-1")),
    )
    .description("sent an UNSUBSCRIBE whose flags are not 0010"),
    must_rule(
        Rule::ReservedFlags,
        "reserved-flags",
        Either,
        (Both("MQTT-2.2.2-1"), Both("MQTT-2.1.3-1")),
    )
    .description("set a reserved flag in a packet's first byte"),
    must_rule(
        Rule::IdZero,
        "id-zero",
        Either,
        (Both("MQTT-2.3.1-1"), Sides("MQTT-2.2.1-3", "MQTT-2.2.1-4")),
    )
    .description("sent a packet that needs an id with the id 0"),
    must_rule(
        Rule::IdOnQosZero,
        "id-on-qos0",
        Sender,
        (Both("MQTT-2.3.1-5"), Both("MQTT-2.2.1-2")),
    )
    .description("sent a QoS 0 PUBLISH with a packet id"),
    must_rule(
        Rule::IdInUse,
        "id-in-use",
        Sender,
        (Sides("MQTT-2.3.1-2", "MQTT-2.3.1-4"), Sides("MQTT-2.2.1-3", "MQTT-2.2.1-4")),
    )
    .description("gave a packet id to a new message while another still used it"),
    must_rule(
        Rule::IdChanged,
        "id-changed",
        Sender,
        (Sides("MQTT-2.3.1-3", "MQTT-2.3.1-4"), Both("MQTT-4.4.0-1")),
    )
    .description("sent a message again under another packet id"),
    must_rule(
        Rule::PublishAfterRelease,
        "publish-after-release",
        Sender,
        (Both("MQTT-4.3.3-1"), Both("MQTT-4.3.3-6")),
    )
    .description("sent a PUBLISH again after its PUBREL"),
    must_rule(
        Rule::ReleaseMissing,
        "release-missing",
        Sender,
        (Both("MQTT-4.3.3-1"), Both("MQTT-4.3.3-4")),
    )
    .description("did not answer a PUBREC with PUBREL"),
    must_rule(
        Rule::ReleaseUnasked,
        "release-unasked",
        Sender,
        (Both("MQTT-4.3.3-1"), Both("MQTT-4.3.3-3")),
    )
    .description("sent a PUBREL for a message that no PUBREC had come for"),
    must_rule(
        Rule::PublishNotResent,
        "publish-not-resent",
        Sender,
        (Both("MQTT-4.4.0-1"), Both("MQTT-4.4.0-1")),
    )
    .not_in_31()
    .description("did not send an unacknowledged PUBLISH again when the session was resumed"),
    must_rule(
        Rule::ReleaseNotResent,
        "release-not-resent",
        Sender,
        (Both("MQTT-4.4.0-1"), Both("MQTT-4.4.0-1")),
    )
    .not_in_31()
    .description("did not send an unacknowledged PUBREL again when the session was resumed"),
    must_rule(
        Rule::ResendOutOfOrder,
        "resend-out-of-order",
        Sender,
        (Both("MQTT-4.6.0-1"), Both("MQTT-4.6.0-1")),
    )
    .not_in_31()
    .description("sent a PUBLISH again after one that it had first sent later"),
    must_rule(Rule::NewBeforeResend, "new-before-resend", Sender, (Unnumbered, Unnumbered))
        .not_in_31()
        .tcp_only()
        .strength(Strength::Promise)
        .description("sent a new PUBLISH before it had repeated an earlier one"),
    must_rule(
        Rule::ReleaseOutOfOrder,
        "release-out-of-order",
        Sender,
        (Both("MQTT-4.6.0-4"), Both("MQTT-4.6.0-4")),
    )
    .not_in_31()
    .description("answered a PUBREC after one that had come later"),
    // It says nothing of PUBRELs that are sent again.
    must_rule(
        Rule::ReleaseResentOutOfOrder,
        "release-resent-out-of-order",
        Sender,
        (Both("MQTT-4.6.0-4"), Both("MQTT-4.6.0-4")),
    )
    .not_in_31()
    .strength(Strength::Should)
    .description("sent a PUBREL again after that of a later message whose PUBREC had come later"),
    must_rule(Rule::ResentAlive, "resent-alive", Sender, (NotInVersion, Both("MQTT-4.4.0-1")))
        .not_in_31()
        .description("sent a packet again on a live connection"),
    must_rule(Rule::RefusedResent, "refused-resent", Sender, (NotInVersion, Both("MQTT-4.4.0-2")))
        .not_in_31()
        .description("sent a PUBLISH again that had been refused"),
    must_rule(
        Rule::ReceiveMaximumExceeded,
        "receive-maximum-exceeded",
        Sender,
        (NotInVersion, Sides("MQTT-3.3.4-7", "MQTT-3.3.4-9")),
    )
    .not_in_31()
    .description("sent more unacknowledged messages than its peer's Receive Maximum"),
    must_rule(
        Rule::TooLarge,
        "too-large",
        Either,
        (NotInVersion, Sides("MQTT-3.2.2-15", "MQTT-3.1.2-24")),
    )
    .not_in_31()
    .description("sent a packet larger than its peer's Maximum Packet Size"),
    must_rule(
        Rule::ExpiredInFlight,
        "expired-in-flight",
        Sender,
        (NotInVersion, Both("MQTT-4.3.3-7")),
    )
    .not_in_31()
    .description("dropped a QoS 2 message as expired after it had sent its PUBLISH"),
    must_rule(
        Rule::OldStateAfterReset,
        "old-state-after-reset",
        Sender,
        (NotInVersion, Both("MQTT-3.2.2-5")),
    )
    .not_in_31()
    .description("went on with an exchange of a session that its peer no longer had"),
    must_rule(
        Rule::OldStateAfterClean,
        "old-state-after-clean",
        Sender,
        (Both("MQTT-3.1.2-6"), Both("MQTT-3.1.2-4")),
    )
    .not_in_31()
    .description("went on with an exchange of a session from before a clean start"),
    must_rule(
        Rule::SecondDelivery,
        "second-delivery",
        Receiver,
        (Both("MQTT-4.3.3-2"), Both("MQTT-4.3.3-10")),
    )
    .description("passed a QoS 2 message on again although it held its packet id"),
    must_rule(
        Rule::PublishUnacknowledged,
        "publish-unacknowledged",
        Receiver,
        (Both("MQTT-4.3.2-2"), Both("MQTT-4.3.2-4")),
    )
    .description("did not answer a QoS 1 PUBLISH with PUBACK"),
    must_rule(
        Rule::PublishUnrecorded,
        "publish-unrecorded",
        Receiver,
        (Both("MQTT-4.3.3-2"), Both("MQTT-4.3.3-8")),
    )
    .description("did not answer a QoS 2 PUBLISH with PUBREC"),
    must_rule(
        Rule::ReleaseUnanswered,
        "release-unanswered",
        Receiver,
        (Both("MQTT-4.3.3-2"), Both("MQTT-4.3.3-11")),
    )
    .description("did not answer a PUBREL with PUBCOMP"),
    must_rule(
        Rule::AnswerUnasked,
        "answer-unasked",
        Receiver,
        (Both("MQTT-2.3.1-6"), Both("MQTT-2.2.1-5")),
    )
    .description("acknowledged a packet id that it had not received"),
    must_rule(
        Rule::AckOutOfOrder,
        "ack-out-of-order",
        Receiver,
        (Both("MQTT-4.6.0-2"), Both("MQTT-4.6.0-2")),
    )
    .not_in_31()
    .description("sent a PUBACK after that of a message that had come later"),
    must_rule(
        Rule::RecordOutOfOrder,
        "record-out-of-order",
        Receiver,
        (Both("MQTT-4.6.0-3"), Both("MQTT-4.6.0-3")),
    )
    .not_in_31()
    .description("sent a PUBREC after that of a message that had come later"),
    must_rule(
        Rule::ConnectNotFirst,
        "connect-not-first",
        Client,
        (Both("MQTT-3.1.0-1"), Both("MQTT-3.1.0-1")),
    )
    .description("sent another packet before CONNECT"),
    must_rule(
        Rule::SecondConnect,
        "second-connect",
        Client,
        (Both("MQTT-3.1.0-2"), Both("MQTT-3.1.0-2")),
    )
    .tcp_only()
    .description("sent CONNECT twice on one connection"),
    must_rule(
        Rule::ConnAckNotFirst,
        "connack-not-first",
        Broker,
        (Both("MQTT-3.2.0-1"), Both("MQTT-3.2.0-1")),
    )
    .not_in_31()
    .description("sent another packet before CONNACK"),
    must_rule(Rule::SecondConnAck, "second-connack", Broker, (NotInVersion, Both("MQTT-3.2.0-2")))
        .not_in_31()
        .tcp_only()
        .description("sent CONNACK twice on one connection"),
    must_rule(
        Rule::ConnectUnanswered,
        "connect-unanswered",
        Broker,
        (Both("MQTT-3.1.4-4"), Both("MQTT-3.1.4-5")),
    )
    .description("did not answer a CONNECT with CONNACK"),
    must_rule(
        Rule::PresentAfterClean,
        "present-after-clean",
        Broker,
        (Both("MQTT-3.2.2-1"), Both("MQTT-3.2.2-2")),
    )
    .not_in_31()
    .description("said Session Present to a client that asked for a clean start"),
    must_rule(
        Rule::PresentWithoutSession,
        "present-without-session",
        Broker,
        (Both("MQTT-3.2.2-3"), Both("MQTT-3.2.2-3")),
    )
    .not_in_31()
    .description("said Session Present where no session can be"),
    must_rule(
        Rule::SessionLost,
        "session-lost",
        Broker,
        (Both("MQTT-3.2.2-2"), Both("MQTT-3.2.2-3")),
    )
    .not_in_31()
    .description("said that there is no session although it had to keep one"),
    must_rule(
        Rule::OldLeftOpen,
        "old-left-open",
        Broker,
        (Both("MQTT-3.1.4-2"), Both("MQTT-3.1.4-3")),
    )
    .description("accepted a client and left its older connection open"),
    must_rule(
        Rule::SentAfterDisconnect,
        "sent-after-disconnect",
        Either,
        (Both("MQTT-3.14.4-2"), Both("MQTT-3.14.4-1")),
    )
    .not_in_31()
    .description("sent a packet after DISCONNECT"),
    must_rule(
        Rule::ClientSilent,
        "client-silent",
        Client,
        (Both("MQTT-3.1.2-23"), Both("MQTT-3.1.2-20")),
    )
    .tcp_only()
    .description("sent nothing for longer than its Keep Alive"),
    must_rule(
        Rule::SilenceIgnored,
        "silence-ignored",
        Broker,
        (Both("MQTT-3.1.2-24"), Both("MQTT-3.1.2-22")),
    )
    .tcp_only()
    .description("kept a connection open on which nothing had come for 1.5 times its Keep Alive"),
    must_rule(
        Rule::PingUnanswered,
        "ping-unanswered",
        Broker,
        (Both("MQTT-3.12.4-1"), Both("MQTT-3.12.4-1")),
    )
    .description("did not answer a PINGREQ with PINGRESP"),
    must_rule(Rule::PingUnheeded, "ping-unheeded", Client, (Unnumbered, Unnumbered))
        .tcp_only()
        .strength(Strength::Should)
        .description(
            "kept a connection open for twice its Keep Alive after a PINGREQ that got no PINGRESP",
        ),
    must_rule(
        Rule::SubscribeUnanswered,
        "subscribe-unanswered",
        Broker,
        (Both("MQTT-3.8.4-1"), Both("MQTT-3.8.4-1")),
    )
    .description("did not answer a SUBSCRIBE with SUBACK"),
    must_rule(
        Rule::SubackIncomplete,
        "suback-incomplete",
        Broker,
        (Both("MQTT-3.8.4-5"), Both("MQTT-3.8.4-6")),
    )
    .description("sent a SUBACK that has not one code for each topic filter"),
    must_rule(
        Rule::UnsubscribeUnanswered,
        "unsubscribe-unanswered",
        Broker,
        (Both("MQTT-3.10.4-4"), Both("MQTT-3.10.4-4")),
    )
    .description("did not answer an UNSUBSCRIBE with UNSUBACK"),
    must_rule(
        Rule::RequestAnswerUnasked,
        "request-answer-unasked",
        Broker,
        (Both("MQTT-2.3.1-7"), Both("MQTT-2.2.1-6")),
    )
    .description("sent a SUBACK or UNSUBACK with an id that nobody had asked with"),
    must_rule(
        Rule::RetainOnForward,
        "retain-on-forward",
        Broker,
        (Both("MQTT-3.3.1-9"), Both("MQTT-3.3.1-12")),
    )
    .description("forwarded a message to an established subscription with RETAIN=1"),
    must_rule(
        Rule::RetainedWithoutFlag,
        "retained-without-flag",
        Broker,
        (Both("MQTT-3.3.1-8"), NotInVersion),
    )
    .description("answered a new subscription by a retained message with RETAIN=0"),
    must_rule(
        Rule::RetainedUnwanted,
        "retained-unwanted",
        Broker,
        (NotInVersion, Both("MQTT-3.3.1-11")),
    )
    .not_in_31()
    .description("sent a retained message to a client that asked for none"),
    must_rule(
        Rule::ForwardedToItself,
        "forwarded-to-itself",
        Broker,
        (NotInVersion, Both("MQTT-3.8.3-3")),
    )
    .not_in_31()
    .description("forwarded a message to its publisher, which had asked for No Local"),
    must_rule(
        Rule::ExpiredForwarded,
        "expired-forwarded",
        Broker,
        (NotInVersion, Both("MQTT-3.3.2-5")),
    )
    .not_in_31()
    .description("began to forward a message that had expired"),
    must_rule(
        Rule::ExpiryNotReduced,
        "expiry-not-reduced",
        Broker,
        (NotInVersion, Both("MQTT-3.3.2-6")),
    )
    .not_in_31()
    .description("forwarded a message with more time to live than was left"),
    must_rule(
        Rule::WillUnowed,
        "will-unowed",
        Broker,
        (Both("MQTT-3.1.2-10"), Both("MQTT-3.1.2-10")),
    )
    .description("published a will that was taken away or published before"),
    must_rule(Rule::WillTooEarly, "will-too-early", Broker, (NotInVersion, Both("MQTT-3.1.2-8")))
        .not_in_31()
        .description("published a will before its delay had passed"),
    must_rule(
        Rule::WillNotPublished,
        "will-not-published",
        Broker,
        (Both("MQTT-3.1.2-8"), Both("MQTT-3.1.2-8")),
    )
    .description("did not publish the will of a connection that ended without DISCONNECT"),
];

/// The rows, by [`Rule`].
pub(super) const RULE_TABLE: [RuleFacts; WIRE_RULES.len() + SECOND_PASS_RULES.len()] = {
    let mut all = [WIRE_RULES[0]; WIRE_RULES.len() + SECOND_PASS_RULES.len()];
    let mut nth = 0;
    while nth < all.len() {
        let is_of_wire = nth < WIRE_RULES.len();
        all[nth] =
            if is_of_wire { WIRE_RULES[nth] } else { SECOND_PASS_RULES[nth - WIRE_RULES.len()] };
        nth += 1;
    }
    all
};

/// Every rule, in the order of the table.
pub const ALL_RULES: [Rule; RULE_TABLE.len()] = {
    let mut all = [Rule::ResendWithoutDup; RULE_TABLE.len()];
    let mut nth = 0;
    while nth < all.len() {
        all[nth] = RULE_TABLE[nth].rule;
        nth += 1;
    }
    all
};
