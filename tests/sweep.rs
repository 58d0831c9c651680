//! A sweep as a user meets it: its files are the same on any number of jobs, agree with theory,
//! and its mistakes are told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use qoslab::base::qos::QoS;
use qoslab::closed_form::Hop;

const SCENARIO: &str = r#"
schema = 1
name = "swept"
[[client]]
name = "sensor"
publish = [{ topic = "t", qos = 1, count = 400, every = "100ms", payload = "64B" }]
retry = "1s"
max_inflight = 1000
[[client]]
name = "dashboard"
subscribe = [{ filter = "t", qos = 2 }]
[[link]]
between = ["sensor", "broker"]
delay = "40ms"
[[link]]
between = ["dashboard", "broker"]
delay = "1ms"
[expect]
need = ["lost <= 1%"]
"#;

fn qoslab(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qoslab"));
    command.args(arguments).current_dir(folder).output().expect("the command was built")
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("swept.toml"), SCENARIO).unwrap();
    folder
}

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

fn number(row: &BTreeMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} is `{}`", row[column]))
}

/// Whether theory lies within the interval, widened from 1.96 to 4.5 standard errors.
fn agrees(row: &BTreeMap<String, String>, column: &str, theory: f64) -> bool {
    let [low, high] = ["low95", "high95"].map(|end| number(row, &format!("{column}_{end}")));
    let spare = (high - low) / 2.0 * (4.5 / 1.96 - 1.0) + 1e-9;
    (low - spare..=high + spare).contains(&theory)
}

#[test]
fn the_points_of_a_sweep_are_those_of_theory() {
    let folder = folder();
    let output = qoslab(
        folder.path(),
        &["sweep", "swept.toml", "--vary", "link.sensor.loss=0%..30%:10%", "--seeds", "20"],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = rows(&folder.path().join("reports/swept/sweep/points.csv"));
    assert_eq!(rows.len(), 4 * 3, "each loss at QoS 0, 1 and 2");
    for row in &rows {
        let loss = number(row, "parameter_link.sensor.loss_percent") / 100.0;
        let qos = QoS::from_number(row["published_qos"].parse().unwrap()).unwrap();
        let theory = Hop::symmetric(loss, 0.04, 1.0).expect(qos);
        assert!(agrees(row, "delivered_share", theory.delivered), "{qos} at {loss}: {row:?}");
        // The clean second hop forwards each copy of QoS 1, and adds its own packets.
        let copies = match qos {
            QoS::AtMostOnce => theory.delivered,
            QoS::AtLeastOnce => 1.0 + theory.duplicates,
            QoS::ExactlyOnce => 1.0,
        };
        let second = copies * Hop::symmetric(0.0, 0.001, 1.0).expect(qos).packets.total();
        let packets = theory.packets.total() + second;
        assert!(agrees(row, "packets_per_message", packets), "{qos} at {loss}: {packets} {row:?}");
    }
}

#[test]
fn one_job_and_two_write_the_same_files() {
    let folder = folder();
    let sweep = |jobs: &str, out: &str| {
        let axes = ["link.sensor.loss=0%,10%", "client.sensor.retry=500ms,1s"];
        let output = qoslab(
            folder.path(),
            &[
                "sweep",
                "swept.toml",
                "--vary",
                axes[0],
                "--vary",
                axes[1],
                "--seeds",
                "7",
                jobs,
                "--out",
                out,
            ],
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let files = ["points.csv", "trials.csv", "results.json"];
        (output.stdout, files.map(|name| fs::read(folder.path().join(out).join(name)).unwrap()))
    };
    let (one, two) = (sweep("-j1", "one"), sweep("-j2", "two"));
    assert!(one == two, "the output depends on the number of jobs");
    let trials = rows(&folder.path().join("one/trials.csv"));
    assert_eq!(trials.len(), 4 * 3 * 7);
}

#[test]
fn a_cell_is_repeated_by_run_with_the_same_values_set() {
    let folder = folder();
    let vary = ["sweep", "swept.toml", "--vary", "link.sensor.loss=5%,10%", "--seeds", "3"];
    assert!(qoslab(folder.path(), &vary).status.success());
    let levels = "client.sensor.publish.qos=[0, 1, 2]";
    let set =
        ["run", "swept.toml", "--set", levels, "--set", "link.sensor.loss=10%", "--seeds", "3"];
    qoslab(folder.path(), &set);
    let hashes = |path: &str| -> Vec<(String, String)> {
        let rows = rows(&folder.path().join(path));
        rows.iter().map(|row| (row["trial"].clone(), row["trace_hash"].clone())).collect()
    };
    let (sweep, run) =
        (hashes("reports/swept/sweep/trials.csv"), hashes("reports/swept/trials.csv"));
    assert_eq!(sweep[9..], run);
}

#[test]
fn a_wrong_axis_is_a_usage_error_that_names_the_cure() {
    let folder = folder();
    for (vary, told) in [
        ("link.sensor.los=1%", "did you mean `loss`?"),
        ("link.senso.loss=1%", "did you mean `sensor`?"),
        ("client.sensor.session=clean", "only numbers can be varied"),
        ("link.sensor.loss=9%..1%:1%", "runs backwards"),
        ("link.sensor.loss=0%..1%:0%", "the step of"),
        ("link.sensor.loss=101%", "must be between 0 and 100 percent"),
    ] {
        let output = qoslab(folder.path(), &["sweep", "swept.toml", "--vary", vary]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{vary}: {stderr}");
        assert!(stderr.contains(told), "{vary}: {stderr}");
        assert!(!folder.path().join("reports").exists(), "{vary}: nothing ran");
    }
    let output = qoslab(folder.path(), &["sweep", "swept.toml"]);
    assert_eq!(output.status.code(), Some(2));
    fs::write(folder.path().join("file"), "").unwrap();
    let vary = ["sweep", "swept.toml", "--vary", "link.sensor.loss=1%", "--out", "file"];
    assert_eq!(qoslab(folder.path(), &vary).status.code(), Some(2), "a folder that is a file");
}

#[test]
fn an_estimate_runs_nothing() {
    let folder = folder();
    let vary = ["sweep", "swept.toml", "--vary", "link.sensor.loss=0%..30%:10%", "--estimate"];
    let output = qoslab(folder.path(), &vary);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("swept.toml: 1,200 runs of 4 cells; at most about "), "{text}");
    assert!(!folder.path().join("reports").exists());
}
