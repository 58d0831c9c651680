//! The same transfers as smoltcp carries them, a TCP that others wrote and that shares no line with
//! ours, over the same links in virtual time. The tables are those of `docs/smoltcp.md`.
//!
//! Each side starts with a window of 10 segments of 1,024 bytes and a measured round trip. smoltcp
//! has slow start, Reno and CUBIC, fast retransmit and a timer of a second at the least. It has no
//! selective acknowledgements, probes or RACK, and acknowledges each segment here. So both must
//! take the same time where nothing is lost; where one segment is, a round trip more or less (the
//! halves of the window are taken at different moments); and where many are, ours must be faster,
//! for smoltcp then waits for its timer.

mod pair;
mod tables;

use self::pair::{PairSettings, SmolPair};
use super::*;
use crate::base::LossReason;
use crate::network::fate_override::ForcedFate;
use crate::network::recorded_fates::{AckName, FateKey, RecordedFates, SendAttempt};

/// smoltcp's first window is 2,048 bytes whatever the MSS: this makes it two segments.
const MSS: u32 = 1_024;
const HEADERS: u32 = 40;
const BULK_SEGMENTS: u32 = 300;
const BULK: u32 = BULK_SEGMENTS * MSS;
const OWN: TcpSettings = TcpSettings { mss: MSS, headers: HEADERS, ..TCP };
const SEEDS: u64 = 20;
const TRICKLE_MESSAGES: u32 = 600;
const MESSAGE_BYTES: u32 = 80;
/// smoltcp's clock counts microseconds.
const SMOLTCP_TICK: Span = Span::from_millis(1);

/// A line, without loss or jitter.
#[derive(Clone, Copy, Debug)]
struct Path {
    rate: Option<u64>,
    delay_ms: u64,
    queue: Option<u32>,
}

/// How long a transfer took: smoltcp's, and ours.
#[derive(Clone, Copy, Debug)]
struct Times {
    smoltcp: Span,
    own: Span,
}

impl Path {
    /// Loss is a share.
    fn line(self, loss: f64) -> DirectionSettings {
        line(self.delay_ms, loss, self.rate, self.queue)
    }

    fn round_trip(self) -> Span {
        Span::from_millis(2 * self.delay_ms)
    }

    /// How long the line is busy with so many bytes.
    fn busy(self, bytes: u32) -> Span {
        let nanos = |rate| u64::from(bytes) * 8_000_000_000 / rate;
        Span::from_nanos(self.rate.map_or(0, nanos))
    }

    /// The bulk's time where nothing is lost, and how many flights it has. A flight follows when
    /// the first segment of the one before is acknowledged, or when that one has left, if it takes
    /// longer; each is twice as large.
    fn undisturbed(self) -> (Span, u64) {
        let segment = self.busy(MSS + HEADERS);
        let acknowledged = segment + self.round_trip() + self.busy(HEADERS);
        let (mut start, mut flights) = (Span::ZERO, 1);
        let (mut window, mut left) = (10, u64::from(BULK_SEGMENTS));
        while left > window {
            start = start + segment.times(window).max(acknowledged);
            left -= window;
            window *= 2;
            flights += 1;
        }
        (start + segment.times(left) + Span::from_millis(self.delay_ms), flights)
    }

    /// Whether the queue never drops anything of the bulk.
    fn holds_all(self) -> bool {
        self.queue.is_none_or(|queue| queue > BULK_SEGMENTS)
    }
}

/// Without a rate nothing waits, and a queue is nothing.
fn paths() -> Vec<Path> {
    let mut paths = Vec::new();
    for rate in [Some(512_000), Some(2_000_000), None] {
        for delay_ms in [10, 40, 300] {
            let queues = if rate.is_some() { &[20, 100, 1_000][..] } else { &[] };
            let queues = queues.iter().map(|queue| Some(*queue));
            let queues = queues.chain(rate.is_none().then_some(None));
            paths.extend(queues.map(|queue| Path { rate, delay_ms, queue }));
        }
    }
    paths
}

/// Which segments of the bulk are lost, the first time that they are sent.
type Lost<'a> = &'a [u32];

fn bulk(
    seed: u64,
    line: &DirectionSettings,
    congestion: CongestionControl,
    lost: Lost<'_>,
) -> Times {
    Times {
        smoltcp: smoltcp_bulk(seed, line, congestion, lost),
        own: own_bulk(seed, line, congestion, lost),
    }
}

fn own_bulk(
    seed: u64,
    line: &DirectionSettings,
    congestion: CongestionControl,
    lost: Lost<'_>,
) -> Span {
    let mut world = World::new(seed, line, TcpSettings { congestion, ..OWN });
    let subject = PacketSubject::Control { nth: world.names };
    let (direction, kind) = (Direction::Up, PacketKind::Publish);
    let packet = PacketName { client: ClientIndex(0), direction, kind, subject };
    world.link.set_recorded_fates(
        losing(lost, |nth| FateKey::Sending(SendAttempt { packet, offset: nth * MSS, attempt: 0 })),
        None,
    );
    world.send(BULK);
    world.finish();
    world.arrived[0].1.since(world.start)
}

fn smoltcp_bulk(
    seed: u64,
    line: &DirectionSettings,
    congestion: CongestionControl,
    lost: Lost<'_>,
) -> Span {
    let (client, direction) = (ClientIndex(0), Direction::Up);
    let name = |nth| FateKey::Ack(AckName { client, direction, nth });
    let settings = PairSettings { congestion, nagle: true };
    let mut pair = smoltcp_pair(seed, line, settings, losing(lost, name));
    let start = pair.now;
    pair.send(BULK);
    pair.advance_until_arrived(BULK as usize).since(start)
}

fn smoltcp_pair(
    seed: u64,
    line: &DirectionSettings,
    settings: PairSettings,
    fates: RecordedFates,
) -> SmolPair {
    let calm = DirectionSettings::delay_only(line.delay);
    let mut pair = SmolPair::new(link(seed, &calm, OWN), settings);
    let mut link = link(seed, line, OWN);
    link.set_recorded_fates(fates, None);
    pair.start(link);
    pair
}

fn losing(lost: Lost<'_>, name: impl Fn(u32) -> FateKey) -> RecordedFates {
    let fates = lost.iter().map(|nth| (name(*nth), ForcedFate::Lost(LossReason::Random)));
    RecordedFates { replay: Some(Arc::new(fates.collect())), recording: None }
}

/// The mean of all seeds.
fn mean_bulk(line: &DirectionSettings, congestion: CongestionControl) -> Times {
    let all: Vec<_> = (0..SEEDS).map(|seed| bulk(seed, line, congestion, &[])).collect();
    Times {
        smoltcp: mean(all.iter().map(|times| times.smoltcp)),
        own: mean(all.iter().map(|times| times.own)),
    }
}

fn mean(spans: impl ExactSizeIterator<Item = Span>) -> Span {
    let count = spans.len() as u64;
    Span::from_nanos(spans.map(Span::as_nanos).sum::<u64>() / count)
}

/// So many percent of a time.
fn percent(of: Span, percent: u64) -> Span {
    Span::from_nanos(of.as_nanos() / 100 * percent)
}

/// How late each message of a trickle came, of those that leave so many milliseconds apart.
fn own_trickle(seed: u64, line: &DirectionSettings, every_ms: u64, nagle: bool) -> Vec<Span> {
    let socket = SocketSettings { nodelay: !nagle, ..SocketSettings::LINUX };
    let mut world = World::new(seed, line, with_sockets(OWN, socket));
    let start = world.now;
    for nth in 0..u64::from(TRICKLE_MESSAGES) {
        world.advance_to(start + Span::from_millis(every_ms * nth));
        world.send(MESSAGE_BYTES);
    }
    world.finish();
    let sent = |nth: u32| start + Span::from_millis(every_ms * u64::from(nth));
    world.arrived.iter().map(|(nth, at)| at.since(sent(*nth))).collect()
}

fn smoltcp_trickle(seed: u64, line: &DirectionSettings, every_ms: u64, nagle: bool) -> Vec<Span> {
    let settings = PairSettings { congestion: CongestionControl::Reno, nagle };
    let mut pair = smoltcp_pair(seed, line, settings, RecordedFates::default());
    let start = pair.now;
    let sent = |nth: u32| start + Span::from_millis(every_ms * u64::from(nth));
    for nth in 0..TRICKLE_MESSAGES {
        pair.advance_to(sent(nth));
        pair.send(MESSAGE_BYTES);
    }
    let messages = 0..TRICKLE_MESSAGES;
    let late = messages.map(|nth| {
        let bytes = (nth + 1) * MESSAGE_BYTES;
        pair.advance_until_arrived(bytes as usize).since(sent(nth))
    });
    late.collect()
}

/// How long a message takes that is written while the link is down, for so long, and how often it
/// is sent until it arrives.
fn over_an_outage(outage: Span) -> (Times, [u32; 2]) {
    let path = Path { rate: None, delay_ms: 40, queue: None };
    let mut world = World::new(1, &path.line(0.0), OWN);
    world.link.set_down(true);
    world.send(MESSAGE_BYTES);
    world.advance_to(world.start + outage);
    world.link.set_down(false);
    world.finish();
    let own = world.arrived[0].1.since(world.start);
    let own_sendings = world.up().segments + world.up().retransmissions;

    let settings = PairSettings { congestion: CongestionControl::Reno, nagle: true };
    let mut pair = smoltcp_pair(1, &path.line(0.0), settings, RecordedFates::default());
    let start = pair.now;
    pair.set_down(true);
    pair.send(MESSAGE_BYTES);
    pair.advance_to(start + outage);
    pair.set_down(false);
    let smoltcp = pair.advance_until_arrived(MESSAGE_BYTES as usize).since(start);
    (Times { smoltcp, own }, [pair.sent, own_sendings])
}

/// Reno fills a line in the time of the closed form. smoltcp does so to its clock's tick; ours
/// waits for the second segment of each flight to be acknowledged. CUBIC may leave slow start early
/// on a narrow line with a long way, and is 5 % late at most.
#[test]
fn both_take_the_time_of_the_closed_form_where_nothing_is_lost() {
    for path in paths().into_iter().filter(|path| path.holds_all()) {
        let (expected, flights) = path.undisturbed();
        let Times { smoltcp, own } = bulk(1, &path.line(0.0), CongestionControl::Reno, &[]);
        assert!(
            smoltcp + SMOLTCP_TICK > expected && smoltcp < expected + SMOLTCP_TICK,
            "{path:?}: smoltcp took {smoltcp:?}, not {expected:?}"
        );
        let waits = path.busy(MSS + HEADERS).times(flights - 1);
        assert!(
            own >= expected && own <= expected + waits,
            "{path:?}: {own:?} is not within {waits:?} of {expected:?}"
        );
        let cubic = own_bulk(1, &path.line(0.0), CongestionControl::Cubic, &[]);
        assert!(cubic >= expected && cubic <= percent(expected, 105), "{path:?}: CUBIC {cubic:?}");
    }
}

/// Slow start overflows a short queue, and many segments are lost at once. Ours still fills the
/// line unless the way is long, where the window of Reno grows back by one a round trip.
#[test]
fn a_queue_that_overflows_costs_ours_little_and_smoltcp_timeouts() {
    for path in paths().into_iter().filter(|path| !path.holds_all()) {
        let (expected, _) = path.undisturbed();
        for congestion in [CongestionControl::Reno, CongestionControl::Cubic] {
            let Times { smoltcp, own } = bulk(1, &path.line(0.0), congestion, &[]);
            let most = percent(expected, if path.delay_ms < 100 { 105 } else { 160 });
            assert!(
                own >= expected && own <= most,
                "{path:?}, {congestion:?}: {own:?} and not {expected:?} to {most:?}"
            );
            let limit = smoltcp + path.busy(MSS + HEADERS).times(4);
            assert!(own <= limit, "{path:?}, {congestion:?}: {own:?}, and smoltcp {smoltcp:?}");
        }
    }
}

const ONE_LOST: [u32; 8] = [9, 15, 20, 40, 60, 100, 140, 200];
const LAST_LOST: u32 = BULK_SEGMENTS - 1;

/// Lines on which a window counts.
fn wide_paths() -> Vec<Path> {
    let path = |rate, delay_ms| Path { rate, delay_ms, queue: None };
    vec![path(None, 10), path(None, 40), path(None, 300), path(Some(2_000_000), 300)]
}

/// A fast retransmission, and half the window from there on by one a round trip: a round trip more
/// or less, since without a rate ours has one acknowledgement of a whole flight, and takes half of
/// what the window was before it, and smoltcp half of what the window has become. With CUBIC, where
/// what is left of the window tells for longer, they are compared on a line with a rate.
#[test]
fn one_lost_segment_costs_both_the_same_to_a_round_trip() {
    for path in wide_paths() {
        for lost in ONE_LOST {
            let line = path.line(0.0);
            let Times { smoltcp, own } = bulk(1, &line, CongestionControl::Reno, &[lost]);
            let slack = path.round_trip() + path.busy(MSS + HEADERS).times(8);
            assert!(
                own <= smoltcp + slack && smoltcp <= own + slack,
                "{path:?}, {lost}: {own:?}, and smoltcp {smoltcp:?}"
            );
            let Times { smoltcp, own } = bulk(1, &line, CongestionControl::Cubic, &[lost]);
            assert!(
                path.rate.is_none() || own <= smoltcp + slack && smoltcp <= own + slack,
                "{path:?}, {lost}, CUBIC: {own:?}, and smoltcp {smoltcp:?}"
            );
        }
        // What smoltcp leaves to its timer of a second, ours finds out by a probe.
        let Times { smoltcp, own } =
            bulk(1, &path.line(0.0), CongestionControl::Reno, &[LAST_LOST]);
        let (undisturbed, _) = path.undisturbed();
        let least = undisturbed + path.round_trip();
        assert!(own >= least && own <= smoltcp + path.round_trip(), "{path:?}: {own:?}");
    }
}

const SHARES_LOST: [f64; 2] = [0.01, 0.05];

/// Paths for random loss: what the queue drops is another matter.
fn lossy_paths() -> impl Iterator<Item = Path> {
    paths().into_iter().filter(|path| path.queue.is_none_or(|queue| queue == 100))
}

/// Selective acknowledgements repair several losses of a window in one round trip. Over a long way
/// without a rate it is the window that counts, which both have: ours may not be twice as fast.
#[test]
fn random_loss_costs_ours_less_but_the_window_still_counts() {
    for path in lossy_paths() {
        for (loss, congestion) in SHARES_LOST
            .into_iter()
            .flat_map(|loss| [(loss, CongestionControl::Reno), (loss, CongestionControl::Cubic)])
        {
            let Times { smoltcp, own } = mean_bulk(&path.line(loss), congestion);
            let (undisturbed, _) = path.undisturbed();
            let case = (path, loss, congestion);
            assert!(own >= undisturbed, "{case:?}: {own:?} is too fast");
            assert!(own <= smoltcp, "{case:?}: {own:?}, and smoltcp {smoltcp:?}");
            if path.delay_ms == 300 && path.rate.is_none() {
                assert!(own.times(2) >= smoltcp, "{case:?}: {own:?}, and smoltcp {smoltcp:?}");
            }
        }
    }
}

const OUTAGES_MS: [u64; 5] = [100, 1_500, 5_000, 20_000, 100_000];

/// Both double a timer: smoltcp that of a second, ours first a probe and then a timer, each of
/// 280 ms, 200 above the round trip. Neither waits longer than a minute.
#[test]
fn an_outage_is_over_at_the_next_doubling_of_the_timer() {
    for outage in OUTAGES_MS {
        let (Times { smoltcp, own }, _) = over_an_outage(Span::from_millis(outage));
        let waits = |first: u64| (0..).map(move |nth| (first << nth).min(60_000));
        let arrival = |waits: &mut dyn Iterator<Item = u64>| {
            let mut at = 0;
            for wait in waits {
                at += wait;
                if at >= outage {
                    break;
                }
            }
            Span::from_millis(at + 40)
        };
        assert_eq!(own, arrival(&mut std::iter::once(280).chain(waits(280))), "{outage}");
        let expected = arrival(&mut waits(1_000));
        assert!(
            smoltcp + SMOLTCP_TICK > expected && smoltcp < expected + SMOLTCP_TICK,
            "{outage}: {smoltcp:?}, not {expected:?}"
        );
    }
}

/// Milliseconds between messages, and whether Nagle's algorithm is on.
const TRICKLES: [(u64, bool); 4] = [(100, false), (100, true), (30, false), (30, true)];
const TRICKLE_PATH: Path = Path { rate: None, delay_ms: 40, queue: None };

#[test]
fn a_trickle_without_loss_arrives_message_by_message_at_the_same_times() {
    for (every, nagle) in TRICKLES {
        let line = TRICKLE_PATH.line(0.0);
        let own = own_trickle(1, &line, every, nagle);
        let smoltcp = smoltcp_trickle(1, &line, every, nagle);
        assert_eq!((own.len(), smoltcp.len()), (600, 600));
        for (nth, (own, smoltcp)) in own.into_iter().zip(smoltcp).enumerate() {
            let is_same = own < smoltcp + SMOLTCP_TICK && smoltcp < own + SMOLTCP_TICK;
            assert!(is_same, "{every}, {nagle}, {nth}: {own:?}, and smoltcp {smoltcp:?}");
        }
    }
}

/// A probe, or one later arrival and a quarter of a round trip, against three later arrivals.
#[test]
fn a_trickle_under_loss_is_less_late_than_smoltcps() {
    for loss in SHARES_LOST {
        for (every, nagle) in TRICKLES {
            let Times { smoltcp, own } = mean_lateness(loss, every, nagle);
            assert!(own > Span::from_millis(40), "{loss}, {every}, {nagle}: {own:?}");
            assert!(own < smoltcp, "{loss}, {every}, {nagle}: {own:?}, and smoltcp {smoltcp:?}");
        }
    }
}

/// The mean of all messages of all seeds.
fn mean_lateness(loss: f64, every: u64, nagle: bool) -> Times {
    let line = TRICKLE_PATH.line(loss);
    let seeds = if loss > 0.0 { SEEDS } else { 1 };
    let all = |one: fn(u64, &DirectionSettings, u64, bool) -> Vec<Span>| {
        let late: Vec<_> = (0..seeds).flat_map(|seed| one(seed, &line, every, nagle)).collect();
        mean(late.into_iter())
    };
    Times { smoltcp: all(smoltcp_trickle), own: all(own_trickle) }
}
