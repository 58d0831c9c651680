//! Packet names as text: what is printed, and what a file says to name one packet.
//!
//! ```text
//! sensor#7 / broker / 0 / PUBLISH / 0       message 7 of `sensor` on its way to the broker
//! sensor#7 / dashboard / 0 / PUBREC / 1     `dashboard`'s answer to the second PUBLISH of it
//! sensor / CONNECT / 0                      the first CONNECT on the link of `sensor`
//! ```
//! A message's packet has the stream and the sequence number, the receiver of its hop, which
//! forwarding by the broker it belongs to, its kind, and which transmission it is. The answer to
//! the network's duplicate has `+1` behind that; a retained copy an `r` before its number.

use crate::trial::Setup;
use qoslab_core::base::name::{
    ClientIndex, Hop, Kind, PacketName, Parts, StreamIndex, Subject, Transmission, Way,
};

const BROKER: &str = "broker";
const SEPARATOR: &str = " / ";

impl Setup {
    /// A packet's name as text.
    ///
    /// # Panics
    /// If it is of no client or stream of this setup.
    #[must_use]
    pub fn packet_text(&self, name: &PacketName) -> String {
        let client = &self.clients[name.client.index()].name;
        let kind = name.kind.label();
        match name.subject {
            Subject::Message { stream, sequence, hop, copy, transmission } => {
                let stream = &self.streams[stream.index()].name;
                let receiver = if hop == Hop::First { BROKER } else { client };
                let Transmission { attempt, echo } = transmission;
                let echo = if echo == 0 { String::new() } else { format!("+{echo}") };
                let (retained, copy) = match copy & Parts::RETAINED {
                    0 => ("", copy),
                    bit => ("r", copy ^ bit),
                };
                format!(
                    "{stream}#{sequence} / {receiver} / {retained}{copy} / {kind} / {attempt}{echo}"
                )
            }
            // What a transport sends goes either way under one label.
            Subject::Control { nth } if either_way(name.kind) => {
                let way = if name.way == Way::Up { "up" } else { "down" };
                format!("{client} / {kind} {way} / {nth}")
            }
            Subject::Control { nth } => format!("{client} / {kind} / {nth}"),
        }
    }

    /// The packet of this name, or in words what is wrong with the text.
    ///
    /// # Errors
    /// If it has another form, or names nobody and nothing of this setup.
    pub fn packet_named(&self, text: &str) -> Result<PacketName, String> {
        let parts: Vec<_> = text.split(SEPARATOR).collect();
        match parts[..] {
            [message, receiver, copy, kind, transmission] => {
                self.message_packet(message, receiver, copy, kind, transmission)
            }
            [client, kind, nth] => self.control_packet(client, kind, nth),
            _ => Err("write it as `sensor#7 / broker / 0 / PUBLISH / 0`, or as `sensor / CONNECT \
                      / 0`"
                .to_owned()),
        }
    }

    /// The message of this name, such as `sensor#7`, or in words what is wrong with the text.
    ///
    /// # Errors
    /// If it has another form, or nobody publishes it.
    pub fn message_named(&self, text: &str) -> Result<(StreamIndex, u32), String> {
        let (name, sequence) = text
            .rsplit_once('#')
            .ok_or_else(|| format!("`{text}` is no message: write `sensor#7`"))?;
        let mut numbered = (0..).map(StreamIndex).zip(&self.streams);
        let found = numbered.find(|(_, stream)| *stream.name == *name);
        let (index, stream) = found.ok_or_else(|| format!("nobody publishes as `{name}`"))?;
        let sequence = whole(sequence)?;
        if !stream.will && sequence >= stream.count {
            return Err(format!("`{name}` publishes {} messages, from #0", stream.count));
        }
        Ok((index, sequence))
    }

    fn message_packet(
        &self,
        message: &str,
        receiver: &str,
        copy: &str,
        kind: &str,
        transmission: &str,
    ) -> Result<PacketName, String> {
        let (stream, sequence) = self.message_named(message)?;
        let hop = if receiver == BROKER { Hop::First } else { Hop::Second };
        let client = if hop == Hop::First {
            self.streams[stream.index()].client
        } else {
            self.client_named(receiver)?
        };
        let kind = kind_named(kind)?;
        if !kind.is_delivery() {
            return Err(format!("{} belongs to no message", kind.label()));
        }
        let (retained, number) =
            copy.strip_prefix('r').map_or((0, copy), |rest| (Parts::RETAINED, rest));
        let copy: u32 = whole(number)?;
        let (attempt, echo) = transmission.split_once('+').unwrap_or((transmission, "0"));
        Ok(PacketName {
            client,
            way: way(hop, kind),
            kind,
            subject: Subject::Message {
                stream,
                sequence,
                hop,
                copy: copy | retained,
                transmission: Transmission { attempt: whole(attempt)?, echo: whole(echo)? },
            },
        })
    }

    fn control_packet(&self, client: &str, kind: &str, nth: &str) -> Result<PacketName, String> {
        let client = self.client_named(client)?;
        let (label, given) = kind.split_once(' ').map_or((kind, None), |(a, b)| (a, Some(b)));
        let kind = kind_named(label)?;
        let way = match (kind, given) {
            (kind, Some("up")) if either_way(kind) => Way::Up,
            (kind, Some("down")) if either_way(kind) => Way::Down,
            (kind, _) if either_way(kind) => {
                return Err(format!(
                    "{label} goes either way: write `{label} up` or `{label} down`"
                ));
            }
            (kind, None) if !kind.is_delivery() => own_way(kind),
            _ => {
                return Err(format!(
                    "`{label}` needs a message, as `sensor#7 / broker / 0 / {label} / 0`"
                ));
            }
        };
        Ok(PacketName { client, way, kind, subject: Subject::Control { nth: whole(nth)? } })
    }

    fn client_named(&self, name: &str) -> Result<ClientIndex, String> {
        let mut numbered = (0..).map(ClientIndex).zip(&self.clients);
        let found = numbered.find(|(_, client)| *client.name == *name);
        found.map(|(index, _)| index).ok_or_else(|| format!("there is no client `{name}`"))
    }
}

fn kind_named(label: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|kind| kind.label() == label);
    found.ok_or_else(|| format!("there is no packet `{label}`"))
}

fn whole<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number that fits here"))
}

/// The kinds that say nothing about their way.
const fn either_way(kind: Kind) -> bool {
    matches!(kind, Kind::Reset | Kind::Handshake | Kind::Disconnect)
}

const fn own_way(kind: Kind) -> Way {
    match kind {
        Kind::Connect | Kind::Subscribe | Kind::Unsubscribe | Kind::PingReq => Way::Up,
        _ => Way::Down,
    }
}

/// On the first hop messages go up and are answered down; on the second the other way round.
const fn way(hop: Hop, kind: Kind) -> Way {
    let with_message = matches!(kind, Kind::Publish | Kind::PubRel);
    match hop {
        Hop::First if with_message => Way::Up,
        Hop::First => Way::Down,
        Hop::Second if with_message => Way::Down,
        Hop::Second => Way::Up,
    }
}
