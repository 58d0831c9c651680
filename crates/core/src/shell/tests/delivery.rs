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

use super::shell_world::*;
use crate::base::{CloseReason, PacketKind, QoS, Span};
use crate::mqtt::{
    Broker, BrokerSettings, Client, ClientRequest, ClientSettings, Connect, HopSettings, Packet,
    PacketId, RetryRule, RetryTimer, Subscribe, Version, wire,
};
use crate::shell::{
    BackoffDialler, DatagramSocket, DatagramTransport, TokioClock, TransportLimits, drive_broker,
    drive_client,
};

fn settings(name: &str) -> ClientSettings {
    ClientSettings::new(name.into())
}

/// A publisher `a` and a subscriber `b` of `t` with QoS 2.
async fn pair(world: &ShellWorld) -> (TestClient, TestClient) {
    let a = TestClient::start(world, settings("a"), "a");
    let b = TestClient::start(world, settings("b"), "b");
    b.subscribe("t", QoS::ExactlyOnce);
    run_until_idle().await;
    (a, b)
}

#[test]
fn each_qos_is_delivered_once_over_a_pipe() {
    for version in [Version::V31, Version::V311, Version::V5] {
        run_test(async {
            let world = ShellWorld::new(TransportLimits::default());
            let [a, b] = ["a", "b"].map(|name| {
                TestClient::start(&world, ClientSettings { version, ..settings(name) }, name)
            });
            b.subscribe("t", QoS::ExactlyOnce);
            run_until_idle().await;
            for (payload, qos) in ["0", "1", "2"].into_iter().zip(QoS::ALL) {
                a.publish(payload, qos);
            }
            run_until_idle().await;
            assert_eq!(b.take_log(), ["0", "1", "2"]);
            assert_eq!(a.take_log(), ["complete", "complete", "complete"]);
            assert_eq!(a.output_log.backlog.get().in_flight, 0);
            assert_eq!(world.output_log.backlog.get().in_flight, 0);
        });
    }
}

#[test]
fn a_cut_at_any_step_of_qos_2_loses_and_repeats_nothing() {
    let steps = [
        (ConnectionEnd::Client("a"), PacketKind::Publish),
        (ConnectionEnd::Broker("a"), PacketKind::PubRec),
        (ConnectionEnd::Client("a"), PacketKind::PubRel),
        (ConnectionEnd::Broker("a"), PacketKind::PubComp),
        (ConnectionEnd::Broker("b"), PacketKind::Publish),
        (ConnectionEnd::Client("b"), PacketKind::PubRec),
        (ConnectionEnd::Broker("b"), PacketKind::PubRel),
        (ConnectionEnd::Client("b"), PacketKind::PubComp),
    ];
    for step in steps {
        run_test(async move {
            let world = ShellWorld::new(TransportLimits::default());
            let (a, b) = pair(&world).await;
            world.faults.cut.set(Some(step));
            a.publish("x", QoS::ExactlyOnce);
            run_until_idle().await;
            assert_eq!(world.faults.cut.get(), None, "{step:?} never came");
            assert_eq!(
                (a.take_log(), b.take_log()),
                (vec!["complete".into()], vec!["x".into()]),
                "{step:?}"
            );
            assert_eq!(world.output_log.backlog.get().in_flight, 0, "{step:?}");
        });
    }
}

#[test]
fn a_broker_that_starts_again_with_its_sessions_resumes_them() {
    run_test(async {
        let mut world = ShellWorld::new(TransportLimits::default());
        let (a, b) = pair(&world).await;
        world.crash();
        a.publish("x", QoS::ExactlyOnce);
        run_until_idle().await;
        assert!(b.take_log().is_empty());
        world.restart();
        run_until_idle().await;
        assert_eq!(b.take_log(), ["x"]);
        assert_eq!(a.take_log(), ["complete"]);
    });
}

#[test]
fn dropping_the_broker_s_future_drops_every_connection() {
    run_test(async {
        let mut world = ShellWorld::new(TransportLimits::default());
        let mut peers: Vec<_> = (0..10).map(|_| world.raw_peer("raw", 64)).collect();
        run_until_idle().await;
        world.crash();
        for peer in &mut peers {
            assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
        }
        assert!(world.faults.closes.borrow().is_empty());
    });
}

#[test]
fn a_peer_that_breaks_the_protocol_is_closed_and_others_go_on() {
    let malformed_inputs: [&[u8]; 4] = [
        // Garbage; no CONNECT; a length of five bytes; more than is allowed.
        &[0xFF, 0x00],
        &[0xC0, 0x00],
        &[0x10, 0x80, 0x80, 0x80, 0x80, 0x01],
        &[0x10, 0xFF, 0xFF, 0xFF, 0x7F],
    ];
    for offence in malformed_inputs {
        run_test(async move {
            let world = ShellWorld::new(TransportLimits::default());
            let (a, b) = pair(&world).await;
            let mut raw = world.raw_peer("raw", 64);
            raw.write_all(offence).await.unwrap();
            assert_eq!(raw.read(&mut [0]).await.unwrap(), 0, "{offence:?}");
            assert_eq!(
                *world.faults.closes.borrow(),
                [(ConnectionEnd::Broker("raw"), CloseReason::Protocol)]
            );
            a.publish("x", QoS::ExactlyOnce);
            run_until_idle().await;
            assert_eq!(b.take_log(), ["x"]);
        });
    }
}

#[test]
fn a_disconnect_is_read_though_replies_cannot_be_written() {
    run_test(async {
        let world = ShellWorld::new(TransportLimits::default());
        let b = TestClient::start(&world, settings("b"), "b");
        b.subscribe("will", QoS::AtMostOnce);
        run_until_idle().await;
        let mut raw = world.raw_peer("raw", 1024);
        raw.write_all(&connect_with_will()).await.unwrap();
        for packet in [Packet::PingReq, Packet::Disconnect(0)] {
            raw.write_all(&wire::encode(&packet, Version::V311).unwrap()).await.unwrap();
        }
        drop(raw);
        run_until_idle().await;
        assert!(b.take_log().is_empty(), "the will was published");
    });
}

#[test]
fn a_slow_reader_is_closed_and_others_go_on() {
    run_test(async {
        let limits = TransportLimits { close_above: 1000, ..TransportLimits::default() };
        let world = ShellWorld::new(limits);
        let (a, b) = pair(&world).await;
        let mut raw = world.raw_peer("raw", 64);
        raw.write_all(&connect_with_will()).await.unwrap();
        let subscribe = Packet::Subscribe(Box::new(Subscribe {
            id: PacketId(std::num::NonZeroU16::MIN),
            dup: false,
            requests: vec![subscription("t", QoS::AtMostOnce)],
        }));
        raw.write_all(&wire::encode(&subscribe, Version::V311).unwrap()).await.unwrap();
        run_until_idle().await;
        for _ in 0..30 {
            a.publish(&"x".repeat(100), QoS::AtMostOnce);
        }
        run_until_idle().await;
        assert_eq!(
            *world.faults.closes.borrow(),
            [(ConnectionEnd::Broker("raw"), CloseReason::UserTimeout)]
        );
        assert_eq!(b.take_log().len(), 30);
        let mut rest = Vec::new();
        raw.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 64);
    });
}

#[test]
fn a_thousand_clients_share_one_broker() {
    run_test(async {
        let world = ShellWorld::new(TransportLimits::default());
        let b = TestClient::start(&world, settings("b"), "b");
        b.subscribe("t", QoS::ExactlyOnce);
        run_until_idle().await;
        let peers: Vec<_> =
            (0..1000).map(|n| TestClient::start(&world, settings(&n.to_string()), "a")).collect();
        run_until_idle().await;
        for (n, peer) in peers.iter().enumerate() {
            peer.publish(&n.to_string(), QoS::ExactlyOnce);
        }
        run_until_idle().await;
        assert!(peers.iter().all(|peer| peer.take_log() == ["complete"]));
        let told: BTreeSet<_> = b.take_log().into_iter().collect();
        assert_eq!(told.len(), 1000);
    });
}

/// A datagram socket in memory that loses every third of its datagrams.
struct LossyDatagram {
    inbox: UnboundedReceiver<Vec<u8>>,
    outbox: UnboundedSender<Vec<u8>>,
    sent: u32,
}

impl DatagramSocket for LossyDatagram {
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
    run_test(async {
        let every = Span::from_secs(1);
        let timer = RetryTimer { every, backoff: 1.0, max_transmissions: None };
        let hop = HopSettings { retry: RetryRule::Timer(timer), ..HopSettings::default() };
        let of_broker = BrokerSettings { hop, datagram: true, ..BrokerSettings::default() };
        let broker = Rc::new(RefCell::new(Broker::new(of_broker)));
        let (accepted, waiting) = unbounded_channel();
        let clock = TokioClock::start();
        spawn_local(drive_broker(broker, AcceptQueue(waiting), clock, OutputLog::default()));
        let [a, b] = ["a", "b"].map(|name| {
            let settings = ClientSettings {
                request_retry: Some(every),
                connect_timeout: None,
                hop,
                ..settings(name)
            };
            let backoff = settings.reconnect;
            let accepted = accepted.clone();
            let open = move || {
                let (to_broker, from_client) = unbounded_channel();
                let (to_client, from_broker) = unbounded_channel();
                let there = LossyDatagram { inbox: from_client, outbox: to_client, sent: 1 };
                let here = LossyDatagram { inbox: from_broker, outbox: to_broker, sent: 2 };
                assert!(
                    accepted
                        .send(DatagramTransport::of_broker(there, TransportLimits::default(), ()))
                        .is_ok()
                );
                let client = DatagramTransport::of_client(
                    here,
                    Version::V311,
                    TransportLimits::default(),
                    (),
                );
                std::future::ready(Ok(client))
            };
            let (requests, asked) = unbounded_channel();
            let dial = BackoffDialler { open, backoff, clock };
            let client = Rc::new(RefCell::new(Client::new(Arc::new(settings))));
            let diary = OutputLog::default();
            spawn_local(drive_client(client, asked, dial, clock, diary.clone()));
            let peer = TestClient { requests, output_log: diary };
            peer.ask(ClientRequest::Connect);
            peer
        });
        b.subscribe("t", QoS::ExactlyOnce);
        run_until_idle().await;
        let sent: Vec<_> = (0..20).map(|n| n.to_string()).collect();
        for payload in &sent {
            a.publish(payload, QoS::ExactlyOnce);
            run_until_idle().await;
        }
        assert_eq!(b.take_log(), sent);
        assert_eq!(a.take_log(), vec!["complete"; 20]);
    });
}

fn connect_with_will() -> Vec<u8> {
    let ClientRequest::Publish { message, qos, .. } = publish("will", b"dead", QoS::AtMostOnce)
    else {
        unreachable!("it is one")
    };
    let connect = Packet::Connect(Box::new(Connect {
        client_id: "raw".into(),
        version: Version::V311,
        clean: true,
        session_expiry: 0,
        keep_alive: 0,
        will: Some(crate::mqtt::Will { message, qos, retain: false, delay: 0 }),
        limits: crate::mqtt::ReceiverLimits::NONE,
    }));
    wire::encode(&connect, Version::V311).unwrap()
}
