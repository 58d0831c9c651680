//! Packets and their bytes on one connection: its version, its topic aliases, its marks.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::carrier::{Gone, Limits, Marks};
use crate::base::name::Transmission;
use crate::mqtt::packet::{Alias, Packet};
use crate::mqtt::settings::Version;
use crate::mqtt::wire::{self, WireError};

/// Reads and writes the packets of one connection.
#[derive(Debug)]
pub(super) struct Codec<M> {
    /// `None` at a broker until CONNECT says it.
    version: Option<Version>,
    pub(super) limits: Limits,
    pub(super) marks: M,
    /// What the peer's topic aliases stand for.
    aliases: BTreeMap<NonZeroU16, Arc<str>>,
}

impl<M: Marks> Codec<M> {
    pub(super) const fn new(version: Option<Version>, limits: Limits, marks: M) -> Self {
        Self { version, limits, marks, aliases: BTreeMap::new() }
    }

    /// Whether a packet of so many bytes may come.
    pub(super) fn admit(&self, bytes: u32) -> Result<(), Gone> {
        let limit = self.limits.max_packet;
        if bytes > limit { Err(Gone::TooLarge { bytes, limit }) } else { Ok(()) }
    }

    pub(super) fn read(&mut self, frame: &[u8]) -> Result<(Packet, Transmission), WireError> {
        let version = match self.version {
            Some(version) => version,
            None => *self.version.insert(wire::connect_version(frame)?),
        };
        let mut packet = wire::decode_foreign(frame, version)?;
        self.fill_topic_in(&mut packet)?;
        let transmission = self.marks.arrived(&mut packet);
        Ok((packet, transmission))
    }

    pub(super) fn write(
        &mut self,
        packet: &Packet,
        transmission: Transmission,
    ) -> Result<Vec<u8>, WireError> {
        let early = || WireError::Refused("a packet before CONNECT".into());
        let bytes = wire::encode(packet, self.version.ok_or_else(early)?)?;
        self.marks.leaves(packet, transmission);
        Ok(bytes)
    }

    /// Endpoints see whole topics: keeps what an alias stands for, and puts it in its place.
    fn fill_topic_in(&mut self, packet: &mut Packet) -> Result<(), WireError> {
        let Packet::Publish(publish) = packet else { return Ok(()) };
        let alias = publish.properties.as_ref().and_then(|properties| properties.alias);
        let topic = &mut publish.message.topic;
        match alias {
            None => {}
            Some(Alias::Set(number)) if number.get() <= self.limits.topic_alias_maximum => {
                self.aliases.insert(number, Arc::clone(topic));
            }
            // One above the maximum [MQTT-3.3.2-9, MQTT-3.3.2-11] is never known.
            Some(Alias::Set(number) | Alias::Use(number)) => {
                let unknown = || WireError::Refused("an unknown topic alias".into());
                *topic = Arc::clone(self.aliases.get(&number).ok_or_else(unknown)?);
            }
        }
        Ok(())
    }
}
