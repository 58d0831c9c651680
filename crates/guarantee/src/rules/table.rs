//! The table: one row a rule.

use super::At::{Broker, Client, Either, Receiver, Sender};
use super::Cited::{self, Both, Nowhere, Sides, Unnumbered};
use super::{At, Facts, Rule, Strength};

/// A MUST of all three versions, wherever a wire can show it.
const fn must(rule: Rule, name: &'static str, at: At, (v311, v5): (Cited, Cited)) -> Facts {
    Facts {
        rule,
        name,
        strength: Strength::Must,
        at,
        v31: true,
        v311,
        v5,
        stream: false,
        second_pass: false,
        says: "",
    }
}

impl Facts {
    /// What an endpoint did that broke it.
    const fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    /// MQTT 3.1 does not have it.
    const fn not_in_31(self) -> Self {
        Self { v31: false, ..self }
    }

    /// Datagrams may break it with nobody at fault.
    const fn over_tcp(self) -> Self {
        Self { stream: true, ..self }
    }

    /// Looked for only where a promise broke.
    const fn in_second_pass(self) -> Self {
        Self { second_pass: true, ..self }
    }

    const fn strength(self, strength: Strength) -> Self {
        Self { strength, ..self }
    }
}

pub(super) const TABLE: [Facts; 64] = [
    must(
        Rule::ResendWithoutDup,
        "resend-without-dup",
        Sender,
        (Both("MQTT-3.3.1-1"), Both("MQTT-3.3.1-1")),
    )
    .says("sent a PUBLISH again with DUP=0"),
    must(
        Rule::FirstWithDup,
        "first-with-dup",
        Sender,
        (Both("MQTT-4.3.2-1"), Both("MQTT-4.3.2-2")),
    )
    .says("sent a QoS 1 PUBLISH for the first time with DUP=1"),
    must(
        Rule::FirstOfQosTwoWithDup,
        "first-of-qos2-with-dup",
        Sender,
        (Both("MQTT-4.3.3-1"), Both("MQTT-4.3.3-2")),
    )
    .says("sent a QoS 2 PUBLISH for the first time with DUP=1"),
    must(
        Rule::QosZeroWithDup,
        "qos0-with-dup",
        Sender,
        (Both("MQTT-3.3.1-2"), Both("MQTT-3.3.1-2")),
    )
    .says("sent a QoS 0 PUBLISH with DUP=1"),
    must(Rule::ReservedQos, "reserved-qos", Sender, (Both("MQTT-3.3.1-4"), Both("MQTT-3.3.1-4")))
        .says("sent a PUBLISH with the reserved QoS 3"),
    must(Rule::ReleaseFlags, "release-flags", Sender, (Both("MQTT-3.6.1-1"), Both("MQTT-3.6.1-1")))
        .says("sent a PUBREL whose flags are not 0010"),
    must(
        Rule::SubscribeFlags,
        "subscribe-flags",
        Client,
        (Both("MQTT-3.8.1-1"), Both("MQTT-3.8.1-1")),
    )
    .says("sent a SUBSCRIBE whose flags are not 0010"),
    must(
        Rule::UnsubscribeFlags,
        "unsubscribe-flags",
        Client,
        (Both("MQTT-3.10.1-1"), Both("MQTT-3.10.1-1")),
    )
    .says("sent an UNSUBSCRIBE whose flags are not 0010"),
    must(
        Rule::ReservedFlags,
        "reserved-flags",
        Either,
        (Both("MQTT-2.2.2-1"), Both("MQTT-2.1.3-1")),
    )
    .says("set a reserved flag in a packet's first byte"),
    must(
        Rule::IdZero,
        "id-zero",
        Either,
        (Both("MQTT-2.3.1-1"), Sides("MQTT-2.2.1-3", "MQTT-2.2.1-4")),
    )
    .says("sent a packet that needs an id with the id 0"),
    must(Rule::IdOnQosZero, "id-on-qos0", Sender, (Both("MQTT-2.3.1-5"), Both("MQTT-2.2.1-2")))
        .says("sent a QoS 0 PUBLISH with a packet id"),
    must(
        Rule::IdInUse,
        "id-in-use",
        Sender,
        (Sides("MQTT-2.3.1-2", "MQTT-2.3.1-4"), Sides("MQTT-2.2.1-3", "MQTT-2.2.1-4")),
    )
    .says("gave a packet id to a new message while another still used it"),
    must(
        Rule::IdChanged,
        "id-changed",
        Sender,
        (Sides("MQTT-2.3.1-3", "MQTT-2.3.1-4"), Both("MQTT-4.4.0-1")),
    )
    .says("sent a message again under another packet id"),
    must(
        Rule::PublishAfterRelease,
        "publish-after-release",
        Sender,
        (Both("MQTT-4.3.3-1"), Both("MQTT-4.3.3-6")),
    )
    .says("sent a PUBLISH again after its PUBREL"),
    must(
        Rule::ReleaseMissing,
        "release-missing",
        Sender,
        (Both("MQTT-4.3.3-1"), Both("MQTT-4.3.3-4")),
    )
    .says("did not answer a PUBREC with PUBREL"),
    must(
        Rule::ReleaseUnasked,
        "release-unasked",
        Sender,
        (Both("MQTT-4.3.3-1"), Both("MQTT-4.3.3-3")),
    )
    .says("sent a PUBREL for a message that no PUBREC had come for"),
    must(
        Rule::PublishNotResent,
        "publish-not-resent",
        Sender,
        (Both("MQTT-4.4.0-1"), Both("MQTT-4.4.0-1")),
    )
    .not_in_31()
    .says("did not send an unacknowledged PUBLISH again when the session was resumed"),
    must(
        Rule::ReleaseNotResent,
        "release-not-resent",
        Sender,
        (Both("MQTT-4.4.0-1"), Both("MQTT-4.4.0-1")),
    )
    .not_in_31()
    .says("did not send an unacknowledged PUBREL again when the session was resumed"),
    must(
        Rule::ResendOutOfOrder,
        "resend-out-of-order",
        Sender,
        (Both("MQTT-4.6.0-1"), Both("MQTT-4.6.0-1")),
    )
    .not_in_31()
    .says("sent a PUBLISH again after one that it had first sent later"),
    must(
        Rule::ReleaseOutOfOrder,
        "release-out-of-order",
        Sender,
        (Both("MQTT-4.6.0-4"), Both("MQTT-4.6.0-4")),
    )
    .not_in_31()
    .says("answered a PUBREC after one that had come later"),
    // It says nothing of PUBRELs that are sent again.
    must(
        Rule::ReleaseResentOutOfOrder,
        "release-resent-out-of-order",
        Sender,
        (Both("MQTT-4.6.0-4"), Both("MQTT-4.6.0-4")),
    )
    .not_in_31()
    .strength(Strength::Should)
    .says("sent a PUBREL again after that of a later message whose PUBREC had come later"),
    must(Rule::ResentAlive, "resent-alive", Sender, (Nowhere, Both("MQTT-4.4.0-1")))
        .not_in_31()
        .says("sent a packet again on a live connection"),
    must(Rule::RefusedResent, "refused-resent", Sender, (Nowhere, Both("MQTT-4.4.0-2")))
        .not_in_31()
        .says("sent a PUBLISH again that had been refused"),
    must(
        Rule::ReceiveMaximumExceeded,
        "receive-maximum-exceeded",
        Sender,
        (Nowhere, Sides("MQTT-3.3.4-7", "MQTT-3.3.4-9")),
    )
    .not_in_31()
    .says("sent more unacknowledged messages than its peer's Receive Maximum"),
    must(Rule::TooLarge, "too-large", Either, (Nowhere, Sides("MQTT-3.2.2-15", "MQTT-3.1.2-24")))
        .not_in_31()
        .says("sent a packet larger than its peer's Maximum Packet Size"),
    must(Rule::ExpiredInFlight, "expired-in-flight", Sender, (Nowhere, Both("MQTT-4.3.3-7")))
        .not_in_31()
        .says("dropped a QoS 2 message as expired after it had sent its PUBLISH"),
    must(
        Rule::OldStateAfterReset,
        "old-state-after-reset",
        Sender,
        (Nowhere, Both("MQTT-3.2.2-5")),
    )
    .not_in_31()
    .says("went on with an exchange of a session that its peer no longer had"),
    must(
        Rule::OldStateAfterClean,
        "old-state-after-clean",
        Sender,
        (Both("MQTT-3.1.2-6"), Both("MQTT-3.1.2-4")),
    )
    .not_in_31()
    .says("went on with an exchange of a session from before a clean start"),
    must(
        Rule::SecondDelivery,
        "second-delivery",
        Receiver,
        (Both("MQTT-4.3.3-2"), Both("MQTT-4.3.3-10")),
    )
    .says("passed a QoS 2 message on again although it held its packet id"),
    must(
        Rule::PublishUnacknowledged,
        "publish-unacknowledged",
        Receiver,
        (Both("MQTT-4.3.2-2"), Both("MQTT-4.3.2-4")),
    )
    .says("did not answer a QoS 1 PUBLISH with PUBACK"),
    must(
        Rule::PublishUnrecorded,
        "publish-unrecorded",
        Receiver,
        (Both("MQTT-4.3.3-2"), Both("MQTT-4.3.3-8")),
    )
    .says("did not answer a QoS 2 PUBLISH with PUBREC"),
    must(
        Rule::ReleaseUnanswered,
        "release-unanswered",
        Receiver,
        (Both("MQTT-4.3.3-2"), Both("MQTT-4.3.3-11")),
    )
    .says("did not answer a PUBREL with PUBCOMP"),
    must(
        Rule::AnswerUnasked,
        "answer-unasked",
        Receiver,
        (Both("MQTT-2.3.1-6"), Both("MQTT-2.2.1-5")),
    )
    .says("acknowledged a packet id that it had not received"),
    must(
        Rule::AckOutOfOrder,
        "ack-out-of-order",
        Receiver,
        (Both("MQTT-4.6.0-2"), Both("MQTT-4.6.0-2")),
    )
    .not_in_31()
    .says("sent a PUBACK after that of a message that had come later"),
    must(
        Rule::RecordOutOfOrder,
        "record-out-of-order",
        Receiver,
        (Both("MQTT-4.6.0-3"), Both("MQTT-4.6.0-3")),
    )
    .not_in_31()
    .says("sent a PUBREC after that of a message that had come later"),
    must(
        Rule::ConnectNotFirst,
        "connect-not-first",
        Client,
        (Both("MQTT-3.1.0-1"), Both("MQTT-3.1.0-1")),
    )
    .says("sent another packet before CONNECT"),
    must(
        Rule::SecondConnect,
        "second-connect",
        Client,
        (Both("MQTT-3.1.0-2"), Both("MQTT-3.1.0-2")),
    )
    .over_tcp()
    .says("sent CONNECT twice on one connection"),
    must(
        Rule::ConnAckNotFirst,
        "connack-not-first",
        Broker,
        (Both("MQTT-3.2.0-1"), Both("MQTT-3.2.0-1")),
    )
    .not_in_31()
    .says("sent another packet before CONNACK"),
    must(Rule::SecondConnAck, "second-connack", Broker, (Nowhere, Both("MQTT-3.2.0-2")))
        .not_in_31()
        .over_tcp()
        .says("sent CONNACK twice on one connection"),
    must(
        Rule::ConnectUnanswered,
        "connect-unanswered",
        Broker,
        (Both("MQTT-3.1.4-4"), Both("MQTT-3.1.4-5")),
    )
    .says("did not answer a CONNECT with CONNACK"),
    must(
        Rule::PresentAfterClean,
        "present-after-clean",
        Broker,
        (Both("MQTT-3.2.2-1"), Both("MQTT-3.2.2-2")),
    )
    .not_in_31()
    .says("said Session Present to a client that asked for a clean start"),
    must(
        Rule::PresentWithoutSession,
        "present-without-session",
        Broker,
        (Both("MQTT-3.2.2-3"), Both("MQTT-3.2.2-3")),
    )
    .not_in_31()
    .says("said Session Present where no session can be"),
    must(Rule::SessionLost, "session-lost", Broker, (Both("MQTT-3.2.2-2"), Both("MQTT-3.2.2-3")))
        .not_in_31()
        .says("said that there is no session although it had to keep one"),
    must(Rule::OldLeftOpen, "old-left-open", Broker, (Both("MQTT-3.1.4-2"), Both("MQTT-3.1.4-3")))
        .says("accepted a client and left its older connection open"),
    must(
        Rule::SentAfterDisconnect,
        "sent-after-disconnect",
        Either,
        (Both("MQTT-3.14.4-2"), Both("MQTT-3.14.4-1")),
    )
    .not_in_31()
    .says("sent a packet after DISCONNECT"),
    must(
        Rule::ClientSilent,
        "client-silent",
        Client,
        (Both("MQTT-3.1.2-23"), Both("MQTT-3.1.2-20")),
    )
    .over_tcp()
    .says("sent nothing for longer than its Keep Alive"),
    must(
        Rule::SilenceIgnored,
        "silence-ignored",
        Broker,
        (Both("MQTT-3.1.2-24"), Both("MQTT-3.1.2-22")),
    )
    .over_tcp()
    .says("kept a connection open on which nothing had come for 1.5 times its Keep Alive"),
    must(
        Rule::PingUnanswered,
        "ping-unanswered",
        Broker,
        (Both("MQTT-3.12.4-1"), Both("MQTT-3.12.4-1")),
    )
    .says("did not answer a PINGREQ with PINGRESP"),
    must(Rule::PingUnheeded, "ping-unheeded", Client, (Unnumbered, Unnumbered))
        .over_tcp()
        .strength(Strength::Should)
        .says(
            "kept a connection open for twice its Keep Alive after a PINGREQ that got no PINGRESP",
        ),
    must(
        Rule::SubscribeUnanswered,
        "subscribe-unanswered",
        Broker,
        (Both("MQTT-3.8.4-1"), Both("MQTT-3.8.4-1")),
    )
    .says("did not answer a SUBSCRIBE with SUBACK"),
    must(
        Rule::SubackIncomplete,
        "suback-incomplete",
        Broker,
        (Both("MQTT-3.8.4-5"), Both("MQTT-3.8.4-6")),
    )
    .says("sent a SUBACK that has not one code for each topic filter"),
    must(
        Rule::UnsubscribeUnanswered,
        "unsubscribe-unanswered",
        Broker,
        (Both("MQTT-3.10.4-4"), Both("MQTT-3.10.4-4")),
    )
    .says("did not answer an UNSUBSCRIBE with UNSUBACK"),
    must(
        Rule::RequestAnswerUnasked,
        "request-answer-unasked",
        Broker,
        (Both("MQTT-2.3.1-7"), Both("MQTT-2.2.1-6")),
    )
    .says("sent a SUBACK or UNSUBACK with an id that nobody had asked with"),
    must(
        Rule::RetainOnForward,
        "retain-on-forward",
        Broker,
        (Both("MQTT-3.3.1-9"), Both("MQTT-3.3.1-12")),
    )
    .says("forwarded a message to an established subscription with RETAIN=1"),
    must(
        Rule::RetainedWithoutFlag,
        "retained-without-flag",
        Broker,
        (Both("MQTT-3.3.1-8"), Nowhere),
    )
    .says("answered a new subscription by a retained message with RETAIN=0"),
    must(Rule::RetainedUnwanted, "retained-unwanted", Broker, (Nowhere, Both("MQTT-3.3.1-11")))
        .not_in_31()
        .says("sent a retained message to a client that asked for none"),
    must(Rule::ForwardedToItself, "forwarded-to-itself", Broker, (Nowhere, Both("MQTT-3.8.3-3")))
        .not_in_31()
        .says("forwarded a message to its publisher, which had asked for No Local"),
    must(Rule::ExpiredForwarded, "expired-forwarded", Broker, (Nowhere, Both("MQTT-3.3.2-5")))
        .not_in_31()
        .says("began to forward a message that had expired"),
    must(Rule::ExpiryNotReduced, "expiry-not-reduced", Broker, (Nowhere, Both("MQTT-3.3.2-6")))
        .not_in_31()
        .says("forwarded a message with more time to live than was left"),
    must(Rule::AboveGranted, "above-granted", Broker, (Both("MQTT-3.8.4-6"), Both("MQTT-3.8.4-8")))
        .in_second_pass()
        .says("forwarded a message above the granted QoS"),
    must(Rule::BelowGranted, "below-granted", Broker, (Both("MQTT-3.3.5-1"), Both("MQTT-3.3.4-2")))
        .in_second_pass()
        .says("forwarded a message below the highest QoS granted for it"),
    must(
        Rule::NotSubscribed,
        "not-subscribed",
        Broker,
        (Both("MQTT-3.10.4-2"), Both("MQTT-3.10.4-2")),
    )
    .in_second_pass()
    .says("forwarded a message to a client that had no subscription for it"),
    must(
        Rule::NeverForwarded,
        "never-forwarded",
        Broker,
        (Both("MQTT-4.5.0-1"), Both("MQTT-4.5.0-1")),
    )
    .in_second_pass()
    .says("acknowledged a message and never sent it to this subscriber"),
    must(Rule::NeverDelivered, "never-delivered", Client, (Unnumbered, Unnumbered))
        .in_second_pass()
        .strength(Strength::Promise)
        .says("acknowledged a message and never handed it to its application"),
];

/// Every rule, in the order of the table.
pub const ALL: [Rule; TABLE.len()] = {
    let mut all = [Rule::ResendWithoutDup; TABLE.len()];
    let mut nth = 0;
    while nth < all.len() {
        all[nth] = TABLE[nth].rule;
        nth += 1;
    }
    all
};
