//! The studies of `run`: one per scenario, its store in the folder of its report, compared with the
//! report of an earlier run.

use std::path::Path;

use anyhow::bail;

use super::RunArguments;
use crate::cli::files::writable_folder;
use crate::report::escape;
use crate::scenario::Scenario;
use crate::study::store::{FILE_NAME, TrialStore};
use crate::study::{Plan, Storage, StudyRun, baseline};

/// Creates a study for each plan. Makes the folders of their reports, and opens what they are
/// compared with.
///
/// # Errors
/// If a folder cannot be written into, or nothing can be compared with the baseline.
pub(super) fn study_runs(
    arguments: &RunArguments,
    plans: Vec<Plan>,
) -> anyhow::Result<Vec<StudyRun>> {
    let selection = arguments.selection();
    let mut runs = Vec::with_capacity(plans.len());
    for plan in plans {
        let scenario = &plan.scenario;
        let folder = arguments.report_folder(scenario);
        if let Some(folder) = &folder {
            writable_folder(folder)?;
        }
        let store = folder.map(|folder| folder.join(FILE_NAME));
        let baseline = open_baseline(arguments, scenario, store.as_deref())?;
        let command = arguments.command(scenario);
        // A single trial has no store: it could not record which trial of the scenario it was. All
        // others are simulated regardless of the folder's content: a gate trusts no earlier
        // results.
        let storage = match store {
            Some(store) if arguments.trial.is_none() => Storage::Replace(store),
            _ => Storage::Nowhere,
        };
        let run = StudyRun::of_scenario(plan, &selection).with_command(command);
        runs.push(run.with_storage(storage).with_baseline(baseline));
    }
    if let Some(against) = &arguments.baseline
        && runs.iter().all(|run| run.baseline.is_none())
    {
        let against = against.display();
        bail!("the baseline `{against}` has no folder of these scenarios: name what --out was");
    }
    Ok(runs)
}

/// The store of a scenario's earlier report, where the baseline has one.
fn open_baseline(
    arguments: &RunArguments,
    scenario: &Scenario,
    own: Option<&Path>,
) -> anyhow::Result<Option<TrialStore>> {
    let Some(reports) = &arguments.baseline else { return Ok(None) };
    let folder = reports.join(escape::file_name(&scenario.name));
    if !folder.join(FILE_NAME).exists() {
        return Ok(None);
    }
    let engine = arguments.engine_option.engine;
    Ok(Some(baseline::open(&folder, own, engine)?))
}
