//! The trace hash: one number that stands for everything that happened in a trial.

use xxhash_rust::xxh3::Xxh3;

use qoslab_core::base::{
    ClientIndex, ConnectionNumber, Direction, Event, Fate, Hop, Impairment, LossReason, MessageTag,
    Node, Observer, PacketName, PacketSubject, SilentDeathCause, Time, Transmission,
};

/// Hashes events. It is an observer, and must be notified of turns too.
///
/// It covers, as a sequence of little-endian 64-bit words under XXH3-64 with seed 0:
///
/// - for each turn, which is one queued event an engine handles: its time in nanoseconds, times 4,
///   and its class (arrival, application, fault, timer), from 0 to 3;
/// - for each [`Event`] of that turn, its kind, and: the node, the connection and the whole
///   [`PacketName`] of what is sent or arrives; the first byte, the packet id, the reason code and
///   the length of what is sent; the fate with its times, or the reason of a loss; message, QoS
///   and RETAIN flag of what is delivered; message and reason of what is submitted, completed,
///   refused or dropped; what opens, closes, dies, is impaired, crashes, goes down or comes up;
///   what a transport sends of its own accord; each change of phase.
///
/// It does not cover payloads, what is left to do ([`Event::Backlog`]), a turn in which an
/// engine finds nothing to do, nor anything that only an engine knows, such as places in its
/// queue. So it is the same on any machine, with any number of jobs, with and without `--wire`.
pub(crate) struct TraceHash {
    state: Xxh3,
    /// Words on their way to `state`, because it is fed best in large pieces.
    words: [u64; BUFFER_WORDS],
    filled: usize,
}

const BUFFER_WORDS: usize = 128;

impl TraceHash {
    /// Of nothing yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { state: Xxh3::new(), words: [0; BUFFER_WORDS], filled: 0 }
    }

    /// A turn begins; `class` is 0 for an arrival, 1 application, 2 fault, 3 timer.
    pub(crate) fn record_dispatch(&mut self, now: Time, class: u8) {
        self.write([now.as_nanos() << 2 | u64::from(class)]);
    }

    /// The hash of all so far.
    #[must_use]
    pub(crate) fn finish(mut self) -> u64 {
        self.flush();
        self.state.digest()
    }

    #[inline]
    fn write<const N: usize>(&mut self, words: [u64; N]) {
        if self.filled + N > BUFFER_WORDS {
            self.flush();
        }
        self.words[self.filled..self.filled + N].copy_from_slice(&words);
        self.filled += N;
    }

    #[cold]
    fn flush(&mut self) {
        let mut bytes = [0; 8 * BUFFER_WORDS];
        let (chunks, _) = bytes.as_chunks_mut::<8>();
        for (chunk, word) in chunks.iter_mut().zip(self.words) {
            *chunk = word.to_le_bytes();
        }
        self.state.update(&bytes[..8 * self.filled]);
        self.filled = 0;
    }

    #[inline]
    fn write_name(&mut self, head: u64, connection: ConnectionNumber, name: &PacketName) {
        let is_down = u64::from(name.direction == Direction::Down);
        let head = head | is_down << 0x10 | u64::from(name.kind as u8) << 24;
        let parties = u64::from(connection.0) << 0x20 | u64::from(name.client.0);
        match name.subject {
            PacketSubject::Message { publisher: stream, sequence, hop, copy, transmission } => {
                let Transmission { attempt, duplicate_index: echo } = transmission;
                let hop = u64::from(hop == Hop::Second);
                self.write([
                    head | 1 << 0x11 | hop << 0x12 | u64::from(echo) << 56,
                    parties,
                    u64::from(stream.0) << 0x20 | u64::from(sequence),
                    u64::from(copy) << 0x20 | u64::from(attempt),
                ]);
            }
            PacketSubject::Control { nth } => self.write([head, parties, u64::from(nth)]),
        }
    }

    fn write_fate(&mut self, fate: &Fate) {
        match fate {
            Fate::Streamed => self.write([u64::MAX - 1]),
            Fate::Lost(loss) => self.write([u64::MAX, loss_number(*loss)]),
            Fate::Arrives(arrival) => {
                let again = arrival.duplicate_at.unwrap_or(Time::NEVER);
                self.write([arrival.at.as_nanos(), again.as_nanos()]);
            }
        }
    }

    fn write_message(&mut self, head: u64, tag: MessageTag, client: u32) {
        let Some(parts) = tag.message_id() else {
            self.write([head, u64::from(client)]);
            return;
        };
        self.write([
            head | u64::from(parts.qos.number()) << 48,
            u64::from(parts.copy) << 0x20 | u64::from(client),
            u64::from(parts.publisher.0) << 0x20 | u64::from(parts.sequence),
        ]);
    }

    fn write_connection(
        &mut self,
        head: u64,
        node: Node,
        connection: ConnectionNumber,
        client: ClientIndex,
    ) {
        self.write([
            head,
            node_number(node),
            u64::from(connection.0) << 0x20 | u64::from(client.0),
        ]);
    }
}

impl Default for TraceHash {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for TraceHash {
    /// Each event's first word has the event's kind in its lowest byte.
    fn observe(&mut self, _: Time, event: &Event<'_>) {
        match *event {
            Event::Phase(phase) => self.write([0, phase as u64]),
            Event::Sent { connection, packet: record, fate, .. } => {
                let head = u64::from(record.first_byte) << 0x20 | u64::from(record.id) << 40;
                self.write_name(1 | head, connection, &record.name);
                self.write([u64::from(record.reason) << 0x20 | u64::from(record.size.mqtt)]);
                self.write_fate(fate);
            }
            Event::Arrived { connection, packet: record, .. } => {
                self.write_name(2, connection, &record.name);
            }
            Event::Delivered { client, tag, qos, retain } => {
                let flags = u64::from(qos.number()) << 8 | u64::from(retain) << 16;
                self.write_message(3 | flags, tag, client.0);
            }
            Event::Submitted { tag } => self.write_message(4, tag, 0),
            Event::Completed { tag } => self.write_message(5, tag, 0),
            Event::Refused { tag, why } => self.write_message(6 | (why as u64) << 8, tag, 0),
            Event::Dropped { client, tag, why } => {
                self.write_message(7 | (why as u64) << 8, tag, client.0);
            }
            Event::Opened { node, connection, client } => {
                self.write_connection(8, node, connection, client);
            }
            Event::Closed { node, connection, client, why } => {
                self.write_connection(9 | (why as u64) << 8, node, connection, client);
            }
            Event::OutageBegan { client } => self.write([10, u64::from(client.0)]),
            Event::OutageEnded { client } => self.write([11, u64::from(client.0)]),
            Event::Overhead { client, direction: way, purpose, segments, bytes } => {
                let way = u64::from(way == Direction::Down) << 16;
                let head = 0xc | (purpose as u64) << 8 | way | u64::from(segments) << 32;
                self.write([head, u64::from(bytes) << 0x20 | u64::from(client.0)]);
            }
            Event::DiedSilently { connection, client, why } => {
                let (kind, node) = match why {
                    SilentDeathCause::HalfOpen(node) => (1, node),
                    SilentDeathCause::NatTimeout => (2, Node::Broker),
                };
                self.write_connection(0xd | kind << 8, node, connection, client);
            }
            Event::Impaired { client, impairment: how } => {
                self.write([0xe | impairment_number(how) << 8, u64::from(client.0)]);
            }
            Event::ImpairmentEnded { client, impairment: how } => {
                self.write([0xf | impairment_number(how) << 8, u64::from(client.0)]);
            }
            Event::Crashed { node } => self.write([16, node_number(node)]),
            Event::Restarted { node } => self.write([17, node_number(node)]),
            Event::WillPublished { tag } => self.write_message(18, tag, 0),
            Event::SessionExpired { client } => self.write([19, u64::from(client.0)]),
            Event::SocketFull { node, client } => {
                self.write([20, u64::from(client.0) << 1 | u64::from(node == Node::Broker)]);
            }
            // They follow from the others.
            Event::Backlog { .. } | Event::Discarded { .. } => {}
        }
    }
}

const fn node_number(node: Node) -> u64 {
    match node {
        Node::Broker => u64::MAX,
        Node::Client(client) => client.0 as u64,
    }
}

const fn impairment_number(impairment: Impairment) -> u64 {
    match impairment {
        Impairment::Partition(Direction::Up) => 0,
        Impairment::Partition(Direction::Down) => 1,
        Impairment::Stall => 2,
        Impairment::Slow => 3,
    }
}

const fn loss_number(loss: LossReason) -> u64 {
    loss as u64
}
