//! Rules that the monitor does not check.

/// Rules of delivery that are not checked, and why.
pub const UNCHECKED_RULES: [(&str, &str); 11] = [
    (
        "[MQTT-4.3.1-1], [MQTT-4.3.2-1] and the like: what is stored and when ownership passes",
        "happens inside an endpoint; a crash shows it as a lost or a doubled message",
    ),
    (
        "[MQTT-3.2.2-4] of 5.0: a client without a session closes on Session Present 1",
        "whether a client still has a session is not on the wire",
    ),
    (
        "[MQTT-3.2.2-11] of 5.0: no PUBLISH above the broker's Maximum QoS",
        "CONNACK's Maximum QoS is not simulated",
    ),
    (
        "[MQTT-3.3.2-8] to [MQTT-3.3.2-12] of 5.0: topic aliases",
        "the record of a packet has the topic that it stands for; a wrong alias is a wrong topic",
    ),
    (
        "[MQTT-3.3.1-7] of 3.1.1: which messages of QoS 0 are retained",
        "the broker may keep such a message or discard it at any time",
    ),
    (
        "[MQTT-3.8.4-3]: a subscription replaces one with the same filter",
        "judged by the promises at the newly granted QoS",
    ),
    (
        "[MQTT-4.8.2-4] to [MQTT-4.8.2-6] of 5.0: shared subscriptions",
        "the ledger judges the group; which member gets a message is the broker's choice",
    ),
    (
        "[MQTT-3.3.4-8], [MQTT-3.3.4-10] of 5.0: other packets are not delayed by a full window",
        "a delay has no bound that a wire could show",
    ),
    (
        "[MQTT-3.1.2-25] of 5.0: what is too large counts as sent",
        "an excuse of the ledger, not a packet",
    ),
    (
        "[MQTT-4.3.3-9], [MQTT-4.3.3-12] of 5.0: after a refusing PUBREC or PUBCOMP an id is new",
        "what the receiver passes on then is judged by the promises",
    ),
    (
        "[MQTT-4.3.3-13] of 5.0: the receiver goes on to acknowledge an expired message",
        "covered by `publish-unrecorded` and `release-unanswered`, which know no expiry",
    ),
];
