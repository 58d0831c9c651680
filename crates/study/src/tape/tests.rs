use super::*;
use crate::judge::judge_trial;
use crate::scenario::Scenario;
use qoslab_core::base::name::{Kind, StreamIndex};
use qoslab_core::mqtt::packet::Packet;
use qoslab_sim::EventEngine;

const CUT: &str = include_str!("../../../../scenarios/examples/cut-before-pubcomp.toml");
const LOSS: &str = include_str!("../../../../scenarios/examples/lost-pubrec.toml");
const CRASH: &str = include_str!("../../../../scenarios/examples/broker-crash.toml");

fn trial(text: &str) -> Trial {
    let scenario = Scenario::parse("test.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    scenario.points[0].trial(scenario.first_seed)
}

fn play(text: &str, scope: &Scope) -> Tape {
    record(&EventEngine, &trial(text), scope, &AtomicBool::new(false))
}

/// The scope of the first message.
fn first_message(trial: &Trial) -> Scope {
    let route = route(&EventEngine, trial, StreamIndex(0), 0, &AtomicBool::new(false));
    Scope { route: Some(route.unwrap()), ..Scope::WHOLE }
}

fn kinds(flights: &[Flight]) -> Vec<Kind> {
    flights.iter().map(|flight| flight.name.kind).collect()
}

#[test]
fn recording_changes_nothing() {
    for text in [CUT, LOSS, CRASH] {
        let trial = trial(text);
        let interrupt = AtomicBool::new(false);
        let outcome = judge_trial(&EventEngine, &trial, &interrupt).unwrap();
        let tape = record(&EventEngine, &trial, &Scope::WHOLE, &interrupt);
        assert_eq!(tape.ended.trace_hash, outcome.trace_hash);
        assert_eq!(tape.flights.len() as u64, outcome.packets);
    }
}

#[test]
fn a_packet_has_both_ends_also_over_a_stream() {
    let tape = play(CUT, &Scope::WHOLE);
    for flight in tape.flights.iter().filter(|flight| flight.lost().is_none()) {
        let [read] = flight.reads()[..] else { panic!("{flight:?}") };
        assert_eq!(read.since(flight.sent).as_nanos(), 40_000_000, "{flight:?}");
        assert_eq!(flight.packet.as_ref().map(Packet::kind), Some(flight.name.kind));
    }
}

#[test]
fn what_a_cut_takes_is_lost_with_its_connection() {
    let tape = play(CUT, &Scope::WHOLE);
    let lost: Vec<_> = tape.flights.iter().filter(|it| it.lost().is_some()).collect();
    let [pubcomp] = lost[..] else { panic!("{lost:?}") };
    assert_eq!(pubcomp.name.kind, Kind::PubComp);
    let sensor = Node::Client(ClientIndex(0));
    assert_eq!(pubcomp.lost(), Some(Cause::Closed(sensor, Close::Cut)));
}

#[test]
fn what_a_crashed_sender_had_under_way_is_lost_with_it() {
    let tape = play(CRASH, &Scope::WHOLE);
    let lost = tape.flights.iter().filter_map(|it| Some((it.name.kind, it.lost()?)));
    let expected = (Kind::Publish, Cause::Closed(Node::Broker, Close::Crash));
    assert_eq!(lost.collect::<Vec<_>>(), [expected]);
}

#[test]
fn what_the_network_doubles_arrives_twice() {
    let text = LOSS.replace("do   = \"drop\"", "do   = { duplicate = \"30ms\" }");
    let text = text.split("[expect]").next().unwrap();
    let tape = play(text, &Scope::WHOLE);
    let twice: Vec<_> = tape.flights.iter().filter(|it| it.reads().len() == 2).collect();
    let [pubrec] = twice[..] else { panic!("{twice:?}") };
    let [first, second] = pubrec.reads()[..] else { panic!() };
    assert_eq!(pubrec.name.kind, Kind::PubRec);
    assert_eq!(second.since(first).as_nanos(), 30_000_000);
    let arrivals = tape.moments.iter().filter(|it| matches!(it.what, What::Arrived(_)));
    let reads: usize = tape.flights.iter().map(|it| it.reads().len()).sum();
    assert_eq!(arrivals.count(), reads);
}

#[test]
fn one_message_has_its_own_packets_and_what_befell_its_connections() {
    let text = CUT.replace("count = 1\nevery", "count = 3\nevery");
    let trial = trial(&text);
    let tape = record(&EventEngine, &trial, &first_message(&trial), &AtomicBool::new(false));
    assert!(tape.flights.iter().all(|it| it.message.is_none_or(|it| it.sequence == 0)));
    let own = tape.flights.iter().filter(|it| it.message.is_some()).count();
    assert_eq!(own, 10, "two handshakes, of which one ends twice");
    let around = tape.flights.iter().filter(|it| it.message.is_none());
    let around: Vec<Kind> = around.map(|it| it.name.kind).collect();
    assert_eq!(around, [Kind::Connect, Kind::ConnAck]);
    let opening = [Kind::Connect, Kind::Connect, Kind::ConnAck, Kind::ConnAck];
    assert_eq!(kinds(&tape.context), opening, "they say which version is spoken");
    let cuts = tape.moments.iter().filter(|it| matches!(it.what, What::Closed { .. }));
    assert_eq!(cuts.count(), 2);
    assert!(matches!(tape.moments.last().unwrap().what, What::Completed(_)));
}

#[test]
fn of_a_time_only_what_is_sent_in_it_is_kept() {
    let (from, until) = (Time::from_nanos(300_000_000), Time::from_nanos(850_000_000));
    let tape = play(CUT, &Scope { from, until, ..Scope::WHOLE });
    assert!(tape.flights.iter().all(|it| (from..=until).contains(&it.sent)));
    let all = [Kind::PubRec, Kind::PubRel, Kind::PubRel, Kind::PubComp, Kind::PubComp];
    assert_eq!(kinds(&tape.flights)[..5], all);
    assert_eq!(kinds(&tape.flights)[5..], [Kind::Connect]);
    assert!(tape.context.iter().all(|it| it.sent < from));
    assert_eq!(tape.context.len(), 4);
}

#[test]
fn a_tape_that_is_full_says_how_much_more_there_was() {
    let whole = play(CUT, &Scope::WHOLE);
    let short = play(CUT, &Scope { most: 10, ..Scope::WHOLE });
    assert_eq!(short.moments, whole.moments[..10]);
    // Of packets that were not kept only the sending counts.
    let untold = usize::try_from(short.left_out).unwrap();
    assert!(untold > 20 && untold <= whole.moments.len() - 10, "{untold}");
}

#[test]
fn a_message_that_nobody_publishes_has_no_way() {
    assert_eq!(route(&EventEngine, &trial(CUT), StreamIndex(0), 1, &AtomicBool::new(false)), None);
}
