//! One trial as a scenario file of its own, with nothing left to luck.

use super::client::ClientTable;
use super::diagnostic::Diagnostics;
use super::file::{ExpectTable, File, SeedsTable, SweepTable};
use super::links::{client_of, matches_name};
use super::nodes::{numbered, size};
use super::texts::{Duration, Every, Payload};
use super::value::{Given, Levels, Whole};
use super::{Scenario, defaults, fault, link, read, schedule_table, show};
use qoslab_core::base::time::Span;
use qoslab_sim::schedule::Schedule;
use qoslab_sim::trial::{Setup, StreamSetup, Trial};

impl Scenario {
    /// The file that stands for a trial of this scenario with nothing left to luck, such as
    /// [`Trial::scheduled`] makes: without the fields that say what is assumed anyway. What is
    /// expected is left out: who keeps the file says that anew.
    #[must_use]
    pub fn written_down(&self, trial: &Trial) -> String {
        let mut none = Diagnostics::new(&self.path, &self.source);
        let Some(mut file) = read::file(&self.source, &self.settings, &mut none) else {
            return String::new();
        };
        defaults::complete(&mut file, &mut none);
        let setup = &*trial.setup;
        file.seeds = SeedsTable {
            from: Whole(
                u32::try_from(trial.seed).ok().filter(|seed| *seed <= 4_000_000_000).unwrap_or(1),
            ),
            count: Whole(1),
        };
        file.expect = ExpectTable {
            order: file.expect.order,
            allow: file.expect.allow,
            ..Default::default()
        };
        file.sweep = SweepTable::default();
        file.swarm = None;
        file.client = file.client.iter().flat_map(|client| clients(&client.value, setup)).collect();
        file.link.retain(|link| {
            let pattern = client_of(&link.value.between.value).unwrap_or_default();
            setup.clients.iter().any(|client| matches_name(pattern, &client.name))
        });
        for given in &mut file.link {
            let pattern = client_of(&given.value.between.value).unwrap_or_default();
            let own = setup.clients.iter().find(|client| matches_name(pattern, &client.name));
            if let Some(own) = own {
                *given = Given::assumed(link::written(&own.link, &given.value.between));
            }
        }
        let faults = setup.faults.iter().map(|one| Given::assumed(fault::written(one, setup)));
        file.fault = faults.collect();
        let plain = Schedule::default();
        let schedule = setup.schedule.as_deref().unwrap_or(&plain);
        file.schedule = Some(Given::assumed(schedule_table::written(schedule, setup)));
        terse(&file)
    }
}

/// The members of a fleet that take part, each on its own.
fn clients(table: &ClientTable, setup: &Setup) -> Vec<Given<ClientTable>> {
    let mut own = Vec::new();
    for number in 1..=size(table) {
        let name = numbered(&table.name.value, number);
        if let Some(client) = setup.clients.iter().find(|client| *client.name == *name) {
            let mut table = member(table, number);
            table.keep_alive = Given::assumed(Duration(client.settings.keep_alive));
            for (publish, stream) in table.publish.iter_mut().zip(streams(&name, setup)) {
                let table = &mut publish.value;
                table.qos = Given::assumed(Levels::One(stream.qos));
                table.count = Given::assumed(Whole(stream.count));
                table.every = Given::assumed(Every(stream.every));
                table.spread = Given::assumed(Duration(Span::ZERO));
                table.payload = Given::assumed(Payload(stream.payload));
                table.only = stream.only.as_ref().map(|only| Given::assumed(only.to_vec()));
            }
            for (subscribe, own) in table.subscribe.iter_mut().zip(&client.subscriptions) {
                subscribe.value.qos = Given::assumed(Levels::One(own.request.qos));
            }
            own.push(Given::assumed(table));
        }
    }
    own
}

/// One member of a fleet as a client of its own.
fn member(table: &ClientTable, number: u64) -> ClientTable {
    let mut table = ClientTable { count: None, ..table.clone() };
    let own = |text: &mut Given<String>| text.value = numbered(&text.value, number);
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
fn streams<'a>(client: &'a str, setup: &'a Setup) -> impl Iterator<Item = &'a StreamSetup> {
    setup
        .streams
        .iter()
        .filter(move |stream| !stream.will && *setup.clients[stream.client.index()].name == *client)
}

/// Files of more lines are not made shorter: nobody reads them, and it takes long.
const LONGEST: usize = 200;

/// The file without what is assumed anyway: each field is left out that changes nothing.
fn terse(file: &File) -> String {
    let whole = show::show(file);
    let meaning = |text: &str| {
        let mut errors = Diagnostics::new("", text);
        let mut file = read::file(text, &[], &mut errors)?;
        defaults::complete(&mut file, &mut errors);
        errors.list.is_empty().then(|| show::show(&file))
    };
    let Some(wanted) = meaning(&whole) else { return whole };
    let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    if lines.len() > LONGEST {
        return whole;
    }
    let mut place = lines.len();
    while place > 0 {
        place -= 1;
        let is_list = lines[place].ends_with(" = [") || lines[place].starts_with(' ');
        if is_list || !lines[place].contains(" = ") {
            continue;
        }
        let mut fewer = lines.clone();
        let line = fewer.remove(place);
        let means_the_same =
            |lines: &[String]| meaning(&lines.join("\n")).as_ref() == Some(&wanted);
        if means_the_same(&fewer) {
            lines = fewer;
        } else if let Some(short) = short_delay(&line) {
            fewer.insert(place, short);
            if means_the_same(&fewer) {
                lines = fewer;
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
fn short_delay(line: &str) -> Option<String> {
    let rest = line.strip_prefix("delay = { time = ")?;
    let (time, _) = rest.split_once(", jitter = \"0s\"")?;
    Some(format!("delay = {time}"))
}
