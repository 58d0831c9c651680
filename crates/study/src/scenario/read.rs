//! Reading of bytes into a [`ScenarioFile`]: finds scenarios, refuses other files, and parses and
//! reads each text once.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::axis::Setting;
use super::diagnostic::Diagnostics;
use super::file::ScenarioFile;
use super::from_toml::{MAX_ERRORS, read_root};
use super::{known_bugs, profiles, setting};

/// No scenario that a person wrote is larger, in bytes.
const MAX_FILE_BYTES: u64 = 1_000_000;

/// The scenario files at `path`: itself, or all `.toml` files in and below a folder, by name, but
/// for lists of known breaks.
///
/// # Errors
/// If there is nothing at `path`, or nothing in it.
pub(super) fn find_scenario_files(path: &Path) -> Result<Vec<PathBuf>, Diagnostics> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unreadable(&folder, &error))?;
        for entry in entries {
            let kind = entry.file_type().map_err(|error| unreadable(&entry.path(), &error))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if is_scenario(&entry.path()) {
                found.push(entry.path());
            }
        }
    }
    if found.is_empty() {
        let title = "there is no scenario in this folder";
        return Err(Diagnostics::for_file(
            &path.display().to_string(),
            title,
            "scenarios are files that end in `.toml`",
        ));
    }
    found.sort();
    Ok(found)
}

/// Whether a file in a folder is a scenario, by its name alone.
fn is_scenario(path: &Path) -> bool {
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    is_toml && path.file_name().is_none_or(|name| name != known_bugs::KNOWN_FILE_NAME)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostics {
    let help = match error.kind() {
        std::io::ErrorKind::NotFound => "check the path",
        std::io::ErrorKind::PermissionDenied => "check its permissions",
        _ => "",
    };
    let title = format!("failed to read the scenario: {error}");
    Diagnostics::for_file(&path.display().to_string(), title, help)
}

/// The text of a file, if it can be a scenario at all.
pub(super) fn read_text(path: &Path) -> Result<String, Diagnostics> {
    let shown = path.display().to_string();
    let mut bytes = Vec::new();
    // One byte more than allowed distinguishes a file that is too large from one that just fits; a
    // device that never ends is stopped too.
    let read =
        fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(unreadable(path, &error));
    }
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let title = "this is larger than 1 MB: not a scenario";
        return Err(Diagnostics::for_file(&shown, title, "fleets are written with `count`"));
    }
    String::from_utf8(bytes).map_err(|_| {
        let title = "this is not text (UTF-8): not a scenario";
        Diagnostics::for_file(&shown, title, "a scenario is a TOML file")
    })
}

/// Reads the tables; what is wrong goes to `errors`. `None` if too little is left to look further.
pub(super) fn read_file(
    text: &str,
    settings: &[Setting],
    errors: &mut Diagnostics,
) -> Option<ScenarioFile> {
    let mut root = parse_toml(text, errors)?;
    setting::apply_settings(root.get_mut(), settings, errors);
    profiles::apply_profiles(root.get_mut(), errors);
    read_root(root, errors)
}

/// Parses TOML; what is wrong goes to `errors`.
pub(super) fn parse_toml<'t>(
    text: &'t str,
    errors: &mut Diagnostics,
) -> Option<Spanned<DeTable<'t>>> {
    let (root, syntax) = DeTable::parse_recoverable(text);
    for error in syntax.iter().take(MAX_ERRORS) {
        let title = format!("this is not TOML: {}", error.message().replace('\n', ", "));
        errors.error(&error.span().unwrap_or(0..0), title, "");
    }
    syntax.is_empty().then_some(root)
}
