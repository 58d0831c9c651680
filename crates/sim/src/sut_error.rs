//! Errors of systems under test that have nothing to do with MQTT's rules.

use std::any::Any;

use qoslab_core::base::{Node, Time};

/// An act of a node under test that is forbidden to any MQTT endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SutError {
    /// The node.
    pub node: Node,
    /// When.
    pub at: Time,
    /// The kind of error.
    pub kind: SutErrorKind,
}

/// Kind of error of a node under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SutErrorKind {
    /// Its code panicked, with this message.
    Panicked(String),
    /// Its code came to an end while the trial ran, perhaps with an error.
    Exited(Option<String>),
    /// It was not connected, or its subscriptions were not acknowledged, by the deadline; at a
    /// broker: no client was.
    NeverReady,
    /// It had no connection at the deadline, though its application wanted one.
    NotConnected,
    /// It wrote too many packets at one instant, or enough that the trial came to its limit of
    /// events.
    Flooded(u64),
    /// It wrote what is no packet of MQTT.
    MalformedPacket(String),
    /// It handed its application a payload that no client has published.
    UnknownPayload,
    /// Its code did not give control back to its runtime.
    Hung,
}

/// Returns the message of a panic that was caught.
#[must_use]
pub fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
        .to_owned()
}
