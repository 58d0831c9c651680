//! The action of a fault on its node, if it is possible.

use super::{ActionSetting, ActionTable, CrashTable, PartitionTable, SlowTable};
use crate::scenario::keywords::{ActionKeyword, EndKeyword};
use crate::scenario::problem::Problem;
use crate::scenario::value::TextOrTable;
use qoslab_core::base::{ClientIndex, Direction, Impairment, Node, Span};
use qoslab_core::network::{IntervalDistribution, Transport};
use qoslab_sim::{ClientSetup, CrashPoint, FaultAction, PacketAction, PacketTrigger};

/// The node or link that a fault applies to, and the packet at which it comes.
#[derive(Clone, Copy)]
pub(super) struct FaultTarget {
    pub node: Node,
    pub packet: Option<PacketTrigger>,
}

/// The action, or the reason why there is none.
pub(super) fn build_action(
    table: &ActionSetting,
    target: FaultTarget,
    clients: &[ClientSetup],
) -> Result<FaultAction, Problem> {
    let own = || LinkFault::new(target, clients);
    match table {
        TextOrTable::Text(ActionKeyword::Cut) => own()?.cut_action(false),
        TextOrTable::Text(ActionKeyword::Drop) => {
            own()?.packet_action("drop", CUT_HELP, PacketAction::Drop)
        }
        TextOrTable::Text(ActionKeyword::Crash) => crash_action(&CrashTable::default(), target),
        TextOrTable::Table(ActionTable::Cut(word)) => {
            own()?.require_packet("cut")?;
            own()?.cut_action((*word).into())
        }
        TextOrTable::Table(ActionTable::Delay(by)) => {
            require_positive(by.0)?;
            own()?.packet_action("delay", STALL_HELP, PacketAction::Delay { by: by.0 })
        }
        TextOrTable::Table(ActionTable::Duplicate(after)) => {
            require_positive(after.0)?;
            own()?.packet_action("duplicate", CUT_HELP, PacketAction::Duplicate { after: after.0 })
        }
        TextOrTable::Table(ActionTable::HalfOpen(end)) => own()?.half_open_action(*end),
        TextOrTable::Table(ActionTable::Stall(lasts)) => own()?.stall_action(lasts.0),
        TextOrTable::Table(ActionTable::Partition(table)) => Ok(own()?.partition_action(table)),
        TextOrTable::Table(ActionTable::Outage(lasts)) => {
            Ok(FaultAction::Outage { client: own()?.client, lasts: lasts.0 })
        }
        TextOrTable::Table(ActionTable::Crash(table)) => crash_action(table, target),
        TextOrTable::Table(ActionTable::Slow(table)) => own()?.slow_action(table),
    }
}

const CUT_HELP: &str = "TCP repairs it unseen: use `do = \"cut\"`, or `transport = \"datagram\"`";
const STALL_HELP: &str = "use `do = { stall = \"5s\" }`, or `transport = \"datagram\"`";

fn crash_action(table: &CrashTable, target: FaultTarget) -> Result<FaultAction, Problem> {
    let receiver = target.packet.map(|packet| match packet.direction {
        Direction::Up => Node::Broker,
        Direction::Down => Node::Client(packet.client),
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
    Ok(FaultAction::Crash {
        node: target.node,
        down: table.down.0,
        peers: table.peers.into(),
        point: table.point.map_or(CrashPoint::BetweenEvents, Into::into),
    })
}

/// The fault of a client's link.
struct LinkFault {
    client: ClientIndex,
    is_tcp: bool,
    is_at_packet: bool,
}

impl LinkFault {
    fn new(target: FaultTarget, clients: &[ClientSetup]) -> Result<Self, Problem> {
        let Node::Client(client) = target.node else {
            let help = "write a client's name, or `on = \"*\"` for all; the broker can crash";
            return Err(Problem::new(
                "this applies to a link",
                "the broker has one to each client",
            )
            .help(help));
        };
        let tcp = matches!(clients[client.index()].link.transport, Transport::Tcp(_));
        Ok(Self { client, is_tcp: tcp, is_at_packet: target.packet.is_some() })
    }

    fn require_packet(&self, word: &str) -> Result<(), Problem> {
        if self.is_at_packet {
            return Ok(());
        }
        Err(Problem::new(format!("`{word}` needs a packet here"), "there is only a time")
            .help("write `when = { packet = \"PUBREC\", to = \"meter-7\" }` in place of the time"))
    }

    fn packet_action(
        &self,
        word: &str,
        help: &str,
        action: PacketAction,
    ) -> Result<FaultAction, Problem> {
        if self.is_tcp {
            let what = format!("`{word}` of one packet cannot happen over tcp");
            return Err(Problem::new(what, "this is an ordered stream of bytes").help(help));
        }
        self.require_packet(word)?;
        Ok(FaultAction::Packet(action))
    }

    fn require_tcp(&self, word: &str, help: &str) -> Result<(), Problem> {
        if self.is_tcp {
            return Ok(());
        }
        let what = format!("`{word}` needs a connection of tcp");
        Err(Problem::new(what, "this link carries datagrams").help(help))
    }

    fn cut_action(&self, after: bool) -> Result<FaultAction, Problem> {
        let help = if self.is_at_packet {
            "use `do = \"drop\"`, or `transport = \"tcp\"`"
        } else {
            "use `do = { outage = \"30s\" }`, or `transport = \"tcp\"`"
        };
        self.require_tcp("cut", help)?;
        Ok(FaultAction::Cut { client: self.client, after })
    }

    fn half_open_action(&self, end: EndKeyword) -> Result<FaultAction, Problem> {
        self.require_tcp("half-open", "use `do = { outage = \"30s\" }`, or `transport = \"tcp\"`")?;
        let dead = match end {
            EndKeyword::Client => Node::Client(self.client),
            EndKeyword::Broker => Node::Broker,
        };
        Ok(FaultAction::HalfOpen { client: self.client, dead_node: dead })
    }

    fn stall_action(&self, lasts: IntervalDistribution) -> Result<FaultAction, Problem> {
        let help = "use `do = { outage = \"30s\" }` or, at a packet, `do = { delay = \"5s\" }`; or \
                    `transport = \"tcp\"`";
        self.require_tcp("stall", help)?;
        let how = Impairment::Stall;
        Ok(FaultAction::Impair {
            client: self.client,
            impairment: how,
            lasts,
            read_interval: Span::ZERO,
        })
    }

    /// Both ways dead is an outage.
    fn partition_action(&self, table: &PartitionTable) -> FaultAction {
        let (client, lasts) = (self.client, table.lasts.0);
        match table.way.into() {
            None => FaultAction::Outage { client, lasts },
            Some(way) => {
                let how = Impairment::Partition(way);
                FaultAction::Impair { client, impairment: how, lasts, read_interval: Span::ZERO }
            }
        }
    }

    fn slow_action(&self, table: &SlowTable) -> Result<FaultAction, Problem> {
        let help = "a datagram that nobody reads is lost: use `do = { partition = { lasts = \
                    \"30s\", way = \"down\" } }`, or `transport = \"tcp\"`";
        self.require_tcp("slow", help)?;
        require_positive(table.pace.0)?;
        let (how, lasts, pace) = (Impairment::Slow, table.lasts.0, table.pace.0);
        Ok(FaultAction::Impair { client: self.client, impairment: how, lasts, read_interval: pace })
    }
}

fn require_positive(time: Span) -> Result<(), Problem> {
    if time > Span::ZERO {
        return Ok(());
    }
    Err(Problem::new("a fault's time must be more than zero", "this is no time at all"))
}
