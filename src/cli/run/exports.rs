//! The tables of all scenarios in files that the user names.

use std::path::Path;

use anyhow::bail;

use super::{RunArguments, RunResults};
use crate::cli::files::PendingFile;
use crate::report::{columns, json, junit};
use crate::study::Study;

/// The files that the user asked for, each opened before the work.
#[derive(Debug)]
pub(super) struct ExportFiles {
    csv: Option<PendingFile>,
    json: Option<PendingFile>,
    markdown: Option<PendingFile>,
    junit: Option<PendingFile>,
}

impl ExportFiles {
    /// Opens the files.
    ///
    /// # Errors
    /// If one could not be written, or is named twice.
    pub(super) fn open(arguments: &RunArguments) -> anyhow::Result<Self> {
        let paths = [
            &arguments.export_csv,
            &arguments.export_json,
            &arguments.export_markdown,
            &arguments.junit,
        ];
        let named: Vec<&Path> = paths.iter().filter_map(|path| path.as_deref()).collect();
        for (nth, path) in named.iter().enumerate() {
            if named[..nth].contains(path) && !path.starts_with("/dev") {
                bail!("two exports would write `{}`: name two files", path.display());
            }
        }
        let [csv, json, markdown, junit] =
            paths.map(|path| path.as_deref().map(PendingFile::open).transpose());
        Ok(Self { csv: csv?, json: json?, markdown: markdown?, junit: junit? })
    }

    /// Writes them. `flags` are the options that change what a trial is, as the user gave them.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn write(self, found: &RunResults, flags: &str) -> anyhow::Result<()> {
        let results = &found.results;
        if let Some(file) = self.csv {
            let studies: Vec<Study> = results.iter().cloned().map(Study::from_result).collect();
            file.write(&columns::points(&studies).csv())?;
        }
        if let Some(file) = self.json {
            file.write(&json::scenarios_json(results))?;
        }
        if let Some(file) = self.markdown {
            file.write(found.markdown().as_bytes())?;
        }
        if let Some(file) = self.junit {
            file.write(&junit::document(results, flags))?;
        }
        Ok(())
    }
}
