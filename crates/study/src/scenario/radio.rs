//! The radio of a client as it is written, and the settings that it and its preset come to.

#[cfg(feature = "studies")]
use std::borrow::Cow;

#[cfg(feature = "studies")]
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::axis::Unit;
use super::diagnostic::Diagnostics;
use super::from_toml::read_table;
use super::problem::Problem;
use super::quantities::{Duration, Percent, Rate};
#[cfg(feature = "studies")]
use super::value::text_schema;
use super::value::{Located, TextOrTable, TextValue, impl_text_value};
use qoslab_core::base::{Span, units};
use qoslab_core::network::radio::{RadioSettings, presets};

/// A known radio by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RadioKeyword(pub String);

impl TextValue for RadioKeyword {
    const EXPECTED: &'static str = "a known radio: \"lte-m\", \"nb-iot\", \"wifi\" or \"ble\"";
    const PATTERN: &'static str = r"^(lte-m|nb-iot|wifi|ble)$";

    fn parse(text: &str) -> Result<Self, Problem> {
        if presets::by_name(text).is_none() {
            let label = format!("there is no radio `{text}`");
            return Err(Problem::new("must be a known radio", label)
                .help("known: lte-m, nb-iot, wifi, ble; or a table: docs/radio.md"));
        }
        Ok(Self(text.to_owned()))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}
impl_text_value!(RadioKeyword);

/// A power in nanowatts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Power(pub u64);

impl TextValue for Power {
    const EXPECTED: &'static str = "a power such as \"220mW\" or \"10uW\"";
    const PATTERN: &'static str = r"^\s*[0-9.]+\s*(nW|uW|µW|mW|W)\s*$";
    const UNIT: Option<Unit> = Some(Unit::Watts);

    fn parse(text: &str) -> Result<Self, Problem> {
        units::parse_power(text).map(Self).map_err(|error| Problem::from_unit_error(&error))
    }

    fn to_text(&self) -> String {
        units::power_literal(self.0)
    }
}
impl_text_value!(Power);

/// An energy in microjoules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Energy(pub u64);

impl TextValue for Energy {
    const EXPECTED: &'static str = "an energy such as \"5400mWh\" or \"20J\"";
    const PATTERN: &'static str = r"^\s*[0-9.]+\s*(uJ|µJ|mJ|J|mWh|Wh)\s*$";
    const UNIT: Option<Unit> = Some(Unit::Joules);

    fn parse(text: &str) -> Result<Self, Problem> {
        units::parse_energy(text).map(Self).map_err(|error| Problem::from_unit_error(&error))
    }

    fn to_text(&self) -> String {
        units::energy_literal(self.0)
    }
}
impl_text_value!(Energy);

/// A radio, or how it differs from a known one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct RadioTable {
    /// A known radio, from which the other fields differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<RadioKeyword>,
    /// Power while it sends.
    pub transmit: Option<Power>,
    /// Power while it receives.
    pub receive: Option<Power>,
    /// How fast it sends.
    pub up: Option<Rate>,
    /// How fast it receives.
    pub down: Option<Rate>,
    /// How long it takes to wake up.
    pub wake: Option<Duration>,
    /// Power while it wakes up.
    pub wake_power: Option<Power>,
    /// How long it stays connected after a packet: the inactivity timer.
    pub tail: Option<Duration>,
    /// Mean power meanwhile.
    pub tail_power: Option<Power>,
    /// How long it can be paged after that: the active timer T3324.
    pub paging: Option<Duration>,
    /// Mean power meanwhile.
    pub paging_power: Option<Power>,
    /// Power while it sleeps.
    pub sleep: Option<Power>,
    /// How often it listens while it sleeps; `0s` for never.
    pub listen_every: Option<Duration>,
    /// How long it listens then, with the power of `receive`.
    pub listen: Option<Duration>,
    /// What its battery holds; none if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub battery: Option<Energy>,
    /// The share of the full battery that is lost in a year without any load.
    pub self_discharge: Option<Percent>,
}
read_table!(RadioTable or default {
    preset, transmit, receive, up, down, wake, wake_power, tail, tail_power, paging, paging_power,
    sleep, listen_every, listen, battery, self_discharge,
});

/// What a radio comes to; what is wrong with it goes to `errors`.
pub(super) fn radio_settings(
    given: &Located<TextOrTable<RadioKeyword, RadioTable>>,
    errors: &mut Diagnostics,
) -> RadioSettings {
    let known = |word: &RadioKeyword| presets::by_name(&word.0).unwrap_or_default();
    let table = match &given.value {
        TextOrTable::Text(word) => return known(word),
        TextOrTable::Table(table) => table,
    };
    let mut own = table.preset.as_ref().map(known).unwrap_or_default();
    for (power, field) in [
        (table.transmit, &mut own.transmit_nw),
        (table.receive, &mut own.receive_nw),
        (table.wake_power, &mut own.wake_nw),
        (table.tail_power, &mut own.tail_nw),
        (table.paging_power, &mut own.paging_nw),
        (table.sleep, &mut own.sleep_nw),
    ] {
        *field = power.map_or(*field, |power| power.0);
    }
    for (span, field) in [
        (table.wake, &mut own.wake),
        (table.tail, &mut own.tail),
        (table.paging, &mut own.paging),
        (table.listen_every, &mut own.listen_every),
        (table.listen, &mut own.listen),
    ] {
        *field = span.map_or(*field, |span| span.0);
    }
    for (rate, field) in [(table.up, &mut own.up), (table.down, &mut own.down)] {
        *field = rate.and_then(|rate| rate.0).unwrap_or(*field);
    }
    own.battery_uj = table.battery.map(|battery| battery.0);
    own.self_discharge = table.self_discharge.map_or(0.0, Percent::share);
    if own.up == 0 || own.down == 0 {
        errors
            .error(&given.span, "a radio needs its rates", "without them nothing ever leaves")
            .help("add `preset = \"nb-iot\"` or another, or `up` and `down`");
    }
    if own.listen > own.listen_every {
        errors
            .error(&given.span, "a radio cannot listen longer than its interval", "in its sleep")
            .help("`listen` is a part of `listen_every`");
    }
    if own.battery_uj == Some(0) {
        errors.error(&given.span, "a battery must hold more than nothing", "this one is empty");
    }
    own
}

/// The table that comes to these settings, with everything written out.
pub(super) fn radio_table(settings: &RadioSettings) -> RadioTable {
    let power = |nanowatts| Some(Power(nanowatts));
    let span = |span: Span| Some(Duration(span));
    RadioTable {
        preset: None,
        transmit: power(settings.transmit_nw),
        receive: power(settings.receive_nw),
        up: Some(Rate(Some(settings.up))),
        down: Some(Rate(Some(settings.down))),
        wake: span(settings.wake),
        wake_power: power(settings.wake_nw),
        tail: span(settings.tail),
        tail_power: power(settings.tail_nw),
        paging: span(settings.paging),
        paging_power: power(settings.paging_nw),
        sleep: power(settings.sleep_nw),
        listen_every: span(settings.listen_every),
        listen: span(settings.listen),
        battery: settings.battery_uj.map(Energy),
        self_discharge: Some(Percent((settings.self_discharge * 1e8).round() / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use crate::scenario::Scenario;
    use crate::scenario::tests::SMALL;

    fn with(radio: &str, needs: &str) -> String {
        let radio = format!("name = \"sensor\"\n{radio}");
        let text = SMALL.replacen("name = \"sensor\"", &radio, 1);
        format!("{text}[expect]\nneed = [{needs}]\n")
    }

    #[test]
    fn a_radio_written_in_full_means_the_same() {
        let own = "radio = { preset = \"lte-m\", tail = \"5s\", battery = \"5400mWh\" }";
        let read = Scenario::parse("radio.toml", &with(own, "\"battery >= 10\"")).unwrap();
        let shown = read.to_full_toml();
        let line = shown.lines().find(|line| line.starts_with("radio = ")).unwrap();
        assert!(!line.contains("preset") && line.contains("tail = \"5s\""), "{line}");
        let again = Scenario::parse("shown.toml", &shown).unwrap();
        let radio = |one: &Scenario| one.points[0].setup.clients[0].radio.clone().unwrap();
        assert_eq!(radio(&again), radio(&read));
        assert_eq!(again.points[0].trial(1).name, read.points[0].trial(1).name);
    }

    #[test]
    fn an_unknowable_radio_property_is_reported_with_help() {
        let refused = |radio: &str, need: &str| {
            let errors = Scenario::parse("radio.toml", &with(radio, need)).unwrap_err();
            errors.errors.iter().map(|one| one.title.clone()).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(refused("", "\"energy <= 1J\""), "no client has a radio");
        let plain = "radio = \"wifi\"";
        assert_eq!(refused(plain, "\"battery >= 2\""), "no radio has a battery");
        assert_eq!(refused(plain, "\"power <= 5\""), "the need needs a unit");
        assert_eq!(refused("radio = \"5g\"", ""), "radio must be a known radio");
        assert_eq!(refused("radio = { tail = \"1s\" }", ""), "a radio needs its rates");
    }
}
