//! One trial as a capture file that Wireshark opens.
//!
//! The format is pcapng (draft-ietf-opsawg-pcapng), written by `pcap-file`: a section header, one
//! interface, names for the invented addresses of the nodes, and a block for each packet with a
//! comment on what happened to it.
//! There are no real headers below MQTT: link type 252 is Wireshark's own for exported packets,
//! whose data begin with tags for the protocol, the addresses and the ports. Each connection has a
//! port of its own at the client's end, so that each is a conversation. Times are those of sending,
//! counted from the beginning of 1970. Resets are no MQTT and are left out.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::name_resolution::{Ipv4Record, NameResolutionBlock, Record};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness};
use thiserror::Error;

use super::escape;
use super::ladder::wording;
use qoslab_core::base::units::format_bytes;
use qoslab_core::base::{ClientIndex, ConnectionNumber, Node};
use qoslab_core::mqtt::Packet;
use qoslab_core::mqtt::wire::{self, WireError};
use qoslab_sim::Setup;
use qoslab_study::{RecordedPacket, TrialRecording};

/// The maximum size of a capture: larger files are impractical to open, and payloads may be large.
const MAX_BYTES: usize = 1 << 30;
/// The maximum length of names; no resolver takes longer ones.
const MAX_NAME_BYTES: usize = 255;
/// The reason why writing into memory never fails.
const IN_MEMORY: &str = "a vector takes every block, and the one interface is described first";

/// Errors in writing a capture.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CaptureError {
    /// A packet cannot be written as bytes.
    #[error("write `{packet}`, which {error}")]
    Packet {
        /// Its name.
        packet: String,
        /// The error of the encoder.
        error: WireError,
    },
    /// The packets are too much for one file.
    #[error("write more than {}: show one message, or less time", format_bytes(MAX_BYTES as u64))]
    TooLarge,
}

/// The packets of a recording as a capture file, with the CONNECTs from which a dissector learns
/// the version.
///
/// # Errors
/// If a packet cannot be encoded, or all are too long together.
///
/// # Panics
/// Never: memory takes all that is written.
pub fn encode_capture_file(
    recording: &TrialRecording,
    setup: &Setup,
) -> Result<Vec<u8>, CaptureError> {
    let packets = || recording.earlier_connects.iter().chain(&recording.packets);
    let clients = packets().map(|recorded| recorded.name.client).collect();
    let mut file =
        PcapNgWriter::with_section_header(Vec::new(), section_header()).expect(IN_MEMORY);
    file.write_pcapng_block(interface()).expect(IN_MEMORY);
    file.write_pcapng_block(node_names(&clients, setup)).expect(IN_MEMORY);
    for recorded in packets() {
        let Some(packet) = &recorded.packet else { continue };
        file.write_pcapng_block(packet_block(recorded, packet, setup)?).expect(IN_MEMORY);
        if file.get_ref().len() > MAX_BYTES {
            return Err(CaptureError::TooLarge);
        }
    }
    Ok(file.into_inner())
}

fn section_header() -> SectionHeaderBlock<'static> {
    let program = concat!("qoslab ", env!("CARGO_PKG_VERSION"));
    SectionHeaderBlock {
        endianness: Endianness::Little,
        options: vec![SectionHeaderOption::UserApplication(program.into())],
        ..SectionHeaderBlock::default()
    }
}

fn interface() -> InterfaceDescriptionBlock<'static> {
    InterfaceDescriptionBlock {
        // Data begin with the tags below.
        linktype: DataLink::WIRESHARK_UPPER_PDU,
        // No limit to what is captured of a packet.
        snaplen: 0,
        options: vec![
            InterfaceDescriptionOption::IfName("simulation".into()),
            // Time stamps count in units of 10^-9 s.
            InterfaceDescriptionOption::IfTsResol(9),
        ],
    }
}

/// The name and the address of each node that sends or receives anything.
fn node_names(clients: &BTreeSet<ClientIndex>, setup: &Setup) -> NameResolutionBlock<'static> {
    let nodes = [Node::Broker].into_iter().chain(clients.iter().copied().map(Node::Client));
    let records = nodes.map(|node| {
        let name = match node {
            Node::Broker => "broker".to_owned(),
            Node::Client(client) => {
                truncate_text(&setup.clients[client.index()].name, MAX_NAME_BYTES)
            }
        };
        let ip_addr = Cow::Owned(address(node).to_vec());
        Record::Ipv4(Ipv4Record { ip_addr, names: vec![name.into()] })
    });
    NameResolutionBlock { records: records.collect(), options: Vec::new() }
}

fn packet_block(
    recorded: &RecordedPacket,
    packet: &Packet,
    setup: &Setup,
) -> Result<EnhancedPacketBlock<'static>, CaptureError> {
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

    let comment = [wording::fate_text(recorded, setup), name].join("; ");
    let comment = truncate_text(&comment, 4 * MAX_NAME_BYTES);
    Ok(EnhancedPacketBlock {
        interface_id: 0,
        timestamp: Duration::from_nanos(recorded.sent_at.as_nanos()),
        original_len: u32::try_from(data.len()).map_err(|_| CaptureError::TooLarge)?,
        data: data.into(),
        options: vec![EnhancedPacketOption::Comment(comment.into())],
    })
}

/// An address of the private network 10.0.0.0/8.
fn address(node: Node) -> [u8; 4] {
    let host = match node {
        Node::Broker => 1,
        Node::Client(client) => 2 + client.0,
    };
    let [_, high, middle, low] = host.to_be_bytes();
    [10, high, middle, low]
}

/// The broker's own port, or one of the ephemeral ports (RFC 6335), which is reused only after
/// 16,384 connections.
const fn port(node: Node, connection: ConnectionNumber) -> u32 {
    match node {
        Node::Broker => 1883,
        Node::Client(_) => 49_152 + connection.0 % 16_384,
    }
}

/// A tag before a packet, in network order, with zeros up to a multiple of four bytes.
fn tag(data: &mut Vec<u8>, tag: u16, value: &[u8]) {
    data.extend(tag.to_be_bytes());
    data.extend(u16::try_from(value.len()).expect("values are short").to_be_bytes());
    data.extend(value);
    data.resize(data.len().next_multiple_of(4), 0);
}

/// A text without control characters, of at most the given number of bytes.
fn truncate_text(text: &str, max_bytes: usize) -> String {
    let mut text = escape::terminal(text).into_owned();
    text.truncate(text.floor_char_boundary(max_bytes));
    text
}

#[cfg(test)]
mod tests;
