//! What was published, by whom and when.

use std::sync::Arc;

use crate::trial::Setup;
use qoslab_core::base::name::{Parts, StreamIndex, Tag};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::packet::{Message, Payload};

use super::mark::read_mark;

/// A message: its stream, and which one of it.
pub(super) type Id = (StreamIndex, u32);

/// The messages of a trial that were published so far.
pub(super) struct Messages {
    setup: Arc<Setup>,
    /// By stream and sequence number: when; [`Time::NEVER`] for one that was not.
    published: Vec<Vec<Time>>,
}

/// Which message a mark or a tag is about.
pub(super) const fn id_of(parts: &Parts) -> Id {
    (parts.stream, parts.sequence)
}

/// Which message a payload says it is.
pub(super) fn id_in(message: &Message) -> Option<Id> {
    match &message.payload {
        Payload::Bytes(bytes) => read_mark(bytes),
        Payload::Filler(_) => None,
    }
}

impl Messages {
    pub(super) fn new(setup: &Arc<Setup>) -> Self {
        Self { setup: Arc::clone(setup), published: vec![Vec::new(); setup.streams.len()] }
    }

    /// Remembers a message by its tag.
    pub(super) fn learn(&mut self, tag: Tag) {
        let Some(parts) = tag.parts() else { return };
        let Some(stream) = self.published.get_mut(parts.stream.index()) else { return };
        let place = parts.sequence as usize;
        if stream.len() <= place {
            stream.resize(place + 1, Time::NEVER);
        }
        stream[place] = parts.published;
    }

    /// The tag that a message was published with; `None` if it was not.
    pub(super) fn tag(&self, (stream, sequence): Id) -> Option<Tag> {
        let published = *self.published.get(stream.index())?.get(sequence as usize)?;
        let qos = self.setup.streams[stream.index()].qos;
        (published != Time::NEVER).then(|| Tag::new(stream, sequence, qos, published))
    }
}
