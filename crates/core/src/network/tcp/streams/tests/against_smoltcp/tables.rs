//! The tables of `docs/smoltcp.md`.

use std::fmt::Write as _;

use super::*;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/smoltcp.md");
const MARKER: &str = "<!-- The tables are written by `cargo test -p qoslab-core smoltcp`. -->\n";

/// Run with `QOSLAB_UPDATE=1` to write the tables anew.
#[test]
fn the_tables_on_the_page_are_what_both_do() {
    let page = std::fs::read_to_string(PAGE).expect("docs/smoltcp.md is shipped");
    let (prose, _) = page.split_once(MARKER).expect("the page says where its tables begin");
    let all = [undisturbed(), one_lost(), random_loss(), outages(), trickles()];
    let fresh = format!("{prose}{MARKER}{}", all.concat());
    if std::env::var_os("QOSLAB_UPDATE").is_some() {
        std::fs::write(PAGE, &fresh).expect("the page can be written");
    }
    assert!(page == fresh, "docs/smoltcp.md is stale: run this test with QOSLAB_UPDATE=1");
}

fn undisturbed() -> String {
    let mut out = String::from(
        "\n## Without loss\n\n\
         | line | delay | queue | closed form | Reno: smoltcp | ours | CUBIC: smoltcp | ours |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for path in paths() {
        let line = path.line(0.0);
        let [reno, cubic] = both_rules(|rule| bulk(1, &line, rule, &[]));
        let queue = path.queue.map_or("none".into(), |queue| queue.to_string());
        let expected = seconds(path.undisturbed().0);
        writeln!(out, "{} | {queue} | {expected} |{reno}{cubic}", way(path)).unwrap();
    }
    out
}

fn one_lost() -> String {
    let mut out = String::from(
        "\n## One lost segment\n\n\
         | line | delay | which of 300 | Reno: smoltcp | ours | CUBIC: smoltcp | ours |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for path in wide_paths() {
        for lost in ONE_LOST.into_iter().chain([LAST_LOST]) {
            let line = path.line(0.0);
            let [reno, cubic] = both_rules(|rule| bulk(1, &line, rule, &[lost]));
            writeln!(out, "{} | {} |{reno}{cubic}", way(path), lost + 1).unwrap();
        }
    }
    out
}

fn random_loss() -> String {
    let mut out = format!(
        "\n## Random loss\n\nThe mean of {SEEDS} seeds; where there is a rate, the queue has room \
         for 100.\n\n\
         | line | delay | loss | Reno: smoltcp | ours | CUBIC: smoltcp | ours |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for path in lossy_paths() {
        for loss in SHARES_LOST {
            let line = path.line(loss);
            let [reno, cubic] = both_rules(|rule| mean_bulk(&line, rule));
            writeln!(out, "{} | {:.0} % |{reno}{cubic}", way(path), loss * 100.0).unwrap();
        }
    }
    out
}

fn outages() -> String {
    let mut out = String::from(
        "\n## Outages\n\nOne message, written as the link goes down; 40 ms each way.\n\n\
         | outage | smoltcp | ours | sent by smoltcp | by ours |\n|---|---|---|---|---|\n",
    );
    for outage in OUTAGES_MS.map(Span::from_millis) {
        let (times, [smoltcp, own]) = over_an_outage(outage);
        let outage = seconds(outage);
        writeln!(out, "| {outage} |{} {smoltcp} | {own} |", columns(times)).unwrap();
    }
    out
}

fn trickles() -> String {
    let mut out = String::from(
        "\n## Trickles\n\nRuns of 600 messages of 80 bytes, 40 ms each way: how late they come in \
         the mean; under loss, of 20 runs.\n\n\
         | every | Nagle | loss | smoltcp | ours |\n|---|---|---|---|---|\n",
    );
    for (every, nagle) in TRICKLES {
        for loss in [0.0].into_iter().chain(SHARES_LOST) {
            let times = columns(mean_lateness(loss, every, nagle));
            let nagle = if nagle { "on" } else { "off" };
            writeln!(out, "| {every} ms | {nagle} | {:.0} % |{times}", loss * 100.0).unwrap();
        }
    }
    out
}

fn both_rules(transfer: impl Fn(CongestionControl) -> Times) -> [String; 2] {
    [CongestionControl::Reno, CongestionControl::Cubic].map(|rule| columns(transfer(rule)))
}

fn columns(Times { smoltcp, own }: Times) -> String {
    format!(" {} | {} |", seconds(smoltcp), seconds(own))
}

/// A table's first two columns.
fn way(Path { rate, delay_ms, .. }: Path) -> String {
    let rate = rate.map_or("no limit".into(), |rate| format!("{} kbit/s", rate / 1_000));
    format!("| {rate} | {delay_ms} ms")
}

fn seconds(span: Span) -> String {
    format!("{:.3} s", span.as_secs_f64())
}
