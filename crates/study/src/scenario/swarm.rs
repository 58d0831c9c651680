//! Classes of faults that each seed switches on or off, with rates that it draws: many different
//! bad days from one file.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnostic::Diagnostics;
use super::texts::{Duration, Percent};
use super::value::Given;
use qoslab_core::base::draw::{Chance, Key, open_unit};
use qoslab_core::base::event::Hindrance;
use qoslab_core::base::name::{ClientIndex, Node};
use qoslab_core::base::time::Span;
use qoslab_core::network::settings::{Distribution, Interval, LinkSettings, LossModel, Transport};
use qoslab_sim::trial::{Action, CrashPoint, FaultSetup, PeersSee, Setup, Trigger};

/// What may go wrong, each with its worst rate. Every seed switches each of these on or off, one
/// half each, and draws how bad it is: a share or a jitter evenly up to the one given, a mean time
/// from the one given to ten times as long.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct SwarmTable {
    /// At most this share of packets or segments is lost, each way, in place of the links' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Given<Percent>>,
    /// At most this share of datagrams arrives twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Given<Percent>>,
    /// The delay of datagrams strays evenly by at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Given<Duration>>,
    /// The shortest mean time between two cuts of a client's connection (tcp).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Given<Duration>>,
    /// The shortest mean time between two half-open deaths of a client's connection (tcp).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_open: Option<Given<Duration>>,
    /// The shortest mean time between two stalls of a client's link, each a tenth as long (tcp).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<Given<Duration>>,
    /// The shortest mean time between two outages of a client's link, each a tenth as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage: Option<Given<Duration>>,
    /// The shortest mean time between two crashes of the broker, each down a tenth as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_broker: Option<Given<Duration>>,
    /// The shortest mean time between two crashes of a client, each down a tenth as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_clients: Option<Given<Duration>>,
}

/// The `[swarm]` table, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Swarm {
    loss: Option<f64>,
    duplicate: Option<f64>,
    jitter: Option<Span>,
    comings: Vec<(Coming, Span)>,
}

/// A class of faults that come again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coming {
    Cut,
    HalfOpen,
    Stall,
    Outage,
    CrashBroker,
    CrashClients,
}

impl Coming {
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
type Dice<'a> = &'a dyn Fn(&str) -> Option<f64>;

/// Checks the table against the links of the setup.
pub(super) fn check(given: &Given<SwarmTable>, setup: &Setup, errors: &mut Diagnostics) -> Swarm {
    let table = &given.value;
    let tcp = setup.clients.iter().any(|client| is_tcp(&client.link));
    let datagram = setup.clients.iter().any(|client| !is_tcp(&client.link));
    let mut comings = Vec::new();
    for (class, time, possible) in [
        (Coming::Cut, &table.cut, tcp),
        (Coming::HalfOpen, &table.half_open, tcp),
        (Coming::Stall, &table.stall, tcp),
        (Coming::Outage, &table.outage, true),
        (Coming::CrashBroker, &table.crash_broker, true),
        (Coming::CrashClients, &table.crash_clients, true),
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
        comings.push((class, time.value.0));
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
    let share = |given: &Option<Given<Percent>>| given.as_ref().map(|given| given.value.share());
    let (loss, duplicate) = (share(&table.loss), share(&table.duplicate));
    let jitter = table.jitter.as_ref().map(|given| given.value.0);
    let swarm = Swarm { loss, duplicate, jitter, comings };
    if swarm == (Swarm { loss: None, duplicate: None, jitter: None, comings: Vec::new() }) {
        errors
            .error(&given.span, "a swarm needs a class of faults", "there is none")
            .help("write for instance `loss = \"20%\"` or `crash-broker = \"1m\"`");
    }
    swarm
}

impl Swarm {
    /// The setup that a seed makes of this one.
    pub(super) fn of_seed(&self, setup: &Setup, seed: u64) -> Setup {
        let luck = Key::new(seed).child(b"swarm");
        self.apply(setup, luck, &|class| {
            let [on, rate, ..] = luck.child(class.as_bytes()).draw([0; 4]);
            (on & 1 == 1).then(|| open_unit(rate))
        })
    }

    /// The setup with everything on and as bad as the file allows.
    pub(super) fn worst(&self, setup: &Setup) -> Setup {
        self.apply(setup, Key::new(0), &|_| Some(1.0))
    }

    fn apply(&self, setup: &Setup, luck: Key, dice: Dice<'_>) -> Setup {
        let mut setup = setup.clone();
        self.set_links(&mut setup, dice);
        for &(class, shortest) in &self.comings {
            if let Some(bad) = dice(class.label()) {
                // Log-uniform: each tenfold shorter time is as likely as the next.
                let factor = libm::pow(10.0, 1.0 - bad);
                let mean = Span::from_secs_f64(shortest.as_secs_f64() * factor);
                add(&mut setup, class, mean, luck);
            }
        }
        setup
    }

    /// Equal links stay shared.
    fn set_links(&self, setup: &mut Setup, dice: Dice<'_>) {
        let loss = self.loss.and_then(|most| Some(most * dice("loss")?));
        let duplicate = self.duplicate.and_then(|most| Some(most * dice("duplicate")?));
        let jitter = self.jitter.and_then(|most| Some(most.as_secs_f64() * dice("jitter")?));
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
fn add(setup: &mut Setup, class: Coming, mean: Span, luck: Key) {
    let every = Interval::Exponential(mean);
    let lasts = Interval::Exponential(Span::from_nanos(mean.as_nanos() / 10));
    if class == Coming::CrashBroker {
        setup.faults.push(FaultSetup {
            name: "swarm crash broker".into(),
            trigger: Trigger::Every(every),
            action: crash(Node::Broker, lasts, luck.child(b"broker")),
        });
        return;
    }
    for (client, own) in (0..).map(ClientIndex).zip(&setup.clients) {
        let luck = luck.child(own.name.as_bytes());
        let tcp = is_tcp(&own.link);
        let hamper = |how| Action::Hamper { client, how, lasts, pace: Span::ZERO };
        let action = match class {
            Coming::Cut if tcp => Action::Cut { client, after: false },
            Coming::HalfOpen if tcp => {
                let client_dies = luck.child(b"end").draw([0; 4])[0] & 1 == 1;
                let dead = if client_dies { Node::Client(client) } else { Node::Broker };
                Action::HalfOpen { client, dead }
            }
            Coming::Stall if tcp => hamper(Hindrance::Stall),
            Coming::Outage => Action::Outage { client, lasts },
            Coming::CrashClients => crash(Node::Client(client), lasts, luck),
            Coming::Cut | Coming::HalfOpen | Coming::Stall | Coming::CrashBroker => continue,
        };
        let name = format!("swarm {} {}", class.label(), own.name).into();
        setup.faults.push(FaultSetup { name, trigger: Trigger::Every(every), action });
    }
}

/// What the peers see is drawn too.
fn crash(node: Node, down: Interval, luck: Key) -> Action {
    let kinds = [PeersSee::Close, PeersSee::Reset, PeersSee::Silence];
    let peers = kinds[luck.child(b"peers").draw([0; 4])[0] as usize % kinds.len()];
    Action::Crash { node, down, peers, point: CrashPoint::Idle }
}
