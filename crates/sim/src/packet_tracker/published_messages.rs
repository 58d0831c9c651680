//! Published messages, their publishers and times.

use std::sync::Arc;

use crate::trial::Setup;
use qoslab_core::base::{MessageId, MessageTag, PublisherIndex, Time};
use qoslab_core::mqtt::{Message, Payload};

use super::payload_id::read_payload_id;

/// A message: its stream, and its number in the stream.
pub(super) type MessageKey = (PublisherIndex, u32);

/// The messages of a trial that were published so far.
pub(super) struct PublishedMessages {
    setup: Arc<Setup>,
    /// By stream and sequence number: when; [`Time::NEVER`] for one that was not.
    publish_times: Vec<Vec<Time>>,
}

/// Returns the key of the message that a mark or a tag is about.
pub(super) const fn message_key(parts: &MessageId) -> MessageKey {
    (parts.publisher, parts.sequence)
}

/// Returns the key of the message that a payload's mark names.
pub(super) fn message_key_in(message: &Message) -> Option<MessageKey> {
    match &message.payload {
        Payload::Bytes(bytes) => read_payload_id(bytes),
        Payload::Filler(_) => None,
    }
}

impl PublishedMessages {
    pub(super) fn new(setup: &Arc<Setup>) -> Self {
        Self { setup: Arc::clone(setup), publish_times: vec![Vec::new(); setup.publishers.len()] }
    }

    /// Remembers a message by its tag.
    pub(super) fn record(&mut self, tag: MessageTag) {
        let Some(parts) = tag.message_id() else { return };
        let Some(stream) = self.publish_times.get_mut(parts.publisher.index()) else { return };
        let index = parts.sequence as usize;
        if stream.len() <= index {
            stream.resize(index + 1, Time::NEVER);
        }
        stream[index] = parts.published;
    }

    /// The tag that a message was published with; `None` if it was not.
    pub(super) fn tag_of(&self, (stream, sequence): MessageKey) -> Option<MessageTag> {
        let published = *self.publish_times.get(stream.index())?.get(sequence as usize)?;
        let qos = self.setup.publishers[stream.index()].qos;
        (published != Time::NEVER).then(|| MessageTag::new(stream, sequence, qos, published))
    }
}
