//! Reachability of the counters of `sometimes`: those that a setup can make true at all.

use qoslab_core::base::draw::Chance;
use qoslab_core::base::{Impairment, Node, QoS, Span};
use qoslab_core::mqtt::{RetryRule, StorePolicy, Version};
use qoslab_core::network::{DirectionSettings, LossModel, TcpSettings, Transport};
use qoslab_sim::{ClientSetup, FaultAction, PacketAction, PeerVisibility, Setup};

/// Packet ids go from 1 to this; a counter of their wrapping needs as many messages.
const MAX_PACKET_ID: u64 = 65_535;

/// Whether anything in the setup can make this counter move.
pub(super) fn is_reachable(word: &str, setup: &Setup) -> bool {
    let faults = || setup.faults.iter().map(|fault| &fault.action);
    let impairs = |test: fn(Impairment) -> bool| {
        faults().any(
            |action| matches!(action, FaultAction::Impair { impairment, .. } if test(*impairment)),
        )
    };
    match word {
        "loss" | "drop" => {
            any_outage(setup, false)
                || any_datagram_direction(setup, can_lose)
                || impairs(|how| matches!(how, Impairment::Partition(_)))
                || faults().any(|action| *action == FaultAction::Packet(PacketAction::Drop))
        }
        "duplicate" => {
            any_datagram_direction(setup, |way| way.duplicate.is_possible())
                || faults()
                    .any(|it| matches!(it, FaultAction::Packet(PacketAction::Duplicate { .. })))
        }
        "reorder" => setup.clients.iter().any(|client| tcp_settings(client).is_none()),
        "burst" => any_datagram_direction(setup, |way| !matches!(way.loss, LossModel::Random(_))),
        "tail-drop" => any_datagram_direction(setup, |way| way.queue.is_some()),
        "outage" => any_outage(setup, false) || any_outage(setup, true),
        "partition" => impairs(|how| matches!(how, Impairment::Partition(_))),
        "stall" => impairs(|how| how == Impairment::Stall),
        "slow" => impairs(|how| how == Impairment::Slow),
        "cut" => faults().any(|action| matches!(action, FaultAction::Cut { .. })),
        "half-open" => faults().any(can_leave_half_open),
        "nat-forgot" => tcp_links(setup).any(|tcp| tcp.nat_idle.is_some()),
        "crash" => faults().any(|action| matches!(action, FaultAction::Crash { .. })),
        "retransmission" | "user-timeout" => tcp_links(setup).next().is_some(),
        "unsubscribe" => {
            let mut subscriptions = setup.clients.iter().flat_map(|client| &client.subscriptions);
            subscriptions.any(|subscription| subscription.until.is_some())
        }
        "retained" => setup.publishers.iter().any(|stream| stream.retain),
        _ => is_reachable_by_session(word, setup),
    }
}

/// The counters of clients, sessions and messages.
fn is_reachable_by_session(word: &str, setup: &Setup) -> bool {
    let clients = || setup.clients.iter();
    let can_reconnect = |client: &ClientSetup| {
        !client.offline_periods.is_empty()
            || client.settings.on_demand
            || tcp_settings(client).is_some()
            || any_crash(setup, |_| true)
    };
    let qos_two = || setup.publishers.iter().any(|stream| stream.qos == QoS::ExactlyOnce);
    let gives_up = |retry: RetryRule| match retry {
        RetryRule::Timer(timer) => timer.max_transmissions.is_some(),
        RetryRule::Reconnect => false,
    };
    match word {
        "keep-alive-expired" => {
            clients().any(|it| tcp_settings(it).is_some() && it.settings.keep_alive > Span::ZERO)
        }
        "reconnect" | "takeover" | "offline-queued" => clients().any(can_reconnect),
        "session-resumed" => clients().any(|it| can_reconnect(it) && !it.settings.clean),
        "session-lost" => clients().any(|it| {
            let forgotten = any_crash(setup, |node| match node {
                Node::Broker => setup.broker_store != StorePolicy::Durable,
                Node::Client(client) => setup.clients[client.index()].store != StorePolicy::Durable,
            });
            !it.settings.clean && can_reconnect(it) && (forgotten || can_session_expire(it))
        }),
        "session-expired" => clients().any(|it| can_reconnect(it) && can_session_expire(it)),
        "will" => clients().any(|it| can_reconnect(it) && it.settings.will.is_some()),
        "pubrel-resent" | "duplicate-suppressed" => qos_two(),
        "id-wrap" => {
            let sent = setup.publishers.iter().filter(|stream| stream.qos > QoS::AtMostOnce);
            sent.map(|stream| u64::from(stream.count)).sum::<u64>() >= MAX_PACKET_ID
        }
        "window-full" | "dup-resend" => setup.publishers.iter().any(|it| it.qos > QoS::AtMostOnce),
        "message-expired" => setup.publishers.iter().any(|stream| stream.expiry.is_some()),
        "too-large" => {
            let limits = clients().map(|client| client.settings.limits);
            limits.chain([setup.broker.limits]).any(|it| it.max_packet_size < u32::MAX)
        }
        "give-up" => {
            gives_up(setup.broker.hop.retry)
                || clients().any(|client| gives_up(client.settings.hop.retry))
        }
        _ => true,
    }
}

fn tcp_settings(client: &ClientSetup) -> Option<&TcpSettings> {
    match &client.link.transport {
        Transport::Tcp(tcp) => Some(tcp),
        Transport::Datagram { .. } => None,
    }
}

fn tcp_links(setup: &Setup) -> impl Iterator<Item = &TcpSettings> {
    setup.clients.iter().filter_map(tcp_settings)
}

/// Whether a direction of some datagram link passes a test.
fn any_datagram_direction(setup: &Setup, test: fn(&DirectionSettings) -> bool) -> bool {
    let mut links = setup.clients.iter().filter(|client| tcp_settings(client).is_none());
    links.any(|client| test(&client.link.up) || test(&client.link.down))
}

/// Whether a link, over TCP or over datagrams, may be down for a while.
fn any_outage(setup: &Setup, over_tcp: bool) -> bool {
    let has = |client: &ClientSetup| tcp_settings(client).is_some() == over_tcp;
    let mut links = setup.clients.iter().filter(|client| has(client));
    links.any(|client| client.link.outage.is_some())
        || setup.faults.iter().any(|fault| {
            matches!(fault.action, FaultAction::Outage { client, .. }
                if has(&setup.clients[client.index()]))
        })
}

fn any_crash(setup: &Setup, test: impl Fn(Node) -> bool) -> bool {
    let mut actions = setup.faults.iter().map(|fault| &fault.action);
    actions.any(|action| matches!(action, FaultAction::Crash { node, .. } if test(*node)))
}

fn can_session_expire(client: &ClientSetup) -> bool {
    let settings = &client.settings;
    !settings.clean && settings.version == Version::V5 && settings.session_expiry < u32::MAX
}

fn can_lose(direction: &DirectionSettings) -> bool {
    direction.queue.is_some() || direction.loss != LossModel::Random(Chance::NEVER)
}

/// A host that loses its power leaves its connections half open too.
const fn can_leave_half_open(action: &FaultAction) -> bool {
    let silent = matches!(action, FaultAction::Crash { peers: PeerVisibility::Silence, .. });
    silent || matches!(action, FaultAction::HalfOpen { .. })
}
