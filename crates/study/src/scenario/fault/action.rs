//! What a fault does to its node, if it can.

use super::{CrashTable, Do, DoTable, PartitionTable, SlowTable};
use crate::scenario::problem::Problem;
use crate::scenario::value::Either;
use crate::scenario::words::{DoWord, EndWord};
use qoslab_core::base::event::Hindrance;
use qoslab_core::base::name::{ClientIndex, Node, Way};
use qoslab_core::base::time::Span;
use qoslab_core::network::settings::{Interval, Transport};
use qoslab_sim::trial::{Action, ClientSetup, CrashPoint, PacketAction, PacketTrigger};

/// Whom a fault befalls, and at which packet.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub node: Node,
    pub packet: Option<PacketTrigger>,
}

/// The action, or why there is none.
pub(super) fn action(
    table: &Do,
    target: Target,
    clients: &[ClientSetup],
) -> Result<Action, Problem> {
    let own = || Own::of(target, clients);
    match table {
        Either::Text(DoWord::Cut) => own()?.cut(false),
        Either::Text(DoWord::Drop) => own()?.packet("drop", CUT, PacketAction::Drop),
        Either::Text(DoWord::Crash) => crash(&CrashTable::default(), target),
        Either::Table(DoTable::Cut(word)) => {
            own()?.at_packet("cut")?;
            own()?.cut((*word).into())
        }
        Either::Table(DoTable::Delay(by)) => {
            positive(by.0)?;
            own()?.packet("delay", STALL, PacketAction::Delay { by: by.0 })
        }
        Either::Table(DoTable::Duplicate(after)) => {
            positive(after.0)?;
            own()?.packet("duplicate", CUT, PacketAction::Duplicate { after: after.0 })
        }
        Either::Table(DoTable::HalfOpen(end)) => own()?.half_open(*end),
        Either::Table(DoTable::Stall(lasts)) => own()?.stall(lasts.0),
        Either::Table(DoTable::Partition(table)) => Ok(own()?.partition(table)),
        Either::Table(DoTable::Outage(lasts)) => {
            Ok(Action::Outage { client: own()?.client, lasts: lasts.0 })
        }
        Either::Table(DoTable::Crash(table)) => crash(table, target),
        Either::Table(DoTable::Slow(table)) => own()?.slow(table),
    }
}

const CUT: &str = "TCP repairs it unseen: use `do = \"cut\"`, or `transport = \"datagram\"`";
const STALL: &str = "use `do = { stall = \"5s\" }`, or `transport = \"datagram\"`";

fn crash(table: &CrashTable, target: Target) -> Result<Action, Problem> {
    let receiver = target.packet.map(|packet| match packet.way {
        Way::Up => Node::Broker,
        Way::Down => Node::Client(packet.client),
    });
    if table.point.is_some() && receiver.is_none() {
        return Err(Problem::new(
            "a point in the work on a packet needs a packet",
            "there is none",
        )
        .help("write `when = { packet = .. }` in place of the time, or leave `point` out"));
    }
    if table.point.is_some() && receiver != Some(target.node) {
        return Err(Problem::new("only the receiver works on a packet", "another node crashes")
            .help("leave `on` out, or leave `point` out"));
    }
    Ok(Action::Crash {
        node: target.node,
        down: table.down.0,
        peers: table.peers.into(),
        point: table.point.map_or(CrashPoint::Idle, Into::into),
    })
}

/// What befalls a client's link.
struct Own {
    client: ClientIndex,
    tcp: bool,
    at_packet: bool,
}

impl Own {
    fn of(target: Target, clients: &[ClientSetup]) -> Result<Self, Problem> {
        let Node::Client(client) = target.node else {
            let help = "write a client's name, or `on = \"*\"` for all; the broker can crash";
            return Err(
                Problem::new("this befalls a link", "the broker has one to each client").help(help)
            );
        };
        let tcp = matches!(clients[client.index()].link.transport, Transport::Tcp(_));
        Ok(Self { client, tcp, at_packet: target.packet.is_some() })
    }

    fn at_packet(&self, word: &str) -> Result<(), Problem> {
        if self.at_packet {
            return Ok(());
        }
        Err(Problem::new(format!("`{word}` needs a packet here"), "there is only a time")
            .help("write `when = { packet = \"PUBREC\", to = \"meter-7\" }` in place of the time"))
    }

    fn packet(&self, word: &str, cure: &str, action: PacketAction) -> Result<Action, Problem> {
        if self.tcp {
            let what = format!("`{word}` of one packet cannot happen over tcp");
            return Err(Problem::new(what, "this is an ordered stream of bytes").help(cure));
        }
        self.at_packet(word)?;
        Ok(Action::Packet(action))
    }

    fn over_tcp(&self, word: &str, cure: &str) -> Result<(), Problem> {
        if self.tcp {
            return Ok(());
        }
        let what = format!("`{word}` needs a connection of tcp");
        Err(Problem::new(what, "this link carries datagrams").help(cure))
    }

    fn cut(&self, after: bool) -> Result<Action, Problem> {
        let cure = if self.at_packet {
            "use `do = \"drop\"`, or `transport = \"tcp\"`"
        } else {
            "use `do = { outage = \"30s\" }`, or `transport = \"tcp\"`"
        };
        self.over_tcp("cut", cure)?;
        Ok(Action::Cut { client: self.client, after })
    }

    fn half_open(&self, end: EndWord) -> Result<Action, Problem> {
        self.over_tcp("half-open", "use `do = { outage = \"30s\" }`, or `transport = \"tcp\"`")?;
        let dead = match end {
            EndWord::Client => Node::Client(self.client),
            EndWord::Broker => Node::Broker,
        };
        Ok(Action::HalfOpen { client: self.client, dead })
    }

    fn stall(&self, lasts: Interval) -> Result<Action, Problem> {
        let cure = "use `do = { outage = \"30s\" }` or, at a packet, `do = { delay = \"5s\" }`; or \
                    `transport = \"tcp\"`";
        self.over_tcp("stall", cure)?;
        let how = Hindrance::Stall;
        Ok(Action::Hamper { client: self.client, how, lasts, pace: Span::ZERO })
    }

    /// Both ways dead is an outage.
    fn partition(&self, table: &PartitionTable) -> Action {
        let (client, lasts) = (self.client, table.lasts.0);
        match table.way.into() {
            None => Action::Outage { client, lasts },
            Some(way) => {
                let how = Hindrance::Partition(way);
                Action::Hamper { client, how, lasts, pace: Span::ZERO }
            }
        }
    }

    fn slow(&self, table: &SlowTable) -> Result<Action, Problem> {
        let cure = "a datagram that nobody reads is lost: use `do = { partition = { lasts = \
                    \"30s\", way = \"down\" } }`, or `transport = \"tcp\"`";
        self.over_tcp("slow", cure)?;
        positive(table.pace.0)?;
        let (how, lasts, pace) = (Hindrance::Slow, table.lasts.0, table.pace.0);
        Ok(Action::Hamper { client: self.client, how, lasts, pace })
    }
}

fn positive(time: Span) -> Result<(), Problem> {
    if time > Span::ZERO {
        return Ok(());
    }
    Err(Problem::new("a fault's time must be more than zero", "this is no time at all"))
}
