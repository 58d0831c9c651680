//! What a failure leaves behind: a file that repeats it, its ladder, its packets.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use rayon::ThreadPool;

use super::files::{Pending, writable_folder};
use super::terminal::note;
use crate::base::units::format_count;
use crate::report::story::{FAILURE, LADDER_PICTURE, LADDER_TEXT, PACKETS};
use crate::report::style::Style;
use crate::report::{capture, failure, ladder, number, story};
use crate::scenario::Scenario;
use crate::study::result::ScenarioResult;
use crate::study::stories::{self, Story};

/// The folder of failures in a report's folder.
pub(super) const FOLDER: &str = "failures";

/// At most so many rows of a ladder in a file.
const MOST_ROWS: usize = 500;

/// Shrinks the first failure of each kind, and writes what it comes to into the report's folder,
/// if there is one.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn prove(
    result: &mut ScenarioResult,
    folder: Option<&Path>,
    pool: &ThreadPool,
    flags: &str,
    is_quiet: bool,
    interrupt: &AtomicBool,
) -> anyhow::Result<()> {
    let folder = folder.map(|folder| folder.join(FOLDER));
    if let Some(folder) = &folder {
        clear(folder)?;
    }
    let large = stories::too_large(result);
    if large > 0 {
        let trials = number::counted(large as u64, "failing trial");
        let most = format_count(stories::LARGEST);
        note(&format!("    Too large to shrink: {trials} of more than {most} events"));
    }
    let count = stories::count(result);
    if count == 0 {
        return Ok(());
    }
    if !is_quiet {
        note(&format!(" Shrinking {}", number::counted(count as u64, "failure")));
    }
    let engine = result.engine;
    stories::tell(&engine, result, pool, interrupt);
    let Some(folder) = folder else { return Ok(()) };
    let ScenarioResult { scenario, engine, points, .. } = result;
    for failure in points.iter_mut().flat_map(|point| &mut point.failures) {
        let command = failure::reproduce(scenario, *engine, failure, flags);
        for (nth, story) in (1..).zip(&mut failure.stories) {
            let name = match nth {
                1 => failure.trial.clone(),
                nth => format!("{}-{nth}", failure.trial),
            };
            let own = folder.join(name);
            keep(story, scenario, &command, &own)?;
        }
    }
    Ok(())
}

/// Writes a story's files into a folder of its own; `command` is where it comes from.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn keep(
    story: &mut Story,
    scenario: &Scenario,
    command: &str,
    folder: &Path,
) -> anyhow::Result<()> {
    writable_folder(folder)?;
    story.folder = Some(folder.display().to_string());
    let put = |name: &str, bytes: &[u8]| Pending::open(&folder.join(name))?.write(bytes);
    let ladder = story::ladder(story, MOST_ROWS);
    put(FAILURE, story::file(story, scenario, command).as_bytes())?;
    put(LADDER_TEXT, ladder::text(&ladder, Style::PLAIN).as_bytes())?;
    put(LADDER_PICTURE, ladder::svg(&ladder).as_bytes())?;
    match capture::capture(&story.tape, &story.shrunk.trial.setup) {
        Ok(packets) => put(PACKETS, &packets),
        // The verdict does not hang on it.
        Err(error) => {
            note(&format!("warning: no {PACKETS} of this failure: failed to {error}"));
            Ok(())
        }
    }
}

/// Takes away what an earlier run left, and nothing that somebody else put there.
fn clear(folder: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let own = entry.with_context(|| format!("failed to read `{}`", folder.display()))?.path();
        for name in [FAILURE, LADDER_TEXT, LADDER_PICTURE, PACKETS] {
            let file = own.join(name);
            if file.exists() {
                fs::remove_file(&file)
                    .with_context(|| format!("failed to remove `{}`", file.display()))?;
            }
        }
        // Only an empty folder goes.
        let _ = fs::remove_dir(&own);
    }
    let _ = fs::remove_dir(folder);
    Ok(())
}
