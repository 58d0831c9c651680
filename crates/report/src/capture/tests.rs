use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pcap_file::pcapng::{Block, PcapNgReader};

use super::*;
use qoslab_core::base::{PacketKind, PublisherIndex};
use qoslab_core::mqtt::Version;
use qoslab_sim::{EventEngine, Trial};
use qoslab_study::scenario::Scenario;
use qoslab_study::{RecordingFilter, find_route, record_trial};

const CRASH: &str = include_str!("../../../../scenarios/examples/broker-crash.toml");

fn trial(text: &str) -> Trial {
    let scenario = Scenario::parse("test.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    scenario.points[0].trial(1)
}

/// The code of a tag, and its value.
type Tag = (u16, Vec<u8>);

/// The blocks of a file that follow its section header.
fn blocks(file: &[u8]) -> Vec<Block<'static>> {
    let mut reader = PcapNgReader::new(file).unwrap();
    let mut found = Vec::new();
    while let Some(block) = reader.next_block() {
        found.push(block.unwrap().into_owned());
    }
    found
}

/// The blocks of a recording: names by their addresses, and the packets.
fn read_capture(
    recording: &TrialRecording,
    setup: &Setup,
) -> (Vec<Ipv4Record<'static>>, Vec<EnhancedPacketBlock<'static>>) {
    let mut blocks = blocks(&encode_capture_file(recording, setup).unwrap()).into_iter();
    let interface = blocks.next().unwrap().into_interface_description().unwrap();
    assert_eq!(interface, self::interface());
    let names = blocks.next().unwrap().into_name_resolution().unwrap();
    let ipv4 = |record| match record {
        Record::Ipv4(record) => record,
        other => panic!("{other:?}"),
    };
    let packets = blocks.map(|block| block.into_enhanced_packet().unwrap()).collect();
    (names.records.into_iter().map(ipv4).collect(), packets)
}

/// The tags before a packet, and its MQTT bytes.
fn split_tags(mut data: &[u8]) -> (Vec<Tag>, &[u8]) {
    let mut tags = Vec::new();
    loop {
        let half = |at: usize| u16::from_be_bytes(data[at..at + 2].try_into().unwrap());
        let (code, length) = (half(0), usize::from(half(2)));
        if code == 0 {
            return (tags, &data[4..]);
        }
        tags.push((code, data[4..4 + length].to_vec()));
        data = &data[4 + length.next_multiple_of(4)..];
    }
}

#[test]
fn a_capture_reads_back_as_the_packets_of_its_recording() {
    let trial = trial(CRASH);
    let recording =
        record_trial(&EventEngine, &trial, &RecordingFilter::WHOLE_TRIAL, &AtomicBool::new(false));
    let (_, blocks) = read_capture(&recording, &trial.setup);
    let packets: Vec<_> =
        recording.packets.iter().filter(|it| it.name.kind != PacketKind::Reset).collect();
    assert_eq!(blocks.len(), packets.len());
    for (block, recorded) in blocks.iter().zip(packets) {
        assert_eq!(block.timestamp, Duration::from_nanos(recorded.sent_at.as_nanos()));
        assert_eq!(block.original_len as usize, block.data.len(), "nothing is cut off");
        let (tags, mqtt) = split_tags(&block.data);
        let codes: Vec<u16> = tags.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, [12, 20, 21, 24, 25, 26]);
        assert_eq!(tags[0].1, b"mqtt");
        let read = wire::decode(mqtt, Version::V311).unwrap();
        assert_eq!(read.kind(), recorded.name.kind);
        assert_eq!(mqtt.len(), recorded.bytes as usize);
        let [EnhancedPacketOption::Comment(comment)] = &block.options[..] else {
            panic!("{:?}", block.options)
        };
        assert_eq!(
            comment.contains("lost: broker crashed"),
            recorded.loss_cause().is_some(),
            "{comment}"
        );
    }
}

#[test]
fn each_node_has_a_name_and_each_connection_a_port() {
    let trial = trial(CRASH);
    let recording =
        record_trial(&EventEngine, &trial, &RecordingFilter::WHOLE_TRIAL, &AtomicBool::new(false));
    let (names, blocks) = read_capture(&recording, &trial.setup);
    let names: Vec<_> = names.iter().map(|it| (&*it.ip_addr, it.names.join(","))).collect();
    let expected =
        [([10, 0, 0, 1], "broker"), ([10, 0, 0, 2], "sensor"), ([10, 0, 0, 3], "dashboard")];
    assert_eq!(names, expected.each_ref().map(|(address, name)| (&address[..], (*name).into())));
    let mut conversations = BTreeSet::new();
    for block in &blocks {
        let (tags, _) = split_tags(&block.data);
        let mut ports = [tags[4].1.clone(), tags[5].1.clone()];
        ports.sort();
        assert_eq!(ports[0], 1883_u32.to_be_bytes());
        conversations.insert(ports[1].clone());
    }
    let used: BTreeSet<ConnectionNumber> =
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
    let (_, blocks) = read_capture(&recording, &trial.setup);
    let kinds: Vec<u8> = blocks.iter().map(|block| split_tags(&block.data).1[0] >> 4).collect();
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
    let (names, _) = read_capture(&recording, &trial.setup);
    let [name] = &names[1].names[..] else { panic!("{names:?}") };
    assert!(name.starts_with("a\\u{0}bü") && name.len() <= 255, "{name}");
}
