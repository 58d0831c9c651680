//! The smallest trial in which something breaks as it did: how small, its ladder, and the commands
//! that show it again.

use super::commands::{argument, on_engine};
use super::ladder::{self, Judged, Ladder};
use super::number::counted;
use super::style::Style;
use super::table::wrap;
use super::{escape, failure, words};
use qoslab_sim::EngineKind;
use qoslab_study::scenario::Scenario;
use qoslab_study::shrink::{Bug, Size};
use qoslab_study::stories::Story;

/// At most so many rows of a ladder beside a failure.
const MOST_ROWS: usize = 60;

/// The file in a story's folder that repeats it.
pub const FAILURE: &str = "failure.toml";
/// The ladder as text.
pub const LADDER_TEXT: &str = "ladder.txt";
/// The ladder as a picture.
pub const LADDER_PICTURE: &str = "ladder.svg";
/// The packets, for Wireshark.
pub const PACKETS: &str = "packets.pcapng";

/// What is printed of it below its failure, on the engine that found it.
#[must_use]
pub fn text(story: &Story, engine: EngineKind, style: Style) -> String {
    let mut text = format!("\n  {}\n\n", sentence(story));
    text += &ladder::text(&ladder(story, MOST_ROWS), style);
    if let Some(folder) = &story.folder {
        text.extend(["\n", &files(folder, engine)]);
    }
    text
}

/// The commands that show what a folder keeps of it.
#[must_use]
pub fn files(folder: &str, engine: EngineKind) -> String {
    let (file, packets) = (format!("{folder}/{FAILURE}"), format!("{folder}/{PACKETS}"));
    let (file, packets) = (argument(&file), argument(&packets));
    let engine = on_engine(engine);
    format!("  shrunk:    qoslab replay {file}{engine}\n  packets:   wireshark {packets}\n")
}

/// From how much to how little.
#[must_use]
pub fn sentence(story: &Story) -> String {
    let size = |size: &Size| {
        let messages = counted(size.messages as u64, "message");
        format!("{messages} and {}", counted(size.faults as u64, "fault"))
    };
    let shrunk = &story.shrunk;
    if shrunk.before == shrunk.after && !shrunk.stopped_early {
        return format!("shrunk: {}, and less does not do", size(&shrunk.after));
    }
    let mut text = format!("shrunk: {} -> {}", size(&shrunk.before), size(&shrunk.after));
    if shrunk.stopped_early {
        text += ", where the effort ended: less may do";
    }
    text
}

/// Its ladder.
#[must_use]
pub fn ladder(story: &Story, most: usize) -> Ladder {
    let outcome = &story.shrunk.outcome;
    let judged = Judged { findings: &outcome.findings, rules: &outcome.rule_findings };
    Ladder::new(&story.tape, &story.scope, &story.shrunk.trial.setup, judged, most)
}

/// The file that repeats it, with what it shows in its first lines; `command` runs the trial that
/// it comes from.
#[must_use]
pub fn file(story: &Story, scenario: &Scenario, command: &str) -> String {
    let shrunk = &story.shrunk;
    let setup = &*shrunk.trial.setup;
    let broken = match (shrunk.bug, shrunk.finding()) {
        (Bug::Promise(_), Some(finding)) => failure::headline(finding, setup),
        (Bug::Promise(it), None) => format!("{} broken", words::promise(it.promise)),
        (Bug::Rule(broken), _) => words::broken_rule(&broken),
    };
    let because = shrunk.finding().map(|finding| {
        format!("blame: {}: {}", words::blame(finding.violation.blame), finding.because)
    });
    let lines = [
        broken,
        because.unwrap_or_default(),
        sentence(story),
        format!("From: {command}"),
        "Nothing here is left to luck. `qoslab replay` shows it, `qoslab run` judges it. To keep \
         it, move it to where your gate looks; where the break is to stay, declare it by \
         [[expect.broken]]."
            .to_owned(),
    ];
    let comments = lines.iter().filter(|line| !line.is_empty());
    let comments = comments.flat_map(|line| {
        let line = escape::terminal(line);
        // A command is to be copied.
        if line.starts_with("From: ") { vec![line.into_owned()] } else { wrap(&line, 96) }
    });
    let mut text = String::new();
    for line in comments {
        text.extend(["# ", &line, "\n"]);
    }
    text + &scenario.written_down(&shrunk.trial)
}
