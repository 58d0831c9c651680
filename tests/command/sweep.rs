//! `qoslab sweep` from a user's point of view: its files are the same on any number of jobs, agree
//! with theory, and its mistakes are reported.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::files::files;
use qoslab::base::QoS;
use qoslab::study::closed_form::HopModel;

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
transport = "datagram"
delay = "40ms"
[[link]]
between = ["dashboard", "broker"]
transport = "datagram"
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

/// Whether the theoretical value lies within the interval, widened from 1.96 to 4.5 standard
/// errors.
fn is_within_interval(row: &BTreeMap<String, String>, column: &str, theory: f64) -> bool {
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
        let theory = HopModel::symmetric(loss, 0.04, 1.0).predict(qos);
        assert!(
            is_within_interval(row, "delivered_share", theory.delivered),
            "{qos} at {loss}: {row:?}"
        );
        // The clean second hop forwards each copy of QoS 1, and adds its own packets.
        let copies = match qos {
            QoS::AtMostOnce => theory.delivered,
            QoS::AtLeastOnce => 1.0 + theory.duplicates,
            QoS::ExactlyOnce => 1.0,
        };
        let second = copies * HopModel::symmetric(0.0, 0.001, 1.0).predict(qos).packets.total();
        let packets = theory.packets.total() + second;
        assert!(
            is_within_interval(row, "packets_per_message", packets),
            "{qos} at {loss}: {packets} {row:?}"
        );
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
fn a_wrong_axis_is_a_usage_error_with_help() {
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

const SWEEP: [&str; 6] =
    ["sweep", "swept.toml", "--vary", "link.sensor.loss=0%,10%", "--seeds", "7"];

fn sweep(folder: &Path, more: &[&str]) -> Output {
    qoslab(folder, &[&SWEEP[..], more].concat())
}

#[test]
fn merged_shards_equal_an_unsharded_sweep() {
    let folder = folder();
    assert!(sweep(folder.path(), &["--out", "whole"]).status.success());
    for number in 1..=3 {
        let (shard, out) = (format!("{number}/3"), format!("part-{number}"));
        assert!(sweep(folder.path(), &["--shard", &shard, "--out", &out]).status.success());
    }
    let missing = qoslab(folder.path(), &["merge", "part-1", "part-3", "--out", "joined"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("2/3"));
    let twice = ["merge", "part-1", "part-1", "part-2", "part-3", "--out", "joined"];
    assert_eq!(qoslab(folder.path(), &twice).status.code(), Some(2));
    let over = qoslab(folder.path(), &["merge", "part-1", "part-2", "part-3", "--out", "part-1"]);
    assert_eq!(over.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&over.stderr).contains("is one of the shards"));
    let all = ["merge", "part-3", "part-1", "part-2", "--out", "joined"];
    assert!(qoslab(folder.path(), &all).status.success());
    assert!(files(&folder.path().join("joined")) == files(&folder.path().join("whole")));
}

#[test]
fn a_shard_is_read_from_a_schedulers_environment() {
    let folder = folder();
    let in_environment = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qoslab"));
        command.args(SWEEP).current_dir(folder.path()).envs(variables.iter().copied());
        command.output().unwrap()
    };
    let slurm = [
        ("SLURM_ARRAY_TASK_ID", "2"),
        ("SLURM_ARRAY_TASK_MIN", "1"),
        ("SLURM_ARRAY_TASK_COUNT", "4"),
    ];
    assert!(in_environment(&slurm).status.success());
    let shards = folder.path().join("reports/swept/sweep/shards");
    assert!(shards.join("2-of-4/trials.store").exists());
    let kubernetes = [("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "4")];
    assert!(in_environment(&kubernetes).status.success());
    assert!(shards.join("1-of-4/trials.store").exists());
    let no_count = in_environment(&[("JOB_COMPLETION_INDEX", "0")]);
    assert_eq!(no_count.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&no_count.stderr).contains("JOB_COMPLETIONS"));
}

#[test]
fn a_sweep_that_was_cut_off_anywhere_ends_with_the_same_files() {
    let folder = folder();
    assert!(sweep(folder.path(), &["--out", "whole"]).status.success());
    let all_files = files(&folder.path().join("whole"));
    let store = &all_files[Path::new("trials.store")];
    // The state that a killed process leaves: some bytes of the store, and nothing else.
    for share in [0, 3, 10, 50, 99] {
        let cut = folder.path().join(format!("cut-{share}"));
        fs::create_dir(&cut).unwrap();
        fs::write(cut.join("trials.store"), &store[..store.len() * share / 100]).unwrap();
        let output = sweep(folder.path(), &["--out", &format!("cut-{share}")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(files(&cut) == all_files, "cut at {share} %");
    }
}

#[cfg(unix)]
#[test]
fn a_killed_sweep_goes_on_and_ends_with_the_same_files() {
    let folder = folder();
    let long = ["sweep", "swept.toml", "--vary", "link.sensor.loss=0%,10%", "--seeds", "400"];
    let started = |out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qoslab"));
        command.args(long).args(["--out", out]).current_dir(folder.path()).spawn().unwrap()
    };
    assert!(started("whole").wait().unwrap().success());
    let mut child = started("killed");
    let store = folder.path().join("killed/trials.store");
    let begun = || fs::metadata(&store).is_ok_and(|it| it.len() > 50_000);
    while !begun() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    // SIGKILL cannot be handled.
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it was to be killed before its end");
    let left: Vec<_> = files(&folder.path().join("killed")).into_keys().collect();
    assert_eq!(left, [PathBuf::from("trials.store")], "no half of a report");
    assert!(started("killed").wait().unwrap().success());
    let files = |out: &str| files(&folder.path().join(out));
    assert!(files("killed") == files("whole"));
}

#[test]
fn a_csv_of_points_is_swept_in_its_order() {
    let folder = folder();
    let design = "link.sensor.loss,client.sensor.retry\n10%,1s\n0%,2s\n10%,2s\n";
    fs::write(folder.path().join("design.csv"), design).unwrap();
    let table = ["sweep", "swept.toml", "--points", "design.csv", "--seeds", "3", "--out", "out"];
    assert!(qoslab(folder.path(), &table).status.success());
    let rows = rows(&folder.path().join("out/points.csv"));
    let cells = rows.iter().map(|row| {
        let [loss, retry] =
            ["parameter_link.sensor.loss_percent", "parameter_client.sensor.retry_s"]
                .map(|column| number(row, column));
        (loss, retry)
    });
    let mut cells: Vec<_> = cells.collect();
    cells.dedup();
    assert_eq!(cells, [(10.0, 1.0), (0.0, 2.0), (10.0, 2.0)]);
    assert!(qoslab(folder.path(), &["report", "out"]).status.success());
    fs::write(folder.path().join("design.csv"), "link.sensor.loss\nhalf\n").unwrap();
    let output = qoslab(folder.path(), &table);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("design.csv") && stderr.contains("line 2"), "{stderr}");
}

#[test]
fn a_sweep_is_compared_with_an_earlier_one() {
    let folder = folder();
    assert!(sweep(folder.path(), &["--out", "before"]).status.success());
    let same = sweep(folder.path(), &["--out", "same", "--baseline", "before"]);
    let text = String::from_utf8(same.stdout).unwrap();
    assert!(text.contains("Identical (same trace hash): 42 trials."), "{text}");
    let other = ["--set", "client.sensor.retry=2s", "--out", "other", "--baseline", "before"];
    let text = String::from_utf8(sweep(folder.path(), &other).stdout).unwrap();
    assert!(text.contains("loss 10%, qos 1: 7 trials: qos1.latency.p99:"), "{text}");
    let page = fs::read_to_string(folder.path().join("other/report.html")).unwrap();
    assert!(page.contains("Compared with before"), "the page tells of it too");
    let itself = sweep(folder.path(), &["--out", "before", "--baseline", "before"]);
    assert_eq!(itself.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&itself.stderr).contains("copy its folder first"));
}

#[test]
fn reports_are_written_again_from_the_store_alone() {
    let folder = folder();
    assert!(sweep(folder.path(), &["--out", "whole"]).status.success());
    fs::remove_file(folder.path().join("swept.toml")).unwrap();
    assert!(qoslab(folder.path(), &["report", "whole", "--out", "again"]).status.success());
    let mut whole = files(&folder.path().join("whole"));
    whole.remove(Path::new("trials.store"));
    assert!(files(&folder.path().join("again")) == whole);
    fs::write(folder.path().join("trials.store"), "something else").unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let output = qoslab(folder.path(), &["report", "empty"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("has no results of qoslab"));
    let output = qoslab(folder.path(), &["report", "."]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is no trial store"));
}

#[test]
fn a_precision_ends_a_sweep_early_and_the_same_way_each_time() {
    let folder = folder();
    let vary = ["sweep", "swept.toml", "--vary", "link.sensor.loss=0%,10%", "--seeds", "200"];
    let runs = |out: &str, jobs: &str| {
        let more = ["--precision", "2%", "--out", out, jobs];
        assert!(qoslab(folder.path(), &[&vary[..], &more].concat()).status.success());
        fs::read(folder.path().join(out).join("points.csv")).unwrap()
    };
    assert!(runs("one", "-j1") == runs("two", "-j2"));
    for row in rows(&folder.path().join("one/points.csv")) {
        assert!(number(&row, "runs") < 200.0, "{row:?}");
        let [low, high] =
            ["delivered_share_low95", "delivered_share_high95"].map(|c| number(&row, c));
        assert!(high - low <= 0.04, "{row:?}");
    }
}
