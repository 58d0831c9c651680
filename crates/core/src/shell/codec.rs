//! Packets and their bytes on one connection: its version, its topic aliases, its marks.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::packet_transport::{PacketNamer, TransportClosed, TransportLimits};
use crate::base::Transmission;
use crate::mqtt::wire::{self, WireError};
use crate::mqtt::{Packet, TopicAlias, Version};

/// Reads and writes the packets of one connection.
#[derive(Debug)]
pub(super) struct Codec<M> {
    /// `None` at a broker until CONNECT says it.
    version: Option<Version>,
    pub(super) limits: TransportLimits,
    pub(super) hooks: M,
    /// Topics of the peer's topic aliases.
    aliases: BTreeMap<NonZeroU16, Arc<str>>,
}

impl<M: PacketNamer> Codec<M> {
    pub(super) const fn new(version: Option<Version>, limits: TransportLimits, hooks: M) -> Self {
        Self { version, limits, hooks, aliases: BTreeMap::new() }
    }

    /// Whether a packet of this number of bytes may come.
    pub(super) fn check_size(&self, bytes: u32) -> Result<(), TransportClosed> {
        let limit = self.limits.max_packet_size;
        if bytes > limit { Err(TransportClosed::TooLarge { bytes, limit }) } else { Ok(()) }
    }

    pub(super) fn read(&mut self, frame: &[u8]) -> Result<(Packet, Transmission), WireError> {
        let version = match self.version {
            Some(version) => version,
            None => *self.version.insert(wire::connect_version(frame)?),
        };
        let mut packet = wire::decode_lenient(frame, version)?;
        self.resolve_topic_alias(&mut packet)?;
        let transmission = self.hooks.on_receive(&mut packet);
        Ok((packet, transmission))
    }

    pub(super) fn write(
        &mut self,
        packet: &Packet,
        transmission: Transmission,
    ) -> Result<Vec<u8>, WireError> {
        let early = || WireError::Refused("a packet before CONNECT".into());
        let bytes = wire::encode(packet, self.version.ok_or_else(early)?)?;
        self.hooks.on_send(packet, transmission);
        Ok(bytes)
    }

    /// Endpoints see whole topics: keeps what an alias stands for, and puts it in its place.
    fn resolve_topic_alias(&mut self, packet: &mut Packet) -> Result<(), WireError> {
        let Packet::Publish(publish) = packet else { return Ok(()) };
        let alias = publish.properties.as_ref().and_then(|properties| properties.alias);
        let topic = &mut publish.message.topic;
        match alias {
            None => {}
            Some(TopicAlias::Set(number)) if number.get() <= self.limits.topic_alias_maximum => {
                self.aliases.insert(number, Arc::clone(topic));
            }
            // One above the maximum [MQTT-3.3.2-9, MQTT-3.3.2-11] is never known.
            Some(TopicAlias::Set(number) | TopicAlias::Use(number)) => {
                let unknown = || WireError::Refused("an unknown topic alias".into());
                *topic = Arc::clone(self.aliases.get(&number).ok_or_else(unknown)?);
            }
        }
        Ok(())
    }
}
