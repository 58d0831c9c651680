//! Writing a scenario back with every assumed default: itself a valid file of the same meaning.

use std::fmt::Write as _;

use toml::Value;
use toml::value::Table;

use super::diagnostic::Diagnostics;
use super::file::{LinkTable, ScenarioFile};
use super::value::{Located, TextOrTable};
use super::{link, radio};

/// The file as TOML, with every default written out.
pub(super) fn to_toml(file: &ScenarioFile) -> String {
    write_toml(&with_presets_written_out(file.clone()))
}

/// The file with what its presets stand for in their place.
pub(super) fn with_presets_written_out(mut file: ScenarioFile) -> ScenarioFile {
    for link in &mut file.link {
        // The links were valid right before: no error can be reported here.
        let settings = link::link_settings(&link.value, &mut Diagnostics::new("", ""));
        let price = link.value.price.take();
        let table = LinkTable { price, ..link::link_table(&settings, &link.value.between) };
        *link = Located::from_default(table);
    }
    for client in &mut file.client {
        if let Some(given) = &mut client.value.radio {
            let settings = radio::radio_settings(given, &mut Diagnostics::new("", ""));
            *given = Located::from_default(TextOrTable::Table(radio::radio_table(&settings)));
        }
    }
    file
}

/// The file as TOML, as it is.
pub(super) fn write_toml(file: &ScenarioFile) -> String {
    let value = Table::try_from(file).expect("tables of texts and numbers can be TOML");
    let mut text = String::new();
    write_section(&mut text, "", &value);
    text.trim_start().to_owned()
}

/// Writes the plain values of a table first, then its sections.
fn write_section(text: &mut String, path: &str, table: &Table) {
    for (key, value) in table.iter().filter(|(key, value)| !is_section(path, key, value)) {
        match value {
            Value::Array(list) if path == "schedule" => {
                let _ = writeln!(text, "{key} = [");
                for one in list {
                    let _ = writeln!(text, "    {one},");
                }
                let _ = writeln!(text, "]");
            }
            _ => drop(writeln!(text, "{key} = {value}")),
        }
    }
    for (key, value) in table.iter().filter(|(key, value)| is_section(path, key, value)) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Array(list) => {
                for one in list.iter().filter_map(Value::as_table) {
                    let _ = writeln!(text, "\n[[{path}]]");
                    write_section(text, &path, one);
                }
            }
            Value::Table(inner) => {
                let _ = writeln!(text, "\n[{path}]");
                write_section(text, &path, inner);
            }
            _ => {}
        }
    }
}

/// Whether a value has a heading of its own; the others are written in one line.
fn is_section(path: &str, key: &str, value: &Value) -> bool {
    match (path, key) {
        ("", "broker" | "expect" | "schedule" | "swarm" | "sweep") => value.is_table(),
        ("", "client" | "link" | "fault")
        | ("client", "publish" | "subscribe")
        | ("expect", "broken") => value.is_array(),
        _ => false,
    }
}
