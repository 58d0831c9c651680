//! Conversion of one trial to a deterministic scenario file of its own.

use super::client::ClientTable;
use super::diagnostic::Diagnostics;
use super::file::{ExpectTable, ScenarioFile, SeedsTable, SweepTable};
use super::links::client_end;
use super::nodes::{fleet_size, with_fleet_number};
use super::quantities::{Duration, IntervalValue, PayloadLength};
use super::value::{BoundedInt, Located, QosSetting};
use super::{Scenario, defaults, fault, link, read, schedule_table, show};
use qoslab_core::base::{Span, matches_pattern};
use qoslab_sim::{PublisherSetup, Schedule, Setup, Trial};

impl Scenario {
    /// The file that stands for a deterministic trial of this scenario, such as
    /// [`Trial::to_deterministic`](qoslab_sim::Trial::to_deterministic) makes: without the
    /// fields that say what is assumed anyway. What is expected is left out: the user who keeps the
    /// file adds that anew.
    #[must_use]
    pub fn to_trial_file(&self, trial: &Trial) -> String {
        let mut file = (*self.file).clone();
        let setup = &*trial.setup;
        file.seeds = SeedsTable {
            from: BoundedInt(
                u32::try_from(trial.seed).ok().filter(|seed| *seed <= 4_000_000_000).unwrap_or(1),
            ),
            count: BoundedInt(1),
        };
        file.expect = ExpectTable {
            order: file.expect.order,
            allow: file.expect.allow,
            ..Default::default()
        };
        file.sweep = SweepTable::default();
        file.swarm = None;
        file.client =
            file.client.iter().flat_map(|client| used_clients(&client.value, setup)).collect();
        file.link.retain(|link| {
            let pattern = client_end(&link.value.between.value).unwrap_or_default();
            setup.clients.iter().any(|client| matches_pattern(pattern, &client.name))
        });
        for given in &mut file.link {
            let pattern = client_end(&given.value.between.value).unwrap_or_default();
            let own = setup.clients.iter().find(|client| matches_pattern(pattern, &client.name));
            if let Some(own) = own {
                *given = Located::from_default(link::link_table(&own.link, &given.value.between));
            }
        }
        let faults =
            setup.faults.iter().map(|one| Located::from_default(fault::fault_table(one, setup)));
        file.fault = faults.collect();
        let plain = Schedule::default();
        let schedule = setup.schedule.as_deref().unwrap_or(&plain);
        file.schedule =
            Some(Located::from_default(schedule_table::schedule_table(schedule, setup)));
        without_defaults(&file)
    }
}

/// The members of a fleet that take part, each on its own.
fn used_clients(table: &ClientTable, setup: &Setup) -> Vec<Located<ClientTable>> {
    let mut own = Vec::new();
    for number in 1..=fleet_size(table) {
        let name = with_fleet_number(&table.name.value, number);
        if let Some(client) = setup.clients.iter().find(|client| *client.name == *name) {
            let mut table = fleet_member(table, number);
            table.keep_alive = Located::from_default(Duration(client.settings.keep_alive));
            for (publish, stream) in table.publish.iter_mut().zip(client_publishers(&name, setup)) {
                let table = &mut publish.value;
                table.qos = Located::from_default(QosSetting::Fixed(stream.qos));
                table.count = Located::from_default(BoundedInt(stream.count));
                table.every = Located::from_default(IntervalValue(stream.every));
                table.spread = Located::from_default(Duration(Span::ZERO));
                table.payload = Located::from_default(PayloadLength(stream.payload));
                table.only =
                    stream.only_sequences.as_ref().map(|only| Located::from_default(only.to_vec()));
            }
            for (subscribe, own) in table.subscribe.iter_mut().zip(&client.subscriptions) {
                subscribe.value.qos = Located::from_default(QosSetting::Fixed(own.request.qos));
            }
            own.push(Located::from_default(table));
        }
    }
    own
}

/// One member of a fleet as a client of its own.
fn fleet_member(table: &ClientTable, number: u64) -> ClientTable {
    let mut table = ClientTable { count: None, ..table.clone() };
    let own = |text: &mut Located<String>| text.value = with_fleet_number(&text.value, number);
    own(&mut table.name);
    for publish in &mut table.publish {
        own(&mut publish.value.topic);
    }
    for subscribe in &mut table.subscribe {
        own(&mut subscribe.value.filter);
    }
    if let Some(will) = &mut table.will {
        own(&mut will.value.topic);
    }
    table
}

/// The workloads of a client, in the order of its tables.
fn client_publishers<'a>(
    client: &'a str,
    setup: &'a Setup,
) -> impl Iterator<Item = &'a PublisherSetup> {
    setup.publishers.iter().filter(move |stream| {
        !stream.is_will && *setup.clients[stream.client.index()].name == *client
    })
}

/// Files of more lines are not made shorter: that takes long, and such files are not read by hand.
const MAX_TERSE_LINES: usize = 200;

/// The file without what is assumed anyway: each field is left out that changes nothing.
fn without_defaults(file: &ScenarioFile) -> String {
    let whole = show::to_toml(file);
    let meaning = |text: &str| {
        let mut errors = Diagnostics::new("", text);
        let mut file = read::read_file(text, &[], &mut errors)?;
        defaults::fill_defaults(&mut file, &mut errors);
        errors.errors.is_empty().then(|| show::to_toml(&file))
    };
    let Some(original_meaning) = meaning(&whole) else { return whole };
    let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    if lines.len() > MAX_TERSE_LINES {
        return whole;
    }
    let mut place = lines.len();
    while place > 0 {
        place -= 1;
        let is_list = lines[place].ends_with(" = [") || lines[place].starts_with(' ');
        if is_list || !lines[place].contains(" = ") {
            continue;
        }
        let mut shorter = lines.clone();
        let line = shorter.remove(place);
        let means_the_same =
            |lines: &[String]| meaning(&lines.join("\n")).as_ref() == Some(&original_meaning);
        if means_the_same(&shorter) {
            lines = shorter;
        } else if let Some(short) = shorten_delay(&line) {
            shorter.insert(place, short);
            if means_the_same(&shorter) {
                lines = shorter;
            }
        }
    }
    let sections: Vec<&[String]> = lines.split(String::is_empty).collect();
    // A section of which nothing is left says nothing.
    let is_heading = |line: &str| line.starts_with('[') && !line.starts_with("[[");
    let is_empty = |section: &[String]| matches!(section, [line] if is_heading(line));
    let sections = sections.into_iter().filter(|section| !is_empty(section));
    sections.map(|section| section.join("\n") + "\n").collect::<Vec<_>>().join("\n")
}

/// A line with a delay without jitter, in one text.
fn shorten_delay(line: &str) -> Option<String> {
    let rest = line.strip_prefix("delay = { time = ")?;
    let (time, _) = rest.split_once(", jitter = \"0s\"")?;
    Some(format!("delay = {time}"))
}
