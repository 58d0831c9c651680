//! The rules that are looked for only where a promise broke.

use super::CheckedAt::{Broker, Client};
use super::Citation::{Both, Unnumbered};
use super::row::must_rule;
use super::{Rule, RuleFacts, Strength};

/// The last rows of the table.
pub(super) const SECOND_PASS_RULES: [RuleFacts; 8] = [
    must_rule(
        Rule::AboveGranted,
        "above-granted",
        Broker,
        (Both("MQTT-3.8.4-6"), Both("MQTT-3.8.4-8")),
    )
    .in_second_pass()
    .description("forwarded a message above the granted QoS"),
    must_rule(
        Rule::BelowGranted,
        "below-granted",
        Broker,
        (Both("MQTT-3.3.5-1"), Both("MQTT-3.3.4-2")),
    )
    .in_second_pass()
    .description("forwarded a message below the highest QoS granted for it"),
    must_rule(
        Rule::NotSubscribed,
        "not-subscribed",
        Broker,
        (Both("MQTT-3.10.4-2"), Both("MQTT-3.10.4-2")),
    )
    .in_second_pass()
    .description("forwarded a message to a client that had no subscription for it"),
    must_rule(
        Rule::ForwardedOutOfOrder,
        "forwarded-out-of-order",
        Broker,
        (Both("MQTT-4.6.0-6"), Both("MQTT-4.6.0-5")),
    )
    .in_second_pass()
    .description("began to send a message after one that had come later"),
    must_rule(
        Rule::RetainedNotReplaced,
        "retained-not-replaced",
        Broker,
        (Both("MQTT-3.3.1-5"), Both("MQTT-3.3.1-5")),
    )
    .in_second_pass()
    .description("answered a subscription by a retained message that a later one had replaced"),
    must_rule(
        Rule::RetainedNotSent,
        "retained-not-sent",
        Broker,
        (Both("MQTT-3.3.1-6"), Both("MQTT-3.3.1-9")),
    )
    .in_second_pass()
    .description("did not answer a subscription by the retained message that matches"),
    must_rule(
        Rule::NeverForwarded,
        "never-forwarded",
        Broker,
        (Both("MQTT-4.5.0-1"), Both("MQTT-4.5.0-1")),
    )
    .in_second_pass()
    .description("acknowledged a message and never sent it to this subscriber"),
    must_rule(Rule::NeverDelivered, "never-delivered", Client, (Unnumbered, Unnumbered))
        .in_second_pass()
        .strength(Strength::Promise)
        .description("acknowledged a message and never handed it to its application"),
];
