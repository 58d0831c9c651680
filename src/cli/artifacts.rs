//! The files of a failure: a scenario file that repeats it, its ladder, its packets.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::files::{PendingFile, writable_folder};
use super::terminal::print_stderr;
use crate::base::units::format_count;
use crate::report::minimal_failure::{
    CAPTURE_FILE, FAILURE_FILE, LADDER_SVG_FILE, LADDER_TEXT_FILE,
};
use crate::report::{Style, capture, failure, ladder, minimal_failure, number};
use crate::scenario::Scenario;
use crate::sim::EngineKind;
use crate::study::minimal_failures::{self, MinimalFailure};
use crate::study::{Failure, ShrinkSize};

/// The folder of failures in a report's folder.
pub(super) const FAILURES_FOLDER: &str = "failures";

/// The maximum number of rows of a ladder in a file.
const MAX_ROWS: usize = 500;

/// Removes earlier failures from a report's folder, if there is one, and prints what is about to be
/// shrunk.
///
/// # Errors
/// If a file cannot be removed.
pub(super) fn begin_failures(
    report_folder: Option<&Path>,
    size: ShrinkSize,
    is_quiet: bool,
) -> anyhow::Result<()> {
    if let Some(folder) = report_folder {
        remove_earlier_artifacts(&folder.join(FAILURES_FOLDER))?;
    }
    if size.too_large > 0 {
        let trials = number::counted(size.too_large as u64, "failing trial");
        let most = format_count(minimal_failures::MAX_TRIAL_EVENTS);
        print_stderr(&format!("    Too large to shrink: {trials} of more than {most} events"));
    }
    if size.failures > 0 && !is_quiet {
        print_stderr(&format!(" Shrinking {}", number::counted(size.failures as u64, "failure")));
    }
    Ok(())
}

/// Writes what a failing trial was shrunk to into a report's folder, each kind of failure into a
/// folder of its own.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn write_failures(
    report_folder: &Path,
    scenario: &Scenario,
    engine: EngineKind,
    failure: &mut Failure,
    flags: &str,
) -> anyhow::Result<()> {
    let command = failure::reproduce_command(scenario, engine, failure, flags);
    for (nth, minimal_failure) in (1..).zip(&mut failure.minimal_failures) {
        let name = match nth {
            1 => failure.trial.clone(),
            nth => format!("{}-{nth}", failure.trial),
        };
        let own = report_folder.join(FAILURES_FOLDER).join(name);
        write_artifacts(minimal_failure, scenario, &command, &own)?;
    }
    Ok(())
}

/// Writes the files of a minimal failure into a folder; `command` is the command that found it.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn write_artifacts(
    failure: &mut MinimalFailure,
    scenario: &Scenario,
    command: &str,
    folder: &Path,
) -> anyhow::Result<()> {
    writable_folder(folder)?;
    failure.folder = Some(folder.display().to_string());
    let put = |name: &str, bytes: &[u8]| PendingFile::open(&folder.join(name))?.write(bytes);
    let ladder = minimal_failure::ladder(failure, MAX_ROWS);
    put(FAILURE_FILE, minimal_failure::failure_toml(failure, scenario, command).as_bytes())?;
    put(LADDER_TEXT_FILE, ladder::text(&ladder, Style::PLAIN).as_bytes())?;
    put(LADDER_SVG_FILE, ladder::svg(&ladder).as_bytes())?;
    match capture::encode_capture_file(&failure.recording, &failure.shrunk.trial.setup) {
        Ok(packets) => put(CAPTURE_FILE, &packets),
        // The verdict does not depend on it.
        Err(error) => {
            print_stderr(&format!("warning: no {CAPTURE_FILE} of this failure: failed to {error}"));
            Ok(())
        }
    }
}

/// Removes the files of an earlier run, and no files of other origin.
fn remove_earlier_artifacts(folder: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let own = entry.with_context(|| format!("failed to read `{}`", folder.display()))?.path();
        for name in [FAILURE_FILE, LADDER_TEXT_FILE, LADDER_SVG_FILE, CAPTURE_FILE] {
            let file = own.join(name);
            if file.exists() {
                fs::remove_file(&file)
                    .with_context(|| format!("failed to remove `{}`", file.display()))?;
            }
        }
        // Only an empty folder is removed.
        let _ = fs::remove_dir(&own);
    }
    let _ = fs::remove_dir(folder);
    Ok(())
}
