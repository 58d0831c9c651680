//! Packet names as text: printed in output, and written in files to name one packet.
//!
//! ```text
//! sensor#7 / broker / 0 / PUBLISH / 0       message 7 of `sensor` on its way to the broker
//! sensor#7 / dashboard / 0 / PUBREC / 1     `dashboard`'s answer to the second PUBLISH of it
//! sensor / CONNECT / 0                      the first CONNECT on the link of `sensor`
//! sensor / up / 3                           the fourth of TCP's acknowledgements without data
//! ```
//! A message's packet has the stream and the sequence number, the receiver of its hop, which
//! forwarding by the broker it belongs to, its kind, and which transmission it is. The answer to
//! the network's duplicate has `+1` behind that; a retained copy an `r` before its number.

use crate::trial::Setup;
use qoslab_core::base::{
    ClientIndex, Direction, Hop, MessageId, PacketKind, PacketName, PacketSubject, PublisherIndex,
    Transmission,
};
use qoslab_core::network::AckName;

const BROKER: &str = "broker";
const SEPARATOR: &str = " / ";

impl Setup {
    /// A packet's name as text.
    ///
    /// # Panics
    /// If it is of no client or stream of this setup.
    #[must_use]
    pub fn format_packet_name(&self, name: &PacketName) -> String {
        let client = &self.clients[name.client.index()].name;
        let kind = name.kind.label();
        match name.subject {
            PacketSubject::Message { publisher: stream, sequence, hop, copy, transmission } => {
                let stream = &self.publishers[stream.index()].name;
                let receiver = if hop == Hop::First { BROKER } else { client };
                let Transmission { attempt, duplicate_index: suffix } = transmission;
                let again = if suffix == 0 { String::new() } else { format!("+{suffix}") };
                let (kept, copy) = match copy & MessageId::RETAINED_COPY_FLAG {
                    0 => ("", copy),
                    bit => ("r", copy ^ bit),
                };
                format!(
                    "{stream}#{sequence} / {receiver} / {kept}{copy} / {kind} / {attempt}{again}"
                )
            }
            // What a transport sends goes either way under one label.
            PacketSubject::Control { nth } if is_bidirectional(name.kind) => {
                format!("{client} / {kind} {} / {nth}", direction_label(name.direction))
            }
            PacketSubject::Control { nth } => format!("{client} / {kind} / {nth}"),
        }
    }

    /// The packet of this name, or in words what is wrong with the text.
    ///
    /// # Errors
    /// If it has another form, or names nothing of this setup.
    pub fn parse_packet_name(&self, text: &str) -> Result<PacketName, String> {
        let parts: Vec<_> = text.split(SEPARATOR).collect();
        match parts[..] {
            [message, receiver, copy, kind, transmission] => {
                self.parse_message_packet(message, receiver, copy, kind, transmission)
            }
            [client, kind, nth] => self.parse_control_packet(client, kind, nth),
            _ => Err("write it as `sensor#7 / broker / 0 / PUBLISH / 0`, or as `sensor / CONNECT \
                      / 0`"
                .to_owned()),
        }
    }

    /// The name of an acknowledgement of TCP's as text.
    ///
    /// # Panics
    /// If it is of no client of this setup.
    #[must_use]
    pub fn format_ack_name(&self, name: &AckName) -> String {
        let AckName { client, direction, nth } = *name;
        let client = &self.clients[client.index()].name;
        format!("{client} / {} / {nth}", direction_label(direction))
    }

    /// The acknowledgement of TCP's of this name, or in words what is wrong with the text.
    ///
    /// # Errors
    /// If it has another form, or names no client of this setup.
    pub fn parse_ack_name(&self, text: &str) -> Result<AckName, String> {
        let parts: Vec<_> = text.split(SEPARATOR).collect();
        let [client, way, nth] = parts[..] else {
            return Err("write it as `sensor / up / 0`".to_owned());
        };
        let direction = match way {
            "up" => Direction::Up,
            "down" => Direction::Down,
            _ => return Err(format!("`{way}` is no direction: write `up` or `down`")),
        };
        Ok(AckName { client: self.find_client(client)?, direction, nth: parse_integer(nth)? })
    }

    /// The message of this name, such as `sensor#7`, or in words what is wrong with the text.
    ///
    /// # Errors
    /// If it has another form, or no stream publishes it.
    pub fn parse_message_name(&self, text: &str) -> Result<(PublisherIndex, u32), String> {
        let (name, sequence) = text
            .rsplit_once('#')
            .ok_or_else(|| format!("`{text}` is no message: write `sensor#7`"))?;
        let mut numbered = (0..).map(PublisherIndex).zip(&self.publishers);
        let found = numbered.find(|(_, stream)| *stream.name == *name);
        let (index, stream) = found.ok_or_else(|| format!("nobody publishes as `{name}`"))?;
        let sequence = parse_integer(sequence)?;
        if !stream.is_will && sequence >= stream.count {
            return Err(format!("`{name}` publishes {} messages, from #0", stream.count));
        }
        Ok((index, sequence))
    }

    fn parse_message_packet(
        &self,
        message: &str,
        receiver: &str,
        copy: &str,
        kind: &str,
        transmission: &str,
    ) -> Result<PacketName, String> {
        let (stream, sequence) = self.parse_message_name(message)?;
        let hop = if receiver == BROKER { Hop::First } else { Hop::Second };
        let client = if hop == Hop::First {
            self.publishers[stream.index()].client
        } else {
            self.find_client(receiver)?
        };
        let kind = parse_kind(kind)?;
        if !kind.carries_message() {
            return Err(format!("{} belongs to no message", kind.label()));
        }
        let (retained, number) =
            copy.strip_prefix('r').map_or((0, copy), |rest| (MessageId::RETAINED_COPY_FLAG, rest));
        let copy: u32 = parse_integer(number)?;
        let (attempt, suffix) = transmission.split_once('+').unwrap_or((transmission, "0"));
        Ok(PacketName {
            client,
            direction: message_direction(hop, kind),
            kind,
            subject: PacketSubject::Message {
                publisher: stream,
                sequence,
                hop,
                copy: copy | retained,
                transmission: Transmission {
                    attempt: parse_integer(attempt)?,
                    duplicate_index: parse_integer(suffix)?,
                },
            },
        })
    }

    fn parse_control_packet(
        &self,
        client: &str,
        kind: &str,
        nth: &str,
    ) -> Result<PacketName, String> {
        let client = self.find_client(client)?;
        let (label, given) = kind.split_once(' ').map_or((kind, None), |(a, b)| (a, Some(b)));
        let kind = parse_kind(label)?;
        let way = match (kind, given) {
            (kind, Some("up")) if is_bidirectional(kind) => Direction::Up,
            (kind, Some("down")) if is_bidirectional(kind) => Direction::Down,
            (kind, _) if is_bidirectional(kind) => {
                return Err(format!(
                    "{label} goes either way: write `{label} up` or `{label} down`"
                ));
            }
            (kind, None) if !kind.carries_message() => control_direction(kind),
            _ => {
                return Err(format!(
                    "`{label}` needs a message, as `sensor#7 / broker / 0 / {label} / 0`"
                ));
            }
        };
        Ok(PacketName {
            client,
            direction: way,
            kind,
            subject: PacketSubject::Control { nth: parse_integer(nth)? },
        })
    }

    fn find_client(&self, name: &str) -> Result<ClientIndex, String> {
        let mut numbered = (0..).map(ClientIndex).zip(&self.clients);
        let found = numbered.find(|(_, client)| *client.name == *name);
        found.map(|(index, _)| index).ok_or_else(|| format!("there is no client `{name}`"))
    }
}

fn parse_kind(label: &str) -> Result<PacketKind, String> {
    let found = PacketKind::ALL.into_iter().find(|kind| kind.label() == label);
    found.ok_or_else(|| format!("there is no packet `{label}`"))
}

fn parse_integer<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number that fits here"))
}

const fn direction_label(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
    }
}

/// Returns whether a kind of packet does not imply its direction.
const fn is_bidirectional(kind: PacketKind) -> bool {
    matches!(kind, PacketKind::Reset | PacketKind::Handshake | PacketKind::Disconnect)
}

const fn control_direction(kind: PacketKind) -> Direction {
    match kind {
        PacketKind::Connect
        | PacketKind::Subscribe
        | PacketKind::Unsubscribe
        | PacketKind::PingReq => Direction::Up,
        _ => Direction::Down,
    }
}

/// On the first hop messages go up and are answered down; on the second the other way round.
const fn message_direction(hop: Hop, kind: PacketKind) -> Direction {
    let with_message = matches!(kind, PacketKind::Publish | PacketKind::PubRel);
    match hop {
        Hop::First if with_message => Direction::Up,
        Hop::First => Direction::Down,
        Hop::Second if with_message => Direction::Down,
        Hop::Second => Direction::Up,
    }
}
