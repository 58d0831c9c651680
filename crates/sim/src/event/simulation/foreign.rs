//! Nodes under test: products that we did not write, and that write bytes.
//!
//! A [`Witness`] finds out what their packets are called. What they do that has no place in a
//! trial, such as to panic or to send what is no packet, is a [`Mishap`].

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use super::Simulation;
use super::stage::{Remotely, Stage};
use crate::event::connections::End;
use crate::mishap::{Mishap, MishapKind};
use crate::witness::{Ended, Witness, mark};
use qoslab_core::base::ending::Ending;
use qoslab_core::base::event::{Event, Observer, Phase};
use qoslab_core::base::name::{ClientIndex, Connection, Kind, Node, Tag, Transmission};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::packet::{Message, Packet, Payload};
use qoslab_core::mqtt::settings::Request;
use qoslab_core::mqtt::wire;
use qoslab_core::network::overrule::Overrule;

/// After so long without anything but pings a product has nothing left to do.
const QUIET: Span = Span::from_secs(15);

/// A node may write so many packets at one instant, and in a trial.
const FLOOD: u32 = 20_000;
const FLOOD_IN_ALL: u64 = 100_000;

/// The nodes under test, and what is known of them.
pub(super) struct Foreign {
    nodes: BTreeSet<Node>,
    pub(super) witness: Witness,
    pub(super) mishaps: Vec<Mishap>,
    /// The lengths of packets that are written otherwise than our own, by number.
    lengths: BTreeMap<u32, u32>,
    /// When anything but a ping last happened.
    pub(super) stirred: Time,
    /// How many packets each has written, at this instant and in all.
    written: BTreeMap<Node, (Time, u32, u64)>,
}

/// What became of bytes that a node under test wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fared {
    /// They are a packet, carried under this number.
    Carried(u32),
    /// They are a packet that goes nowhere.
    Nowhere,
    /// They are no packet: the connection is closed.
    Refused,
    /// It is to write nothing more.
    Muted,
}

impl Foreign {
    pub(super) fn new(nodes: BTreeSet<Node>, witness: Witness) -> Self {
        Self {
            nodes,
            witness,
            mishaps: Vec::new(),
            lengths: BTreeMap::new(),
            stirred: Time::ZERO,
            written: BTreeMap::new(),
        }
    }

    pub(super) fn is(&self, node: Node) -> bool {
        self.nodes.contains(&node)
    }

    /// How long a packet is that was written otherwise than our own.
    pub(super) fn length(&self, serial: u32) -> Option<u32> {
        self.lengths.get(&serial).copied()
    }

    /// Whether it is long enough that nothing happened.
    pub(super) fn is_quiet(&self, now: Time) -> bool {
        now.since(self.stirred) >= QUIET
    }

    pub(super) fn stir(&mut self, now: Time, kind: Kind) {
        if !matches!(kind, Kind::PingReq | Kind::PingResp) {
            self.stirred = now;
        }
    }

    /// A node writes one more packet; whether it may.
    fn counts(&mut self, node: Node, now: Time) -> bool {
        let (at, here, all) = self.written.entry(node).or_default();
        *here = if *at == now { *here + 1 } else { 1 };
        *at = now;
        *all += 1;
        *here <= FLOOD && *all <= FLOOD_IN_ALL
    }
}

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: Overrule,
{
    /// A message as it is published: where products are under test, by whomever it is, it must be
    /// known by its payload.
    pub(super) fn marked(&self, message: Message) -> Message {
        if self.products().is_none() {
            return message;
        }
        let payload = mark(message.tag, message.payload.len());
        Message { payload: Payload::Bytes(payload.into()), ..message }
    }

    /// Whether a client has no connection, or none yet, though its application wants one.
    pub(super) fn is_away(&self, client: ClientIndex) -> bool {
        let (node, way) = (Node::Client(client), &self.ways[client.index()]);
        let is_open = |connection| self.connections.is_open(node, connection);
        way.wanted && !way.current.is_some_and(is_open) && !self.is_down(node)
    }
}

impl Remotely {
    /// These nodes are under test.
    pub(crate) fn test(&mut self, nodes: BTreeSet<Node>) {
        let witness = Witness::new(&self.setup);
        if let Some(doors) = &mut self.doors {
            doors.foreign = Some(Box::new(Foreign::new(nodes, witness)));
        }
    }

    pub(super) fn foreign(&mut self, node: Node) -> Option<&mut Foreign> {
        self.products_mut().filter(|foreign| foreign.is(node))
    }

    pub(crate) fn take_mishaps(&mut self) -> Vec<Mishap> {
        self.products_mut().map(|foreign| std::mem::take(&mut foreign.mishaps)).unwrap_or_default()
    }

    pub(super) fn note_mishap(&mut self, node: Node, what: MishapKind) {
        let at = self.now;
        if let Some(foreign) = self.foreign(node) {
            foreign.mishaps.push(Mishap { node, at, what });
        }
    }

    /// The trial is over: who kept it from its end.
    pub(super) fn blame_for_ending(&mut self, ending: Ending) {
        if ending == Ending::EventLimit {
            let written = self.products().into_iter().flat_map(|foreign| &foreign.written);
            let most = written.max_by_key(|(_, (_, _, all))| *all);
            if let Some((&node, &(_, _, all))) = most {
                self.note_mishap(node, MishapKind::Flooded(all));
            }
        }
        if ending == Ending::Deadline && self.phase != Phase::Connecting {
            let clients = (0..).map(ClientIndex).take(self.ways.len());
            let away: Vec<_> = clients.filter(|client| self.is_away(*client)).collect();
            for client in away {
                self.note_mishap(Node::Client(client), MishapKind::Away);
            }
        }
        if self.phase != Phase::Connecting {
            return;
        }
        let missing = self.muster.missing();
        for &client in &missing {
            self.note_mishap(Node::Client(client), MishapKind::NeverReady);
        }
        if missing.len() == self.setup.clients.len() {
            self.note_mishap(Node::Broker, MishapKind::NeverReady);
        }
    }

    /// A node under test takes what its application asks for.
    pub(super) fn hand_out(&mut self, client: ClientIndex, request: &Request) {
        let now = self.now;
        let Some(foreign) = self.foreign(Node::Client(client)) else { return };
        foreign.stirred = now;
        if let Request::Publish { message, .. } = request {
            foreign.witness.submitted(message.tag);
        }
    }

    /// A node under test took a packet.
    pub(super) fn witness_read(
        &mut self,
        node: Node,
        connection: Connection,
        packet: &Packet,
        transmission: Transmission,
    ) {
        let (now, client) = (self.now, self.connections.client(connection));
        let Some(foreign) = self.foreign(node) else { return };
        foreign.stir(now, packet.kind());
        let ended = foreign.witness.read(node, client, connection, packet, transmission);
        self.ended(ended);
        if self.phase == Phase::Connecting
            && let Node::Client(client) = node
        {
            self.muster.settled(client, false);
        }
    }

    fn ended(&mut self, ended: Option<Ended>) {
        match ended {
            None => {}
            Some(Ended::Completed(tag)) => self.tell(&Event::Completed { tag }),
            Some(Ended::Refused(tag, why)) => self.tell(&Event::Refused { tag, why }),
        }
    }

    pub(super) fn write_frame(
        &mut self,
        node: Node,
        connection: Connection,
        frame: &[u8],
    ) -> Fared {
        if *self.connections.at(node, connection) != End::Open {
            return Fared::Nowhere;
        }
        let (now, client) = (self.now, self.connections.client(connection));
        self.events += 1;
        let version = self.lines[client.index()].version;
        let decoded = wire::decode_foreign(frame, version);
        let Some(foreign) = self.foreign(node) else { return Fared::Nowhere };
        if !foreign.counts(node, now) {
            let all = foreign.written.get(&node).map_or(0, |(_, _, all)| *all);
            self.note_mishap(node, MishapKind::Flooded(all));
            return Fared::Muted;
        }
        let mut packet = match decoded {
            Ok(packet) => packet,
            Err(error) => {
                self.note_mishap(node, MishapKind::Garbage(error.to_string()));
                return Fared::Refused;
            }
        };
        foreign.stir(now, packet.kind());
        let will = will_payload(&mut packet).cloned();
        let written = foreign.witness.wrote(now, node, client, connection, &mut packet);
        // What is carried are the product's own bytes.
        if let (Some(payload), Some(own)) = (will_payload(&mut packet), will) {
            *payload = own;
        }
        let counted = packet.encoded_len(version);
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        if counted != length
            && let Some(doors) = &mut self.doors
            && let Some(foreign) = &mut doors.foreign
        {
            foreign.lengths.insert(doors.serial + 1, length);
        }
        let serial = Stage::write(self, node, connection, packet, written.transmission);
        self.ended(written.ended);
        serial.map_or(Fared::Nowhere, Fared::Carried)
    }

    pub(super) fn hand_over_payload(
        &mut self,
        client: ClientIndex,
        payload: &[u8],
        qos: QoS,
        retain: bool,
    ) {
        let (now, node) = (self.now, Node::Client(client));
        if self.is_down(node) {
            return;
        }
        let Some(foreign) = self.foreign(node) else { return };
        foreign.stirred = now;
        match foreign.witness.delivered(client, payload, retain) {
            Some(tag) if tag != Tag::NONE => {
                self.tell(&Event::Delivered { client, tag, qos, retain });
            }
            _ => self.note_mishap(node, MishapKind::Invented),
        }
    }
}

fn will_payload(packet: &mut Packet) -> Option<&mut Payload> {
    let Packet::Connect(connect) = packet else { return None };
    connect.will.as_mut().map(|will| &mut will.message.payload)
}
