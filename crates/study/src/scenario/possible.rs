//! Which of the words of `sometimes` a setup can make true at all.

use qoslab_core::base::draw::Chance;
use qoslab_core::base::event::Hindrance;
use qoslab_core::base::name::Node;
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Span;
use qoslab_core::mqtt::settings::{Retry, Store, Version};
use qoslab_core::network::settings::{DirectionSettings, LossModel, TcpSettings, Transport};
use qoslab_sim::trial::{Action, ClientSetup, PacketAction, PeersSee, Setup};

/// Packet ids go from 1 to this; a word about their wrapping needs as many messages.
const IDS: u64 = 65_535;

/// Whether anything in the setup can make this counter move.
pub(super) fn possible(word: &str, setup: &Setup) -> bool {
    let faults = || setup.faults.iter().map(|fault| &fault.action);
    let hampers = |test: fn(Hindrance) -> bool| {
        faults().any(|action| matches!(action, Action::Hamper { how, .. } if test(*how)))
    };
    match word {
        "loss" | "drop" => {
            outage(setup, false)
                || datagram(setup, loses)
                || hampers(|how| matches!(how, Hindrance::Partition(_)))
                || faults().any(|action| *action == Action::Packet(PacketAction::Drop))
        }
        "duplicate" => {
            datagram(setup, |way| way.duplicate.is_possible())
                || faults().any(|it| matches!(it, Action::Packet(PacketAction::Duplicate { .. })))
        }
        "reorder" => setup.clients.iter().any(|client| tcp(client).is_none()),
        "burst" => datagram(setup, |way| !matches!(way.loss, LossModel::Random(_))),
        "tail-drop" => datagram(setup, |way| way.queue.is_some()),
        "outage" => outage(setup, false) || outage(setup, true),
        "partition" => hampers(|how| matches!(how, Hindrance::Partition(_))),
        "stall" => hampers(|how| how == Hindrance::Stall),
        "slow" => hampers(|how| how == Hindrance::Slow),
        "cut" => faults().any(|action| matches!(action, Action::Cut { .. })),
        "half-open" => faults().any(leaves_half_open),
        "nat-forgot" => streams(setup).any(|tcp| tcp.nat_idle.is_some()),
        "crash" => faults().any(|action| matches!(action, Action::Crash { .. })),
        "retransmission" | "user-timeout" => streams(setup).next().is_some(),
        "unsubscribe" => {
            let mut subscriptions = setup.clients.iter().flat_map(|client| &client.subscriptions);
            subscriptions.any(|subscription| subscription.until.is_some())
        }
        "retained" => setup.streams.iter().any(|stream| stream.retain),
        _ => possible_for_sessions(word, setup),
    }
}

/// The words about clients, sessions and messages.
fn possible_for_sessions(word: &str, setup: &Setup) -> bool {
    let clients = || setup.clients.iter();
    let comes_back = |client: &ClientSetup| {
        !client.absences.is_empty()
            || client.settings.on_demand
            || tcp(client).is_some()
            || crashes(setup, |_| true)
    };
    let qos_two = || setup.streams.iter().any(|stream| stream.qos == QoS::ExactlyOnce);
    let gives_up =
        |retry: Retry| matches!(retry, Retry::Timer(timer) if timer.max_transmissions.is_some());
    match word {
        "keep-alive-expired" => {
            clients().any(|it| tcp(it).is_some() && it.settings.keep_alive > Span::ZERO)
        }
        "reconnect" | "takeover" | "offline-queued" => clients().any(comes_back),
        "session-resumed" => clients().any(|it| comes_back(it) && !it.settings.clean),
        "session-lost" => clients().any(|it| {
            let forgotten = crashes(setup, |node| match node {
                Node::Broker => setup.broker_store != Store::Durable,
                Node::Client(client) => setup.clients[client.index()].store != Store::Durable,
            });
            !it.settings.clean && comes_back(it) && (forgotten || expires(it))
        }),
        "session-expired" => clients().any(|it| comes_back(it) && expires(it)),
        "will" => clients().any(|it| comes_back(it) && it.settings.will.is_some()),
        "pubrel-resent" | "duplicate-suppressed" => qos_two(),
        "id-wrap" => {
            let sent = setup.streams.iter().filter(|stream| stream.qos > QoS::AtMostOnce);
            sent.map(|stream| u64::from(stream.count)).sum::<u64>() >= IDS
        }
        "window-full" | "dup-resend" => setup.streams.iter().any(|it| it.qos > QoS::AtMostOnce),
        "message-expired" => setup.streams.iter().any(|stream| stream.expiry.is_some()),
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

fn tcp(client: &ClientSetup) -> Option<&TcpSettings> {
    match &client.link.transport {
        Transport::Tcp(tcp) => Some(tcp),
        Transport::Datagram { .. } => None,
    }
}

fn streams(setup: &Setup) -> impl Iterator<Item = &TcpSettings> {
    setup.clients.iter().filter_map(tcp)
}

/// Whether a direction of some datagram link passes a test.
fn datagram(setup: &Setup, test: fn(&DirectionSettings) -> bool) -> bool {
    let mut links = setup.clients.iter().filter(|client| tcp(client).is_none());
    links.any(|client| test(&client.link.up) || test(&client.link.down))
}

/// Whether a link, over TCP or over datagrams, may be down for a while.
fn outage(setup: &Setup, over_tcp: bool) -> bool {
    let has = |client: &ClientSetup| tcp(client).is_some() == over_tcp;
    let mut links = setup.clients.iter().filter(|client| has(client));
    links.any(|client| client.link.outage.is_some())
        || setup.faults.iter().any(|fault| {
            matches!(fault.action, Action::Outage { client, .. }
                if has(&setup.clients[client.index()]))
        })
}

fn crashes(setup: &Setup, test: impl Fn(Node) -> bool) -> bool {
    let mut actions = setup.faults.iter().map(|fault| &fault.action);
    actions.any(|action| matches!(action, Action::Crash { node, .. } if test(*node)))
}

fn expires(client: &ClientSetup) -> bool {
    let settings = &client.settings;
    !settings.clean && settings.version == Version::V5 && settings.session_expiry < u32::MAX
}

fn loses(way: &DirectionSettings) -> bool {
    way.queue.is_some() || way.loss != LossModel::Random(Chance::NEVER)
}

/// A host that loses its power leaves its connections half open too.
const fn leaves_half_open(action: &Action) -> bool {
    let silent = matches!(action, Action::Crash { peers: PeersSee::Silence, .. });
    silent || matches!(action, Action::HalfOpen { .. })
}
