//! Our client and our broker over the shell.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;

use super::world::*;
use crate::base::event::Close;
use crate::base::name::Kind;
use crate::base::qos::QoS;
use crate::base::time::Span;
use crate::mqtt::broker::Broker;
use crate::mqtt::client::Client;
use crate::mqtt::packet::{Connect, Packet, PacketId, Subscribe};
use crate::mqtt::settings::{
    BrokerSettings, ClientSettings, HopSettings, Request, Retry, RetryTimer, Version,
};
use crate::mqtt::wire;
use crate::shell::{Datagram, Datagrams, Dialler, Limits, TokioClock, drive_broker, drive_client};

fn settings(name: &str) -> ClientSettings {
    ClientSettings::new(name.into())
}

/// A publisher `a` and a subscriber `b` of `t` with QoS 2.
async fn pair(world: &World) -> (Peer, Peer) {
    let a = Peer::start(world, settings("a"), "a");
    let b = Peer::start(world, settings("b"), "b");
    b.subscribe("t", QoS::ExactlyOnce);
    settle().await;
    (a, b)
}

#[test]
fn each_qos_is_delivered_once_over_a_pipe() {
    for version in [Version::V31, Version::V311, Version::V5] {
        play(async {
            let world = World::new(Limits::default());
            let [a, b] = ["a", "b"].map(|name| {
                Peer::start(&world, ClientSettings { version, ..settings(name) }, name)
            });
            b.subscribe("t", QoS::ExactlyOnce);
            settle().await;
            for (payload, qos) in ["0", "1", "2"].into_iter().zip(QoS::ALL) {
                a.publish(payload, qos);
            }
            settle().await;
            assert_eq!(b.told(), ["0", "1", "2"]);
            assert_eq!(a.told(), ["complete", "complete", "complete"]);
            assert_eq!(a.diary.backlog.get().in_flight, 0);
            assert_eq!(world.diary.backlog.get().in_flight, 0);
        });
    }
}

#[test]
fn a_cut_at_any_step_of_qos_2_loses_and_repeats_nothing() {
    let steps = [
        (Side::Client("a"), Kind::Publish),
        (Side::Broker("a"), Kind::PubRec),
        (Side::Client("a"), Kind::PubRel),
        (Side::Broker("a"), Kind::PubComp),
        (Side::Broker("b"), Kind::Publish),
        (Side::Client("b"), Kind::PubRec),
        (Side::Broker("b"), Kind::PubRel),
        (Side::Client("b"), Kind::PubComp),
    ];
    for step in steps {
        play(async move {
            let world = World::new(Limits::default());
            let (a, b) = pair(&world).await;
            world.faults.cut.set(Some(step));
            a.publish("x", QoS::ExactlyOnce);
            settle().await;
            assert_eq!(world.faults.cut.get(), None, "{step:?} never came");
            assert_eq!(
                (a.told(), b.told()),
                (vec!["complete".into()], vec!["x".into()]),
                "{step:?}"
            );
            assert_eq!(world.diary.backlog.get().in_flight, 0, "{step:?}");
        });
    }
}

#[test]
fn a_broker_that_starts_again_with_its_sessions_resumes_them() {
    play(async {
        let mut world = World::new(Limits::default());
        let (a, b) = pair(&world).await;
        world.crash();
        a.publish("x", QoS::ExactlyOnce);
        settle().await;
        assert!(b.told().is_empty());
        world.restart();
        settle().await;
        assert_eq!(b.told(), ["x"]);
        assert_eq!(a.told(), ["complete"]);
    });
}

#[test]
fn dropping_the_broker_s_future_drops_every_connection() {
    play(async {
        let mut world = World::new(Limits::default());
        let mut peers: Vec<_> = (0..10).map(|_| world.raw("raw", 64)).collect();
        settle().await;
        world.crash();
        for peer in &mut peers {
            assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
        }
        assert!(world.faults.closes.borrow().is_empty());
    });
}

#[test]
fn a_peer_that_breaks_the_protocol_is_closed_and_others_go_on() {
    let offences: [&[u8]; 4] = [
        // Garbage; no CONNECT; a length of five bytes; more than is allowed.
        &[0xFF, 0x00],
        &[0xC0, 0x00],
        &[0x10, 0x80, 0x80, 0x80, 0x80, 0x01],
        &[0x10, 0xFF, 0xFF, 0xFF, 0x7F],
    ];
    for offence in offences {
        play(async move {
            let world = World::new(Limits::default());
            let (a, b) = pair(&world).await;
            let mut raw = world.raw("raw", 64);
            raw.write_all(offence).await.unwrap();
            assert_eq!(raw.read(&mut [0]).await.unwrap(), 0, "{offence:?}");
            assert_eq!(*world.faults.closes.borrow(), [(Side::Broker("raw"), Close::Protocol)]);
            a.publish("x", QoS::ExactlyOnce);
            settle().await;
            assert_eq!(b.told(), ["x"]);
        });
    }
}

#[test]
fn a_goodbye_is_read_though_answers_to_it_cannot_be_written() {
    play(async {
        let world = World::new(Limits::default());
        let b = Peer::start(&world, settings("b"), "b");
        b.subscribe("will", QoS::AtMostOnce);
        settle().await;
        let mut raw = world.raw("raw", 1024);
        raw.write_all(&connect_with_will()).await.unwrap();
        for packet in [Packet::PingReq, Packet::Disconnect(0)] {
            raw.write_all(&wire::encode(&packet, Version::V311).unwrap()).await.unwrap();
        }
        drop(raw);
        settle().await;
        assert!(b.told().is_empty(), "the will was published");
    });
}

#[test]
fn a_slow_reader_is_closed_and_others_go_on() {
    play(async {
        let limits = Limits { close_above: 1000, ..Limits::default() };
        let world = World::new(limits);
        let (a, b) = pair(&world).await;
        let mut raw = world.raw("raw", 64);
        raw.write_all(&connect_with_will()).await.unwrap();
        let subscribe = Packet::Subscribe(Box::new(Subscribe {
            id: PacketId(std::num::NonZeroU16::MIN),
            dup: false,
            requests: vec![subscription("t", QoS::AtMostOnce)],
        }));
        raw.write_all(&wire::encode(&subscribe, Version::V311).unwrap()).await.unwrap();
        settle().await;
        for _ in 0..30 {
            a.publish(&"x".repeat(100), QoS::AtMostOnce);
        }
        settle().await;
        assert_eq!(*world.faults.closes.borrow(), [(Side::Broker("raw"), Close::UserTimeout)]);
        assert_eq!(b.told().len(), 30);
        let mut rest = Vec::new();
        raw.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 64);
    });
}

#[test]
fn a_thousand_clients_share_one_broker() {
    play(async {
        let world = World::new(Limits::default());
        let b = Peer::start(&world, settings("b"), "b");
        b.subscribe("t", QoS::ExactlyOnce);
        settle().await;
        let peers: Vec<_> =
            (0..1000).map(|n| Peer::start(&world, settings(&n.to_string()), "a")).collect();
        settle().await;
        for (n, peer) in peers.iter().enumerate() {
            peer.publish(&n.to_string(), QoS::ExactlyOnce);
        }
        settle().await;
        assert!(peers.iter().all(|peer| peer.told() == ["complete"]));
        let told: BTreeSet<_> = b.told().into_iter().collect();
        assert_eq!(told.len(), 1000);
    });
}

/// A datagram socket in memory that loses every third of its datagrams.
struct Lossy {
    inbox: UnboundedReceiver<Vec<u8>>,
    outbox: UnboundedSender<Vec<u8>>,
    sent: u32,
}

impl Datagram for Lossy {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let gone = || io::ErrorKind::ConnectionReset.into();
        self.inbox.poll_recv(cx).map(|datagram| datagram.ok_or_else(gone))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<()>> {
        self.sent += 1;
        if !self.sent.is_multiple_of(3) {
            // The other side may be gone.
            let _ = self.outbox.send(datagram.to_vec());
        }
        Poll::Ready(Ok(()))
    }
}

#[test]
fn retry_timers_deliver_over_datagrams_that_get_lost() {
    play(async {
        let every = Span::from_secs(1);
        let timer = RetryTimer { every, backoff: 1.0, max_transmissions: None };
        let hop = HopSettings { retry: Retry::Timer(timer), ..HopSettings::default() };
        let of_broker = BrokerSettings { hop, datagram: true, ..BrokerSettings::default() };
        let broker = Rc::new(RefCell::new(Broker::new(of_broker)));
        let (door, waiting) = unbounded_channel();
        let clock = TokioClock::start();
        spawn_local(drive_broker(broker, Door(waiting), clock, Diary::default()));
        let [a, b] = ["a", "b"].map(|name| {
            let settings = ClientSettings {
                request_retry: Some(every),
                connect_timeout: None,
                hop,
                ..settings(name)
            };
            let backoff = settings.reconnect;
            let door = door.clone();
            let open = move || {
                let (to_broker, from_client) = unbounded_channel();
                let (to_client, from_broker) = unbounded_channel();
                let there = Lossy { inbox: from_client, outbox: to_client, sent: 1 };
                let here = Lossy { inbox: from_broker, outbox: to_broker, sent: 2 };
                assert!(door.send(Datagrams::of_broker(there, Limits::default(), ())).is_ok());
                let client = Datagrams::of_client(here, Version::V311, Limits::default(), ());
                std::future::ready(Ok(client))
            };
            let (requests, asked) = unbounded_channel();
            let dial = Dialler { open, backoff, clock };
            let client = Rc::new(RefCell::new(Client::new(Arc::new(settings))));
            let diary = Diary::default();
            spawn_local(drive_client(client, asked, dial, clock, diary.clone()));
            let peer = Peer { requests, diary };
            peer.ask(Request::Connect);
            peer
        });
        b.subscribe("t", QoS::ExactlyOnce);
        settle().await;
        let sent: Vec<_> = (0..20).map(|n| n.to_string()).collect();
        for payload in &sent {
            a.publish(payload, QoS::ExactlyOnce);
            settle().await;
        }
        assert_eq!(b.told(), sent);
        assert_eq!(a.told(), vec!["complete"; 20]);
    });
}

fn connect_with_will() -> Vec<u8> {
    let Request::Publish { message, qos, .. } = publish("will", b"dead", QoS::AtMostOnce) else {
        unreachable!("it is one")
    };
    let connect = Packet::Connect(Box::new(Connect {
        client_id: "raw".into(),
        version: Version::V311,
        clean: true,
        session_expiry: 0,
        keep_alive: 0,
        will: Some(crate::mqtt::settings::Will { message, qos, retain: false, delay: 0 }),
        limits: crate::mqtt::settings::Limits::NONE,
    }));
    wire::encode(&connect, Version::V311).unwrap()
}
