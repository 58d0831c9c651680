use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;
use qoslab_core::base::name::{PacketKind, PublisherIndex};
use qoslab_core::mqtt::settings::Version;
use qoslab_sim::EventEngine;
use qoslab_sim::trial::Trial;
use qoslab_study::recording::{RecordingFilter, find_route, record_trial};
use qoslab_study::scenario::Scenario;

const CRASH: &str = include_str!("../../../../scenarios/examples/broker-crash.toml");

fn trial(text: &str) -> Trial {
    let scenario = Scenario::parse("test.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    scenario.points[0].trial(1)
}

/// The code of an option or a tag, and its value.
type Field = (u16, Vec<u8>);

/// A block's type and body.
type Block = (u32, Vec<u8>);

fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

/// The blocks of a file, each of which says its length at both ends.
fn blocks(mut file: &[u8]) -> Vec<Block> {
    let mut found = Vec::new();
    while !file.is_empty() {
        let length = read_u32(&file[4..]) as usize;
        assert!(length.is_multiple_of(4) && length >= 12);
        assert_eq!(read_u32(&file[length - 4..]) as usize, length);
        found.push((read_u32(file), file[8..length - 4].to_vec()));
        file = &file[length..];
    }
    found
}

/// Code and value of each option, up to the end.
fn options(mut bytes: &[u8], order: fn([u8; 2]) -> u16) -> Vec<Field> {
    let mut found = Vec::new();
    loop {
        let half = |at: usize| order(bytes[at..at + 2].try_into().unwrap());
        let (code, length) = (half(0), usize::from(half(2)));
        if code == 0 {
            return found;
        }
        found.push((code, bytes[4..4 + length].to_vec()));
        bytes = &bytes[4 + length.next_multiple_of(4)..];
    }
}

/// Of a packet block: nanoseconds, its tags, its MQTT bytes, and its comment.
fn parse_packet_block(body: &[u8]) -> (u64, Vec<Field>, Vec<u8>, String) {
    let nanos = u64::from(read_u32(&body[4..])) << 32 | u64::from(read_u32(&body[8..]));
    let length = read_u32(&body[12..]) as usize;
    assert_eq!(read_u32(&body[16..]) as usize, length, "nothing is cut off");
    let data = &body[20..20 + length];
    let tags = options(data, u16::from_be_bytes);
    let header: usize = tags.iter().map(|(_, value)| 4 + value.len().next_multiple_of(4)).sum();
    let comment_options = options(&body[20 + length.next_multiple_of(4)..], u16::from_le_bytes);
    let [(1, comment)] = &comment_options[..] else { panic!("{comment_options:?}") };
    let comment = String::from_utf8(comment.clone()).unwrap();
    (nanos, tags, data[header + 4..].to_vec(), comment)
}

#[test]
fn a_capture_reads_back_as_the_packets_of_its_recording() {
    let trial = trial(CRASH);
    let recording =
        record_trial(&EventEngine, &trial, &RecordingFilter::WHOLE_TRIAL, &AtomicBool::new(false));
    let blocks = blocks(&capture(&recording, &trial.setup).unwrap());
    let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds[..3], [0x0A0D_0D0A, 1, 4]);
    assert_eq!(read_u32(&blocks[0].1), 0x1A2B_3C4D);
    assert_eq!(u16::from_le_bytes([blocks[1].1[0], blocks[1].1[1]]), 252);
    assert!(options(&blocks[1].1[8..], u16::from_le_bytes).contains(&(9, vec![9])));
    let packets: Vec<_> =
        recording.packets.iter().filter(|it| it.name.kind != PacketKind::Reset).collect();
    assert_eq!(blocks.len(), 3 + packets.len());
    for ((kind, body), flight) in blocks[3..].iter().zip(packets) {
        assert_eq!(*kind, 6);
        let (nanos, tags, mqtt, comment) = parse_packet_block(body);
        assert_eq!(nanos, flight.sent_at.as_nanos());
        let codes: Vec<u16> = tags.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, [12, 20, 21, 24, 25, 26]);
        assert_eq!(tags[0].1, b"mqtt");
        let read = wire::decode(&mqtt, Version::V311).unwrap();
        assert_eq!(read.kind(), flight.name.kind);
        assert_eq!(mqtt.len(), flight.bytes as usize);
        assert_eq!(
            comment.contains("lost: broker crashed"),
            flight.loss_cause().is_some(),
            "{comment}"
        );
    }
}

#[test]
fn each_node_has_a_name_and_each_connection_a_port() {
    let trial = trial(CRASH);
    let recording =
        record_trial(&EventEngine, &trial, &RecordingFilter::WHOLE_TRIAL, &AtomicBool::new(false));
    let blocks = blocks(&capture(&recording, &trial.setup).unwrap());
    let names = options(&blocks[2].1, u16::from_le_bytes);
    let names: Vec<_> =
        names.iter().map(|(_, it)| (&it[..4], str::from_utf8(&it[4..]).unwrap())).collect();
    let expected =
        [([10, 0, 0, 1], "broker\0"), ([10, 0, 0, 2], "sensor\0"), ([10, 0, 0, 3], "dashboard\0")];
    assert_eq!(names, expected.each_ref().map(|(address, name)| (&address[..], *name)));
    let mut conversations = BTreeSet::new();
    for (_, body) in &blocks[3..] {
        let (_, tags, ..) = parse_packet_block(body);
        let mut ports = [tags[4].1.clone(), tags[5].1.clone()];
        ports.sort();
        assert_eq!(ports[0], 1883_u32.to_be_bytes());
        conversations.insert(ports[1].clone());
    }
    let used: BTreeSet<Connection> =
        recording.packets.iter().filter(|it| it.packet.is_some()).map(|it| it.connection).collect();
    assert_eq!(conversations.len(), used.len());
}

#[test]
fn a_capture_of_one_message_begins_with_the_connects_of_its_connections() {
    let trial = trial(CRASH);
    let interrupt = AtomicBool::new(false);
    let scope = RecordingFilter {
        route: find_route(&EventEngine, &trial, PublisherIndex(0), 0, &interrupt),
        ..RecordingFilter::WHOLE_TRIAL
    };
    let recording = record_trial(&EventEngine, &trial, &scope, &interrupt);
    let blocks = blocks(&capture(&recording, &trial.setup).unwrap());
    let kinds = blocks[3..].iter().map(|(_, body)| parse_packet_block(body).2[0] >> 4);
    let kinds: Vec<u8> = kinds.collect();
    assert_eq!(kinds[..4], [1, 2, 1, 2], "CONNECT and CONNACK of both clients: {kinds:?}");
}

#[test]
fn names_are_plain_and_fit() {
    let mut trial = trial(CRASH);
    let setup = Arc::make_mut(&mut trial.setup);
    setup.clients[0].name = format!("a\0b{}", "ü".repeat(400)).into();
    setup.publishers[0].name = "x".repeat(70_000).into();
    let recording =
        record_trial(&EventEngine, &trial, &RecordingFilter::WHOLE_TRIAL, &AtomicBool::new(false));
    let blocks = blocks(&capture(&recording, &trial.setup).unwrap());
    let names = options(&blocks[2].1, u16::from_le_bytes);
    let name = str::from_utf8(&names[1].1[4..]).unwrap();
    assert!(name.starts_with("a\\u{0}bü") && name.len() <= 256, "{name}");
    assert_eq!(name.matches('\0').count(), 1, "the one at its end");
}
