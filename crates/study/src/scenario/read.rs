//! From bytes to a [`ScenarioFile`]: finding scenarios, refusing what is none, and telling all
//! misspelt fields and malformed values at once.
//!
//! Serde stops at the first error. So a value that is refused is told, replaced or taken out of
//! the parsed tables, and the file is read again, until it passes.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::axis::Setting;
use super::diagnostic::{Diagnostics, nearest_name};
use super::file::ScenarioFile;
use super::problem::Problem;
use super::{known_bugs, profiles, setting};

/// No scenario that a person wrote is larger, in bytes.
const MAX_FILE_BYTES: u64 = 1_000_000;

/// After so many errors the rest would only be noise.
const MAX_ERRORS: usize = 50;

/// What stands in for a refused value, so that its absence is not told as a second error.
const STAND_INS: &str = r#"
schema = 1
count = 1
delay = "1s"
time = "1s"
every = "1s"
lasts = "1s"
good = "1s"
bad = "1s"
p = "1%"
r = "1%"
min = "1s"
max = "60s"
pace = "1s"
packet = "CONNECT"
version = "1.3"
promise = "exactly-once"
kind = "duplicated"
do = { outage = "1s" }
expires = 2000-01-01
"#;

/// What serde says of a table with none or several entries where a known one is wanted alone.
const ONE_ENTRY: &str = "expected enum";

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
    // One byte more than allowed tells a file that is too large from one that just fits; a
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
    read_value(&mut root, errors)
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

/// Reads parsed tables; what is wrong goes to `errors`. `None` if too little is left.
pub(super) fn read_value<T: DeserializeOwned>(
    root: &mut Spanned<DeTable<'_>>,
    errors: &mut Diagnostics,
) -> Option<T> {
    let mut is_complete = true;
    let mut refused: Vec<Range<usize>> = Vec::new();
    let mut taken_out: Vec<String> = Vec::new();
    for _ in 0..MAX_ERRORS {
        let error = match T::deserialize(toml::Deserializer::from(root.clone())) {
            Ok(value) => return is_complete.then_some(value),
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let missing = error.message().strip_prefix("missing field `");
        is_complete &= missing.is_none();
        // A stand-in that is refused too, in the same place, goes.
        let again = refused.contains(&span);
        let key = replace_or_remove(root.get_mut(), &span, missing.is_some() || again);
        let within = |gone: &Range<usize>| span.start <= gone.start && gone.end <= span.end;
        let follows = missing
            .is_some_and(|field| taken_out.iter().any(|gone| field.trim_end_matches('`') == gone))
            || error.message().ends_with(ONE_ENTRY) && refused.iter().any(within);
        if !again && !follows {
            report_error(&error, &span, key.as_deref().unwrap_or("value"), errors);
        }
        refused.push(span);
        taken_out.extend(suggested_field(error.message()).map(str::to_owned));
        taken_out.push(key?);
    }
    None
}

/// Replaces what stands at `span` by a harmless value, or takes it out; returns its field's name.
fn replace_or_remove(
    table: &mut DeTable<'_>,
    span: &Range<usize>,
    is_removed: bool,
) -> Option<String> {
    let mut at = None;
    for (position, (key, value)) in table.iter_mut().enumerate() {
        if key.span() == *span || value.span() == *span {
            at = Some((position, key.get_ref().to_string(), key.span() == *span));
            break;
        }
        let name = key.get_ref().to_string();
        match value.get_mut() {
            DeValue::Table(inner) => {
                if let Some(key) = replace_or_remove(inner, span, is_removed) {
                    return Some(key);
                }
            }
            DeValue::Array(list) => {
                if list.iter().any(|one| one.span() == *span) {
                    let kept = list.clone().into_iter().filter(|one| one.span() != *span);
                    *list = kept.collect();
                    return Some(name);
                }
                for one in list.iter_mut() {
                    if let DeValue::Table(inner) = one.get_mut()
                        && let Some(key) = replace_or_remove(inner, span, is_removed)
                    {
                        return Some(key);
                    }
                }
            }
            _ => {}
        }
    }
    let (position, name, is_key) = at?;
    let stand_in = if is_removed || is_key { None } else { stand_in(&name) };
    let key = table.keys().nth(position)?.clone();
    match stand_in {
        Some(value) => table.get_mut(&key)?.clone_from(&Spanned::new(span.clone(), value)),
        None => drop(table.remove(&key)),
    }
    Some(name)
}

fn stand_in(name: &str) -> Option<DeValue<'static>> {
    let table = DeTable::parse(STAND_INS).expect("the stand-ins are TOML").into_inner();
    table.into_iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value.into_inner())
}

/// The field that a misspelt one was perhaps meant to be: it is not missing too.
fn suggested_field(message: &str) -> Option<&str> {
    let (named, known) = quoted_names(message.strip_prefix("unknown field ")?);
    nearest_name(named, &known)
}

/// The quoted names in serde's messages: the one that is wrong, and those that are known.
fn quoted_names(message: &str) -> (&str, Vec<&str>) {
    let mut quoted = message.split('`').skip(1).step_by(2);
    (quoted.next().unwrap_or_default(), quoted.collect())
}

/// Puts serde's words into ours.
fn report_error(error: &toml::de::Error, span: &Range<usize>, key: &str, errors: &mut Diagnostics) {
    let message = error.message();
    if let Some(problem) = Problem::from_message(message) {
        errors.error(span, format!("{key} {}", problem.message), problem.label).help(problem.help);
        return;
    }
    let (named, known) = quoted_names(message);
    if message.starts_with("unknown field") {
        let title = format!("there is no field `{named}` here");
        errors.error(span, title, "unknown field").suggest_name(named, &known);
    } else if message.starts_with("unknown variant") {
        // A table's only entry is such a word too.
        let title = if key == named {
            format!("there is no `{named}` here")
        } else {
            format!("{key} cannot be `{named}`")
        };
        errors.error(span, title, "unknown word").suggest_name(named, &known);
    } else if message.starts_with("missing field") {
        let title = format!("the field `{named}` is missing");
        let diagnostic = errors.error(span, title, format!("`{named}` is needed here"));
        if named == "schema" {
            diagnostic.help("write `schema = 1`: the version of the format");
        }
    } else if message.ends_with(ONE_ENTRY) {
        errors
            .error(span, format!("{key} must say one thing"), "this is not one known word or entry")
            .help(format!("write it as in `{key} = {{ WORD = .. }}`, with one word"));
    } else if let Some((found, wanted)) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.split_once(", expected "))
    {
        let wanted = match wanted {
            "a string" => "a text in quotes",
            "a sequence" => "a list",
            wanted if wanted.starts_with("struct ") => "a table",
            wanted => wanted,
        };
        errors.error(span, format!("{key} must be {wanted}"), format!("this is {found}"));
    } else if message == "wanted string or table" {
        let title = format!("{key} must be one of its known words, in quotes");
        errors.error(span, title, "this is no text");
    } else {
        errors.error(span, format!("{key}: {message}"), "");
    }
}
