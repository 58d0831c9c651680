//! Options whose feature was left out of the build say how to get it. Each test is compiled where
//! its feature is off.

#![cfg(not(all(feature = "png", feature = "parquet", feature = "turmoil")))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

fn assert_needs_feature(option: &str, feature: &str) {
    let scenario = ["sweep", "scenarios/lossy-uplink.toml", "--vary", "link.sensor.loss=0%,10%"];
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_qoslab"))
        .args(scenario.into_iter().chain(option.split(' ')))
        .output()
        .unwrap();
    let error = String::from_utf8(run.stderr).unwrap();
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
    assert_needs_feature("--png", "png");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_is_refused_without_its_feature() {
    assert_needs_feature("--export-parquet points.parquet", "parquet");
}

#[cfg(not(feature = "turmoil"))]
#[test]
fn the_turmoil_engine_is_refused_without_its_feature() {
    assert_needs_feature("--engine turmoil", "turmoil");
}
