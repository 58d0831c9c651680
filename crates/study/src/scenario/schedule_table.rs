//! The `[schedule]` of a scenario file: what happens in place of luck.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MODEL;
use super::diagnostic::Diagnostics;
use super::texts::{Bytes, Duration};
use super::value::{Given, Whole};
use super::words::LossWord;
use qoslab_core::base::name::{ClientIndex, StreamIndex};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::network::overrule::ForcedFate;
use qoslab_core::network::script::Sending;
use qoslab_sim::schedule::{Outage, Schedule, Timing};
use qoslab_sim::trial::{Setup, StreamSetup};

/// What happens in place of luck. Whatever is not listed is plain: a packet arrives once, after
/// the delay; a client waits the longest pause before it connects again. Entries can be taken out
/// or changed one by one.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleTable {
    /// The version of qoslab's model that wrote it down.
    pub model: Given<Whole<1, 1_000_000>>,
    /// When the traffic begins at the earliest, from the start of the trial.
    #[serde(default)]
    pub traffic: Duration,
    /// Packets that do not arrive once and after the delay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fates: Vec<Given<FateTable>>,
    /// Times in which a link is down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Given<OutageTimeTable>>,
    /// Pauses before a client connects again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Given<PauseTable>>,
    /// Messages that do not come at their interval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Given<MessageTable>>,
}

/// What becomes of one packet, or over tcp of one sending of one of its segments.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FateTable {
    /// The packet's name: `"sensor#7 / broker / 0 / PUBLISH / 0"` or `"sensor / CONNECT / 0"`.
    pub packet: Given<String>,
    /// Which of its segments, from 0 (tcp).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub segment: u32,
    /// How often TCP had sent the segment before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resend: u32,
    /// It is lost, and this is said to be why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<LossWord>,
    /// It arrives so long after it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,
    /// It arrives once more, so long after it was sent (datagram).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Duration>,
}

/// A time in which a client's link is down.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutageTimeTable {
    /// Whose link.
    pub client: Given<String>,
    /// When it begins, after the start of the traffic.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

/// A pause before a client connects again.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseTable {
    /// Which client.
    pub client: Given<String>,
    /// Before which of its connections, from 0.
    pub connection: u32,
    /// After how many attempts that failed in a row.
    pub failed: u32,
    /// How long.
    pub lasts: Duration,
}

/// One message of a workload.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageTable {
    /// Which: `"sensor#7"`, or `"sensor/2#7"` of a client's second workload.
    pub message: Given<String>,
    /// When it is published, after the start of the traffic.
    pub at: Duration,
    /// The length of its payload.
    pub payload: Bytes,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The schedule of a setup, which has to be still.
pub(super) fn schedule(
    given: &Given<ScheduleTable>,
    setup: &Setup,
    errors: &mut Diagnostics,
) -> Schedule {
    let table = &given.value;
    check_model(&table.model, errors);
    check_still(&given.span, setup, errors);
    let mut reader = Reader { setup, errors };
    let mut schedule = Schedule { traffic: Time::ZERO + table.traffic.0, ..Schedule::default() };
    let fates = table.fates.iter().filter_map(|fate| reader.fate(fate));
    schedule.fates = Arc::new(fates.collect());
    for given in &table.outages {
        let Some(client) = reader.client(&given.value.client) else { continue };
        let outage = Outage { at: given.value.at.0, lasts: given.value.lasts.0 };
        schedule.outages.entry(client).or_default().push(outage);
    }
    for outages in schedule.outages.values_mut() {
        outages.sort();
    }
    for given in &table.pauses {
        let PauseTable { client, connection, failed, lasts } = &given.value;
        let Some(client) = reader.client(client) else { continue };
        schedule.pauses.insert((client, *connection, *failed), lasts.0);
    }
    schedule.messages = reader.messages(&table.messages);
    schedule
}

fn check_model(given: &Given<Whole<1, 1_000_000>>, errors: &mut Diagnostics) {
    let model = given.value.0;
    if model != MODEL {
        let title = format!("this schedule was written down by model {model}, and this is {MODEL}");
        errors
            .warn(&given.span, title, "packets may come in another order now")
            .help("look whether it still tells the same story, then write the new number");
    }
}

/// Nothing may be left to luck beside a schedule.
fn check_still(span: &Range<usize>, setup: &Setup, errors: &mut Diagnostics) {
    let still = setup.still();
    let mut tell = |what: String| {
        errors
            .error(span, "a schedule leaves nothing to luck", what)
            .help("leave the luck out, and list what it did in the schedule");
    };
    let mut clients = setup.clients.iter().zip(&still.clients);
    if let Some((own, _)) = clients.find(|(own, still)| own.link != still.link) {
        tell(format!("the link of `{}` has loss, jitter, duplication or outages", own.name));
    }
    let timing = |it: &StreamSetup| (it.every, it.spread, it.payload);
    let mut streams = setup.streams.iter().zip(&still.streams);
    if let Some((own, _)) = streams.find(|(own, still)| timing(own) != timing(still)) {
        tell(format!("the messages of `{}` come at random, or with random lengths", own.name));
    }
    let mut faults = setup.faults.iter().zip(&still.faults);
    if let Some((own, _)) = faults.find(|(own, still)| own != still) {
        tell(format!("the fault `{}` comes, or lasts, at random", own.name));
    }
}

struct Reader<'a> {
    setup: &'a Setup,
    errors: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn fate(&mut self, given: &Given<FateTable>) -> Option<(Sending, ForcedFate)> {
        let FateTable { packet, segment, resend, lost, after, again } = &given.value;
        let fate = match (lost, after, again) {
            (Some(why), None, None) => ForcedFate::Lost((*why).into()),
            (None, Some(after), again) => {
                let again = again.map(|again| again.0);
                if again.is_some_and(|again| again < after.0) {
                    self.errors
                        .error(&given.span, "`again` comes before `after`", "")
                        .help("the first arrival is `after`, the second one `again`");
                }
                ForcedFate::Arrives { after: after.0, again }
            }
            _ => {
                self.errors
                    .error(&given.span, "a fate is one thing", "lost, or when it arrives")
                    .help("write `lost = \"random\"`, or `after = \"40ms\"`, perhaps with `again`");
                return None;
            }
        };
        match self.setup.packet_named(&packet.value) {
            Ok(name) => Some((Sending { packet: name, segment: *segment, attempt: *resend }, fate)),
            Err(wrong) => {
                self.errors.error(&packet.span, "this names no packet", wrong);
                None
            }
        }
    }

    fn client(&mut self, given: &Given<String>) -> Option<ClientIndex> {
        let mut numbered = (0..).map(ClientIndex).zip(&self.setup.clients);
        let found = numbered.find(|(_, client)| *client.name == *given.value);
        if found.is_none() {
            let names: Vec<_> = self.setup.clients.iter().map(|client| &*client.name).collect();
            let title = format!("there is no client `{}`", given.value);
            self.errors
                .error(&given.span, title, "nobody has such a name")
                .suggest(&given.value, &names);
        }
        found.map(|(index, _)| index)
    }

    fn messages(&mut self, all: &[Given<MessageTable>]) -> BTreeMap<(StreamIndex, u32), Timing> {
        let mut timings = BTreeMap::new();
        for given in all {
            let MessageTable { message, at, payload } = &given.value;
            match self.setup.message_named(&message.value) {
                Ok(whose) => {
                    let timing = Timing { at: at.0, payload: payload.0 };
                    timings.insert(whose, timing);
                }
                Err(wrong) => drop(self.errors.error(&message.span, "this is no message", wrong)),
            }
        }
        timings
    }
}

/// The table that stands for a schedule.
pub(super) fn written(schedule: &Schedule, setup: &Setup) -> ScheduleTable {
    let client =
        |index: ClientIndex| Given::assumed(setup.clients[index.index()].name.as_ref().to_owned());
    let fates = schedule.fates.iter().map(|(sending, fate)| {
        let (lost, after, again) = match *fate {
            ForcedFate::Lost(loss) => (Some(loss.into()), None, None),
            ForcedFate::Plain => (None, None, None),
            ForcedFate::Arrives { after, again } => (None, Some(after), again),
        };
        FateTable {
            packet: Given::assumed(setup.packet_text(&sending.packet)),
            segment: sending.segment,
            resend: sending.attempt,
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
        message: Given::assumed(format!("{}#{sequence}", setup.streams[stream.index()].name)),
        at: Duration(timing.at),
        payload: Bytes(timing.payload),
    });
    ScheduleTable {
        model: Given::assumed(Whole(MODEL)),
        traffic: Duration(schedule.traffic.since(Time::ZERO)),
        fates: fates.map(Given::assumed).collect(),
        outages: outages.map(Given::assumed).collect(),
        pauses: pauses.map(Given::assumed).collect(),
        messages: messages.map(Given::assumed).collect(),
    }
}

impl Default for Duration {
    fn default() -> Self {
        Self(Span::ZERO)
    }
}
