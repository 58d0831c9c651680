//! Which packets can ever be sent on a link.

use crate::scenario::diagnostic::name_hint;
use crate::scenario::problem::Problem;
use crate::scenario::subscribers::without_share_name;
use qoslab_core::base::{ClientIndex, Direction, PacketKind, QoS};
use qoslab_core::mqtt::{Quirk, Version, topics};
use qoslab_sim::Setup;

/// The kind with this name, if it goes that way at all.
pub(super) fn parse_kind(name: &str, direction: Direction) -> Result<PacketKind, Problem> {
    // The first and the last are the transport's own.
    let kinds = &PacketKind::ALL[1..15];
    let Some(kind) = kinds.iter().find(|kind| kind.label() == name) else {
        let known: Vec<_> = kinds.iter().map(|kind| kind.label()).collect();
        let help = name_hint(&name.to_uppercase(), &known);
        return Err(Problem::new(format!("there is no packet `{name}`"), "unknown kind").help(help));
    };
    let (sender, field) = match kind {
        PacketKind::Connect
        | PacketKind::Subscribe
        | PacketKind::Unsubscribe
        | PacketKind::PingReq => (Direction::Up, "from"),
        PacketKind::ConnAck | PacketKind::SubAck | PacketKind::UnsubAck | PacketKind::PingResp => {
            (Direction::Down, "to")
        }
        _ => (direction, ""),
    };
    if sender != direction {
        let whose = if sender == Direction::Up { "clients" } else { "the broker" };
        let what = format!("only {whose} send {name}");
        let help = format!("write `{field}` and the client");
        return Err(Problem::new(what, "this one never goes that way").help(help));
    }
    Ok(*kind)
}

/// What to say of a kind that is never sent.
pub(super) fn never_sent(kind: PacketKind, direction: Direction, client_name: &str) -> Problem {
    let label = kind.label();
    let what = match direction {
        Direction::Up => format!("`{client_name}` never sends {label}"),
        Direction::Down => format!("`{client_name}` is never sent {label}"),
    };
    let help = match (kind, direction) {
        (PacketKind::PubAck, Direction::Down) => "it publishes nothing with QoS 1",
        (PacketKind::PubRec | PacketKind::PubComp, Direction::Down)
        | (PacketKind::PubRel, Direction::Up) => "it publishes nothing with QoS 2",
        (PacketKind::PubAck, Direction::Up) => "it receives nothing with QoS 1",
        (PacketKind::PubRec | PacketKind::PubComp, Direction::Up)
        | (PacketKind::PubRel, Direction::Down) => "it receives nothing with QoS 2",
        (PacketKind::Publish, Direction::Up) => "it publishes nothing",
        (PacketKind::Publish, Direction::Down) => "it subscribes to nothing that is published",
        (PacketKind::Subscribe | PacketKind::SubAck, _) => "it subscribes to nothing",
        (PacketKind::Unsubscribe | PacketKind::UnsubAck, _) => {
            "none of its subscriptions has an `until`"
        }
        (PacketKind::PingReq | PacketKind::PingResp, _) => "it has no `keep_alive`",
        (PacketKind::Disconnect, Direction::Up) => {
            "it is never `away` and does not connect `per-report`"
        }
        (PacketKind::Disconnect, Direction::Down) => {
            "before MQTT 5.0 the broker just closes a connection"
        }
        _ => "",
    };
    Problem::new(what, "so this fault would never come").help(help)
}

/// Whether the packet can be sent on the client's link in any of the setups, those of connecting
/// and subscribing included.
pub(super) fn is_sendable(
    kind: PacketKind,
    direction: Direction,
    client: ClientIndex,
    setups: &[Setup],
) -> bool {
    let (one, two) = (Some(QoS::AtLeastOnce), Some(QoS::ExactlyOnce));
    setups.iter().any(|setup| {
        let own = &setup.clients[client.index()];
        match (kind, direction) {
            (PacketKind::Publish, Direction::Up) => publishes(setup, client, None),
            (PacketKind::PubAck, Direction::Down) => publishes(setup, client, one),
            (PacketKind::PubRec | PacketKind::PubComp, Direction::Down)
            | (PacketKind::PubRel, Direction::Up) => publishes(setup, client, two),
            (PacketKind::Publish, Direction::Down) => receives(setup, client, None),
            (PacketKind::PubAck, Direction::Up) => receives(setup, client, one),
            (PacketKind::PubRec | PacketKind::PubComp, Direction::Up)
            | (PacketKind::PubRel, Direction::Down) => receives(setup, client, two),
            (PacketKind::Subscribe | PacketKind::SubAck, _) => !own.subscriptions.is_empty(),
            (PacketKind::Unsubscribe | PacketKind::UnsubAck, _) => {
                own.subscriptions.iter().any(|subscription| subscription.until.is_some())
            }
            (PacketKind::PingReq | PacketKind::PingResp, _) => {
                // Who connects per report asks by a ping whether anything waits for it.
                let fetches = own.settings.on_demand && !own.subscriptions.is_empty();
                own.settings.keep_alive.as_nanos() > 0 || fetches
            }
            (PacketKind::Disconnect, Direction::Up) => {
                !own.offline_periods.is_empty() || own.settings.on_demand
            }
            (PacketKind::Disconnect, Direction::Down) => own.settings.version == Version::V5,
            _ => true,
        }
    })
}

/// Whether the client publishes, with this QoS if one is asked for.
fn publishes(setup: &Setup, client: ClientIndex, qos: Option<QoS>) -> bool {
    let mut own = setup.publishers.iter().filter(|one| one.client == client && !one.is_will);
    own.any(|stream| qos.is_none_or(|qos| stream.qos == qos))
}

/// Whether anything that the client subscribes to can reach it, with this QoS if one is asked for.
fn receives(setup: &Setup, client: ClientIndex, qos: Option<QoS>) -> bool {
    let uncapped = setup.broker.hop.quirks.has(Quirk::NoQosCap);
    let mut own = setup.clients[client.index()].subscriptions.iter().map(|one| &one.request);
    own.any(|request| {
        let granted = request.qos.min(setup.broker.max_qos);
        let filter = without_share_name(&request.filter);
        setup.publishers.iter().any(|stream| {
            let sent = if uncapped { stream.qos } else { stream.qos.min(granted) };
            qos.is_none_or(|qos| sent == qos) && topics::matches(filter, &stream.topic)
        })
    })
}
