//! `qoslab run` in a CI job: reports, known bugs, baselines, annotations on GitHub.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A network that reorders makes QoS 2 deliver twice, and the break is not declared.
const BREAKS: &str = r#"
schema = 1
name   = "breaks"
about  = "::error::not a command"
seeds  = { from = 1, count = 4 }
[[client]]
name = "sensor"
publish = [{ topic = "t", qos = 2, count = 20, every = "30s" }]
[[client]]
name = "dashboard"
subscribe = [{ filter = "t", qos = 2 }]
[[link]]
between = ["sensor", "broker"]
transport = "datagram"
delay   = { time = "1s", jitter = "1s", distribution = "uniform" }
[[link]]
between = ["dashboard", "broker"]
transport = "datagram"
delay   = "1ms"
"#;

const KNOWN: &str = r#"
schema = 1
[[known]]
scenario = "breaks"
promise  = "exactly-once"
kind     = "duplicated"
blame    = "network"
why      = "a late PUBLISH after PUBCOMP is a new message"
url      = "https://example.org/17"
expires  = 2027-03-01
"#;

/// Runs the command in a folder with `breaks.toml` and `known.toml`; its exit code, standard
/// output and standard error.
fn qoslab(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qoslab"));
    command.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_STEP_SUMMARY");
    command.args(arguments).current_dir(folder).envs(variables.iter().copied());
    let output = command.output().expect("the command was built");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("breaks.toml"), BREAKS).unwrap();
    fs::write(folder.path().join("known.toml"), KNOWN).unwrap();
    folder
}

#[test]
fn a_report_has_a_page_charts_numbers_and_a_store_that_draws_them_again() {
    let folder = folder();
    let known = ["--known", "known.toml", "--today", "2027-03-01"];
    let run = [&["run", "breaks.toml", "--out", "out"][..], &known].concat();
    assert_eq!(qoslab(folder.path(), &run, &[]).0, 0);
    let out = folder.path().join("out/breaks");
    let files = ["report.html", "points.csv", "trials.csv", "results.json", "charts/backlog.svg"];
    let before = files.map(|file| fs::read(out.join(file)).unwrap());
    assert_eq!(qoslab(folder.path(), &["report", "out/breaks"], &[]).0, 0);
    assert!(files.map(|file| fs::read(out.join(file)).unwrap()) == before);
    let page = String::from_utf8(before[0].clone()).unwrap();
    assert!(page.contains("qoslab run breaks.toml") && page.contains("<svg"));
    assert!(page.contains("known until 2027-03-01: https://example.org/17"));
}

#[test]
fn a_known_bug_fails_nothing_until_its_day_has_passed_and_hides_no_other() {
    let folder = folder();
    let on = |day: &str| {
        let run = ["run", "breaks.toml", "--known", "known.toml", "--today", day];
        qoslab(folder.path(), &run, &[])
    };
    let (code, stdout, _) = on("2027-03-01");
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("- known break: exactly-once duplicated, blame network:"), "{stdout}");
    let (code, stdout, stderr) = on("2027-03-02");
    assert_eq!(code, 1, "{stdout}");
    assert!(stderr.contains("no longer known since 2027-03-01"), "{stderr}");

    let other = KNOWN.replace("\"duplicated\"", "\"lost\"");
    fs::write(folder.path().join("known.toml"), other).unwrap();
    let (code, stdout, _) = on("2027-03-01");
    assert_eq!(code, 1, "one that is known excuses no other");
    assert!(
        stdout.contains("? known break: exactly-once lost, blame network: not seen"),
        "{stdout}"
    );
}

#[test]
fn a_folder_of_scenarios_may_hold_its_list_of_known_bugs() {
    let folder = folder();
    let run = ["run", ".", "--known", "known.toml", "--today", "2027-01-01"];
    let (code, _, stderr) = qoslab(folder.path(), &run, &[]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_wrong_list_of_known_bugs_is_a_usage_error_at_its_place() {
    let folder = folder();
    let wrong = KNOWN.replace("blame  ", "balme  ").replace("2027-03-01", "\"soon\"");
    fs::write(folder.path().join("known.toml"), wrong).unwrap();
    let run = ["run", "breaks.toml", "--known", "known.toml"];
    let (code, _, stderr) = qoslab(folder.path(), &run, &[]);
    assert_eq!(code, 2);
    assert!(stderr.contains("known.toml:7") && stderr.contains("did you mean `blame`"), "{stderr}");
    assert!(stderr.contains("known.toml:10"), "all at once: {stderr}");
}

#[test]
fn an_inconclusive_run_fails_unless_configured_otherwise() {
    let folder = folder();
    // A loss of one in a million affects none of these few packets.
    let idle = BREAKS.replace("delay   = \"1ms\"", "delay = \"1ms\"\nloss = \"0.0001%\"");
    let idle = idle + "[expect]\nsometimes = [\"loss\"]\n";
    fs::write(folder.path().join("idle.toml"), idle).unwrap();
    let how = |how: &str| {
        let run = ["run", "idle.toml", "--known", "known.toml", "--inconclusive", how];
        let run = [&run[..], &["--today", "2027-01-01"]].concat();
        qoslab(folder.path(), &run, &[("GITHUB_ACTIONS", "true")])
    };
    let (code, stdout, _) = how("fail");
    assert!(code == 3 && stdout.contains("\n::error file=idle.toml"), "{stdout}");
    let (code, stdout, _) = how("warn");
    assert!(code == 0 && stdout.contains("\n::warning file=idle.toml"), "{stdout}");
}

#[test]
fn github_gets_annotations_and_a_summary_and_no_injected_command() {
    let folder = folder();
    let summary = folder.path().join("summary.md");
    fs::write(&summary, "before\n").unwrap();
    let variables =
        [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())];
    let (code, stdout, _) = qoslab(folder.path(), &["run", "breaks.toml"], &variables);
    assert_eq!(code, 1);
    // As the runner reads it: commands begin a line, and are off until the token.
    let mut word = None;
    let mut commands = Vec::new();
    for line in stdout.lines().map(str::trim_start).filter(|line| line.starts_with("::")) {
        match (&word, line.strip_prefix("::stop-commands::")) {
            (None, Some(stop)) => word = Some(format!("::{stop}::")),
            (Some(stop), _) if line == stop => word = None,
            (Some(_), _) => {}
            (None, None) => commands.push(line),
        }
    }
    assert!(stdout.contains("\n  ::error::not a command\n"), "{stdout}");
    assert_eq!(commands.len(), 1, "{commands:?}");
    assert!(commands[0].starts_with("::error file=breaks.toml,line=8,title=breaks%3A qos 2::"));
    let summary = fs::read_to_string(&summary).unwrap();
    assert!(summary.starts_with("before\n# qoslab run\n"), "{summary}");
    assert!(summary.contains("## breaks: violated"), "{summary}");

    // Errors in a file are shown with its lines, on standard error.
    let wrong = BREAKS.replace("count = 20", "count = \"##[error]x\"");
    fs::write(folder.path().join("wrong.toml"), wrong).unwrap();
    let (code, _, stderr) = qoslab(folder.path(), &["run", "wrong.toml"], &variables);
    let (before, _) = stderr.split_once("##[error]x").unwrap();
    assert!(code == 2 && before.contains("::stop-commands::qoslab-"), "{stderr}");
    let sweep = ["sweep", "breaks.toml", "--vary", "client.sensor.retry=1s,5s", "--seeds", "2"];
    let (_, stdout, _) = qoslab(folder.path(), &sweep, &variables);
    let (before, _) = stdout.split_once("::error::not a command").unwrap();
    assert!(before.contains("::stop-commands::qoslab-"), "{stdout}");

    let (_, elsewhere, _) = qoslab(folder.path(), &["run", "breaks.toml"], &[]);
    assert!(!elsewhere.contains("stop-commands") && !elsewhere.contains("::error file"));
}

#[test]
fn a_run_is_compared_with_the_reports_of_an_earlier_one() {
    let folder = folder();
    let run =
        |more: &[&str]| qoslab(folder.path(), &[&["run", "breaks.toml"][..], more].concat(), &[]);
    run(&["--out", "before"]);
    let (code, stdout, _) = run(&["--out", "same", "--baseline", "before"]);
    assert_eq!(code, 1, "a comparison changes no exit code");
    assert!(stdout.contains("Identical (same trace hash): 4 trials."), "{stdout}");
    let changed = ["--set", "client.sensor.retry=5s", "--out", "after", "--baseline", "before"];
    let (code, stdout, _) = run(&changed);
    assert!(code == 0 && stdout.contains("qos 2: 4 trials: qos2.duplicated:"), "{stdout}");
    let more = ["--seeds", "5", "--out", "more", "--baseline", "before"];
    assert!(run(&more).1.contains("4 identical (same trace hash), 1 only here"));

    for (baseline, told) in [("reports-of-nobody", "no folder of these"), ("same", "copy its")] {
        let (code, _, stderr) = run(&["--out", "same", "--baseline", baseline]);
        assert!(code == 2 && stderr.contains(told), "{stderr}");
    }
    fs::write(folder.path().join("before/breaks/trials.store"), "else").unwrap();
    let (code, _, stderr) = run(&["--out", "same", "--baseline", "before"]);
    assert!(code == 2 && stderr.contains("is no trial store"), "{stderr}");
}
