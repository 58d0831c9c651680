//! The `[schedule]` of a scenario file: what happens in place of random draws.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

#[cfg(feature = "studies")]
use schemars::JsonSchema;
use serde::Serialize;

use super::MODEL_VERSION;
use super::diagnostic::Diagnostics;
use super::from_toml::read_table;
use super::keywords::LossKeyword;
use super::quantities::{Bytes, Duration};
use super::value::{BoundedInt, Located};
use qoslab_core::base::{ClientIndex, PublisherIndex, Span, Time};
use qoslab_core::network::{FateKey, ForcedFate, SendAttempt};
use qoslab_sim::{MessageTiming, PublisherSetup, Schedule, ScheduledOutage, Setup};

/// Recorded outcomes in place of random draws. Whatever is not listed is plain: a packet arrives
/// once, after the delay; a client waits the longest pause before it connects again. Entries can be
/// taken out or changed one by one.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleTable {
    /// The version of qoslab's model that wrote it down.
    pub model: Located<BoundedInt<1, 1_000_000>>,
    /// When the traffic begins at the earliest, from the start of the trial.
    #[serde(default)]
    pub traffic: Duration,
    /// Packets that do not arrive once and after the delay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fates: Vec<Located<FateTable>>,
    /// Times in which a link is down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Located<OutageTimeTable>>,
    /// Pauses before a client connects again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Located<PauseTable>>,
    /// Messages that do not come at their interval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Located<MessageTable>>,
}
read_table!(ScheduleTable {
    model, traffic = Duration::default(), fates = Vec::new(), outages = Vec::new(),
    pauses = Vec::new(), messages = Vec::new(),
});

/// What becomes of one packet, or over tcp of one sending of a segment.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct FateTable {
    /// The packet's name: `"sensor#7 / broker / 0 / PUBLISH / 0"` or `"sensor / CONNECT / 0"`; over
    /// tcp it names the segment that begins with its first byte, whatever else is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet: Option<Located<String>>,
    /// That many bytes later in the packet a segment begins (tcp).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub byte: u32,
    /// How often TCP had sent the segment before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resend: u32,
    /// In place of a packet, an acknowledgement of TCP's without data: on whose link, in which
    /// direction, and how many came before it: `"sensor / up / 3"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<Located<String>>,
    /// It is lost, and this is said to be why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<LossKeyword>,
    /// It arrives so long after it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,
    /// It arrives once more, so long after it was sent (datagram).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Duration>,
}
read_table!(FateTable {
    packet = None, byte = 0, resend = 0, ack = None, lost = None, after = None, again = None,
});

/// A time in which a client's link is down.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct OutageTimeTable {
    /// Whose link.
    pub client: Located<String>,
    /// When it begins, after the start of the traffic.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}
read_table!(OutageTimeTable { client, at, lasts or "'1s'" });

/// A pause before a client connects again.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct PauseTable {
    /// Which client.
    pub client: Located<String>,
    /// Before which of its connections, from 0.
    pub connection: u32,
    /// After how many attempts that failed in a row.
    pub failed: u32,
    /// How long.
    pub lasts: Duration,
}
read_table!(PauseTable { client, connection, failed, lasts or "'1s'" });

/// One message of a workload.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct MessageTable {
    /// Which: `"sensor#7"`, or `"sensor/2#7"` of a client's second workload.
    pub message: Located<String>,
    /// When it is published, after the start of the traffic.
    pub at: Duration,
    /// The length of its payload.
    pub payload: Bytes,
}
read_table!(MessageTable { message, at, payload });

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Reads the schedule of a setup, which has to be deterministic.
pub(super) fn read_schedule(
    given: &Located<ScheduleTable>,
    setup: &Setup,
    errors: &mut Diagnostics,
) -> Schedule {
    let table = &given.value;
    check_model(&table.model, errors);
    check_deterministic(&given.span, setup, errors);
    let mut reader = ScheduleReader { setup, errors };
    let mut schedule =
        Schedule { traffic_start: Time::ZERO + table.traffic.0, ..Schedule::default() };
    let fates = table.fates.iter().filter_map(|fate| reader.read_fate(fate));
    schedule.fates = Arc::new(fates.collect());
    for given in &table.outages {
        let Some(client) = reader.find_client(&given.value.client) else { continue };
        let outage = ScheduledOutage { at: given.value.at.0, lasts: given.value.lasts.0 };
        schedule.outages.entry(client).or_default().push(outage);
    }
    for outages in schedule.outages.values_mut() {
        outages.sort();
    }
    for given in &table.pauses {
        let PauseTable { client, connection, failed, lasts } = &given.value;
        let Some(client) = reader.find_client(client) else { continue };
        schedule.pauses.insert((client, *connection, *failed), lasts.0);
    }
    schedule.messages = reader.read_messages(&table.messages);
    schedule
}

fn check_model(given: &Located<BoundedInt<1, 1_000_000>>, errors: &mut Diagnostics) {
    let model = given.value.0;
    if model != MODEL_VERSION {
        let title =
            format!("this schedule was written down by model {model}, and this is {MODEL_VERSION}");
        errors
            .warn(&given.span, title, "packets may come in another order now")
            .help("look whether it still shows the same, then write the new number");
    }
}

/// Checks that nothing is drawn at random beside a schedule.
fn check_deterministic(span: &Range<usize>, setup: &Setup, errors: &mut Diagnostics) {
    let deterministic = setup.deterministic();
    let mut report = |what: String| {
        errors
            .error(span, "a schedule leaves nothing to chance", what)
            .help("leave the random part out, and list what it did in the schedule");
    };
    let mut clients = setup.clients.iter().zip(&deterministic.clients);
    if let Some((own, _)) = clients.find(|(own, still)| own.link != still.link) {
        report(format!("the link of `{}` has loss, jitter, duplication or outages", own.name));
    }
    let message_timing = |it: &PublisherSetup| (it.every, it.spread, it.payload);
    let mut streams = setup.publishers.iter().zip(&deterministic.publishers);
    if let Some((own, _)) =
        streams.find(|(own, still)| message_timing(own) != message_timing(still))
    {
        report(format!("the messages of `{}` come at random, or with random lengths", own.name));
    }
    let mut faults = setup.faults.iter().zip(&deterministic.faults);
    if let Some((own, _)) = faults.find(|(own, still)| own != still) {
        report(format!("the fault `{}` comes, or lasts, at random", own.name));
    }
}

struct ScheduleReader<'a> {
    setup: &'a Setup,
    errors: &'a mut Diagnostics,
}

impl ScheduleReader<'_> {
    fn read_fate(&mut self, given: &Located<FateTable>) -> Option<(FateKey, ForcedFate)> {
        let FateTable { packet, byte, resend, ack, lost, after, again } = &given.value;
        let fate = match (lost, after, again) {
            (Some(why), None, None) => ForcedFate::Lost((*why).into()),
            (None, Some(after), again) => {
                let again = again.map(|again| again.0);
                if again.is_some_and(|again| again < after.0) {
                    self.errors
                        .error(&given.span, "`again` comes before `after`", "")
                        .help("the first arrival is `after`, the second one `again`");
                }
                ForcedFate::Arrives { delay: after.0, duplicate_delay: again }
            }
            _ => {
                self.errors
                    .error(&given.span, "a fate is one thing", "lost, or when it arrives")
                    .help("write `lost = \"random\"`, or `after = \"40ms\"`, perhaps with `again`");
                return None;
            }
        };
        let (named, key) = match (packet, ack) {
            (Some(packet), None) => {
                let name = self.setup.parse_packet_name(&packet.value);
                let (offset, attempt) = (*byte, *resend);
                let sending =
                    name.map(|packet| FateKey::Sending(SendAttempt { packet, offset, attempt }));
                (packet, sending)
            }
            (None, Some(ack)) => (ack, self.setup.parse_ack_name(&ack.value).map(FateKey::Ack)),
            _ => {
                self.errors
                    .error(&given.span, "a fate is that of one packet or one acknowledgement", "")
                    .help(
                        "write `packet = \"sensor / CONNECT / 0\"`, or over tcp `ack = \"sensor \
                         / up / 3\"`",
                    );
                return None;
            }
        };
        match key {
            Ok(key) => Some((key, fate)),
            Err(wrong) => {
                self.errors.error(&named.span, "this names nothing that has a fate", wrong);
                None
            }
        }
    }

    fn find_client(&mut self, given: &Located<String>) -> Option<ClientIndex> {
        let mut numbered = (0..).map(ClientIndex).zip(&self.setup.clients);
        let found = numbered.find(|(_, client)| *client.name == *given.value);
        if found.is_none() {
            let names: Vec<_> = self.setup.clients.iter().map(|client| &*client.name).collect();
            let title = format!("there is no client `{}`", given.value);
            self.errors
                .error(&given.span, title, "nobody has such a name")
                .suggest_name(&given.value, &names);
        }
        found.map(|(index, _)| index)
    }

    fn read_messages(
        &mut self,
        all: &[Located<MessageTable>],
    ) -> BTreeMap<(PublisherIndex, u32), MessageTiming> {
        let mut timings = BTreeMap::new();
        for given in all {
            let MessageTable { message, at, payload } = &given.value;
            match self.setup.parse_message_name(&message.value) {
                Ok(whose) => {
                    let timing = MessageTiming { at: at.0, payload: payload.0 };
                    timings.insert(whose, timing);
                }
                Err(wrong) => drop(self.errors.error(&message.span, "this is no message", wrong)),
            }
        }
        timings
    }
}

/// The table that stands for a schedule.
pub(super) fn schedule_table(schedule: &Schedule, setup: &Setup) -> ScheduleTable {
    let client = |index: ClientIndex| {
        Located::from_default(setup.clients[index.index()].name.as_ref().to_owned())
    };
    let fates = schedule.fates.iter().map(|(key, fate)| {
        let (lost, after, again) = match *fate {
            ForcedFate::Lost(loss) => (Some(loss.into()), None, None),
            ForcedFate::Undisturbed => (None, None, None),
            ForcedFate::Arrives { delay: after, duplicate_delay: again } => {
                (None, Some(after), again)
            }
        };
        let (packet, byte, resend, ack) = match key {
            FateKey::Sending(SendAttempt { packet, offset, attempt }) => {
                (Some(setup.format_packet_name(packet)), *offset, *attempt, None)
            }
            FateKey::Ack(ack) => (None, 0, 0, Some(setup.format_ack_name(ack))),
        };
        FateTable {
            packet: packet.map(Located::from_default),
            byte,
            resend,
            ack: ack.map(Located::from_default),
            lost,
            after: after.map(Duration),
            again: again.map(Duration),
        }
    });
    let outages = schedule.outages.iter().flat_map(|(of, list)| {
        list.iter().map(move |outage| OutageTimeTable {
            client: client(*of),
            at: Duration(outage.at),
            lasts: Duration(outage.lasts),
        })
    });
    let pauses = schedule.pauses.iter().map(|(&(of, connection, failed), lasts)| PauseTable {
        client: client(of),
        connection,
        failed,
        lasts: Duration(*lasts),
    });
    let messages = schedule.messages.iter().map(|(&(stream, sequence), timing)| MessageTable {
        message: Located::from_default(format!(
            "{}#{sequence}",
            setup.publishers[stream.index()].name
        )),
        at: Duration(timing.at),
        payload: Bytes(timing.payload),
    });
    ScheduleTable {
        model: Located::from_default(BoundedInt(MODEL_VERSION)),
        traffic: Duration(schedule.traffic_start.since(Time::ZERO)),
        fates: fates.map(Located::from_default).collect(),
        outages: outages.map(Located::from_default).collect(),
        pauses: pauses.map(Located::from_default).collect(),
        messages: messages.map(Located::from_default).collect(),
    }
}

impl Default for Duration {
    fn default() -> Self {
        Self(Span::ZERO)
    }
}
