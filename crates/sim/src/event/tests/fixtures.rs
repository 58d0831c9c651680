//! Small setups, and an observer that writes everything down.

use std::sync::Arc;

use crate::event;
use crate::trial::{
    ClientSetup, JudgeSettings, PayloadSize, PublisherSetup, Setup, SubscriptionSetup, Trial,
};
use qoslab_core::base::RunSummary;
use qoslab_core::base::draw::Chance;
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, Event, Fate, MessageId, Node, Observer,
    OverheadPurpose, PacketKind, PacketName, Phase, QoS, SilentDeathCause, Span,
    SubscriptionRequest, Time,
};
use qoslab_core::mqtt::{
    BrokerSettings, ClientSettings, DeliverOn, HopSettings, IdPolicy, OnFull, Quirks,
    RepeatedPubrec, RetryRule, RetryTimer, StorePolicy, WhenSocketFull,
};
use qoslab_core::network::{
    CongestionControl, DirectionSettings, Distribution, FateOverride, IntervalDistribution,
    LinkSettings, LossModel, SocketSettings, TcpSettings, Transport,
};

pub(super) const HOP: HopSettings = HopSettings {
    retry: RetryRule::Timer(RetryTimer {
        every: Span::from_secs(1),
        backoff: 1.0,
        max_transmissions: None,
    }),
    ids: IdPolicy::Cyclic,
    max_inflight: 100,
    max_queued: 1000,
    on_full: OnFull::DropNewest,
    queue_qos0: false,
    when_socket_full: WhenSocketFull::Queue,
    keep_outbox: false,
    deliver_on: DeliverOn::Publish,
    repeated_pubrec: RepeatedPubrec::Answer,
    quirks: Quirks::NONE,
};

/// 40 ms each way, and what `change` makes of it.
pub(super) fn link(change: impl Fn(&mut DirectionSettings)) -> Arc<LinkSettings> {
    let mut direction = DirectionSettings {
        delay: Span::from_millis(40),
        jitter: Span::ZERO,
        distribution: Distribution::Uniform,
        loss: LossModel::Random(Chance::NEVER),
        duplicate: Chance::NEVER,
        reorder: None,
        rate: None,
        queue: None,
    };
    change(&mut direction);
    let transport = Transport::Datagram { headers: 28 };
    Arc::new(LinkSettings { transport, up: direction.clone(), down: direction, outage: None })
}

/// TCP over 40 ms each way, and what `change` makes of both.
pub(super) fn tcp(change: impl Fn(&mut TcpSettings, &mut DirectionSettings)) -> Arc<LinkSettings> {
    let mut tcp = TcpSettings {
        headers: 40,
        mss: 1460,
        tls: None,
        rto_min: Span::from_millis(200),
        user_timeout: Span::from_secs(60),
        nat_idle: None,
        congestion: CongestionControl::Cubic,
        client: SocketSettings::LINUX,
        broker: SocketSettings::LINUX,
    };
    let mut settings = (*link(|_| {})).clone();
    change(&mut tcp, &mut settings.up);
    settings.down = settings.up.clone();
    settings.transport = Transport::Tcp(tcp);
    Arc::new(settings)
}

/// As [`pair`], over TCP, and with resending on reconnect only.
pub(super) fn tcp_pair(link: &Arc<LinkSettings>, qos: QoS, count: u32) -> Setup {
    let mut setup = pair(link, qos, count);
    let hop = HopSettings { retry: RetryRule::Reconnect, ..HOP };
    setup.broker.hop = hop;
    setup.broker.datagram = false;
    for client in &mut setup.clients {
        client.settings.hop = hop;
        client.settings.request_retry = None;
        client.settings.connect_timeout = Some(Span::from_secs(30));
    }
    setup
}

/// 10 % loss, 5 % duplicates, and a delay that strays by half.
pub(super) fn bad_link() -> Arc<LinkSettings> {
    link(|direction| {
        direction.loss = LossModel::Random(Chance::from_share(0.1));
        direction.duplicate = Chance::from_share(0.05);
        direction.jitter = Span::from_millis(20);
    })
}

pub(super) fn client(name: &str, link: &Arc<LinkSettings>) -> ClientSetup {
    ClientSetup {
        name: name.into(),
        settings: ClientSettings {
            request_retry: Some(Span::from_secs(1)),
            connect_timeout: None,
            hop: HOP,
            ..ClientSettings::new(name.into())
        },
        link: Arc::clone(link),
        subscriptions: Vec::new(),
        offline_periods: Vec::new(),
        store: StorePolicy::Durable,
        radio: None,
        billed: None,
    }
}

pub(super) fn subscription(filter: &str, qos: QoS) -> SubscriptionSetup {
    let request = SubscriptionRequest::new(filter.into(), qos);
    SubscriptionSetup { request, from: None, until: None }
}

pub(super) fn publisher(client: u32, name: &str, qos: QoS, count: u32) -> PublisherSetup {
    PublisherSetup {
        name: name.into(),
        client: ClientIndex(client),
        topic: format!("topic/{name}").into(),
        qos,
        retain: false,
        count,
        every: IntervalDistribution::Exponential(Span::from_millis(100)),
        spread: Span::from_secs(1),
        payload: PayloadSize::Uniform(20, 80),
        only_sequences: None,
        expiry: None,
        is_will: false,
    }
}

pub(super) fn setup(clients: Vec<ClientSetup>, streams: Vec<PublisherSetup>) -> Setup {
    Setup {
        broker: BrokerSettings {
            hop: HOP,
            max_qos: QoS::ExactlyOnce,
            datagram: true,
            ..BrokerSettings::default()
        },
        clients,
        publishers: streams,
        deadline: Span::from_secs(3600),
        broker_store: StorePolicy::Durable,
        faults: Vec::new(),
        max_events: 10_000_000,
        wire: true,
        judge: JudgeSettings::default(),
        schedule: None,
        scopes: Vec::new(),
    }
}

/// A publisher `p` and a subscriber `s` of everything, with `count` messages.
pub(super) fn pair(link: &Arc<LinkSettings>, qos: QoS, count: u32) -> Setup {
    let mut subscriber = client("s", link);
    subscriber.subscriptions.push(subscription("#", qos));
    setup(vec![client("p", link), subscriber], vec![publisher(0, "p", qos, count)])
}

pub(super) fn run_trial(setup: Setup, seed: u64) -> (RunSummary, TrialLog) {
    run_with_override(setup, seed, ())
}

pub(super) fn run_with_override(
    setup: Setup,
    seed: u64,
    mut fate_override: impl FateOverride,
) -> (RunSummary, TrialLog) {
    let trial = Trial { setup: Arc::new(setup), seed, name: "test".into() };
    event::run_with_override(&trial, TrialLog::default(), &mut fate_override)
}

/// All events that were reported.
#[derive(Debug, Default)]
pub(super) struct TrialLog {
    pub(super) phases: Vec<(Phase, Time)>,
    pub(super) submitted: Vec<(MessageId, Time)>,
    pub(super) completed: Vec<MessageId>,
    pub(super) sent: Vec<(PacketName, Time, Fate)>,
    pub(super) arrived: Vec<(PacketName, Time)>,
    pub(super) delivered: Vec<(ClientIndex, MessageId, Time)>,
    pub(super) opened: Vec<(Node, ConnectionNumber, Time)>,
    pub(super) closed: Vec<(Node, ConnectionNumber, Time)>,
    pub(super) close_reasons: Vec<(Node, CloseReason)>,
    pub(super) crashes: Vec<(Node, Time)>,
    pub(super) silent_deaths: Vec<SilentDeathCause>,
    pub(super) discarded: Vec<PacketName>,
    pub(super) overhead: Vec<(OverheadPurpose, u32)>,
    /// True as one begins, false as it ends.
    pub(super) outages: Vec<(bool, Time)>,
    pub(super) backlog: Vec<(Node, u32, u32)>,
}

impl TrialLog {
    pub(super) fn phase_start(&self, phase: Phase) -> Time {
        self.phases.iter().find(|(it, _)| *it == phase).unwrap().1
    }

    pub(super) fn sent_count(&self, kind: PacketKind) -> usize {
        self.sent.iter().filter(|(name, ..)| name.kind == kind).count()
    }

    /// The sequence numbers delivered to a client, sorted.
    pub(super) fn sequences(&self, client: u32) -> Vec<u32> {
        let of = self.delivered.iter().filter(|(it, ..)| *it == ClientIndex(client));
        let mut sequences: Vec<_> = of.map(|(_, parts, _)| parts.sequence).collect();
        sequences.sort_unstable();
        sequences
    }
}

impl Observer for TrialLog {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match *event {
            Event::Phase(phase) => self.phases.push((phase, now)),
            Event::Submitted { tag } => self.submitted.push((tag.message_id().unwrap(), now)),
            Event::Completed { tag } => self.completed.push(tag.message_id().unwrap()),
            Event::Sent { packet: record, fate, .. } => self.sent.push((record.name, now, *fate)),
            Event::Arrived { packet: record, .. } => self.arrived.push((record.name, now)),
            Event::Delivered { client, tag, .. } => {
                self.delivered.push((client, tag.message_id().unwrap(), now));
            }
            Event::Opened { node, connection, .. } => self.opened.push((node, connection, now)),
            Event::Closed { node, connection, why, .. } => {
                self.closed.push((node, connection, now));
                self.close_reasons.push((node, why));
            }
            Event::Crashed { node } => self.crashes.push((node, now)),
            Event::DiedSilently { why, .. } => self.silent_deaths.push(why),
            Event::Discarded { packet: record, .. } => self.discarded.push(record.name),
            Event::Overhead { purpose, bytes, .. } => self.overhead.push((purpose, bytes)),
            Event::OutageBegan { .. } => self.outages.push((true, now)),
            Event::OutageEnded { .. } => self.outages.push((false, now)),
            Event::Backlog { node, in_flight, queued } => {
                self.backlog.push((node, in_flight, queued));
            }
            _ => {}
        }
    }
}
