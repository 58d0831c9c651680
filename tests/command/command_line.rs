//! The command from a user's point of view: a process with arguments, files and an exit code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");

/// Runs the command in a folder of its own.
fn qoslab(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qoslab"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("CLICOLOR_FORCE")
        .output()
        .expect("the command was built")
}

/// Returns exit code, standard output and standard error.
fn run_in_empty_folder(arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    exit_and_output(&qoslab(folder.path(), arguments))
}

fn exit_and_output(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn shipped(name: &str) -> String {
    format!("{SHIPPED}/{name}.toml")
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let file = shipped("clean-lan");
    for arguments in [
        vec!["run"],
        vec!["walk"],
        vec!["run", &file, "--seeds", "0"],
        vec!["run", &file, "--seeds", "5..3"],
        vec!["run", &file, "--qos", "3"],
        vec!["run", &file, "--jobs", "0"],
        vec!["run", &file, "--seeds", "4000000000"],
        vec!["run", &file, "--junit", "same", "--export-csv", "same"],
        vec!["run", &file, "--trial", "not-hex"],
        vec!["run", &file, "--seed", "1", "--seeds", "2"],
    ] {
        let (code, stdout, stderr) = run_in_empty_folder(&arguments);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(stdout.is_empty() && stderr.contains("error"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn unreadable_files_are_named() {
    let (code, _, stderr) = run_in_empty_folder(&["run", "missing.toml"]);
    assert!(code == 2 && stderr.contains("missing.toml"), "{stderr}");

    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let (code, _, stderr) = exit_and_output(&qoslab(folder.path(), &["run", "empty"]));
    assert!(code == 2 && stderr.contains("empty"), "{stderr}");

    let text = fs::read_to_string(shipped("clean-lan")).unwrap();
    fs::write(folder.path().join("slip.toml"), text.replace("about", "abuot")).unwrap();
    for command in ["run", "check"] {
        let (code, _, stderr) = exit_and_output(&qoslab(folder.path(), &[command, "slip.toml"]));
        assert!(code == 2 && stderr.contains("abuot") && stderr.contains("slip.toml"), "{stderr}");
    }
    assert!(!folder.path().join("reports").exists());
}

#[test]
fn unwritable_files_fail_before_the_run() {
    let file = shipped("clean-lan");
    for flag in ["--export-csv", "--export-json", "--export-markdown", "--junit"] {
        let (code, _, stderr) = run_in_empty_folder(&["run", &file, flag, "missing/file"]);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("missing/file") && !stderr.contains("Starting"), "{stderr}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("reports"), "a file in the way").unwrap();
    let (code, _, stderr) = exit_and_output(&qoslab(folder.path(), &["run", &file]));
    assert!(code == 2 && !stderr.contains("Starting"), "{stderr}");
}

#[test]
fn a_selection_without_trials_has_its_own_code() {
    let (code, _, stderr) = run_in_empty_folder(&["run", &shipped("reordering"), "--qos", "0"]);
    assert!(code == 4 && stderr.contains("no trial is selected"), "{stderr}");
    let arguments = ["run", &shipped("clean-lan"), "--seeds", "1", "--trial", "00000000"];
    let (code, _, stderr) = run_in_empty_folder(&arguments);
    assert!(code == 4 && stderr.contains("00000000"), "{stderr}");
}

#[test]
fn two_scenarios_of_one_name_are_refused_and_both_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one.toml", "two.toml"] {
        fs::copy(shipped("clean-lan"), folder.path().join(name)).unwrap();
    }
    let (code, _, stderr) = exit_and_output(&qoslab(folder.path(), &["run", "."]));
    assert!(code == 2 && stderr.contains("one.toml") && stderr.contains("two.toml"), "{stderr}");
    assert!(!folder.path().join("reports").exists());
}

/// The network of `clean-lan`.
const LAN: &str = "preset    = \"lan\"";

#[test]
fn bursts_too_short_to_simulate_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let loss = r#"delay = "1ms"
loss = { burst = { good = "1ns", bad = "1ns", loss = "90%" } }"#;
    let text = fs::read_to_string(shipped("clean-lan")).unwrap();
    assert!(text.contains(LAN));
    let text = text.replace(LAN, loss);
    fs::write(folder.path().join("tiny.toml"), text).unwrap();
    let (code, _, stderr) = exit_and_output(&qoslab(folder.path(), &["run", "tiny.toml"]));
    assert!(code == 2 && stderr.contains("--max-events"), "{stderr}");
    let (code, stdout, _) = exit_and_output(&qoslab(folder.path(), &["check", "tiny.toml"]));
    assert!(code == 0 && stdout.contains("too large to run as it is"), "{stdout}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_finished_and_says_that_it_is_partial() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(shipped("clean-lan")).unwrap();
    let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
    write("short.toml", &text.replace("count = 100", "count = 2"));
    let long = text.replace("count = 100", "count = 300000").replace("clean-lan", "long");
    write("with-long-runs.toml", &long);
    let mut child = Command::new(env!("CARGO_BIN_EXE_qoslab"))
        .args(["run", "short.toml", "with-long-runs.toml", "--export-csv", "points.csv"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("PASS") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended before the first scenario");
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.unwrap().success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let (code, stdout, _) = exit_and_output(&child.wait_with_output().unwrap());
    assert_eq!(code, 130, "{rest}");
    assert!(rest.contains("interrupted") && rest.contains("Summary"), "{rest}");
    let finished = folder.path().join("reports/clean-lan/trials.csv");
    assert_eq!(fs::read_to_string(finished).unwrap().lines().count(), 1 + 3 * 2);
    // The signal may come before the second scenario or in the midst of it.
    if stdout.contains("\nlong\n") {
        assert!(stdout.contains("  partial: "), "{stdout}");
        let json = fs::read_to_string(folder.path().join("reports/long/results.json")).unwrap();
        assert!(json.contains("\"partial\": true"), "{json}");
        let csv = fs::read_to_string(folder.path().join("reports/long/trials.csv")).unwrap();
        assert!(csv.lines().skip(1).all(|line| line.contains(",true,")), "{csv}");
    } else {
        assert!(rest.contains("1 scenario not run: interrupted"), "{rest}");
    }
}

#[test]
fn too_large_a_scenario_is_refused() {
    let (code, _, stderr) =
        run_in_empty_folder(&["run", &shipped("clean-lan"), "--max-events", "10"]);
    assert!(code == 2 && stderr.contains("--max-events"), "{stderr}");
}

#[test]
fn every_shipped_scenario_holds() {
    let (code, stdout, stderr) = run_in_empty_folder(&["run", SHIPPED, "--seeds", "10"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(!stdout.contains('\x1b') && stderr.contains("passed"), "{stdout}{stderr}");
}

#[test]
fn files_and_output_are_the_same_for_any_number_of_jobs() {
    let run = |jobs| {
        let folder = tempfile::tempdir().unwrap();
        let files = ["points.csv", "all.json", "tables.md", "junit.xml"];
        let output = qoslab(
            folder.path(),
            &[
                "run",
                &shipped("lossy-uplink"),
                &shipped("reordering"),
                "--seeds",
                "12",
                "--jobs",
                jobs,
                "--export-csv",
                files[0],
                "--export-json",
                files[1],
                "--export-markdown",
                files[2],
                "--junit",
                files[3],
            ],
        );
        assert!(output.status.success(), "{output:?}");
        let reports = ["lossy-uplink", "reordering"].into_iter().flat_map(|name| {
            ["results.json", "trials.csv"].map(|file| format!("reports/{name}/{file}"))
        });
        let all = files.map(str::to_owned).into_iter().chain(reports);
        let read = |name: String| fs::read(folder.path().join(&name)).expect("it was written");
        (output.stdout, all.map(read).collect::<Vec<_>>())
    };
    assert!(run("1") == run("2"), "outputs differ");
}

#[test]
fn reordering_without_its_declared_break_fails_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(shipped("reordering")).unwrap();
    let declared = text.find("[[expect.broken]]").expect("it declares a break");
    fs::write(folder.path().join("undeclared.toml"), &text[..declared]).unwrap();
    let run = |more: &[&str]| {
        exit_and_output(&qoslab(
            folder.path(),
            &[&["run", "undeclared.toml", "--seeds", "3"], more].concat(),
        ))
    };
    let (code, stdout, stderr) = run(&[]);
    assert_eq!(code, 1, "{stdout}{stderr}");
    for text in
        ["exactly-once broken", "delivered twice", "blame: network", "reproduce: qoslab run"]
    {
        assert!(stdout.contains(text), "no `{text}` in {stdout}");
    }
    let command = stdout.lines().find_map(|line| line.trim().strip_prefix("reproduce: qoslab "));
    let again: Vec<&str> = command.unwrap().split(' ').collect();
    let (code, again, stderr) = exit_and_output(&qoslab(folder.path(), &again));
    assert!(code == 1 && again.contains("exactly-once broken"), "{again}{stderr}");
}

#[test]
fn the_schema_and_the_defaults_can_be_printed() {
    let (code, schema, _) = run_in_empty_folder(&["schema"]);
    assert!(code == 0 && schema.starts_with('{'), "{schema}");
    let (code, shown, _) = run_in_empty_folder(&["check", "--show", &shipped("clean-lan")]);
    assert!(code == 0 && shown.contains("deadline"), "{shown}");
    let (code, checked, _) = run_in_empty_folder(&["check", SHIPPED]);
    assert!(code == 0 && checked.contains("ok, 3 points x"), "{checked}");
    assert!(checked.contains("ok, 1 point x"), "{checked}");
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_and_a_full_disk_are_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let shell = |redirect: &str| {
        let command = format!(
            "{} run {} --seeds 2 {redirect}",
            env!("CARGO_BIN_EXE_qoslab"),
            shipped("clean-lan")
        );
        exit_and_output(
            &Command::new("sh").args(["-c", &command]).current_dir(&folder).output().unwrap(),
        )
    };
    let (_, _, stderr) = shell("| true");
    assert!(!stderr.contains("panicked") && stderr.contains("Summary"), "{stderr}");
    if Path::new("/dev/full").exists() {
        let (code, _, stderr) = shell("> /dev/full");
        assert!(code == 2 && stderr.contains("failed to write standard output"), "{stderr}");
    }
}

#[test]
fn a_warning_is_shown_with_its_place_and_changes_no_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(shipped("clean-lan")).unwrap();
    let text = text.replacen("schema = 1", "schema = 1\nmqtt = \"5.0\"", 1);
    let text = text.replacen("[[client]]", "[[client]]\nretry = \"1s\"", 1);
    fs::write(folder.path().join("timer.toml"), text).unwrap();
    for command in [vec!["check", "timer.toml"], vec!["run", "timer.toml", "--seeds", "1"]] {
        let (code, stdout, stderr) = exit_and_output(&qoslab(folder.path(), &command));
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains("warning: MQTT 5.0 forbids"), "{stderr}");
        assert!(stderr.contains("timer.toml:") && stderr.contains("[MQTT-4.4.0-1]"), "{stderr}");
        assert!(!stdout.contains("warning"), "{stdout}");
    }
}

#[test]
fn a_quirk_in_its_bug_scenario_is_reported_with_promise_rule_and_blame() {
    let name = "bugs/03-publish-replayed-after-pubrel";
    let (code, stdout, stderr) = run_in_empty_folder(&["run", &shipped(name)]);
    assert_eq!(code, 0, "{stdout}{stderr}");

    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(shipped(name)).unwrap();
    let quirk = "name = \"meter\"\nquirks = [\"replay_publish_after_pubrel\"]";
    fs::write(folder.path().join("q.toml"), text.replace("name = \"meter\"", quirk)).unwrap();
    let (code, stdout, stderr) =
        exit_and_output(&qoslab(folder.path(), &["run", "q.toml", "--seed", "1"]));
    let output = format!("{stdout}{stderr}");
    assert_eq!(code, 1, "{output}");
    let words = output.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "meter: quirks replay_publish_after_pubrel",
        "exactly-once broken: message #4 of `meter` delivered twice to `app`",
        "blame: publisher, MUST [MQTT-4.3.3-6]: meter sent a PUBLISH again after its PUBREL",
    ] {
        assert!(words.contains(part), "no `{part}` in: {output}");
    }
}

#[test]
fn expectations_made_impossible_by_settings_give_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(shipped("clean-lan")).unwrap();
    // A preset's queue could drop a packet too.
    assert!(text.contains(LAN));
    let lossy = text.replace(LAN, "delay = \"1ms\"\nloss = \"5%\"");
    let lossy = lossy.replace("[expect]", "[expect]\nsometimes = [\"loss\"]");
    fs::write(folder.path().join("lossy.toml"), lossy).unwrap();
    let run = |more: &[&str]| {
        let run = ["run", "lossy.toml", "--seeds", "2"];
        exit_and_output(&qoslab(folder.path(), &[&run, more].concat()))
    };
    let (_, stdout, stderr) = run(&[]);
    assert!(stdout.contains("✓ sometimes: loss"), "{stdout}{stderr}");
    let (_, stdout, stderr) = run(&["--set", "link.*.loss=0%"]);
    assert!(!stdout.contains("sometimes"), "{stdout}");
    assert!(stderr.contains("`loss` can never happen here"), "{stderr}");
}
