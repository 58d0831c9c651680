//! Classes of faults that each seed switches on or off, with rates that it draws: many different
//! bad days from one file.

use std::sync::Arc;

#[cfg(feature = "studies")]
use schemars::JsonSchema;
use serde::Serialize;

use super::diagnostic::Diagnostics;
use super::from_toml::read_table;
use super::quantities::{Duration, Percent};
use super::value::Located;
use qoslab_core::base::draw::{Chance, DrawKey, uniform_open_unit};
use qoslab_core::base::{ClientIndex, Impairment, Node, Span};
use qoslab_core::network::{
    Distribution, IntervalDistribution, LinkSettings, LossModel, Transport,
};
use qoslab_sim::{CrashPoint, FaultAction, FaultSetup, PeerVisibility, Setup, Trigger};

/// What may go wrong, each with its worst rate. Every seed switches each of these on or off, one
/// half each, and draws how bad it is: a share or a jitter evenly up to the one given, a mean time
/// from the one given to ten times as long.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct SwarmTable {
    /// At most this share of packets or segments is lost, each way, in place of the links' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Located<Percent>>,
    /// At most this share of datagrams arrives twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Located<Percent>>,
    /// The delay of datagrams strays evenly by at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Located<Duration>>,
    /// The shortest mean time between two cuts of a client's connection (tcp).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Located<Duration>>,
    /// The shortest mean time between two half-open deaths of a client's connection (tcp).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_open: Option<Located<Duration>>,
    /// The shortest mean time between two stalls of a client's link, each a tenth as long (tcp).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<Located<Duration>>,
    /// The shortest mean time between two outages of a client's link, each a tenth as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage: Option<Located<Duration>>,
    /// The shortest mean time between two crashes of the broker, each down a tenth as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_broker: Option<Located<Duration>>,
    /// The shortest mean time between two crashes of a client, each down a tenth as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_clients: Option<Located<Duration>>,
}
read_table!(SwarmTable or default {
    loss, duplicate, jitter, cut, half_open as "half-open", stall, outage,
    crash_broker as "crash-broker", crash_clients as "crash-clients",
});

/// The `[swarm]` table, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Swarm {
    loss: Option<f64>,
    duplicate: Option<f64>,
    jitter: Option<Span>,
    fault_arrivals: Vec<(FaultArrival, Span)>,
}

/// A class of faults that come again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultArrival {
    Cut,
    HalfOpen,
    Stall,
    Outage,
    CrashBroker,
    CrashClients,
}

impl FaultArrival {
    const fn label(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::HalfOpen => "half-open",
            Self::Stall => "stall",
            Self::Outage => "outage",
            Self::CrashBroker => "crash-broker",
            Self::CrashClients => "crash-clients",
        }
    }
}

/// How bad a class is: from 0, hardly, to 1, as bad as the file allows. `None`: switched off.
type SwarmDraw<'a> = &'a dyn Fn(&str) -> Option<f64>;

/// Checks the table against the links of the setup.
pub(super) fn check_swarm(
    given: &Located<SwarmTable>,
    setup: &Setup,
    errors: &mut Diagnostics,
) -> Swarm {
    let table = &given.value;
    let tcp = setup.clients.iter().any(|client| is_tcp(&client.link));
    let datagram = setup.clients.iter().any(|client| !is_tcp(&client.link));
    let mut fault_arrivals = Vec::new();
    for (class, time, possible) in [
        (FaultArrival::Cut, &table.cut, tcp),
        (FaultArrival::HalfOpen, &table.half_open, tcp),
        (FaultArrival::Stall, &table.stall, tcp),
        (FaultArrival::Outage, &table.outage, true),
        (FaultArrival::CrashBroker, &table.crash_broker, true),
        (FaultArrival::CrashClients, &table.crash_clients, true),
    ] {
        let Some(time) = time else { continue };
        if time.value.0 < Span::from_millis(1) {
            let title = format!("{} needs a time of at least 1 ms", class.label());
            errors.error(&time.span, title, "the shortest mean time between two");
        }
        if !possible {
            let title = format!("`{}` needs a connection of tcp", class.label());
            errors
                .error(&time.span, title, "all links carry datagrams")
                .help("use `outage`, or `transport = \"tcp\"` on a link");
        }
        fault_arrivals.push((class, time.value.0));
    }
    let fates = [
        ("duplicate", table.duplicate.as_ref().map(|given| &given.span)),
        ("jitter", table.jitter.as_ref().map(|given| &given.span)),
    ];
    for (field, span) in fates.into_iter().filter(|_| !datagram) {
        if let Some(span) = span {
            errors
                .error(span, format!("`{field}` needs datagrams"), "all links are tcp")
                .help("use `loss`, `stall` or `cut`, or `transport = \"datagram\"` on a link");
        }
    }
    let share = |given: &Option<Located<Percent>>| given.as_ref().map(|given| given.value.share());
    let (loss, duplicate) = (share(&table.loss), share(&table.duplicate));
    let jitter = table.jitter.as_ref().map(|given| given.value.0);
    let swarm = Swarm { loss, duplicate, jitter, fault_arrivals };
    if swarm == (Swarm { loss: None, duplicate: None, jitter: None, fault_arrivals: Vec::new() }) {
        errors
            .error(&given.span, "a swarm needs a class of faults", "there is none")
            .help("write for instance `loss = \"20%\"` or `crash-broker = \"1m\"`");
    }
    swarm
}

impl Swarm {
    /// The setup that a seed makes of this one.
    pub(super) fn for_seed(&self, setup: &Setup, seed: u64) -> Setup {
        let key = DrawKey::new(seed).child(b"swarm");
        self.apply(setup, key, &|class| {
            let [on, rate, ..] = key.child(class.as_bytes()).draw([0; 4]);
            (on & 1 == 1).then(|| uniform_open_unit(rate))
        })
    }

    /// The setup with everything on and as bad as the file allows.
    pub(super) fn worst_case(&self, setup: &Setup) -> Setup {
        self.apply(setup, DrawKey::new(0), &|_| Some(1.0))
    }

    fn apply(&self, setup: &Setup, key: DrawKey, draw: SwarmDraw<'_>) -> Setup {
        let mut setup = setup.clone();
        self.apply_to_links(&mut setup, draw);
        for &(class, shortest) in &self.fault_arrivals {
            if let Some(bad) = draw(class.label()) {
                // Log-uniform: each tenfold shorter time is as likely as the next.
                let factor = libm::pow(10.0, 1.0 - bad);
                let mean = Span::from_secs_f64(shortest.as_secs_f64() * factor);
                add_faults(&mut setup, class, mean, key);
            }
        }
        setup
    }

    /// Equal links stay shared.
    fn apply_to_links(&self, setup: &mut Setup, draw: SwarmDraw<'_>) {
        let loss = self.loss.and_then(|most| Some(most * draw("loss")?));
        let duplicate = self.duplicate.and_then(|most| Some(most * draw("duplicate")?));
        let jitter = self.jitter.and_then(|most| Some(most.as_secs_f64() * draw("jitter")?));
        let mut last: Option<(Arc<LinkSettings>, Arc<LinkSettings>)> = None;
        for client in &mut setup.clients {
            if let Some((_, new)) = last.as_ref().filter(|(old, _)| Arc::ptr_eq(old, &client.link))
            {
                client.link = new.clone();
                continue;
            }
            let mut link = (*client.link).clone();
            let datagram = !is_tcp(&link);
            for way in [&mut link.up, &mut link.down] {
                if let Some(loss) = loss {
                    way.loss = LossModel::Random(Chance::from_share(loss));
                }
                if let Some(duplicate) = duplicate.filter(|_| datagram) {
                    way.duplicate = Chance::from_share(duplicate);
                }
                if let Some(jitter) = jitter.filter(|_| datagram) {
                    way.jitter = Span::from_secs_f64(jitter);
                    way.distribution = Distribution::Uniform;
                }
            }
            let link = Arc::new(link);
            last = Some((client.link.clone(), link.clone()));
            client.link = link;
        }
    }
}

fn is_tcp(link: &LinkSettings) -> bool {
    matches!(link.transport, Transport::Tcp(_))
}

/// Adds the faults of one class.
fn add_faults(setup: &mut Setup, class: FaultArrival, mean: Span, key: DrawKey) {
    let every = IntervalDistribution::Exponential(mean);
    let lasts = IntervalDistribution::Exponential(Span::from_nanos(mean.as_nanos() / 10));
    if class == FaultArrival::CrashBroker {
        setup.faults.push(FaultSetup {
            name: "swarm crash broker".into(),
            trigger: Trigger::Every(every),
            action: crash(Node::Broker, lasts, key.child(b"broker")),
        });
        return;
    }
    for (client, own) in (0..).map(ClientIndex).zip(&setup.clients) {
        let key = key.child(own.name.as_bytes());
        let tcp = is_tcp(&own.link);
        let hamper =
            |how| FaultAction::Impair { client, impairment: how, lasts, read_interval: Span::ZERO };
        let action = match class {
            FaultArrival::Cut if tcp => FaultAction::Cut { client, after: false },
            FaultArrival::HalfOpen if tcp => {
                let client_dies = key.child(b"end").draw([0; 4])[0] & 1 == 1;
                let dead = if client_dies { Node::Client(client) } else { Node::Broker };
                FaultAction::HalfOpen { client, dead_node: dead }
            }
            FaultArrival::Stall if tcp => hamper(Impairment::Stall),
            FaultArrival::Outage => FaultAction::Outage { client, lasts },
            FaultArrival::CrashClients => crash(Node::Client(client), lasts, key),
            FaultArrival::Cut
            | FaultArrival::HalfOpen
            | FaultArrival::Stall
            | FaultArrival::CrashBroker => continue,
        };
        let name = format!("swarm {} {}", class.label(), own.name).into();
        setup.faults.push(FaultSetup { name, trigger: Trigger::Every(every), action });
    }
}

/// What the peers see is drawn too.
fn crash(node: Node, down: IntervalDistribution, key: DrawKey) -> FaultAction {
    let kinds = [PeerVisibility::Close, PeerVisibility::Reset, PeerVisibility::Silence];
    let peers = kinds[key.child(b"peers").draw([0; 4])[0] as usize % kinds.len()];
    FaultAction::Crash { node, down, peers, point: CrashPoint::BetweenEvents }
}
