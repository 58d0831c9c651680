//! Features that a build may leave out: where one is on, its option does what it says; where it is
//! off, the option says how to get it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;
use std::process::{Command, Output};

fn sweep(out: &Path, option: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qoslab"))
        .args(["sweep", "scenarios/lossy-uplink.toml", "--vary", "link.sensor.loss=0%,10%"])
        .args(["--seeds", "2", "-q", "--out"])
        .arg(out)
        .args(option)
        .output()
        .unwrap()
}

/// Runs the sweep with the option and a feature that is off.
#[cfg(not(all(feature = "png", feature = "parquet", feature = "turmoil")))]
fn assert_needs_feature(option: &[&str], feature: &str) {
    let out = tempfile::tempdir().unwrap();
    let run = sweep(out.path(), option);
    let error = String::from_utf8(run.stderr).unwrap();
    let option = option.join(" ");
    let shown = option.trim_end_matches(" points.parquet");
    let start = format!(
        "error: `{shown}` needs the feature `{feature}`, which this program was built without\n\n  \
         tip: build it with `cargo build --release --features {feature}`\n"
    );
    assert!(error.starts_with(&start), "{error}");
    assert_eq!(run.status.code(), Some(2), "{error}");
}

#[cfg(not(feature = "png"))]
#[test]
fn png_is_refused_without_its_feature() {
    assert_needs_feature(&["--png"], "png");
}

#[cfg(feature = "png")]
#[test]
fn png_draws_each_chart_of_a_sweep_as_a_picture() {
    let out = tempfile::tempdir().unwrap();
    assert_eq!(sweep(out.path(), &["--png"]).status.code(), Some(0));
    let names: Vec<_> = std::fs::read_dir(out.path().join("charts"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let drawings: Vec<_> = names.iter().filter(|path| path.extension().unwrap() == "svg").collect();
    assert!(!drawings.is_empty(), "{names:?}");
    for drawing in drawings {
        let picture = std::fs::read(drawing.with_extension("png")).unwrap();
        assert_eq!(picture[..8], *b"\x89PNG\r\n\x1a\n", "{}", drawing.display());
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_is_refused_without_its_feature() {
    assert_needs_feature(&["--export-parquet", "points.parquet"], "parquet");
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_is_written_beside_the_other_files() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("points.parquet");
    assert_eq!(
        sweep(out.path(), &["--export-parquet", file.to_str().unwrap()]).status.code(),
        Some(0)
    );
    let table = std::fs::read(file).unwrap();
    assert!(table.starts_with(b"PAR1") && table.ends_with(b"PAR1"), "{} bytes", table.len());
}

#[cfg(not(feature = "turmoil"))]
#[test]
fn the_turmoil_engine_is_refused_without_its_feature() {
    assert_needs_feature(&["--engine", "turmoil"], "turmoil");
}
