//! The state of one link, and the doors to it: [`LinkState::fate`] for datagrams, and
//! [`LinkState::segment_fate`] for the segments of a stream.

use std::sync::Arc;

use serde::Serialize;

use super::line::Line;
use super::loss::LossState;
use super::outage::Outages;
use super::overrule::{ForcedFate, Overrule};
use super::script::{Script, Sending};
use super::settings::{DirectionSettings, LinkSettings, Reorder};
use crate::base::draw::{Key, philox};
use crate::base::event::{Arrival, Fate, Loss};
use crate::base::name::{Kind, PacketName, Way};
use crate::base::time::{Span, Time};

/// Separates the two blocks of draws about one packet; see [`PacketName::counter`].
const FIRST: u16 = 0;
const SECOND: u16 = 1;
/// Draws the key of the luck of all segments of a packet but the first sending of the first one.
const SEGMENTS: u16 = 2;

/// Whose luck a link's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkKeys {
    /// From the client to the broker.
    pub up: Key,
    /// From the broker to the client.
    pub down: Key,
    /// The times in which the link is down.
    pub outage: Key,
}

impl LinkKeys {
    /// The luck of the link of the client with this name, in the trial whose luck is `root`.
    #[must_use]
    pub fn new(root: Key, client: &str) -> Self {
        let link = root.child(b"link").child(client.as_bytes());
        Self { up: link.child(b"up"), down: link.child(b"down"), outage: link.child(b"outage") }
    }
}

/// The luck of the messages of the stream with this name, which [`LinkState::fate`] wants as the
/// origin of their packets.
#[must_use]
pub fn origin(root: Key, stream: &str) -> Key {
    root.child(b"stream").child(stream.as_bytes())
}

/// One link: what it is set to do, and where it stands.
#[derive(Clone, Debug, Serialize)]
pub struct LinkState {
    // The same in all states of a trial.
    #[serde(skip)]
    settings: Arc<LinkSettings>,
    up: Direction,
    down: Direction,
    // Nothing is left to luck where states are compared.
    #[serde(skip)]
    outages: Outages,
    is_down: bool,
    /// Whether a partition blocks the way up, and the way down.
    partitioned: [bool; 2],
    // The same in all states of a trial.
    #[serde(skip)]
    script: Script,
}

impl LinkState {
    /// A link that is up, with nothing on it.
    #[must_use]
    pub fn new(settings: Arc<LinkSettings>, keys: LinkKeys) -> Self {
        Self {
            settings,
            up: Direction::new(keys.up),
            down: Direction::new(keys.down),
            outages: Outages::new(keys.outage),
            is_down: false,
            partitioned: [false; 2],
            script: Script::default(),
        }
    }

    /// Lets fates and outages be read from a script in place of luck, or be written down.
    pub fn follow(&mut self, script: Script, outages: Option<Vec<(Span, Span)>>) {
        self.script = script;
        self.outages.follow(outages);
    }

    /// The fates that were written down, in order of the sendings.
    pub fn take_record(&mut self) -> Vec<(Sending, ForcedFate)> {
        self.script.record.take().unwrap_or_default()
    }

    /// Decides what becomes of a packet handed over at `now` in the direction of its name.
    /// `origin` is the luck of its message's stream ([`origin`]), and none for a control packet;
    /// `wire_bytes` is its length with the transport's headers. Calls come in order of time.
    ///
    /// A reset may not be lost: it keeps clear of the line, of loss and of outages, and is only
    /// delayed.
    #[inline]
    pub fn fate(
        &mut self,
        now: Time,
        origin: Option<Key>,
        name: &PacketName,
        wire_bytes: u32,
    ) -> Fate {
        self.fate_under(&mut (), now, origin, name, wire_bytes)
    }

    /// As [`Self::fate`], but `overrule` has the last word. The packet still uses the line and
    /// steps the loss model, so that no other packet's fate shifts.
    #[inline]
    pub fn fate_under<O: Overrule + ?Sized>(
        &mut self,
        overrule: &mut O,
        now: Time,
        origin: Option<Key>,
        name: &PacketName,
        wire_bytes: u32,
    ) -> Fate {
        let is_blocked = self.is_blocked(name.way);
        let (settings, direction, script) = self.direction(name.way);
        let key = origin.map_or(direction.key, |origin| direction.key.with(origin));
        let packet = Packet { now, key, name, wire_bytes };
        let fate = direction.fate(settings, script, is_blocked, &packet, overrule);
        match fate {
            Due::Lost(loss) => Fate::Lost(loss),
            Due::Arrives(at, again) => Fate::Arrives(direction.arrival(at, again)),
        }
    }

    /// Decides what becomes of one segment of a stream, the `segment`-th of a packet, sent for the
    /// `attempt`-th time, both from 0. Otherwise as [`Self::fate`], but for what a stream mends:
    /// it is neither duplicated nor reordered. The first sending of the first segment meets the
    /// luck that the packet would meet as a datagram.
    #[inline]
    pub fn segment_fate(
        &mut self,
        now: Time,
        origin: Option<Key>,
        name: &PacketName,
        segment: u32,
        attempt: u32,
        wire_bytes: u32,
    ) -> Fate {
        let is_blocked = self.is_blocked(name.way);
        let (settings, direction, script) = self.direction(name.way);
        let key = origin.map_or(direction.key, |origin| direction.key.with(origin));
        let draw = |block: u16| {
            if segment == 0 && attempt == 0 {
                return key.draw(name.counter(block));
            }
            let [a, b, ..] = key.draw(name.counter(SEGMENTS));
            philox([a, b], [segment, attempt, u32::from(block), 0])
        };
        let [loss, jitter, ..] = draw(FIRST);
        let missing = direction.loss.meets(&settings.loss, now, loss, || draw(SECOND)[0]);
        if is_blocked {
            return Fate::Lost(Loss::Outage);
        }
        let Ok(leaves) = direction.line.enter(settings, now, wire_bytes) else {
            return Fate::Lost(Loss::QueueFull);
        };
        let plain = leaves + settings.delay;
        let drawn = match missing {
            Some(loss) => Due::Lost(loss),
            None => Due::Arrives(leaves + settings.propagation(jitter), None),
        };
        let sending = Sending { packet: *name, segment, attempt };
        match drawn.by(script, sending, now, plain) {
            Due::Lost(loss) => Fate::Lost(loss),
            Due::Arrives(at, _) => Fate::at(at),
        }
    }

    /// The mean delay against this direction: how long an acknowledgement takes to come back.
    #[must_use]
    pub fn reverse_delay(&self, way: Way) -> Span {
        match way {
            Way::Up => self.settings.down.delay,
            Way::Down => self.settings.up.delay,
        }
    }

    fn direction(&mut self, way: Way) -> (&DirectionSettings, &mut Direction, &mut Script) {
        match way {
            Way::Up => (&self.settings.up, &mut self.up, &mut self.script),
            Way::Down => (&self.settings.down, &mut self.down, &mut self.script),
        }
    }

    /// Starts what counts from the start of the traffic: bursts and outages.
    pub fn traffic_began(&mut self, now: Time) {
        self.up.loss.traffic_began(&self.settings.up.loss, now);
        self.down.loss.traffic_began(&self.settings.down.loss, now);
        self.outages.traffic_began(now);
    }

    /// Ends what is a fault and not a property of the link: it is up in both directions, and no
    /// more outages come.
    pub const fn end_faults(&mut self) {
        self.is_down = false;
        self.partitioned = [false; 2];
        self.outages.end();
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
    pub const fn set_partitioned(&mut self, way: Way, is_partitioned: bool) {
        self.partitioned[way as usize] = is_partitioned;
    }

    /// Whether nothing gets through in this direction: the link is down, or partitioned.
    #[must_use]
    pub const fn is_blocked(&self, way: Way) -> bool {
        self.is_down || self.partitioned[way as usize]
    }
}

/// Where one direction stands.
#[derive(Clone, Debug, Serialize)]
struct Direction {
    // Nothing is left to luck where states are compared.
    #[serde(skip)]
    key: Key,
    line: Line,
    loss: LossState,
    /// Packets handed over since one was sent ahead.
    since_ahead: u32,
    /// The latest arrival so far.
    // Told of a packet that overtakes, and decides nothing.
    #[serde(skip)]
    latest: Time,
}

/// A packet as a direction sees it.
struct Packet<'a> {
    now: Time,
    key: Key,
    name: &'a PacketName,
    wire_bytes: u32,
}

/// A fate before it is known whom the packet overtakes.
enum Due {
    Lost(Loss),
    Arrives(Time, Option<Time>),
}

impl Direction {
    fn new(key: Key) -> Self {
        Self {
            key,
            line: Line::default(),
            loss: LossState::new(key.child(b"burst")),
            since_ahead: 0,
            latest: Time::ZERO,
        }
    }

    #[inline]
    fn fate<O: Overrule + ?Sized>(
        &mut self,
        settings: &DirectionSettings,
        script: &mut Script,
        is_blocked: bool,
        packet: &Packet<'_>,
        overrule: &mut O,
    ) -> Due {
        let &Packet { now, key, name, wire_bytes } = packet;
        // One word for one question, so that no answer shifts another.
        let [loss, jitter, duplicate, reorder] = key.draw(name.counter(FIRST));
        let second = || key.draw(name.counter(SECOND));
        let sending = Sending::first(*name);
        if name.kind == Kind::Reset {
            let drawn = Due::Arrives(now + settings.propagation(jitter), None);
            return drawn.by(script, sending, now, now + settings.delay);
        }
        let missing = self.loss.meets(&settings.loss, now, loss, || second()[0]);
        let ahead = settings.reorder.is_some_and(|rule| self.goes_ahead(rule, reorder));
        let left = if is_blocked { Ok(now) } else { self.line.enter(settings, now, wire_bytes) };
        let (Ok(leaves) | Err(leaves)) = left;
        let plain = leaves + settings.delay;
        if let Some(forced) = overrule.overrule(now, name, plain) {
            return forced.due(now, plain);
        }
        if is_blocked {
            return Due::Lost(Loss::Outage);
        }
        if left.is_err() {
            return Due::Lost(Loss::QueueFull);
        }
        if let Some(loss) = missing {
            return Due::Lost(loss).by(script, sending, now, plain);
        }
        let at = if ahead { leaves } else { leaves + settings.propagation(jitter) };
        let again =
            settings.duplicate.hits(duplicate).then(|| leaves + settings.propagation(second()[1]));
        Due::Arrives(at, again).by(script, sending, now, plain)
    }

    /// Whether a packet skips the delay, as tc-netem(8) has it: after one that did, the next
    /// `gap - 1` may not.
    fn goes_ahead(&mut self, rule: Reorder, word: u32) -> bool {
        let may = self.since_ahead >= rule.gap.saturating_sub(1);
        let ahead = may && rule.chance.hits(word);
        self.since_ahead = if ahead { 0 } else { self.since_ahead.saturating_add(1) };
        ahead
    }

    /// The two arrivals in their order, and whether the first overtakes an earlier packet.
    #[inline]
    fn arrival(&mut self, at: Time, again: Option<Time>) -> Arrival {
        let (first, again) = match again {
            Some(again) => (at.min(again), Some(at.max(again))),
            None => (at, None),
        };
        let overtakes = first < self.latest;
        self.latest = self.latest.max(again.unwrap_or(first));
        Arrival { at: first, again, overtakes }
    }
}

impl Due {
    /// What the script makes of a fate that was drawn: it is the one to be read, if one is, and it
    /// is written down unless it is `plain`.
    #[inline]
    fn by(self, script: &mut Script, sending: Sending, now: Time, plain: Time) -> Self {
        let due = script.read(&sending).map_or(self, |forced| forced.due(now, plain));
        script.write(sending, || due.unless_plain(now, plain));
        due
    }

    fn unless_plain(&self, now: Time, plain: Time) -> Option<ForcedFate> {
        match *self {
            Self::Lost(loss) => Some(ForcedFate::Lost(loss)),
            Self::Arrives(at, None) if at == plain => None,
            Self::Arrives(at, again) => {
                let first = again.map_or(at, |again| again.min(at));
                let again = again.map(|again| again.max(at).since(now));
                Some(ForcedFate::Arrives { after: first.since(now), again })
            }
        }
    }
}

impl ForcedFate {
    fn due(self, now: Time, plain: Time) -> Due {
        match self {
            Self::Lost(loss) => Due::Lost(loss),
            Self::Plain => Due::Arrives(plain, None),
            Self::Arrives { after, again } => {
                Due::Arrives(now + after, again.map(|again| now + again))
            }
        }
    }
}
