//! The state of one link, and the ways to use it: [`LinkState::fate`] for datagrams,
//! [`LinkState::segment_fate`] and [`LinkState::ack_fate`] for TCP, [`LinkState::ip_packet_fate`]
//! for packets of real systems.

use std::sync::Arc;

use super::fate::{Interventions, LinkPassage, PendingFate};
use super::fate_override::{FateOverride, ForcedFate};
use super::loss::LossState;
use super::outage::Outages;
use super::radio::{Radio, RadioSettings};
use super::recorded_fates::{AckName, FateKey, RecordedFates, SendAttempt};
use super::settings::{DirectionSettings, LinkSettings, ReorderRule};
use super::tx_queue::TxQueue;
use crate::base::draw::{DrawKey, philox};
use crate::base::radio_use::RadioUse;
use crate::base::{
    Arrival, ClientIndex, Direction, Fate, LossReason, PacketKind, PacketName, Span, Time,
};
use crate::impl_fingerprint;

/// Separates the two blocks of draws about one packet; see [`PacketName::draw_counter`].
const FIRST_DRAWS: u16 = 0;
const SECOND_DRAWS: u16 = 1;
/// Draw number for all segments of a packet but the first sending of the first one.
const SEGMENT_DRAWS: u16 = 2;

/// Draw keys of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkKeys {
    /// From the client to the broker.
    pub up: DrawKey,
    /// From the broker to the client.
    pub down: DrawKey,
    /// The times in which the link is down.
    pub outage: DrawKey,
}

impl LinkKeys {
    /// Keys of the link of the client with this name, in the trial whose root key is `root`.
    #[must_use]
    pub fn new(root: DrawKey, client: &str) -> Self {
        let link = root.child(b"link").child(client.as_bytes());
        Self { up: link.child(b"up"), down: link.child(b"down"), outage: link.child(b"outage") }
    }
}

/// Key of the messages of the stream with this name, which [`LinkState::fate`] wants as the
/// origin of their packets.
#[must_use]
pub fn publisher_key(root: DrawKey, publisher: &str) -> DrawKey {
    root.child(b"stream").child(publisher.as_bytes())
}

/// One link: what it is set to do, and where it stands.
#[derive(Clone, Debug)]
pub struct LinkState {
    settings: Arc<LinkSettings>,
    up: DirectionState,
    down: DirectionState,
    outages: Outages,
    is_down: bool,
    /// Whether a partition blocks the way up, and the way down.
    partitioned: [bool; 2],
    recorded_fates: RecordedFates,
    /// The client's radio, which packets wait for.
    radio: Option<Box<Radio>>,
}

impl_fingerprint! {
    struct LinkState {
        plain up, down, is_down, partitioned;
        skip radio: "searches leave radios out";
        skip settings, recorded_fates: "the same in all states of a trial";
        skip outages: "nothing is drawn at random where states are compared";
    }
}

impl LinkState {
    /// A link that is up, with nothing on it.
    #[must_use]
    pub fn new(settings: Arc<LinkSettings>, keys: LinkKeys) -> Self {
        Self {
            settings,
            up: DirectionState::new(keys.up),
            down: DirectionState::new(keys.down),
            outages: Outages::new(keys.outage),
            is_down: false,
            partitioned: [false; 2],
            recorded_fates: RecordedFates::default(),
            radio: None,
        }
    }

    /// The link with a radio at its client's end: packets wait until it is awake.
    #[must_use]
    pub fn with_radio(mut self, settings: Option<Arc<RadioSettings>>) -> Self {
        self.radio = settings.map(|settings| Box::new(Radio::new(settings)));
        self
    }

    /// What the radio uses counts from now on.
    pub fn reset_radio_use(&mut self, now: Time) {
        if let Some(radio) = &mut self.radio {
            radio.reset_counters(now);
        }
    }

    /// What the radio has used up to `now`; `None` without one.
    #[must_use]
    pub fn radio_use(&self, now: Time) -> Option<RadioUse> {
        Some(self.radio.as_deref()?.clone().usage(now))
    }

    /// Lets fates and outages be read from a schedule in place of random draws, or be recorded.
    pub fn set_recorded_fates(
        &mut self,
        recorded: RecordedFates,
        outages: Option<Vec<(Span, Span)>>,
    ) {
        self.recorded_fates = recorded;
        self.outages.set_recorded(outages);
    }

    /// The recorded fates, in order of the sendings.
    pub fn take_recorded_fates(&mut self) -> Vec<(FateKey, ForcedFate)> {
        self.recorded_fates.recording.take().unwrap_or_default()
    }

    /// Decides what becomes of a packet handed over at `now` in the direction of its name.
    /// `publisher_key` is the key of its message's stream ([`publisher_key`]), and none for a
    /// control packet; `wire_bytes` is its length with the transport's headers. Calls come in order
    /// of time.
    ///
    /// A reset may not be lost: it keeps clear of the transmit queue, of loss and of outages, and
    /// is only delayed.
    #[inline]
    pub fn fate(
        &mut self,
        now: Time,
        publisher_key: Option<DrawKey>,
        name: &PacketName,
        wire_bytes: u32,
    ) -> Fate {
        self.fate_with(Interventions::default(), now, publisher_key, name, wire_bytes)
    }

    /// As [`Self::fate`], where others may have a say too: [who decides](super::fate).
    #[inline]
    pub fn fate_with(
        &mut self,
        interventions: Interventions<'_, '_>,
        now: Time,
        publisher_key: Option<DrawKey>,
        name: &PacketName,
        wire_bytes: u32,
    ) -> Fate {
        let Interventions { fault, fate_override } = interventions;
        let is_blocked = self.is_blocked(name.direction);
        let leaves = self.wait_for_radio(now, name.direction, wire_bytes);
        let (settings, direction, recorded) = self.direction_mut(name.direction);
        let key = publisher_key.map_or(direction.key, |origin| direction.key.combined_with(origin));
        let packet = LinkPacket { now: leaves, key, name, wire_bytes };
        let fate = match direction.fate(settings, recorded, is_blocked, &packet, fate_override) {
            PendingFate::Lost(loss) => Fate::Lost(loss),
            PendingFate::Arrives(at, again) => Fate::Arrives(direction.arrival(at, again)),
        };
        let fate = fault.map_or(fate, |action| action.apply_to(fate));
        self.reach_radio(fate, name.direction, wire_bytes)
    }

    /// When a packet that the client hands over leaves its radio.
    #[inline]
    fn wait_for_radio(&mut self, now: Time, direction: Direction, wire_bytes: u32) -> Time {
        match (&mut self.radio, direction) {
            (Some(radio), Direction::Up) => radio.send(now, wire_bytes),
            _ => now,
        }
    }

    /// The fate of a packet that the client receives when its radio is awake.
    #[inline]
    fn reach_radio(&mut self, fate: Fate, direction: Direction, wire_bytes: u32) -> Fate {
        match (&mut self.radio, direction, fate) {
            (Some(radio), Direction::Down, Fate::Arrives(arrival)) => {
                let at = radio.receive(arrival.at, wire_bytes);
                let again = arrival.duplicate_at.map(|again| radio.receive(again, wire_bytes));
                Fate::Arrives(Arrival { at, duplicate_at: again, ..arrival })
            }
            _ => fate,
        }
    }

    /// Decides what becomes of one sending of a segment that carries data, of `wire_bytes` bytes
    /// with its headers. Otherwise as [`Self::fate`], but for what a stream fixes: it is neither
    /// duplicated nor sent ahead of others. The first sending of the first segment of a packet
    /// meets the random draws that the packet would meet as a datagram.
    #[inline]
    pub fn segment_fate(
        &mut self,
        now: Time,
        publisher_key: Option<DrawKey>,
        sending: SendAttempt,
        wire_bytes: u32,
    ) -> Fate {
        let SendAttempt { packet, offset, attempt } = sending;
        let key = self.key_of(packet.direction);
        let key = publisher_key.map_or(key, |origin| key.combined_with(origin));
        let draw = |block: u16| {
            if offset == 0 && attempt == 0 {
                return key.draw(packet.draw_counter(block));
            }
            let [a, b, ..] = key.draw(packet.draw_counter(SEGMENT_DRAWS));
            philox([a, b], [offset, attempt, u32::from(block), 0])
        };
        self.stream_fate(now, packet.direction, FateKey::Sending(sending), draw, wire_bytes)
    }

    /// Decides what becomes of a segment without data; otherwise as [`Self::segment_fate`].
    #[inline]
    pub fn ack_fate(
        &mut self,
        now: Time,
        client: ClientIndex,
        direction: Direction,
        wire_bytes: u32,
    ) -> Fate {
        let (_, state, _) = self.direction_mut(direction);
        let (key, nth) = (state.ack_key, state.acks_sent);
        state.acks_sent += 1;
        let draw = |block: u16| key.draw([nth, u32::from(block), 0, 0]);
        let name = AckName { client, direction, nth };
        self.stream_fate(now, direction, FateKey::Ack(name), draw, wire_bytes)
    }

    /// Decides what becomes of the next IP packet of a real system in this direction, of
    /// `wire_bytes` bytes with its headers. Otherwise as [`Self::segment_fate`]; but nothing is
    /// known of the packet, so its draws are keyed by how many went this way before it.
    #[inline]
    pub fn ip_packet_fate(&mut self, now: Time, direction: Direction, wire_bytes: u32) -> Fate {
        // A segment without data has no name but its number either, and of which client it is goes
        // into no draw.
        self.ack_fate(now, ClientIndex(0), direction, wire_bytes)
    }

    #[inline]
    fn stream_fate(
        &mut self,
        now: Time,
        direction: Direction,
        key: FateKey,
        draw: impl Fn(u16) -> [u32; 4],
        wire_bytes: u32,
    ) -> Fate {
        let is_blocked = self.is_blocked(direction);
        let now = self.wait_for_radio(now, direction, wire_bytes);
        let (settings, state, recorded) = self.direction_mut(direction);
        let [loss, jitter, ..] = draw(FIRST_DRAWS);
        let missing = state.loss.sample(&settings.loss, now, loss, || draw(SECOND_DRAWS)[0]);
        let (leaves, obstacle) = state.enter(settings, is_blocked, now, wire_bytes);
        let undisturbed = leaves + settings.delay;
        let passage = LinkPassage { now, undisturbed, obstacle };
        let fate = passage.decide(key, None, recorded, || match missing {
            Some(loss) => PendingFate::Lost(loss),
            None => PendingFate::Arrives(leaves + settings.propagation_delay(jitter), None),
        });
        let fate = match fate {
            PendingFate::Lost(loss) => Fate::Lost(loss),
            PendingFate::Arrives(at, _) => Fate::arriving_at(at),
        };
        self.reach_radio(fate, direction, wire_bytes)
    }

    const fn key_of(&self, direction: Direction) -> DrawKey {
        match direction {
            Direction::Up => self.up.key,
            Direction::Down => self.down.key,
        }
    }

    fn direction_mut(
        &mut self,
        direction: Direction,
    ) -> (&DirectionSettings, &mut DirectionState, &mut RecordedFates) {
        match direction {
            Direction::Up => (&self.settings.up, &mut self.up, &mut self.recorded_fates),
            Direction::Down => (&self.settings.down, &mut self.down, &mut self.recorded_fates),
        }
    }

    /// Starts what counts from the start of the traffic: bursts and outages.
    pub fn start_bursts_and_outages(&mut self, now: Time) {
        self.up.loss.start_traffic(&self.settings.up.loss, now);
        self.down.loss.start_traffic(&self.settings.down.loss, now);
        self.outages.start_traffic(now);
    }

    /// Ends what is a fault and not a property of the link: it is up in both directions, and no
    /// more outages come.
    pub const fn end_faults(&mut self) {
        self.is_down = false;
        self.partitioned = [false; 2];
        self.outages.stop();
    }

    /// When the next outage begins and ends; `None` if there is none, before the traffic began and
    /// after [`Self::end_faults`]. It is the caller who puts the link down and up at these times.
    pub fn next_outage(&mut self) -> Option<(Time, Time)> {
        self.outages.next(self.settings.outage.as_ref())
    }

    /// Puts both directions down or up. While down every packet handed over is lost; one already
    /// on its way still arrives.
    pub const fn set_down(&mut self, is_down: bool) {
        self.is_down = is_down;
    }

    /// Whether the link is down.
    #[must_use]
    pub const fn is_down(&self) -> bool {
        self.is_down
    }

    /// Puts one direction down or up, as [`Self::set_down`] does both and apart from it: a packet
    /// gets through where neither stops it.
    pub const fn set_partitioned(&mut self, direction: Direction, is_partitioned: bool) {
        self.partitioned[direction as usize] = is_partitioned;
    }

    /// Whether nothing gets through in this direction: the link is down, or partitioned.
    #[must_use]
    pub const fn is_blocked(&self, direction: Direction) -> bool {
        self.is_down || self.partitioned[direction as usize]
    }
}

/// State of one direction.
#[derive(Clone, Debug)]
struct DirectionState {
    /// Key of the draws of packets, and of segments with data.
    key: DrawKey,
    ack_key: DrawKey,
    /// How many segments without data went this way.
    acks_sent: u32,
    tx_queue: TxQueue,
    loss: LossState,
    /// Packets handed over since one was sent ahead.
    since_reordered: u32,
    /// The latest arrival so far.
    latest_arrival: Time,
}

impl_fingerprint! {
    struct DirectionState {
        plain tx_queue, loss, since_reordered;
        skip acks_sent: "only gives names, and grows for ever";
        skip key, ack_key: "nothing is drawn at random where states are compared";
        skip latest_arrival: "only tells of a packet that overtakes";
    }
}

/// A packet as a direction sees it.
struct LinkPacket<'a> {
    now: Time,
    key: DrawKey,
    name: &'a PacketName,
    wire_bytes: u32,
}

impl DirectionState {
    fn new(key: DrawKey) -> Self {
        Self {
            key,
            ack_key: key.child(b"ack"),
            acks_sent: 0,
            tx_queue: TxQueue::default(),
            loss: LossState::new(key.child(b"burst")),
            since_reordered: 0,
            latest_arrival: Time::ZERO,
        }
    }

    #[inline]
    fn fate(
        &mut self,
        settings: &DirectionSettings,
        recorded: &mut RecordedFates,
        is_blocked: bool,
        packet: &LinkPacket<'_>,
        fate_override: Option<&mut (dyn FateOverride + '_)>,
    ) -> PendingFate {
        let &LinkPacket { now, key, name, wire_bytes } = packet;
        // One word for one question, so that no answer shifts another.
        let [loss, jitter, duplicate, reorder] = key.draw(name.draw_counter(FIRST_DRAWS));
        let second = || key.draw(name.draw_counter(SECOND_DRAWS));
        let fate_key = FateKey::Sending(SendAttempt::first(*name));
        if name.kind == PacketKind::Reset {
            let undisturbed = now + settings.delay;
            let passage = LinkPassage { now, undisturbed, obstacle: None };
            let arrives = || PendingFate::Arrives(now + settings.propagation_delay(jitter), None);
            return passage.decide(fate_key, None, recorded, arrives);
        }
        let missing = self.loss.sample(&settings.loss, now, loss, || second()[0]);
        let ahead = settings.reorder.is_some_and(|rule| self.is_sent_ahead(rule, reorder));
        let (leaves, obstacle) = self.enter(settings, is_blocked, now, wire_bytes);
        let passage = LinkPassage { now, undisturbed: leaves + settings.delay, obstacle };
        passage.decide(fate_key, fate_override, recorded, || {
            if let Some(loss) = missing {
                return PendingFate::Lost(loss);
            }
            let at = if ahead { leaves } else { leaves + settings.propagation_delay(jitter) };
            let is_duplicated = settings.duplicate.hits(duplicate);
            let again = is_duplicated.then(|| leaves + settings.propagation_delay(second()[1]));
            PendingFate::Arrives(at, again)
        })
    }

    /// The transmit queue takes a packet, unless it is blocked: when the packet leaves it, or
    /// would, and why it does not.
    #[inline]
    fn enter(
        &mut self,
        settings: &DirectionSettings,
        is_blocked: bool,
        now: Time,
        wire_bytes: u32,
    ) -> (Time, Option<LossReason>) {
        if is_blocked {
            return (now, Some(LossReason::Outage));
        }
        match self.tx_queue.enqueue(settings, now, wire_bytes) {
            Ok(leaves) => (leaves, None),
            Err(leaves) => (leaves, Some(LossReason::QueueFull)),
        }
    }

    /// Whether a packet skips the delay, as tc-netem(8) has it: after one that did, the next
    /// `gap - 1` may not.
    fn is_sent_ahead(&mut self, rule: ReorderRule, word: u32) -> bool {
        let may = self.since_reordered >= rule.gap.saturating_sub(1);
        let ahead = may && rule.chance.hits(word);
        self.since_reordered = if ahead { 0 } else { self.since_reordered.saturating_add(1) };
        ahead
    }

    /// The two arrivals in their order, and whether the first overtakes an earlier packet.
    #[inline]
    fn arrival(&mut self, at: Time, again: Option<Time>) -> Arrival {
        let (first, again) = match again {
            Some(again) => (at.min(again), Some(at.max(again))),
            None => (at, None),
        };
        let overtakes = first < self.latest_arrival;
        self.latest_arrival = self.latest_arrival.max(again.unwrap_or(first));
        Arrival { at: first, duplicate_at: again, overtakes }
    }
}
