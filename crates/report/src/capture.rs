//! One trial as a capture file that Wireshark opens.
//!
//! The format is pcapng (draft-ietf-opsawg-pcapng): a section header, one interface, names for the
//! invented addresses of the nodes, and a block for each packet with a comment on what befell it.
//! There are no real headers below MQTT: link type 252 is Wireshark's own for exported packets,
//! whose data begin with tags for the protocol, the addresses and the ports. Each connection has a
//! port of its own at the client's end, so that each is a conversation. Times are those of sending,
//! counted from the beginning of 1970. Resets are no MQTT and are left out.

use std::collections::BTreeSet;

use thiserror::Error;

use super::escape;
use super::ladder::wording;
use qoslab_core::base::name::{ClientIndex, Connection, Node};
use qoslab_core::base::units::format_bytes;
use qoslab_core::mqtt::packet::Packet;
use qoslab_core::mqtt::wire::{self, WireError};
use qoslab_sim::trial::Setup;
use qoslab_study::recording::{RecordedPacket, TrialRecording};

/// No capture is longer: nobody opens one of more, and payloads may be large.
const MAX_BYTES: usize = 1 << 30;
/// Names are cut there; no resolver takes longer ones.
const MAX_NAME_BYTES: usize = 255;
/// Upper PDU: data that begin with the tags below.
const LINK_TYPE: u16 = 252;

/// Why there is no capture.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CaptureError {
    /// A packet cannot be written as bytes.
    #[error("write `{packet}`, which {error}")]
    Packet {
        /// Its name.
        packet: String,
        /// What is wrong with it.
        error: WireError,
    },
    /// The packets are too much for one file.
    #[error("write more than {}: show one message, or less time", format_bytes(MAX_BYTES as u64))]
    TooLarge,
}

/// The packets of a tape as a capture file, with the CONNECTs that tell a dissector the version.
///
/// # Errors
/// If a packet cannot be encoded, or all are too long together.
pub fn capture(recording: &TrialRecording, setup: &Setup) -> Result<Vec<u8>, CaptureError> {
    let packets = || recording.earlier_connects.iter().chain(&recording.packets);
    let mut file = Vec::new();
    header_blocks(&mut file);
    name_resolution_block(&mut file, &packets().map(|flight| flight.name.client).collect(), setup);
    for flight in packets() {
        let Some(packet) = &flight.packet else { continue };
        enhanced_packet(&mut file, flight, packet, setup)?;
        if file.len() > MAX_BYTES {
            return Err(CaptureError::TooLarge);
        }
    }
    Ok(file)
}

/// Section header block and interface description block.
fn header_blocks(file: &mut Vec<u8>) {
    let mut section = Vec::new();
    section.extend(0x1A2B_3C4D_u32.to_le_bytes());
    // Version 1.0, and a length that is not given.
    section.extend([1, 0, 0, 0]);
    section.extend(u64::MAX.to_le_bytes());
    let program = concat!("qoslab ", env!("CARGO_PKG_VERSION"));
    option(&mut section, 4, program.as_bytes());
    option(&mut section, 0, &[]);
    block(file, 0x0A0D_0D0A, &section);

    let mut interface = Vec::new();
    interface.extend(LINK_TYPE.to_le_bytes());
    // Reserved, and no limit to what is captured of a packet.
    interface.extend([0; 6]);
    option(&mut interface, 2, b"simulation");
    // Time stamps count in units of 10^-9 s.
    option(&mut interface, 9, &[9]);
    option(&mut interface, 0, &[]);
    block(file, 1, &interface);
}

/// Name resolution block: an address for each node that sends or receives anything.
fn name_resolution_block(file: &mut Vec<u8>, clients: &BTreeSet<ClientIndex>, setup: &Setup) {
    let nodes = [Node::Broker].into_iter().chain(clients.iter().copied().map(Node::Client));
    let mut body = Vec::new();
    for node in nodes {
        let name = match node {
            Node::Broker => "broker".to_owned(),
            Node::Client(client) => {
                truncate_text(&setup.clients[client.index()].name, MAX_NAME_BYTES)
            }
        };
        let record = [&address(node)[..], name.as_bytes(), &[0]].concat();
        option(&mut body, 1, &record);
    }
    option(&mut body, 0, &[]);
    block(file, 4, &body);
}

/// Enhanced packet block.
fn enhanced_packet(
    file: &mut Vec<u8>,
    recorded: &RecordedPacket,
    packet: &Packet,
    setup: &Setup,
) -> Result<(), CaptureError> {
    let name = setup.format_packet_name(&recorded.name);
    let version = setup.clients[recorded.name.client.index()].settings.version;
    let mqtt = wire::encode(packet, version).map_err(|error| CaptureError::Packet {
        packet: escape::terminal(&name).into_owned(),
        error,
    })?;
    let mut data = Vec::new();
    let (from, to) = (recorded.sender(), recorded.receiver());
    tag(&mut data, 12, b"mqtt");
    tag(&mut data, 20, &address(from));
    tag(&mut data, 21, &address(to));
    // Ports are TCP's, also for datagrams: a dissector knows MQTT on no other.
    tag(&mut data, 24, &2_u32.to_be_bytes());
    tag(&mut data, 25, &port(from, recorded.connection).to_be_bytes());
    tag(&mut data, 26, &port(to, recorded.connection).to_be_bytes());
    tag(&mut data, 0, &[]);
    data.extend(mqtt);
    let length = u32::try_from(data.len()).map_err(|_| CaptureError::TooLarge)?;

    let nanos = recorded.sent_at.as_nanos();
    let [high, low] = [nanos >> 32, nanos & u64::from(u32::MAX)];
    let mut body = Vec::with_capacity(data.len() + 200);
    body.extend(0_u32.to_le_bytes());
    for half in [high, low] {
        body.extend(&half.to_le_bytes()[..4]);
    }
    body.extend(length.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(data);
    pad(&mut body);
    let comment = [wording::fate_text(recorded, setup), name].join("; ");
    option(&mut body, 1, truncate_text(&comment, 4 * MAX_NAME_BYTES).as_bytes());
    option(&mut body, 0, &[]);
    block(file, 6, &body);
    Ok(())
}

/// An address of the network 10.0.0.0/8, which is nobody's in public.
fn address(node: Node) -> [u8; 4] {
    let host = match node {
        Node::Broker => 1,
        Node::Client(client) => 2 + client.0,
    };
    let [_, high, middle, low] = host.to_be_bytes();
    [10, high, middle, low]
}

/// The broker's own port, or one of the ephemeral ones (RFC 6335), which comes again only after
/// 16,384 connections.
const fn port(node: Node, connection: Connection) -> u32 {
    match node {
        Node::Broker => 1883,
        Node::Client(_) => 49_152 + connection.0 % 16_384,
    }
}

/// A block: its type, its length, its body, and its length again.
fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = u32::try_from(body.len() + 12).expect("packets are below 256 MiB").to_le_bytes();
    file.extend(kind.to_le_bytes());
    file.extend(length);
    file.extend(body);
    file.extend(length);
}

/// An option of a block, or a record of names, which look alike.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).expect("values are cut before").to_le_bytes());
    body.extend(value);
    pad(body);
}

/// A tag before a packet, in network order.
fn tag(data: &mut Vec<u8>, tag: u16, value: &[u8]) {
    data.extend(tag.to_be_bytes());
    data.extend(u16::try_from(value.len()).expect("values are short").to_be_bytes());
    data.extend(value);
    pad(data);
}

/// Zeros up to a multiple of four bytes.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A text without control characters, of at most so many bytes.
fn truncate_text(text: &str, max_bytes: usize) -> String {
    let mut text = escape::terminal(text).into_owned();
    text.truncate(text.floor_char_boundary(max_bytes));
    text
}

#[cfg(test)]
mod tests;
