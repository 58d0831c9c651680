//! Text output of a systematic search.

use super::number::counted;
use super::style::Style;
use super::table::wrap;
use super::{describe, escape, failure, ladder, minimal_failure};
use qoslab_core::base::units::format_count;
use qoslab_core::base::{Direction, QoS};
use qoslab_core::mqtt::StorePolicy;
use qoslab_core::network::Transport;
use qoslab_sim::event::explore::ReleaseWhen;
use qoslab_sim::{CrashPoint, EngineKind, FaultAction, PacketAction, Setup, Trigger};
use qoslab_study::explore::{
    Counterexample, ExploreReport, FaultKind, InjectedFault, PacketFault, SearchSpace,
};
use qoslab_study::minimal_failures::MinimalFailure;
use qoslab_study::scenario::{Point, Scenario};

/// The maximum number of rows of a counterexample's ladder.
const MAX_LADDER_ROWS: usize = 100;

/// A finished search, and what was searched.
#[derive(Clone, Copy, Debug)]
pub struct ExploreSummary<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The point of the scenario.
    pub point: &'a Point,
    /// The setup as it was searched.
    pub search_space: &'a SearchSpace,
    /// The maximum number of faults in a schedule.
    pub faults: usize,
    /// The result of the search.
    pub report: &'a ExploreReport,
    /// The minimal failure of the counterexample, if there is one.
    pub minimal_failure: Option<&'a MinimalFailure>,
}

impl ExploreSummary<'_> {
    /// The complete text of the result.
    #[must_use]
    pub fn text(&self, style: Style) -> String {
        let name = escape::terminal(&self.scenario.name);
        let (mark, conclusion) = match &self.report.counterexample {
            Some(found) => (style.bad("FAIL"), self.counterexample_text(found, style)),
            None if self.report.is_proof() => (style.good("PASS"), self.proof_text()),
            None => (style.warning("INCONCL"), self.inconclusive_text()),
        };
        let title = format!("{mark} {}  {}\n\n", style.strong(&name), self.point.label());
        title + &self.table() + "\n" + &conclusion
    }

    fn table(&self) -> String {
        let mut text = "  faults      schedules         states\n".to_owned();
        for (n, level) in self.report.levels.iter().enumerate() {
            let (schedules, states) =
                (format_count(level.schedules), format_count(level.new_states));
            text += &format!("  {n:>6}  {schedules:>13}  {states:>13}\n");
        }
        text
    }

    /// The result in one sentence that can be quoted.
    #[must_use]
    pub fn proof_sentence(&self) -> String {
        let Self { faults, report, .. } = *self;
        let declared = match report.declared {
            0 => String::new(),
            count => format!(
                ", but for the breaks that it declares, which {} show",
                counted(count, "schedule")
            ),
        };
        format!(
            "{} for `{}` ({}) in all {} of at most {} among {} at {} ({}){declared}, {}.",
            self.promise(),
            escape::terminal(&self.scenario.name),
            self.searched_setup(),
            counted(report.schedules(), "schedule"),
            counted(faults as u64, "fault"),
            self.possible_kinds(),
            counted(report.packets as u64, "packet"),
            counted(report.states(), "state"),
            self.assumptions(),
        )
    }

    fn proof_text(&self) -> String {
        paragraph(&self.proof_sentence())
    }

    fn inconclusive_text(&self) -> String {
        let Self { faults, report, .. } = *self;
        let done = format!(
            "no counterexample in the {} that were tried, of at most {} among {} ({})",
            counted(report.schedules(), "schedule"),
            counted(faults as u64, "fault"),
            self.possible_kinds(),
            self.searched_setup(),
        );
        if let Some(estimate) = report.estimate {
            let estimate = format_count(estimate);
            return paragraph(&format!(
                "Nothing is proved: there are about {estimate} schedules, which is more than \
                 --max-schedules allows; {done}. Allow more, or take fewer --faults, fewer \
                 --messages or fewer --kinds."
            ));
        }
        if report.interrupted {
            return paragraph(&format!("Interrupted, so nothing is proved: {done}."));
        }
        paragraph(&format!(
            "Nothing is proved: {} not quiescent at the deadline or the limit of events; {done}.",
            match report.inconclusive {
                1 => "1 schedule was".to_owned(),
                count => format!("{} schedules were", format_count(count)),
            }
        ))
    }

    fn counterexample_text(&self, found: &Counterexample, style: Style) -> String {
        let count = found.faults();
        let least = match count {
            0 => "Without any fault".to_owned(),
            _ => format!("With {} and no fewer", counted(count as u64, "fault")),
        };
        let what = if found.livelock { "it goes on for ever" } else { "a promise or MUST breaks" };
        let mut text = paragraph(&format!(
            "{least} {what}, for `{}` ({}), faults among {}, {}. The first such schedule in the \
             order of the search:",
            escape::terminal(&self.scenario.name),
            self.searched_setup(),
            self.possible_kinds(),
            self.assumptions(),
        ));
        text.push('\n');
        for (n, chosen) in (1..).zip(&found.schedule) {
            let told = escape::terminal(&fault_text(chosen, found)).into_owned();
            for (line, words) in wrap(&told, 73).into_iter().enumerate() {
                let number = if line == 0 { format!("{n}.") } else { String::new() };
                text += &format!("  {number:<3}{words}\n");
            }
        }
        let has_ladder = self.minimal_failure.is_some();
        text += &failure::findings(&found.outcome, &found.trial.setup, !has_ladder, style);
        if let Some(own) = self.minimal_failure {
            text += &ladder::text(&minimal_failure::ladder(own, MAX_LADDER_ROWS), style);
            if let Some(folder) = &own.folder {
                text.extend(["\n", &minimal_failure::inspect_commands(folder, EngineKind::Event)]);
            }
        }
        text
    }

    // ---- what was searched ----

    fn promise(&self) -> &'static str {
        let subscriptions =
            self.search_space.setup().clients.iter().flat_map(|it| &it.subscriptions);
        let granted = subscriptions.map(|it| it.request.qos).min();
        match self.point.published.filter(|qos| granted.is_none_or(|granted| granted >= *qos)) {
            Some(QoS::AtMostOnce) => "at-most-once holds",
            Some(QoS::AtLeastOnce) => "at-least-once holds",
            Some(QoS::ExactlyOnce) => "exactly-once holds",
            None => "every promise holds",
        }
    }

    /// `QoS 2, tcp, durable store, 1 message, 2 hops`.
    fn searched_setup(&self) -> String {
        let setup = self.search_space.setup();
        let level = match self.point.published {
            Some(qos) => format!("QoS {qos}"),
            None => "mixed QoS".to_owned(),
        };
        let subscribed = setup.clients.iter().any(|it| !it.subscriptions.is_empty());
        let messages = setup.messages().len() as u64;
        let endpoints = describe::scenario_properties(self.scenario).endpoints;
        let mut parts = vec![
            level,
            transport_text(setup).to_owned(),
            store_text(setup).to_owned(),
            counted(messages, "message"),
            if subscribed { "2 hops" } else { "1 hop" }.to_owned(),
        ];
        if !endpoints.is_empty() {
            parts.push(escape::terminal(&endpoints).into_owned());
        }
        parts.join(", ")
    }

    /// The requested kinds of faults that can apply to a packet here.
    fn possible_kinds(&self) -> String {
        let setup = self.search_space.setup();
        let any = |tcp: bool| setup.clients.iter().any(|it| is_tcp(&it.link.transport) == tcp);
        let possible = |kind: &&FaultKind| match kind {
            FaultKind::Drop | FaultKind::Duplicate | FaultKind::Delay => any(false),
            FaultKind::Cut => any(true),
            FaultKind::Crash => true,
        };
        let kinds = self.search_space.fault_options().kinds.iter().filter(possible);
        kinds.map(|kind| kind.label()).collect::<Vec<_>>().join(", ")
    }

    fn assumptions(&self) -> String {
        let mut parts = vec!["no random loss", "fixed delays", "keep alive off"];
        let before = &self.point.setup.faults;
        if before.iter().any(|fault| !matches!(fault.trigger, Trigger::At(_))) {
            parts.push("without the scenario's faults at packets and at intervals");
        }
        if self.point.swarm.is_some() {
            parts.push("swarm off");
        }
        format!("assuming {}", parts.join(", "))
    }
}

fn paragraph(text: &str) -> String {
    format!("  {}\n", wrap(text, 78).join("\n  "))
}

const fn is_tcp(transport: &Transport) -> bool {
    matches!(transport, Transport::Tcp(_))
}

fn transport_text(setup: &Setup) -> &'static str {
    let mut over_tcp = setup.clients.iter().map(|it| is_tcp(&it.link.transport));
    match over_tcp.next() {
        Some(first) if over_tcp.any(|it| it != first) => "tcp and datagrams",
        Some(true) => "tcp",
        _ => "datagrams",
    }
}

fn store_text(setup: &Setup) -> &'static str {
    let mut all = setup.clients.iter().map(|it| it.store).chain([setup.broker_store]);
    match all.next() {
        Some(first) if all.any(|it| it != first) => "mixed stores",
        Some(StorePolicy::Volatile) => "volatile store",
        Some(StorePolicy::Snapshot(_)) => "snapshots",
        _ => "durable store",
    }
}

/// The fault applied to a packet of a counterexample.
fn fault_text(chosen: &InjectedFault, found: &Counterexample) -> String {
    let setup = &*found.trial.setup;
    let packet = format!("`{}`", setup.format_packet_name(&chosen.packet));
    let client = setup.clients[chosen.packet.client.index()].name.as_ref();
    let (sender, receiver) = match chosen.packet.direction {
        Direction::Up => (client, "broker"),
        Direction::Down => ("broker", client),
    };
    let late = delay_text(chosen, setup);
    match chosen.fault {
        PacketFault::Drop => format!("{packet} is lost"),
        PacketFault::Duplicate => format!("{packet} arrives twice"),
        PacketFault::Delay(until) => format!("{packet} is {late} late: {}", delay_reason(until)),
        PacketFault::DelayedDuplicate(until) => {
            format!("{packet} arrives twice, {late} apart: the copy {}", delay_reason(until))
        }
        PacketFault::Cut { after: false } => format!("a cut before {packet} arrives"),
        PacketFault::Cut { after: true } => format!("a cut right after {packet} arrived"),
        PacketFault::CrashReceiver(CrashPoint::BeforeCommit) => {
            format!("{receiver} crashes when {packet} arrives, before it stores anything of it")
        }
        PacketFault::CrashReceiver(CrashPoint::AfterCommit) => {
            format!("{receiver} crashes when it has stored {packet}, before it sends anything")
        }
        PacketFault::CrashReceiver(_) => {
            format!("{receiver} crashes when it has stored {packet} and sent one packet")
        }
        PacketFault::CrashSender => format!("{sender} crashes instead of sending {packet}"),
    }
}

fn delay_text(chosen: &InjectedFault, setup: &Setup) -> String {
    let own = |it: &&qoslab_sim::FaultSetup| it.trigger == Trigger::NamedPacket(chosen.packet);
    match setup.faults.iter().find(own).map(|fault| &fault.action) {
        Some(FaultAction::Packet(
            PacketAction::Delay { by } | PacketAction::Duplicate { after: by },
        )) => by.to_string(),
        _ => String::new(),
    }
}

const fn delay_reason(until: ReleaseWhen) -> &'static str {
    match until {
        ReleaseWhen::NextPacket => "after the next packet that way",
        ReleaseWhen::HandshakeEnd => "after the end of its handshake",
        ReleaseWhen::Timeout => "after its sender's next timeout",
    }
}
