//! The smallest trial that breaks in the same way: its size, its ladder, and the commands that
//! reproduce it.

use super::commands::{quote_argument, spaced_engine_flag};
use super::ladder::{self, Ladder, TrialFindings};
use super::number::counted;
use super::style::Style;
use super::table::wrap;
use super::{escape, failure, labels};
use qoslab_sim::EngineKind;
use qoslab_study::minimal_failures::MinimalFailure;
use qoslab_study::scenario::Scenario;
use qoslab_study::{BrokenGuarantee, TrialSize};

/// The maximum number of rows of a ladder beside a failure.
const MAX_LADDER_ROWS: usize = 60;

/// The file in a minimal failure's folder that reproduces it.
pub const FAILURE_FILE: &str = "failure.toml";
/// The ladder as text.
pub const LADDER_TEXT_FILE: &str = "ladder.txt";
/// The ladder as a picture.
pub const LADDER_SVG_FILE: &str = "ladder.svg";
/// The packets, for Wireshark.
pub const CAPTURE_FILE: &str = "packets.pcapng";

/// The text printed below its failure, for the engine that found it.
#[must_use]
pub fn text(failure: &MinimalFailure, engine: EngineKind, style: Style) -> String {
    let mut text = format!("\n  {}\n\n", shrink_sentence(failure));
    text += &ladder::text(&ladder(failure, MAX_LADDER_ROWS), style);
    if let Some(folder) = &failure.folder {
        text.extend(["\n", &inspect_commands(folder, engine)]);
    }
    text
}

/// The commands that show the files kept in a folder.
#[must_use]
pub fn inspect_commands(folder: &str, engine: EngineKind) -> String {
    let (file, packets) = (format!("{folder}/{FAILURE_FILE}"), format!("{folder}/{CAPTURE_FILE}"));
    let (file, packets) = (quote_argument(&file), quote_argument(&packets));
    let engine = spaced_engine_flag(engine);
    format!("  shrunk:    qoslab replay {file}{engine}\n  packets:   wireshark {packets}\n")
}

/// The sizes before and after shrinking.
#[must_use]
pub fn shrink_sentence(failure: &MinimalFailure) -> String {
    let size = |size: &TrialSize| {
        let messages = counted(size.messages as u64, "message");
        format!("{messages} and {}", counted(size.faults as u64, "fault"))
    };
    let shrunk = &failure.shrunk;
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
pub fn ladder(failure: &MinimalFailure, max_rows: usize) -> Ladder {
    let outcome = &failure.shrunk.outcome;
    let trial_findings =
        TrialFindings { findings: &outcome.findings, rules: &outcome.rule_findings };
    Ladder::new(
        &failure.recording,
        &failure.filter,
        &failure.shrunk.trial.setup,
        trial_findings,
        max_rows,
    )
}

/// The file that reproduces it, with a summary in its first lines; `command` runs the original
/// trial.
#[must_use]
pub fn failure_toml(failure: &MinimalFailure, scenario: &Scenario, command: &str) -> String {
    let shrunk = &failure.shrunk;
    let setup = &*shrunk.trial.setup;
    let broken = match (shrunk.broken, shrunk.finding()) {
        (BrokenGuarantee::Promise(_), Some(finding)) => failure::headline(finding, setup),
        (BrokenGuarantee::Promise(it), None) => {
            format!("{} broken", labels::promise_keyword(it.promise))
        }
        (BrokenGuarantee::Rule(broken), _) => labels::broken_rule(&broken),
    };
    let because = shrunk.finding().map(|finding| {
        format!("blame: {}: {}", labels::blame_keyword(finding.violation.blame), finding.reason)
    });
    let lines = [
        broken,
        because.unwrap_or_default(),
        shrink_sentence(failure),
        format!("From: {command}"),
        "Nothing here is random. `qoslab replay` shows it, `qoslab run` judges it. To keep \
         it, move it to where your CI looks; where the break is to stay, declare it by \
         [[expect.broken]]."
            .to_owned(),
    ];
    let comments = lines.iter().filter(|line| !line.is_empty());
    let comments = comments.flat_map(|line| {
        let line = escape::terminal(line);
        // The command is meant to be copied.
        if line.starts_with("From: ") { vec![line.into_owned()] } else { wrap(&line, 96) }
    });
    let mut text = String::new();
    for line in comments {
        text.extend(["# ", &line, "\n"]);
    }
    text + &scenario.to_trial_file(&shrunk.trial)
}
