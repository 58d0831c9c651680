use super::*;
use crate::judge_trial::judge_trial;
use crate::scenario::Scenario;
use qoslab_core::base::{PacketKind, PublisherIndex};
use qoslab_core::mqtt::Packet;
use qoslab_sim::EventEngine;

const CUT: &str = include_str!("../../../../scenarios/examples/cut-before-pubcomp.toml");
const LOSS: &str = include_str!("../../../../scenarios/examples/lost-pubrec.toml");
const CRASH: &str = include_str!("../../../../scenarios/examples/broker-crash.toml");

fn trial(text: &str) -> Trial {
    let scenario = Scenario::parse("test.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    scenario.points[0].trial(scenario.first_seed)
}

fn record_scenario(text: &str, filter: &RecordingFilter) -> TrialRecording {
    record_trial(&EventEngine, &trial(text), filter, &AtomicBool::new(false))
}

/// The scope of the first message.
fn first_message_filter(trial: &Trial) -> RecordingFilter {
    let route = find_route(&EventEngine, trial, PublisherIndex(0), 0, &AtomicBool::new(false));
    RecordingFilter { route: Some(route.unwrap()), ..RecordingFilter::WHOLE_TRIAL }
}

fn packet_kinds(flights: &[RecordedPacket]) -> Vec<PacketKind> {
    flights.iter().map(|flight| flight.name.kind).collect()
}

#[test]
fn recording_changes_nothing() {
    for text in [CUT, LOSS, CRASH] {
        let trial = trial(text);
        let interrupt = AtomicBool::new(false);
        let outcome = judge_trial(&EventEngine, &trial, &interrupt).unwrap();
        let recording =
            record_trial(&EventEngine, &trial, &RecordingFilter::WHOLE_TRIAL, &interrupt);
        assert_eq!(recording.ended.trace_hash, outcome.trace_hash);
        assert_eq!(recording.packets.len() as u64, outcome.packets);
    }
}

#[test]
fn a_packet_has_both_ends_over_tcp_too() {
    let recording = record_scenario(CUT, &RecordingFilter::WHOLE_TRIAL);
    for flight in recording.packets.iter().filter(|flight| flight.loss_cause().is_none()) {
        let [read] = flight.read_times()[..] else { panic!("{flight:?}") };
        assert_eq!(read.since(flight.sent_at).as_nanos(), 40_000_000, "{flight:?}");
        assert_eq!(flight.packet.as_ref().map(Packet::kind), Some(flight.name.kind));
    }
}

#[test]
fn a_packet_in_transit_at_a_cut_is_lost_with_its_connection() {
    let recording = record_scenario(CUT, &RecordingFilter::WHOLE_TRIAL);
    let lost: Vec<_> = recording.packets.iter().filter(|it| it.loss_cause().is_some()).collect();
    let [pubcomp] = lost[..] else { panic!("{lost:?}") };
    assert_eq!(pubcomp.name.kind, PacketKind::PubComp);
    let sensor = Node::Client(ClientIndex(0));
    assert_eq!(pubcomp.loss_cause(), Some(PacketLossCause::Closed(sensor, CloseReason::Cut)));
}

#[test]
fn a_packet_in_transit_from_a_crashed_sender_is_lost() {
    let recording = record_scenario(CRASH, &RecordingFilter::WHOLE_TRIAL);
    let lost = recording.packets.iter().filter_map(|it| Some((it.name.kind, it.loss_cause()?)));
    let expected = (PacketKind::Publish, PacketLossCause::Closed(Node::Broker, CloseReason::Crash));
    assert_eq!(lost.collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_duplicated_packet_arrives_twice() {
    let text = LOSS.replace("do   = \"drop\"", "do   = { duplicate = \"30ms\" }");
    let text = text.split("[expect]").next().unwrap();
    let recording = record_scenario(text, &RecordingFilter::WHOLE_TRIAL);
    let twice: Vec<_> = recording.packets.iter().filter(|it| it.read_times().len() == 2).collect();
    let [pubrec] = twice[..] else { panic!("{twice:?}") };
    let [first, second] = pubrec.read_times()[..] else { panic!() };
    assert_eq!(pubrec.name.kind, PacketKind::PubRec);
    assert_eq!(second.since(first).as_nanos(), 30_000_000);
    let arrivals =
        recording.events.iter().filter(|it| matches!(it.kind, RecordedEventKind::Arrived(_)));
    let reads: usize = recording.packets.iter().map(|it| it.read_times().len()).sum();
    assert_eq!(arrivals.count(), reads);
}

#[test]
fn a_message_filter_keeps_its_packets_and_the_events_of_its_connections() {
    let text = CUT.replace("count = 1\nevery", "count = 3\nevery");
    let trial = trial(&text);
    let recording =
        record_trial(&EventEngine, &trial, &first_message_filter(&trial), &AtomicBool::new(false));
    assert!(recording.packets.iter().all(|it| it.message.is_none_or(|it| it.sequence == 0)));
    let own = recording.packets.iter().filter(|it| it.message.is_some()).count();
    assert_eq!(own, 10, "two handshakes, of which one ends twice");
    let around = recording.packets.iter().filter(|it| it.message.is_none());
    let around: Vec<PacketKind> = around.map(|it| it.name.kind).collect();
    assert_eq!(around, [PacketKind::Connect, PacketKind::ConnAck]);
    let opening =
        [PacketKind::Connect, PacketKind::Connect, PacketKind::ConnAck, PacketKind::ConnAck];
    assert_eq!(
        packet_kinds(&recording.earlier_connects),
        opening,
        "they say which version is spoken"
    );
    let cuts =
        recording.events.iter().filter(|it| matches!(it.kind, RecordedEventKind::Closed { .. }));
    assert_eq!(cuts.count(), 2);
    assert!(matches!(recording.events.last().unwrap().kind, RecordedEventKind::Completed(_)));
}

#[test]
fn a_time_filter_keeps_only_packets_sent_in_it() {
    let (from, until) = (Time::from_nanos(300_000_000), Time::from_nanos(850_000_000));
    let recording =
        record_scenario(CUT, &RecordingFilter { from, until, ..RecordingFilter::WHOLE_TRIAL });
    assert!(recording.packets.iter().all(|it| (from..=until).contains(&it.sent_at)));
    let all = [
        PacketKind::PubRec,
        PacketKind::PubRel,
        PacketKind::PubRel,
        PacketKind::PubComp,
        PacketKind::PubComp,
    ];
    assert_eq!(packet_kinds(&recording.packets)[..5], all);
    assert_eq!(packet_kinds(&recording.packets)[5..], [PacketKind::Connect]);
    assert!(recording.earlier_connects.iter().all(|it| it.sent_at < from));
    assert_eq!(recording.earlier_connects.len(), 4);
}

#[test]
fn a_full_recording_counts_the_events_it_omits() {
    let whole = record_scenario(CUT, &RecordingFilter::WHOLE_TRIAL);
    let short =
        record_scenario(CUT, &RecordingFilter { max_events: 10, ..RecordingFilter::WHOLE_TRIAL });
    assert_eq!(short.events, whole.events[..10]);
    // Of packets that were not kept only the sending counts.
    let untold = usize::try_from(short.omitted_events).unwrap();
    assert!(untold > 20 && untold <= whole.events.len() - 10, "{untold}");
}

#[test]
fn a_message_that_nobody_publishes_has_no_route() {
    assert_eq!(
        find_route(&EventEngine, &trial(CUT), PublisherIndex(0), 1, &AtomicBool::new(false)),
        None
    );
}
