//! Schedules in files: what they say, and what can be wrong with them.

use super::errors::error_text;
use super::{SMALL, parse};

/// The small scenario for one trial, with more behind it.
fn with_schedule(more: &str) -> String {
    let one = SMALL.replace("qos = [0, 1, 2]", "qos = 2");
    one.replace("name = \"small\"", "name = \"small\"\nseeds = { count = 1 }") + more
}

#[test]
fn errors_in_a_schedule_are_reported_at_their_places() {
    let all = error_text(&with_schedule(
        r#"
[[fault]]
when = { packet = "nobody#1 / broker / 0 / PUBLISH / 0" }
do = "drop"

[[fault]]
when = { packet = "sensor#1 / broker / 0 / PUBLISH / 0", nth = 2 }
do = "drop"

[schedule]
model = 3
fates = [
    { packet = "sensor#1 / broker / 0 / PUBLISH", lost = "random" },
    { packet = "sensor#99 / broker / 0 / PUBLISH / 0", lost = "random" },
    { packet = "sensor#1 / broker / 0 / CONNECT / 0", lost = "random" },
    { packet = "sensor / PUBLISH / 0", lost = "random" },
    { packet = "sensor#1 / broker / 0 / PUBLISH / 0", lost = "randomly" },
    { packet = "sensor#1 / broker / 0 / PUBLISH / 0", lost = "random", after = "1s" },
    { packet = "sensor#1 / broker / 0 / PUBLISH / 0", after = "2s", again = "1s" },
]
outages = [{ client = "sensors", at = "1s", lasts = "1s" }]
messages = [{ message = "sensor", at = "1s", payload = "1B" }]
"#,
    ));
    insta::assert_snapshot!(all);
}

#[test]
fn a_schedule_is_deterministic_and_of_one_trial() {
    let text = SMALL.replace("delay = \"20ms\"", "delay = \"20ms\"\nloss = \"5%\"");
    let all = error_text(&format!("{text}\n[schedule]\nmodel = 3\n"));
    insta::assert_snapshot!(all);
}

#[test]
fn a_schedule_of_another_model_gives_a_warning() {
    let text = with_schedule("\n[schedule]\nmodel = 1\n");
    insta::assert_snapshot!(parse(&text).warnings.render(false));
}
