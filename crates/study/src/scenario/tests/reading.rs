//! The reader needs and assumes what the schema says, and refused values are reported once.

use serde_json::Value;

use super::super::schema::SCHEMA;
use super::super::*;

/// Every table once, with nothing in it that could be left out but further tables.
const EVERY_TABLE: &str = r#"
schema = 1
name = "all"
seeds = {}
broker = { store = { snapshot = "1s" }, retry = { every = "1s" } }
swarm = {}
sweep = {}
schedule = { model = 1, fates = [{ packet = "p" }], outages = [
    { client = "c", at = "1s", lasts = "1s" },
], pauses = [
    { client = "c", connection = 0, failed = 0, lasts = "1s" },
], messages = [{ message = "m", at = "1s", payload = "1B" }] }
[[client]]
name = "c"
session = { expiry = "1s" }
radio = {}
reconnect = {}
offline = {}
will = { topic = "t", qos = 1 }
away = [{ at = "1s", lasts = "1s" }]
publish = [{ topic = "t", qos = 1, count = 1, every = "1s" }]
subscribe = [{ filter = "t", qos = 1 }]
[[link]]
between = ["c", "broker"]
transport = "tcp"
tls = { version = "1.3" }
delay = { time = "1s" }
loss = { gemodel = { p = "1%", r = "1%" } }
reorder = { percent = "1%" }
up = { loss = { burst = { good = "1s", bad = "1s" } } }
outage = { every = "1s", lasts = "1s" }
[[fault]]
when = { packet = "p" }
do = { partition = { lasts = "1s" } }
[[fault]]
do = { crash = {} }
[[fault]]
do = { slow = { pace = "1s", lasts = "1s" } }
[expect]
broken = [{ blame = "broker", why = "w" }]
"#;

fn read(text: &str) -> (Option<file::ScenarioFile>, Diagnostics) {
    let mut errors = Diagnostics::new("all.toml", text);
    let file = read::read_file(text, &[], &mut errors);
    (file, errors.sorted())
}

/// What a schema allows for this value: a table with its fields, or the items of a list.
fn table_schema<'s>(schema: &'s Value, written: &Value) -> Option<&'s Value> {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return table_schema(&SCHEMA.as_value()["$defs"][name], written);
    }
    for words in ["anyOf", "oneOf"].iter().filter_map(|word| schema[*word].as_array()) {
        if let Some(one) = words.iter().find_map(|one| table_schema(one, written)) {
            return Some(one);
        }
    }
    match written {
        Value::Array(_) if schema["items"].is_object() => Some(schema),
        Value::Object(table) => {
            let fields = schema["properties"].as_object()?;
            table.keys().all(|key| fields.contains_key(key)).then_some(schema)
        }
        _ => None,
    }
}

/// Checks a table and those below it; `pointer` says where it is in the whole file.
fn check(schema: &Value, written: &Value, read: &Value, pointer: &str, whole: &Value) {
    let Some(schema) = table_schema(schema, written) else { return };
    if let (Value::Array(written), Value::Array(read)) = (written, read) {
        for (nth, (written, read)) in written.iter().zip(read).enumerate() {
            check(&schema["items"], written, read, &format!("{pointer}/{nth}"), whole);
        }
    }
    let Value::Object(table) = written else { return };
    let needed: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
    for (field, schema) in schema["properties"].as_object().unwrap() {
        let is_needed = needed.iter().any(|needed| *needed == field);
        let Some(value) = table.get(field) else {
            assert!(!is_needed, "{pointer}/{field} is needed");
            let default = schema.get("default").unwrap_or(&Value::Null);
            let is_shown = !default.is_null() && read.get(field).is_some();
            assert!(!is_shown || read[field] == *default, "{pointer}/{field}: {}", read[field]);
            continue;
        };
        check(schema, value, &read[field], &format!("{pointer}/{field}"), whole);
        if ["do", "loss"].iter().any(|choice| pointer.ends_with(choice)) {
            // One entry of several is needed there, and none is called missing.
            continue;
        }
        let mut without = whole.clone();
        without.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(field);
        let (file, errors) = self::read(&toml::to_string(&without).unwrap());
        let told = format!("the field `{field}` is missing");
        assert_eq!(file.is_none(), is_needed, "{pointer}/{field}: {errors}");
        assert_eq!(errors.to_string().contains(&told), is_needed, "{pointer}/{field}: {errors}");
    }
}

#[test]
fn needed_fields_and_defaults_are_those_of_the_schema() {
    let (file, errors) = read(EVERY_TABLE);
    let file = serde_json::to_value(file.unwrap_or_else(|| panic!("{errors}"))).unwrap();
    let written: toml::Table = EVERY_TABLE.parse().unwrap();
    let written = serde_json::to_value(written).unwrap();
    check(SCHEMA.as_value(), &written, &file, "", &written);
}

/// Each needed value is refused, and nothing is reported of what stands in for it.
#[test]
fn a_stand_in_is_no_error_of_its_own() {
    let mut text =
        EVERY_TABLE.replace("count = 1,", "count = 0,").replace("schema = 1", "schema = 2");
    for value in ["1s", "1%", "1.3", "p"] {
        text = text.replace(&format!("\"{value}\""), "1");
    }
    let (_, errors) = read(&text);
    assert!(errors.errors.len() >= 25, "{}: {errors}", errors.errors.len());
    let mut places: Vec<_> = errors.errors.iter().map(|one| one.span.clone().unwrap()).collect();
    places.dedup();
    assert_eq!(places.len(), errors.errors.len(), "{errors}");
}

#[test]
fn of_very_many_errors_the_first_are_reported() {
    let clients = "[[client]]\nname = 1\n".repeat(60);
    let (file, errors) = read(&format!("schema = 1\nname = \"many\"\n{clients}"));
    assert!(file.is_none());
    assert_eq!(errors.errors.len(), 50);
}

#[test]
fn numbers_that_are_too_large_to_count_are_out_of_range() {
    let text = EVERY_TABLE.replace("count = 1,", "count = 9223372036854775808,");
    let (_, errors) = read(&text);
    let [error] = errors.errors.as_slice() else { panic!("{errors}") };
    assert_eq!(error.title, "count must be from 1 to 100,000,000");
    assert_eq!(error.label, "this is 9223372036854775808");
}
