//! Bytes to packets and back, without a runtime.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::base::{MessageTag, Span, Transmission};
use crate::mqtt::wire::{self, WireError};
use crate::mqtt::{
    Connect, Message, Packet, PacketId, Payload, Publish, PublishLevel, PublishProperties,
    TopicAlias, Version,
};
use crate::shell::{Framed, PacketTransport, TransportClosed, TransportLimits};

/// What is written comes out again, in pieces.
#[derive(Debug, Default)]
struct Loopback {
    bytes: VecDeque<u8>,
    reads: Pieces,
    writes: Pieces,
    /// Whether nothing more comes, instead of nothing yet.
    has_ended: bool,
    /// How many bytes fit.
    capacity: Option<usize>,
}

impl Loopback {
    fn with_bytes(bytes: &[u8]) -> Self {
        Self { bytes: bytes.iter().copied().collect(), ..Self::default() }
    }

    fn in_pieces(sizes: &[usize]) -> Self {
        let pieces = Pieces { sizes: sizes.to_vec(), turn: 0 };
        Self { reads: pieces.clone(), writes: pieces, ..Self::default() }
    }
}

/// How many bytes one call takes, in turn, and none at all where that is 0. Each direction has
/// turns of its own: with shared ones, calls that alternate could meet nothing but zeros.
#[derive(Clone, Debug, Default)]
struct Pieces {
    sizes: Vec<usize>,
    turn: usize,
}

impl Pieces {
    fn next(&mut self, cx: &Context<'_>) -> Poll<usize> {
        self.turn += 1;
        match self.sizes.get(self.turn % self.sizes.len().max(1)) {
            None => Poll::Ready(usize::MAX),
            Some(0) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(size) => Poll::Ready(*size),
        }
    }
}

impl AsyncRead for Loopback {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Poll::Ready(piece) = self.reads.next(cx) else { return Poll::Pending };
        if self.bytes.is_empty() && !self.has_ended {
            return Poll::Pending;
        }
        let most = piece.min(buffer.remaining()).min(self.bytes.len());
        let read: Vec<u8> = self.bytes.drain(..most).collect();
        buffer.put_slice(&read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Loopback {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(piece) = self.writes.next(cx) else { return Poll::Pending };
        let room = self.capacity.map_or(usize::MAX, |room| room - self.bytes.len());
        if room == 0 {
            return Poll::Pending;
        }
        let most = piece.min(bytes.len()).min(room);
        self.bytes.extend(&bytes[..most]);
        Poll::Ready(Ok(most))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.has_ended = true;
        Poll::Ready(Ok(()))
    }
}

fn limits() -> TransportLimits {
    TransportLimits {
        max_packet_size: 1000,
        topic_alias_maximum: 2,
        pause_reading_above: 20,
        close_above: 40,
        ..TransportLimits::default()
    }
}

fn client(stream: Loopback) -> Framed<Loopback> {
    Framed::of_client(stream, Version::V5, limits(), ())
}

fn broker(stream: Loopback) -> Framed<Loopback> {
    Framed::of_broker(stream, limits(), ())
}

fn receive(transport: &mut impl PacketTransport) -> Poll<Result<Packet, TransportClosed>> {
    let received = transport.poll_receive(&mut Context::from_waker(Waker::noop()));
    received.map(|received| received.map(|(packet, _)| packet))
}

fn publish(topic: &str, payload: &[u8], alias: Option<TopicAlias>) -> Packet {
    let properties = alias.map(|alias| {
        Box::new(PublishProperties { alias: Some(alias), ..PublishProperties::default() })
    });
    let id = PacketId(NonZeroU16::new(7).unwrap());
    Packet::Publish(Publish {
        level: PublishLevel::ExactlyOnce(id),
        dup: false,
        retain: false,
        message: Message {
            topic: topic.into(),
            payload: Payload::Bytes(payload.into()),
            tag: MessageTag::NONE,
        },
        properties,
    })
}

fn connect(version: Version) -> Packet {
    Packet::Connect(Box::new(Connect {
        client_id: "c".into(),
        version,
        clean: true,
        session_expiry: 0,
        keep_alive: 0,
        will: None,
        limits: crate::mqtt::ReceiverLimits::NONE,
    }))
}

fn bytes_of(packet: &Packet) -> Vec<u8> {
    wire::encode(packet, Version::V5).unwrap()
}

proptest! {
    #[test]
    fn packets_survive_bytes_cut_in_any_places(
        pieces in vec(0..9_usize, 1..20),
        payloads in vec(vec(any::<u8>(), 0..300), 1..6),
    ) {
        let pieces = [pieces, vec![1]].concat();
        let wide = TransportLimits { pause_reading_above: usize::MAX, close_above: usize::MAX, ..limits() };
        let stream = Loopback::in_pieces(&pieces);
        let mut transport = Framed::of_client(stream, Version::V5, wide, ());
        let mut expected: VecDeque<_> =
            payloads.iter().map(|payload| publish("t", payload, None)).collect();
        for packet in &expected {
            transport.send(packet, Transmission::default()).unwrap();
        }
        for _ in 0..20_000 {
            let _ = transport.poll_flush(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(packet) = receive(&mut transport) {
                prop_assert_eq!(packet.unwrap(), expected.pop_front().unwrap());
            }
        }
        prop_assert!(expected.is_empty());
    }
}

#[test]
fn a_frame_that_is_too_long_is_refused_by_its_header() {
    let mut bytes = bytes_of(&publish("t", &[1; 2000], None));
    let bytes_long = u32::try_from(bytes.len()).unwrap();
    bytes.truncate(3);
    let too_large = TransportClosed::TooLarge { bytes: bytes_long, limit: 1000 };
    assert_eq!(receive(&mut client(Loopback::with_bytes(&bytes))), Poll::Ready(Err(too_large)));
}

#[test]
fn nothing_is_read_beyond_a_packet() {
    let two = [bytes_of(&Packet::PingResp), bytes_of(&publish("t", &[1; 50], None))].concat();
    let mut transport = client(Loopback::with_bytes(&two));
    assert_eq!(receive(&mut transport), Poll::Ready(Ok(Packet::PingResp)));
    assert_eq!(transport.stream.bytes.len(), two.len() - 2);
}

#[test]
fn memory_is_taken_for_what_came_and_not_for_what_a_header_claims() {
    let wide = TransportLimits { max_packet_size: u32::MAX, ..limits() };
    let claims = Loopback::with_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, b't']);
    let mut transport = Framed::of_client(claims, Version::V5, wide, ());
    assert_eq!(receive(&mut transport), Poll::Pending);
    assert!(transport.frame.capacity() < 100, "{}", transport.frame.capacity());
}

#[test]
fn a_length_of_more_than_four_bytes_is_malformed() {
    let malformed = Poll::Ready(Err(TransportClosed::Malformed(WireError::MalformedFrame)));
    for length in [&[0x80, 0x80, 0x80, 0x80, 0x01][..], &[0x80, 0x00]] {
        let bytes = [&[0x30], length].concat();
        assert_eq!(receive(&mut client(Loopback::with_bytes(&bytes))), malformed);
    }
    let unfinished = Loopback::with_bytes(&[0x30, 0x80, 0x80, 0x80]);
    assert_eq!(receive(&mut client(unfinished)), Poll::Pending);
}

#[test]
fn garbage_is_malformed() {
    for bytes in [&[0xF0, 0x00][..], &[0x00, 0x00], &[0x32, 0x03, 0, 1, b't']] {
        let received = receive(&mut client(Loopback::with_bytes(bytes)));
        assert!(
            matches!(received, Poll::Ready(Err(TransportClosed::Malformed(_)))),
            "{bytes:?} {received:?}"
        );
    }
}

#[test]
fn an_end_between_packets_is_clean_and_within_one_is_not() {
    let ended = |bytes: &[u8]| Loopback { has_ended: true, ..Loopback::with_bytes(bytes) };
    assert_eq!(receive(&mut client(ended(&[]))), Poll::Ready(Err(TransportClosed::PeerClosed)));
    let cut = TransportClosed::Failed(io::ErrorKind::UnexpectedEof);
    assert_eq!(receive(&mut client(ended(&[0xD0]))), Poll::Ready(Err(cut)));
}

#[test]
fn a_broker_learns_the_version_from_connect() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let connect = connect(version);
        let bytes = wire::encode(&connect, version).unwrap();
        assert_eq!(receive(&mut broker(Loopback::with_bytes(&bytes))), Poll::Ready(Ok(connect)));
    }
}

#[test]
fn a_first_packet_that_is_no_connect_is_malformed() {
    let mut unknown = bytes_of(&connect(Version::V5));
    unknown[8] = 9;
    for bytes in [bytes_of(&Packet::PingReq), bytes_of(&publish("t", b"1", None)), unknown] {
        let received = receive(&mut broker(Loopback::with_bytes(&bytes)));
        assert!(
            matches!(received, Poll::Ready(Err(TransportClosed::Malformed(_)))),
            "{bytes:?} {received:?}"
        );
    }
}

#[test]
fn endpoints_see_the_topics_that_aliases_stand_for() {
    let number = |number| NonZeroU16::new(number).unwrap();
    let set = |topic, n| publish(topic, b"1", Some(TopicAlias::Set(number(n))));
    let uses = |topic, n| publish(topic, b"1", Some(TopicAlias::Use(number(n))));
    let sent = [set("a", 1), set("b", 2), uses("a", 1), set("c", 1), uses("c", 1), uses("b", 2)];
    let bytes: Vec<u8> = sent.iter().flat_map(bytes_of).collect();
    let mut transport = client(Loopback::with_bytes(&bytes));
    for packet in sent {
        assert_eq!(receive(&mut transport), Poll::Ready(Ok(packet)));
    }
    // Unknown; above the maximum.
    for packet in [uses("a", 1), set("a", 3)] {
        let received = receive(&mut client(Loopback::with_bytes(&bytes_of(&packet))));
        assert!(
            matches!(received, Poll::Ready(Err(TransportClosed::Malformed(_)))),
            "{received:?}"
        );
    }
}

#[test]
fn a_topic_that_is_empty_and_has_no_alias_is_malformed() {
    for version in [Version::V311, Version::V5] {
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let body = [&[0, 0], properties].concat();
        let bytes = [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat();
        let mut transport = Framed::of_client(Loopback::with_bytes(&bytes), version, limits(), ());
        let received = receive(&mut transport);
        assert!(
            matches!(received, Poll::Ready(Err(TransportClosed::Malformed(_)))),
            "{received:?}"
        );
    }
}

#[test]
fn reading_pauses_above_the_limit_and_resumes_below_it() {
    let mut transport = client(Loopback::with_bytes(&bytes_of(&Packet::PingResp)));
    transport.stream.capacity = Some(2);
    transport.send(&publish("t", &[1; 30], None), Transmission::default()).unwrap();
    assert_eq!(receive(&mut transport), Poll::Pending);
    transport.stream.capacity = Some(1000);
    let flushed = transport.poll_flush(&mut Context::from_waker(Waker::noop()));
    assert_eq!(flushed, Poll::Ready(Ok(())));
    assert_eq!(receive(&mut transport), Poll::Ready(Ok(Packet::PingResp)));
}

#[test]
fn too_much_unsent_is_a_slow_reader() {
    let mut transport = client(Loopback { capacity: Some(0), ..Loopback::default() });
    let packet = publish("t", &[1; 30], None);
    transport.send(&packet, Transmission::default()).unwrap();
    transport.send(&packet, Transmission::default()).unwrap();
    let unsent = 2 * bytes_of(&packet).len();
    let slow = TransportClosed::SlowReader { unsent };
    assert_eq!(transport.send(&packet, Transmission::default()), Err(slow));
}

#[test]
fn sent_packets_are_written_before_the_close() {
    let mut transport = client(Loopback { capacity: Some(1), ..Loopback::default() });
    transport.send(&Packet::PingReq, Transmission::default()).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(transport.poll_close(&mut cx), Poll::Pending);
    assert!(!transport.stream.has_ended);
    transport.stream.capacity = Some(2);
    assert_eq!(transport.poll_close(&mut cx), Poll::Ready(()));
    assert_eq!(transport.stream.bytes, bytes_of(&Packet::PingReq));
    assert!(transport.stream.has_ended);
    assert_eq!(transport.close_timeout(), Span::from_secs(10));
}
