//! Scenario files among files and folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Folders deeper than this are a loop or a mistake.
const MAX_DEPTH: usize = 16;

/// The scenario files that the arguments stand for, in their order; a folder stands for every
/// `*.toml` in it and below, sorted by path. A file named twice comes once.
///
/// # Errors
/// If something does not exist or cannot be read, or a folder holds no scenario.
pub(super) fn scenario_files(arguments: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut seen = Vec::new();
    for argument in arguments {
        let metadata = fs::metadata(argument)
            .with_context(|| format!("failed to read `{}`", argument.display()))?;
        let mut found = Vec::new();
        if metadata.is_dir() {
            collect(argument, 0, &mut found)?;
            if found.is_empty() {
                bail!("no scenarios (*.toml) in the folder `{}`", argument.display());
            }
            found.sort();
        } else {
            found.push(argument.clone());
        }
        for file in found {
            let real = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if !seen.contains(&real) {
                seen.push(real);
                files.push(file);
            }
        }
    }
    Ok(files)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if depth > MAX_DEPTH {
        bail!("folders below `{}` are nested too deep", folder.display());
    }
    let context = || format!("failed to read the folder `{}`", folder.display());
    for entry in fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.is_dir() {
            collect(&path, depth + 1, found)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    Ok(())
}
