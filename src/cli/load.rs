//! Scenarios from the files and folders that the user names.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::github::GitHub;
use super::terminal::{ColorMode, print_stderr, style};
use crate::scenario::{self, Diagnostics, Scenario, Setting};

/// Loads every scenario of the files and folders, in their order; a file named twice is loaded
/// once. Warnings about them are printed on standard error. Each has the settings applied. `None`
/// if anything is wrong with any of them: all errors have been printed on standard error by then.
pub(super) fn load_all(
    paths: &[PathBuf],
    settings: &[Setting],
    color: ColorMode,
) -> Option<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut wrong = 0;
    for path in paths {
        let files = scenario::find_scenarios(path).unwrap_or_else(|diagnostics| {
            wrong += diagnostics.errors.len().max(1);
            print_diagnostics(&diagnostics, color);
            Vec::new()
        });
        for file in files {
            let real = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if seen.contains(&real) {
                continue;
            }
            seen.push(real);
            match Scenario::load_with_settings(&file, settings) {
                Ok(scenario) => {
                    if !scenario.warnings.warnings.is_empty() {
                        print_diagnostics(&scenario.warnings, color);
                    }
                    scenarios.push(scenario);
                }
                Err(diagnostics) => {
                    wrong += diagnostics.errors.len().max(1);
                    print_diagnostics(&diagnostics, color);
                }
            }
        }
    }
    (wrong == 0).then_some(scenarios)
}

/// The scenario of one file with some of its fields set to other values.
pub(super) fn load_one(path: &Path, settings: &[Setting], color: ColorMode) -> Option<Scenario> {
    if path.is_dir() {
        print_stderr(&format!("error: `{}` is a folder: name one scenario", path.display()));
        return None;
    }
    load_all(&[path.to_owned()], settings, color)?.pop()
}

/// Prints errors and warnings on standard error, with the lines of the file concerned.
pub(super) fn print_diagnostics(diagnostics: &Diagnostics, color: ColorMode) {
    let text = diagnostics.render(style(color, &io::stderr()).colour);
    GitHub::from_environment().print_stderr(&text);
}
