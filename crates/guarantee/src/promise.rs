//! The promise by published and granted QoS (`docs/model.md`, "What is owed").

use super::verdict::Promise;
use qoslab_core::base::QoS;

/// What a pair of published and granted QoS promises for one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeliveryTerms {
    /// Whether no copy at all is allowed.
    pub(super) may_lose: bool,
    /// Whether more copies than one are allowed.
    pub(super) may_repeat: bool,
    /// The promise's name.
    pub(super) promise: Promise,
}

/// The terms for a message published at one QoS to a subscription granted another.
///
/// A message published at QoS 1 to a subscription at QoS 0 may be both lost and repeated: the
/// broker takes each resend for a new message, and forwards it without a guarantee
/// [MQTT-3.8.4-6].
#[must_use]
pub(super) const fn delivery_terms(published: QoS, granted: QoS) -> DeliveryTerms {
    use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
    match (published, granted) {
        (AtMostOnce, _) | (ExactlyOnce, AtMostOnce) => {
            DeliveryTerms { may_lose: true, may_repeat: false, promise: Promise::AtMostOnce }
        }
        (AtLeastOnce, AtMostOnce) => {
            DeliveryTerms { may_lose: true, may_repeat: true, promise: Promise::AtMostOnce }
        }
        (AtLeastOnce, AtLeastOnce | ExactlyOnce) | (ExactlyOnce, AtLeastOnce) => {
            DeliveryTerms { may_lose: false, may_repeat: true, promise: Promise::AtLeastOnce }
        }
        (ExactlyOnce, ExactlyOnce) => {
            DeliveryTerms { may_lose: false, may_repeat: false, promise: Promise::ExactlyOnce }
        }
    }
}
