//! Fields of a file set to other values before it is read, so that presets, defaults and checks
//! follow as if the author had written them.
//!
//! A path names clients and links by name, because a number changes when a line moves:
//! `client.meter.keep_alive`, `link.meter.loss`, `broker.retry.every`.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::axis::Setting;
use super::diagnostic::Diagnostics;

/// Fields that are no part of a trial, with what to use instead.
const UNSETTABLE: [(&str, &str); 6] = [
    ("schema", "it is the version of the format"),
    ("name", "results are kept under it: copy the file"),
    ("about", "it changes nothing"),
    ("seeds", "use --seeds"),
    ("expect", "use --need with `qoslab choose`, or write it into the file"),
    ("sweep", "use --vary"),
];

/// The entry that a value stands for where it is written instead of a table.
const SHORT_FORMS: [(&str, &str); 2] = [("delay", "time"), ("retry", "every")];

/// Sets the fields, in order; what cannot be set goes to `errors`, at the setting's place.
pub(super) fn apply_settings<'i>(
    root: &mut DeTable<'i>,
    settings: &'i [Setting],
    errors: &mut Diagnostics,
) {
    for setting in settings {
        let (path, value) = errors.add_setting(setting);
        let mut setter = SettingWriter { setting, path_span: path, value_span: value, errors };
        setter.set(root);
    }
}

/// One setting while its place is looked for.
struct SettingWriter<'i, 'e> {
    setting: &'i Setting,
    /// The place of the path, for errors.
    path_span: Range<usize>,
    /// The place of the value.
    value_span: Range<usize>,
    errors: &'e mut Diagnostics,
}

impl<'i> SettingWriter<'i, '_> {
    fn set(&mut self, root: &mut DeTable<'i>) {
        let path = self.setting.path.as_str();
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        if let Some((name, cure)) = UNSETTABLE.iter().find(|(name, _)| *name == first) {
            let title = format!("`{name}` is no part of a trial");
            self.errors.error(&self.path_span, title, "this cannot be set").help(*cure);
            return;
        }
        if path.split('.').any(str::is_empty) {
            let title = "a path is names with dots between them";
            self.errors
                .error(&self.path_span, title, "a name is missing here")
                .help("write it as in `link.meter.loss` or `broker.max_inflight`");
            return;
        }
        match first {
            "client" | "link" => self.set_named(root, first, rest),
            _ => self.set_below(root, &path.split('.').collect::<Vec<_>>()),
        }
    }

    /// Sets a field of the clients or links of a name.
    fn set_named(&mut self, root: &mut DeTable<'i>, kind: &str, rest: &str) {
        let mut known: Vec<String> = Vec::new();
        let mut found = 0;
        if let Some(DeValue::Array(list)) = entry(root, kind).map(Spanned::get_mut) {
            for one in list.iter_mut() {
                let DeValue::Table(table) = one.get_mut() else { continue };
                let names = entry_names(table, kind);
                let below =
                    names.iter().find_map(|name| after_name(rest, name)).or(after_name(rest, "*"));
                known.extend(names);
                if let Some(below) = below {
                    found += 1;
                    let below: Vec<_> = below.split('.').filter(|part| !part.is_empty()).collect();
                    self.set_below(table, &below);
                }
            }
        }
        if found == 0 {
            known.sort();
            known.dedup();
            let named = rest.split('.').next().unwrap_or_default();
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            let title = format!("there is no {kind} `{named}`");
            self.errors.error(&self.path_span, title, "unknown name").suggest_name(named, &known);
        }
    }

    fn set_below(&mut self, table: &mut DeTable<'i>, path: &[&str]) {
        let [name, below @ ..] = path else {
            let help = "write it as in `link.meter.loss`";
            let title = "the path names no field";
            self.errors.error(&self.path_span, title, "something is missing after this").help(help);
            return;
        };
        if entry(table, name).is_none() {
            let key = Spanned::new(self.path_span.clone(), (*name).to_owned().into());
            let value = if below.is_empty() {
                self.value()
            } else {
                let mut inner = DeTable::new();
                self.set_below(&mut inner, below);
                Spanned::new(self.value_span.clone(), DeValue::Table(inner))
            };
            table.insert(key, value);
            return;
        }
        let Some(place) = entry(table, name) else { return };
        if below.is_empty() {
            let short = SHORT_FORMS.iter().find(|(field, _)| field == name);
            let value = self.value();
            match (place.get_mut(), short) {
                (DeValue::Table(inner), Some((_, main))) if !value.get_ref().is_table() => {
                    self.set_below(inner, &[main]);
                }
                _ => *place = value,
            }
        } else {
            self.set_within(place, name, below);
        }
    }

    /// Sets something below a value that is there.
    fn set_within(&mut self, place: &mut Spanned<DeValue<'i>>, name: &str, below: &[&str]) {
        let span = place.span();
        match place.get_mut() {
            DeValue::Table(inner) => {
                // What loses packets is one thing: another replaces it.
                if name == "loss" && entry(inner, below[0]).is_none() {
                    inner.clear();
                }
                self.set_below(inner, below);
            }
            DeValue::Array(list) if list.iter().any(|one| one.get_ref().is_table()) => {
                self.set_in_list(list, name, below);
            }
            scalar => {
                let mut inner = DeTable::new();
                if let Some((_, main)) = SHORT_FORMS.iter().find(|(field, _)| *field == name) {
                    let key = Spanned::new(span.clone(), (*main).to_owned().into());
                    inner.insert(key, Spanned::new(span.clone(), scalar.clone()));
                }
                self.set_below(&mut inner, below);
                *place = Spanned::new(span, DeValue::Table(inner));
            }
        }
    }

    /// Sets a field of all tables of a list, or of the one whose number comes next.
    fn set_in_list(&mut self, list: &mut DeArray<'i>, name: &str, below: &[&str]) {
        let number = below[0].parse::<usize>().ok();
        let count = list.len();
        if let Some(number) = number.filter(|number| !(1..=count).contains(number)) {
            let title = format!("there is no `{name}` number {number}");
            let label = format!("they are numbered from 1 to {count}");
            self.errors.error(&self.path_span, title, label);
            return;
        }
        let below = if number.is_some() { &below[1..] } else { below };
        for (nth, one) in list.iter_mut().enumerate() {
            if let (DeValue::Table(inner), true) =
                (one.get_mut(), number.is_none_or(|number| number == nth + 1))
            {
                self.set_below(inner, below);
            }
        }
    }

    /// The value as TOML says it; what is no TOML is a text.
    fn value(&self) -> Spanned<DeValue<'i>> {
        let text = self.setting.value.as_str();
        let (value, wrong) = DeValue::parse_recoverable(text);
        let mut value = value.into_inner();
        if !wrong.is_empty() || value.is_datetime() || text.is_empty() {
            value = DeValue::String(text.into());
        }
        with_span(value, &self.value_span)
    }
}

/// The value of a key.
fn entry<'t, 'i>(table: &'t mut DeTable<'i>, name: &str) -> Option<&'t mut Spanned<DeValue<'i>>> {
    table.iter_mut().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
}

/// The names by which a client or link can be called: as it is written, and without what stands
/// for its number.
fn entry_names(table: &mut DeTable<'_>, kind: &str) -> Vec<String> {
    let field = if kind == "client" { "name" } else { "between" };
    let written: Vec<String> = match entry(table, field).map(|value| value.get_ref()) {
        Some(DeValue::String(name)) => vec![name.to_string()],
        Some(DeValue::Array(ends)) => {
            let ends = ends.iter().filter_map(|end| end.get_ref().as_str());
            ends.filter(|end| *end != "broker").map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    let mut all: Vec<String> =
        written.iter().map(|name| base_name(name)).filter(|name| !name.is_empty()).collect();
    all.extend(written);
    all.dedup();
    all
}

/// A name without what stands for its number; empty if nothing is left.
pub(super) fn base_name(name: &str) -> String {
    let short = name.replace("{i}", "").replace('*', "");
    short.trim_end_matches(['-', '_', '.']).to_owned()
}

/// What follows a name and its dot; names may have dots of their own.
fn after_name<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(name)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('.') }
}

/// The value with all its parts at one place.
pub(super) fn with_span<'i>(value: DeValue<'i>, span: &Range<usize>) -> Spanned<DeValue<'i>> {
    let value = match value {
        DeValue::Array(list) => {
            let items = list.into_iter().map(|item| with_span(item.into_inner(), span));
            DeValue::Array(items.collect())
        }
        DeValue::Table(table) => {
            let entries = table.into_iter().map(|(key, value)| {
                let key = Spanned::new(span.clone(), key.into_inner());
                (key, with_span(value.into_inner(), span))
            });
            DeValue::Table(entries.collect())
        }
        other => other,
    };
    Spanned::new(span.clone(), value)
}
