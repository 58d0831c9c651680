//! Systems under test that misbehave: each run ends, and reports what happened and which component
//! was at fault. Sleeps are in the virtual time of their hosts.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{AppCommand, BrokerHandle, ClientHandle, Harness, HarnessReport, Socket, SutResult};
use qoslab_core::base::{ClientIndex, Node, QoS};
use qoslab_sim::SutErrorKind;

const SCENARIO: &str = r#"
schema = 1
name = "products"
deadline = "1m"
[broker]
[[client]]
name = "pub"
session = "clean"
[[client.publish]]
topic = "t"
qos = 1
count = 3
every = "1s"
payload = "16B"
[[client]]
name = "app"
[[client.subscribe]]
filter = "t"
qos = 1
[[link]]
between = ["*", "broker"]
transport = "tcp"
delay = "20ms"
"#;

const CONNECT: &[u8] = b"\x10\x0F\x00\x04MQTT\x04\x02\x00\x00\x00\x03pub";

async fn connect(handle: &ClientHandle) -> std::io::Result<Socket> {
    let mut socket = handle.connect().await?;
    socket.write_all(CONNECT).await?;
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).await?;
    assert_eq!(answer, [0x20, 2, 0, 0]);
    Ok(socket)
}

fn publisher<F, R>(start: F) -> Harness
where
    F: Fn(ClientHandle) -> R + Send + Sync + 'static,
    R: Future<Output = SutResult> + 'static,
{
    Harness::parse(SCENARIO).seeds(1..=1).client("pub", start)
}

/// The publisher's action, and that it is reported.
fn assert_sut_error(tested: &HarnessReport, words: &str) -> SutErrorKind {
    assert!(!tested.holds());
    let text = tested.to_string();
    assert!(text.contains(words), "{text}");
    assert!(text.contains("reproduce: QOSLAB_TRIAL="), "{text}");
    let (_, error) = tested.sut_errors().next().unwrap();
    assert_eq!(error.node, Node::Client(ClientIndex(0)));
    error.kind.clone()
}

/// Sends each message and waits for its PUBACK.
async fn publish_all(handle: ClientHandle) -> SutResult {
    let mut socket = connect(&handle).await?;
    let mut id = 0_u8;
    loop {
        let command = handle.next_command().await;
        id += 1;
        socket.write_all(&publish(&command, id)).await?;
        let mut answer = [0; 4];
        socket.read_exact(&mut answer).await?;
        assert_eq!(answer, [0x40, 2, 0, id]);
    }
}

fn publish(command: &AppCommand, id: u8) -> Vec<u8> {
    let AppCommand::Publish { topic, payload, qos, .. } = command else {
        panic!("it only publishes")
    };
    assert_eq!(*qos, QoS::AtLeastOnce);
    let length = u8::try_from(2 + topic.len() + 2 + payload.len()).unwrap();
    let mut frame = vec![0x32, length, 0, u8::try_from(topic.len()).unwrap()];
    frame.extend(topic.as_bytes());
    frame.extend([0, id]);
    frame.extend(payload);
    frame
}

/// Has a session, and comes back with the message that was not acknowledged, after a random pause.
async fn reconnect_and_resend(handle: ClientHandle) -> SutResult {
    let (mut id, mut unacknowledged) = (0, None);
    let mut rng = handle.rng();
    loop {
        let _lost = publish_until_it_ends(&handle, &mut id, &mut unacknowledged).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(500..1_500))).await;
    }
}

async fn publish_until_it_ends(
    handle: &ClientHandle,
    id: &mut u8,
    unacknowledged: &mut Option<Vec<u8>>,
) -> std::io::Result<()> {
    let mut socket = handle.connect().await?;
    let mut connect = CONNECT.to_vec();
    connect[9] = 0;
    socket.write_all(&connect).await?;
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).await?;
    loop {
        if let Some(frame) = unacknowledged {
            socket.write_all(frame).await?;
            frame[0] |= 8;
            socket.read_exact(&mut answer).await?;
            *unacknowledged = None;
        }
        tokio::select! {
            biased;
            byte = socket.read_u8() => drop(byte?),
            command = handle.next_command() => {
                *id += 1;
                *unacknowledged = Some(publish(&command, *id));
            }
        }
    }
}

#[test]
fn a_client_that_does_what_it_should_holds() {
    let tested = publisher(publish_all).run();
    tested.assert_holds();
    let metrics = &tested.result().points[0].rows(QoS::AtLeastOnce).next().unwrap().counts;
    assert_eq!((metrics.messages, metrics.units, metrics.lost), (3, 3, 0));
    assert_eq!(tested.nondeterministic_trials().count(), 0);
}

#[test]
fn a_panic_is_reported_and_ends_nothing_else() {
    let tested = publisher(async |handle| {
        let _socket = connect(&handle).await?;
        panic!("on purpose");
    })
    .run();
    let what = assert_sut_error(&tested, "`pub` panicked at 0.08");
    assert_eq!(what, SutErrorKind::Panicked("on purpose".to_owned()));
}

#[test]
fn code_that_ends_is_reported() {
    let tested = publisher(async |_| Err("had enough".into())).run();
    let what = assert_sut_error(&tested, "`pub`'s code ended at 0.000s: had enough");
    assert_eq!(what, SutErrorKind::Exited(Some("had enough".to_owned())));
}

#[test]
fn a_client_that_never_connects_keeps_nobody_waiting_after_the_deadline() {
    let tested = publisher(async |_| pending().await).run();
    let what = assert_sut_error(
        &tested,
        "was not connected with all subscriptions acknowledged by 60.000s",
    );
    assert_eq!(what, SutErrorKind::NeverReady);
}

#[test]
fn a_client_that_does_not_reconnect_is_reported() {
    let tested = publisher(async |handle| {
        let mut socket = connect(&handle).await?;
        socket.shutdown().await?;
        pending().await
    })
    .run();
    let what = assert_sut_error(&tested, "`pub` had no connection at 60.000s");
    assert_eq!(what, SutErrorKind::NotConnected);
}

#[test]
fn a_client_that_waits_for_the_end_of_an_outage_is_waited_for() {
    let outage = r#"
[[fault]]
when = { packet = "PUBACK", nth = 3, to = "pub" }
do = "cut"
[[fault]]
when = { packet = "PUBACK", nth = 3, to = "pub" }
do = { outage = "20s" }
"#;
    let text = SCENARIO.replace("session = \"clean\"\n", "") + outage;
    let test = Harness::parse(&text).set("deadline", "\"3m\"").seeds(1..=1);
    let tested = test.client("pub", reconnect_and_resend).run();
    tested.assert_holds();
    assert_eq!(tested.result().points[0].sometimes["outage"], 1);
    assert_eq!(tested.nondeterministic_trials().count(), 0, "its draws are the handle's");
}

#[test]
fn bytes_that_are_no_packet_are_reported_and_close_the_connection() {
    let reserved: &[u8] = &[0xF0, 0];
    let endless: &[u8] = &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
    let huge: &[u8] = &[0x30, 0xFF, 0xFF, 0xFF, 0x7F];
    for bytes in [reserved, endless, huge] {
        let tested = publisher(async move |handle: ClientHandle| {
            let mut socket = connect(&handle).await?;
            socket.write_all(bytes).await?;
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).await?;
            assert!(rest.is_empty());
            pending().await
        })
        .run();
        let what = assert_sut_error(&tested, "`pub` wrote no MQTT packet at 0.08");
        assert!(matches!(what, SutErrorKind::MalformedPacket(_)));
    }
}

#[test]
fn a_flood_is_stopped() {
    let tested = publisher(async |handle| {
        let mut socket = connect(&handle).await?;
        loop {
            socket.write_all(&[0xC0, 0]).await?;
        }
    })
    .run();
    let what = assert_sut_error(&tested, "`pub` flooded the network: 20,002 packets by 0.08");
    assert_eq!(what, SutErrorKind::Flooded(20_002));
}

#[test]
fn a_steady_flood_is_stopped_too() {
    let tested = publisher(async |handle| {
        let mut socket = connect(&handle).await?;
        loop {
            for _ in 0..10_000 {
                socket.write_all(&[0xC0, 0]).await?;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .run();
    let what = assert_sut_error(&tested, "`pub` flooded the network: 100,001 packets");
    assert_eq!(what, SutErrorKind::Flooded(100_001));
}

static STOP: AtomicBool = AtomicBool::new(false);

#[test]
fn code_that_never_yields_is_abandoned() {
    let mut test = publisher(async |handle| {
        let _socket = connect(&handle).await?;
        while !STOP.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        pending().await
    });
    test.hang_timeout = Duration::from_secs(2);
    let tested = test.run();
    STOP.store(true, Ordering::Relaxed);
    let what = assert_sut_error(&tested, "`pub`'s code did not give control back at 0.08");
    assert_eq!(what, SutErrorKind::Hung);
}

#[test]
fn a_payload_that_nobody_published_is_reported() {
    let tested = publisher(async |handle| {
        let _socket = connect(&handle).await?;
        handle.deliver(b"of my own making", QoS::AtMostOnce, false);
        pending().await
    })
    .run();
    let what = assert_sut_error(&tested, "`pub` delivered a payload at 0.08");
    assert_eq!(what, SutErrorKind::UnknownPayload);
}

#[test]
fn a_broker_that_accepts_nobody_is_reported() {
    let deaf = async |_: BrokerHandle| pending().await;
    let tested = Harness::parse(SCENARIO).seeds(1..=1).broker(deaf).run();
    assert!(tested.to_string().contains("the broker under test had accepted no client"));
}

#[test]
#[should_panic(expected = "turmoil needs at least 10ms")]
fn a_link_that_is_too_fast_is_refused() {
    let _ = publisher(publish_all).set("link.*.delay", "1ms").run();
}

#[test]
#[should_panic(expected = "no client has a name that the test gave")]
fn a_client_under_test_that_matches_no_name_is_refused() {
    let _ = Harness::parse(SCENARIO).client("sub", publish_all).run();
}
