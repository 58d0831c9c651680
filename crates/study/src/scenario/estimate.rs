//! How large a trial will be, before it runs: an estimate from above, by the closed forms for
//! resends, so that a slip in a file is refused and not waited for.

use super::subscribers::SubscriberGroups;
use super::{Point, Scenario};
use qoslab_core::base::units::{format_bytes, format_count};
use qoslab_core::base::{Node, QoS, Span};
use qoslab_core::mqtt::{HopSettings, RetryRule};
use qoslab_core::network::{
    DirectionSettings, IntervalDistribution, LinkSettings, LossModel, OutageModel, TcpSettings,
    Transport,
};
use qoslab_sim::{ClientSetup, FaultAction, PublisherSetup, Setup, Trigger};

/// Bytes that one client takes with its session, its link's state and its name.
const CLIENT_BYTES: f64 = 3_000.0;

/// Bytes that one message takes while it waits or is under way, with its packets and timer.
const IN_FLIGHT_BYTES: f64 = 250.0;

/// Bytes that the ledger keeps of one message and subscriber when they are done.
const LEDGER_ENTRY_BYTES: f64 = 2.0;

/// Bytes that one fault takes with its name and what the engine remembers of it.
const FAULT_BYTES: f64 = 250.0;

/// CONNECT, SUBSCRIBE, both calms and what they resend, in packets a client.
const CONNECTING_PACKETS: f64 = 16.0;

/// What a trial, or a whole run, will need at most, roughly.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Calls to `publish()`.
    pub messages: u64,
    /// Packets of every kind, resends included.
    pub packets: u64,
    /// Events that the engine handles: arrivals, timers, publishes.
    pub events: u64,
    /// Bytes of memory.
    pub memory: u64,
}

/// How large a trial may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    /// Events of one trial.
    pub events: u64,
    /// Bytes of memory of all trials that run at once.
    pub memory: u64,
}

impl Default for SizeLimits {
    /// A billion events, some minutes of one core, and 4 GB.
    fn default() -> Self {
        Self { events: 1_000_000_000, memory: 4_000_000_000 }
    }
}

/// A scenario that is larger than the limits allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeLimitError {
    /// One trial has too many events.
    #[error(
        "a trial of {point} needs about {} events, and the limit is {}",
        format_count(*.required),
        format_count(*.limit)
    )]
    Events {
        /// The point's label.
        point: String,
        /// Events of one trial.
        required: u64,
        /// The limit.
        limit: u64,
    },
    /// The trials that run at once need too much memory.
    #[error(
        "{jobs} trials at once need about {}, and the limit is {}",
        format_bytes(*.required),
        format_bytes(*.limit)
    )]
    Memory {
        /// How many trials run at once.
        jobs: u64,
        /// Bytes.
        required: u64,
        /// The limit.
        limit: u64,
    },
}

impl Scenario {
    /// What all trials need together; the memory is that of the largest `jobs` times.
    #[must_use]
    pub fn estimate(&self, jobs: u64) -> Estimate {
        let seeds = u64::from(self.seed_count);
        let mut sum = Estimate::default();
        for one in self.points.iter().map(Point::estimate) {
            sum.messages = sum.messages.saturating_add(one.messages.saturating_mul(seeds));
            sum.packets = sum.packets.saturating_add(one.packets.saturating_mul(seeds));
            sum.events = sum.events.saturating_add(one.events.saturating_mul(seeds));
            sum.memory = sum.memory.max(one.memory.saturating_mul(jobs));
        }
        sum
    }

    /// Refuses what is larger than the limits when `jobs` trials run at once.
    ///
    /// # Errors
    /// The first limit that is exceeded.
    pub fn check_size(&self, limits: &SizeLimits, jobs: u64) -> Result<(), SizeLimitError> {
        for point in &self.points {
            let needs = point.estimate().events;
            if needs > limits.events {
                let point = point.label();
                return Err(SizeLimitError::Events {
                    point,
                    required: needs,
                    limit: limits.events,
                });
            }
        }
        let needs = self.estimate(jobs).memory;
        if needs > limits.memory {
            return Err(SizeLimitError::Memory { jobs, required: needs, limit: limits.memory });
        }
        Ok(())
    }
}

impl Point {
    /// What one trial of this point needs.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        estimate_trial(&self.worst_case())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an estimate; `as` saturates"
)]
fn estimate_trial(setup: &Setup) -> Estimate {
    let broker = setup.broker.hop;
    let second = |client: &ClientSetup| {
        mean_transmissions(
            &broker,
            &client.link.down,
            &client.link.up,
            &client.link,
            setup.deadline,
        )
    };
    let audience = SubscriberGroups::new(setup, second);
    let (mut messages, mut packets, mut units, mut under_way) = (0.0, 0.0, 0.0, 0.0);
    for stream in &setup.publishers {
        let client = &setup.clients[stream.client.index()];
        let hop = client.settings.hop;
        let link = &*client.link;
        let first = mean_transmissions(&hop, &link.up, &link.down, link, setup.deadline);
        let count = message_count(stream) as f64;
        messages += count;
        packets += count * packets_per_message(stream.qos, first);
        if client.settings.on_demand {
            packets += count * CONNECTING_PACKETS;
        }
        let copies = if stream.qos == QoS::AtLeastOnce { first } else { 1.0 };
        let mut fan_out = 0.0;
        audience.for_each_match(&stream.topic, |group| {
            let mean = group.weight / group.clients as f64;
            let onward = packets_per_message(stream.qos.min(group.granted), mean);
            packets += count * copies * group.clients as f64 * onward;
            fan_out += group.clients as f64;
        });
        units += count * fan_out;
        let room = |hop: &HopSettings| f64::from(hop.max_queued) + f64::from(hop.max_inflight);
        under_way += count.min(room(&hop)) + fan_out * count.min(room(&broker));
    }
    let clients = setup.clients.len() as f64;
    packets += clients * CONNECTING_PACKETS;
    let kept = clients * CLIENT_BYTES + setup.faults.len() as f64 * FAULT_BYTES;
    let memory = kept + units * LEDGER_ENTRY_BYTES + under_way * IN_FLIGHT_BYTES;
    let traffic = traffic_seconds(setup, 0.0);
    packets += fault_packets(setup, traffic, messages) + nat_reconnect_packets(setup, traffic);
    let end = (traffic_seconds(setup, 2.0) + DRAIN_SECONDS).min(setup.deadline.as_secs_f64());
    let pings: f64 = setup.clients.iter().map(|client| ping_packets(client, end)).sum();
    packets += pings;
    let turns: f64 = setup
        .clients
        .iter()
        .map(|client| traffic * link_transitions_per_second(&client.link))
        .sum();
    // Every packet arrives, and about every second one arms a timer that fires or is skipped; of a
    // ping and its answer both ends do.
    let events = packets * 1.5 + pings * 0.5 + messages + turns;
    Estimate {
        messages: messages as u64,
        packets: packets as u64,
        events: events as u64,
        memory: memory as u64,
    }
}

/// Seconds from the first message to the last. Random times add up to more than their mean in many
/// a trial: by that many standard deviations of their sum.
fn traffic_seconds(setup: &Setup, deviations: f64) -> f64 {
    let ends = setup.publishers.iter().map(|stream| {
        let count = f64::from(stream.count);
        let chance = match stream.every {
            IntervalDistribution::Exponential(_) => deviations * count.sqrt(),
            IntervalDistribution::Fixed(_) | IntervalDistribution::Uniform(..) => 0.0,
        };
        stream.spread.as_secs_f64() + (count + chance) * stream.every.mean().as_secs_f64()
    });
    ends.fold(0.0, f64::max).min(setup.deadline.as_secs_f64())
}

/// Seconds that the calm after the traffic takes, generously.
const DRAIN_SECONDS: f64 = 600.0;

/// Packets that faults bring about: each may make a client, or all of them, connect again and both
/// ends resend a window, four packets a message.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn fault_packets(setup: &Setup, traffic: f64, messages: f64) -> f64 {
    let window = f64::from(setup.broker.hop.max_inflight).min(messages);
    let each = CONNECTING_PACKETS + 2.0 * 4.0 * window;
    let of_one = setup.faults.iter().map(|fault| {
        let times = match fault.trigger {
            Trigger::Every(interval) => (traffic / interval.mean().as_secs_f64()).ceil(),
            Trigger::At(_) | Trigger::NthPacket(_) | Trigger::NamedPacket(_) => 1.0,
        };
        let clients = match fault.action {
            FaultAction::Crash { node: Node::Broker, .. } => setup.clients.len() as f64,
            _ => 1.0,
        };
        times * clients * each
    });
    of_one.sum()
}

fn message_count(stream: &PublisherSetup) -> usize {
    stream.only_sequences.as_ref().map_or(stream.count as usize, |only| only.len())
}

/// Packets of one message on one hop whose sender sends each packet so often. Each repeated
/// PUBREC of QoS 2 can bring about one PUBREL and PUBCOMP more.
fn packets_per_message(qos: QoS, transmissions: f64) -> f64 {
    match qos {
        QoS::AtMostOnce => 1.0,
        QoS::AtLeastOnce => 2.0 * transmissions,
        QoS::ExactlyOnce => 4.0 * transmissions + 2.0 * (transmissions - 1.0),
    }
}

/// How often a packet is sent in the mean until it is acknowledged: 1 / ((1-p)(1-q)), and what an
/// early timer adds, m - 1 with m = ceil(round trip / timer).
fn mean_transmissions(
    hop: &HopSettings,
    forward: &DirectionSettings,
    backward: &DirectionSettings,
    link: &LinkSettings,
    deadline: Span,
) -> f64 {
    let RetryRule::Timer(timer) = hop.retry else { return 2.0 };
    let down = link.outage.map_or(0.0, |outage| down_share(&outage));
    let success = (1.0 - mean_loss(forward)) * (1.0 - mean_loss(backward)) * (1.0 - down);
    let round_trip = max_delay_seconds(forward) + max_delay_seconds(backward);
    let early = (round_trip / timer.every.as_secs_f64()).ceil().max(1.0) - 1.0;
    let within_deadline = deadline.as_secs_f64() / timer.every.as_secs_f64() + 1.0;
    let most = timer.max_transmissions.map_or(within_deadline, f64::from).min(within_deadline);
    let duplicates = (1.0 + forward.duplicate.share()) * (1.0 + backward.duplicate.share());
    (1.0 / success + early).min(most) * duplicates
}

fn max_delay_seconds(direction: &DirectionSettings) -> f64 {
    (direction.delay + direction.jitter.times(2)).as_secs_f64()
}

/// The share of packets lost in the mean.
fn mean_loss(direction: &DirectionSettings) -> f64 {
    let mixed = |bad: f64, loss_bad: f64, loss_good: f64| bad * loss_bad + (1.0 - bad) * loss_good;
    match direction.loss {
        LossModel::Random(chance) => chance.share(),
        LossModel::GilbertElliott { p, r, loss_bad, loss_good } => {
            let sum = p.share() + r.share();
            let bad = if sum > 0.0 { p.share() / sum } else { 0.0 };
            mixed(bad, loss_bad.share(), loss_good.share())
        }
        LossModel::Burst { good, bad, loss_bad, loss_good } => {
            let share = bad.as_secs_f64() / (good.as_secs_f64() + bad.as_secs_f64());
            mixed(share, loss_bad.share(), loss_good.share())
        }
    }
}

fn down_share(outage: &OutageModel) -> f64 {
    let (every, lasts) = (outage.every.mean().as_secs_f64(), outage.lasts.mean().as_secs_f64());
    lasts / (every + lasts)
}

/// Packets that NATs bring about which forget connections between two pings: each time the client
/// connects again, and a message or two are sent again.
fn nat_reconnect_packets(setup: &Setup, traffic: f64) -> f64 {
    let of_one = setup.clients.iter().map(|client| {
        let Transport::Tcp(TcpSettings { nat_idle: Some(idle), .. }) = client.link.transport else {
            return 0.0;
        };
        let keep_alive = client.settings.keep_alive;
        let is_kept = keep_alive > Span::ZERO && keep_alive < idle;
        let times = traffic / idle.max(keep_alive).as_secs_f64();
        if is_kept { 0.0 } else { times * (CONNECTING_PACKETS + 2.0 * 4.0) }
    });
    of_one.sum()
}

/// How often a second a link goes down, comes up, or turns from good to bad and back: a burst of
/// a nanosecond is a slip that would otherwise never end.
fn link_transitions_per_second(link: &LinkSettings) -> f64 {
    let rate = |one: Span, other: Span| 2.0 / (one.as_secs_f64() + other.as_secs_f64()).max(1e-9);
    let bursts = [&link.up, &link.down].map(|way| match way.loss {
        LossModel::Burst { good, bad, .. } => rate(good, bad),
        LossModel::Random(_) | LossModel::GilbertElliott { .. } => 0.0,
    });
    let outages = link.outage.map_or(0.0, |outage| rate(outage.every.mean(), outage.lasts.mean()));
    bursts.into_iter().sum::<f64>() + outages
}

/// PINGREQ and PINGRESP of a client, for that many seconds.
fn ping_packets(client: &ClientSetup, seconds: f64) -> f64 {
    let keep_alive = client.settings.keep_alive.as_secs_f64();
    if keep_alive > 0.0 { 2.0 * seconds / keep_alive } else { 0.0 }
}
