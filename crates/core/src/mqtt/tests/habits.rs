//! Habits of real clients: when they ping, how long they wait, what they keep.

use super::mqtt_world::{MqttWorld, stream_broker, stream_client};
use crate::base::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use crate::base::{ConnectionNumber, MessageTag, PublisherIndex, Span, Time, Transmission};
use crate::mqtt::quirks::Quirk;
use crate::mqtt::{
    Broker, BrokerSettings, Client, ClientRequest, ClientSettings, ConnAck, Connect, Endpoint,
    HopSettings, Input, Message, Output, Packet, Payload, PingRule, Quirks, ReceiverLimits,
    SignOfLife, Version,
};

const SECOND: Span = Span::from_secs(1);
const CONNECTION: ConnectionNumber = ConnectionNumber(0);

fn at(secs: u64) -> Time {
    Time::ZERO + SECOND.times(secs)
}

/// What a client that has just connected, with a keep alive of 15 s, sends or closes, and when:
/// woken at its timeouts and every second, it publishes at QoS 0 each second, and gets what
/// `answers` says.
fn acts(
    settings: ClientSettings,
    secs: u64,
    answers: impl Fn(u64) -> Option<Packet>,
) -> Vec<String> {
    let settings = ClientSettings { keep_alive: SECOND.times(15), ..settings };
    let mut client = Client::new(settings.into());
    let limits = ReceiverLimits::NONE;
    let connack = Packet::ConnAck(ConnAck { session_present: false, code: 0, limits });
    let arrives = |packet| Input::Packet {
        connection: CONNECTION,
        packet,
        transmission: Transmission::default(),
    };
    client.handle(at(0), Input::Application(ClientRequest::Connect));
    client.handle(at(0), Input::Opened(CONNECTION));
    client.handle(at(0), arrives(connack));
    while client.poll_output().is_some() {}
    let mut log = Vec::new();
    for secs in 1..=secs {
        let now = at(secs);
        if client.next_timeout() <= now {
            client.handle(now, Input::Timeout);
        }
        client.handle(now, Input::Application(publish_request()));
        if let Some(packet) = answers(secs) {
            client.handle(now, arrives(packet));
        }
        while let Some(output) = client.poll_output() {
            match output {
                Output::Send { packet: Packet::PingReq, .. } => log.push(format!("ping at {secs}")),
                Output::Close { why, .. } => log.push(format!("{why:?} at {secs}")),
                _ => {}
            }
        }
    }
    log
}

fn publish_request() -> ClientRequest {
    let tag = MessageTag::new(PublisherIndex(0), 0, AtMostOnce, at(0));
    let message = Message { topic: "t".into(), payload: Payload::Filler(1), tag };
    ClientRequest::Publish { message, qos: AtMostOnce, retain: false, expiry: None }
}

fn with_rule(ping_rule: PingRule) -> ClientSettings {
    ClientSettings { ping_rule, ..stream_client("a") }
}

#[test]
fn a_client_that_sends_pings_only_if_nothing_received_counts() {
    assert!(acts(with_rule(PingRule::NothingSent), 100, |_| None).is_empty());
    let log = acts(with_rule(PingRule::NothingSentOrReceived), 31, |_| None);
    assert_eq!(log, ["ping at 15", "KeepAlive at 30"]);
}

#[test]
fn an_answer_ends_the_wait_and_what_is_received_puts_the_ping_off() {
    let answered = |secs| (secs % 15 == 0).then_some(Packet::PingResp);
    let log = acts(with_rule(PingRule::NothingSentOrReceived), 46, answered);
    assert_eq!(log, ["ping at 15", "ping at 30", "ping at 45"]);
    let heard = |secs| (secs == 10).then_some(Packet::PingResp);
    let log = acts(with_rule(PingRule::NothingSentOrReceived), 26, heard);
    assert_eq!(log, ["ping at 25"]);
}

#[test]
fn a_ping_has_a_timeout_of_its_own() {
    let settings = ClientSettings {
        ping_timeout: Some(SECOND.times(5)),
        ..with_rule(PingRule::NothingSentOrReceived)
    };
    assert_eq!(acts(settings, 21, |_| None), ["ping at 15", "KeepAlive at 20"]);
}

#[test]
fn a_long_wait_for_a_pingresp_ends_all_the_same() {
    let settings = ClientSettings {
        ping_timeout: Some(SECOND.times(40)),
        ..with_rule(PingRule::NothingSentOrReceived)
    };
    assert_eq!(acts(settings, 56, |_| None), ["ping at 15", "KeepAlive at 55"]);
}

#[test]
fn a_broker_that_hears_part_of_a_packet_waits_on() {
    let settings = BrokerSettings { sign_of_life: SignOfLife::Bytes, ..stream_broker() };
    let mut broker = Broker::new(settings);
    let connect = Connect {
        client_id: "a".into(),
        version: Version::V311,
        clean: true,
        session_expiry: 0,
        keep_alive: 10,
        will: None,
        limits: ReceiverLimits::NONE,
    };
    let packet = Packet::Connect(Box::new(connect));
    let transmission = Transmission::default();
    broker.handle(at(0), Input::Packet { connection: CONNECTION, packet, transmission });
    broker.handle(at(14), Input::PartOfPacket(CONNECTION));
    while broker.poll_output().is_some() {}
    let mut closed_at = None;
    for secs in 15..40 {
        broker.handle(at(secs), Input::Timeout);
        while let Some(output) = broker.poll_output() {
            if let Output::Close { .. } = output {
                closed_at = Some(secs);
            }
        }
    }
    assert_eq!(closed_at, Some(29));
}

fn clean_publisher(hop: HopSettings) -> MqttWorld {
    let publisher = ClientSettings { clean: true, hop, ..stream_client("a") };
    let mut world = MqttWorld::new(stream_broker(), vec![publisher, stream_client("b")]);
    world.subscribe(1, "t", ExactlyOnce);
    world.take_log();
    world
}

#[test]
fn an_outbox_that_outlives_the_session_is_sent_again_as_new() {
    for (qos, lost) in [
        (AtLeastOnce, "0 > PUBLISH"),
        (ExactlyOnce, "0 > PUBLISH"),
        (ExactlyOnce, "0 < PUBREC"),
        (ExactlyOnce, "0 > PUBREL"),
    ] {
        let kept = HopSettings { keep_outbox: true, ..stream_client("a").hop };
        let mut world = clean_publisher(kept);
        world.lose(&[lost]);
        world.publish(0, qos);
        world.take_log();
        world.cut_both(0);
        let log = world.take_log();
        let again = log.iter().find(|line| line.starts_with("0 > PUBLISH")).unwrap();
        assert!(!again.contains("dup"), "{again}");
        assert!(log.contains(&"complete 0".to_owned()), "{log:?}");
        // Without that it is given up with its session.
        let mut world = clean_publisher(stream_client("a").hop);
        world.lose(&[lost]);
        world.publish(0, qos);
        world.take_log();
        world.cut_both(0);
        let log = world.take_log();
        assert!(!log.iter().any(|line| line.starts_with("0 > PUBLISH")), "{log:?}");
    }
}

#[test]
fn the_quirk_sends_new_messages_before_those_that_are_stored() {
    for (quirks, order) in
        [(Quirks::NONE, ["#1", "#2"]), (Quirk::NewBeforeStored.into(), ["#2", "#1"])]
    {
        let hop = HopSettings { quirks, ..stream_client("a").hop };
        let publisher = ClientSettings { hop, ..stream_client("a") };
        let mut world = MqttWorld::new(stream_broker(), vec![publisher]);
        world.lose(&["0 > PUBLISH #1"]);
        world.publish(0, AtLeastOnce);
        world.set_unreachable(true);
        world.cut(0);
        world.publish(0, AtLeastOnce);
        world.set_unreachable(false);
        world.take_log();
        world.ask(0, ClientRequest::Reconnect);
        let log = world.take_log();
        let sent = log.iter().filter(|line| line.starts_with("0 > PUBLISH"));
        let sent: Vec<_> = sent.filter_map(|line| line.split(' ').nth(3)).collect();
        assert_eq!(sent, order, "{log:?}");
    }
}
