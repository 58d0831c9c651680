//! Which packets can ever be sent on a link.

use crate::scenario::audience::plain_filter;
use crate::scenario::diagnostic::nearest;
use crate::scenario::problem::Problem;
use qoslab_core::base::name::{ClientIndex, Kind, Way};
use qoslab_core::base::qos::QoS;
use qoslab_core::mqtt::quirks::Quirk;
use qoslab_core::mqtt::settings::Version;
use qoslab_core::mqtt::topics;
use qoslab_sim::trial::Setup;

/// The kind with this name, if it goes that way at all.
pub(super) fn kind(name: &str, way: Way) -> Result<Kind, Problem> {
    // The first and the last are the transport's own.
    let kinds = &Kind::ALL[1..15];
    let Some(kind) = kinds.iter().find(|kind| kind.label() == name) else {
        let known: Vec<_> = kinds.iter().map(|kind| kind.label()).collect();
        let upper = name.to_uppercase();
        let help = match nearest(&upper, &known) {
            Some(one) => format!("did you mean `{one}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        return Err(Problem::new(format!("there is no packet `{name}`"), "unknown kind").help(help));
    };
    let (sender, field) = match kind {
        Kind::Connect | Kind::Subscribe | Kind::Unsubscribe | Kind::PingReq => (Way::Up, "from"),
        Kind::ConnAck | Kind::SubAck | Kind::UnsubAck | Kind::PingResp => (Way::Down, "to"),
        _ => (way, ""),
    };
    if sender != way {
        let whose = if sender == Way::Up { "clients" } else { "the broker" };
        let what = format!("only {whose} send {name}");
        let help = format!("write `{field}` and the client");
        return Err(Problem::new(what, "this one never goes that way").help(help));
    }
    Ok(*kind)
}

/// What to say of a kind that is never sent.
pub(super) fn never(kind: Kind, way: Way, whom: &str) -> Problem {
    let label = kind.label();
    let what = match way {
        Way::Up => format!("`{whom}` never sends {label}"),
        Way::Down => format!("`{whom}` is never sent {label}"),
    };
    let help = match (kind, way) {
        (Kind::PubAck, Way::Down) => "it publishes nothing with QoS 1",
        (Kind::PubRec | Kind::PubComp, Way::Down) | (Kind::PubRel, Way::Up) => {
            "it publishes nothing with QoS 2"
        }
        (Kind::PubAck, Way::Up) => "it receives nothing with QoS 1",
        (Kind::PubRec | Kind::PubComp, Way::Up) | (Kind::PubRel, Way::Down) => {
            "it receives nothing with QoS 2"
        }
        (Kind::Publish, Way::Up) => "it publishes nothing",
        (Kind::Publish, Way::Down) => "it subscribes to nothing that is published",
        (Kind::Subscribe | Kind::SubAck, _) => "it subscribes to nothing",
        (Kind::Unsubscribe | Kind::UnsubAck, _) => "none of its subscriptions has an `until`",
        (Kind::PingReq | Kind::PingResp, _) => "it has no `keep_alive`",
        (Kind::Disconnect, Way::Up) => "it is never `away` and does not connect `per-report`",
        (Kind::Disconnect, Way::Down) => "before MQTT 5.0 the broker just closes a connection",
        _ => "",
    };
    Problem::new(what, "so this fault would never come").help(help)
}

/// Whether the packet can be sent on the client's link in any of the setups, those of connecting
/// and subscribing included.
pub(super) fn is_possible(kind: Kind, way: Way, client: ClientIndex, setups: &[Setup]) -> bool {
    let (one, two) = (Some(QoS::AtLeastOnce), Some(QoS::ExactlyOnce));
    setups.iter().any(|setup| {
        let own = &setup.clients[client.index()];
        match (kind, way) {
            (Kind::Publish, Way::Up) => publishes(setup, client, None),
            (Kind::PubAck, Way::Down) => publishes(setup, client, one),
            (Kind::PubRec | Kind::PubComp, Way::Down) | (Kind::PubRel, Way::Up) => {
                publishes(setup, client, two)
            }
            (Kind::Publish, Way::Down) => receives(setup, client, None),
            (Kind::PubAck, Way::Up) => receives(setup, client, one),
            (Kind::PubRec | Kind::PubComp, Way::Up) | (Kind::PubRel, Way::Down) => {
                receives(setup, client, two)
            }
            (Kind::Subscribe | Kind::SubAck, _) => !own.subscriptions.is_empty(),
            (Kind::Unsubscribe | Kind::UnsubAck, _) => {
                own.subscriptions.iter().any(|subscription| subscription.until.is_some())
            }
            (Kind::PingReq | Kind::PingResp, _) => {
                // Who connects per report asks by a ping whether anything waits for it.
                let fetches = own.settings.on_demand && !own.subscriptions.is_empty();
                own.settings.keep_alive.as_nanos() > 0 || fetches
            }
            (Kind::Disconnect, Way::Up) => !own.absences.is_empty() || own.settings.on_demand,
            (Kind::Disconnect, Way::Down) => own.settings.version == Version::V5,
            _ => true,
        }
    })
}

/// Whether the client publishes, with this QoS if one is asked for.
fn publishes(setup: &Setup, client: ClientIndex, qos: Option<QoS>) -> bool {
    let mut own = setup.streams.iter().filter(|one| one.client == client && !one.will);
    own.any(|stream| qos.is_none_or(|qos| stream.qos == qos))
}

/// Whether anything that the client subscribes to can reach it, with this QoS if one is asked for.
fn receives(setup: &Setup, client: ClientIndex, qos: Option<QoS>) -> bool {
    let uncapped = setup.broker.hop.quirks.has(Quirk::NoQosCap);
    let mut own = setup.clients[client.index()].subscriptions.iter().map(|one| &one.request);
    own.any(|request| {
        let granted = request.qos.min(setup.broker.max_qos);
        let filter = plain_filter(&request.filter);
        setup.streams.iter().any(|stream| {
            let sent = if uncapped { stream.qos } else { stream.qos.min(granted) };
            qos.is_none_or(|qos| sent == qos) && topics::matches(filter, &stream.topic)
        })
    })
}
