//! The head of the page: the verdict, and all that is needed to reproduce it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Page, verdict_badge};
use crate::{describe, escape, number};
use qoslab_core::base::units::format_count;
use qoslab_sim::EngineKind;
use qoslab_study::scenario::MODEL_VERSION;
use qoslab_study::{PointResult, Study, StudyCell, Verdict};

const STYLE: &str = include_str!("style.css");

/// The page's head. Nothing may be loaded, and no style but this one is applied.
pub(super) fn head(name: &str) -> Markup {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; \
         form-action 'none'"
    );
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            title { (escape::multiline(name)) " · qoslab" }
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// The verdict, the scenario and its facts.
pub(super) fn banner(page: &Page, middle: &StudyCell) -> Markup {
    let scenario = &middle.result.scenario;
    let verdict = worst_verdict(page.study);
    let rules = describe::scenario_properties(scenario);
    let facts = [
        ("Seeds", seeds(page.study)),
        ("MQTT", rules.mqtt),
        ("Transport", rules.transport),
        ("Retry rule", rules.retry),
        ("Version", version(page.study)),
        ("Trace hash", format!("{:016x}", trace_hash(page.study))),
    ];
    html! {
        header {
            p.kind { "qoslab report" }
            h1 { (escape::multiline(&scenario.name)) }
            @if !scenario.about.is_empty() { p.about { (escape::multiline(&scenario.about)) } }
            p.verdict {
                (verdict_badge(verdict)) " " strong { (verdict_sentence(page.study, verdict)) }
            }
            dl.facts {
                @for (name, fact) in facts { div { dt { (name) } dd { (fact) } } }
                div.wide {
                    dt { "Command" }
                    dd { code.command { (escape::multiline(page.command)) } }
                }
            }
        }
    }
}

/// The version, and the engine unless it is the default one.
fn version(study: &Study) -> String {
    let version = format!("qoslab {}, model {MODEL_VERSION}", env!("CARGO_PKG_VERSION"));
    if study.engine() == EngineKind::default() {
        return version;
    }
    format!("{version}, {} engine", study.engine().name())
}

/// The worst verdict of all cells.
fn worst_verdict(study: &Study) -> Verdict {
    study.cells.iter().map(|cell| cell_verdict(study, cell)).max().unwrap_or(Verdict::Inconclusive)
}

/// The status of a cell. Unmet needs are a result of a sweep, not a failure.
fn cell_verdict(study: &Study, cell: &StudyCell) -> Verdict {
    if study.axes.is_empty() {
        return cell.result.verdict;
    }
    let points = cell.result.points.iter().map(PointResult::verdict);
    points.max().unwrap_or(Verdict::Inconclusive)
}

fn verdict_sentence(study: &Study, verdict: Verdict) -> String {
    let runs = study.cells.iter().map(|cell| cell.result.finished as u64).sum();
    let planned = study.cells.iter().map(|cell| cell.result.planned as u64).sum::<u64>();
    let runs = if runs < planned {
        format!("{} of {} (interrupted)", format_count(runs), number::counted(planned, "run"))
    } else {
        number::counted(runs, "run")
    };
    let conclusion = match verdict {
        Verdict::Holds if !study.axes.is_empty() => "Every promise holds",
        Verdict::Holds => "Every promise and need holds",
        Verdict::Inconclusive => "Nothing is broken, and not everything is proved",
        Verdict::Violated if !study.axes.is_empty() => "A promise or rule is broken",
        Verdict::Violated => "A promise or rule is broken, or a need is not met",
        Verdict::NotDeterministic => "A trial was not the same the second time",
        Verdict::Bug => "qoslab itself has a bug",
    };
    let failing =
        study.cells.iter().filter(|cell| cell_verdict(study, cell) != Verdict::Holds).count();
    let cells = study.cells.len() as u64;
    if study.axes.is_empty() {
        format!("{conclusion}, over {runs}.")
    } else if failing == 0 {
        format!("{conclusion}, in all {} over {runs}.", number::counted(cells, "cell"))
    } else {
        let failing = format_count(failing as u64);
        format!("{conclusion}, in {failing} of {} over {runs}.", number::counted(cells, "cell"))
    }
}

fn seeds(study: &Study) -> String {
    let trials = || study.points().flat_map(|(_, point)| &point.trials);
    let (first, last) = (trials().map(|it| it.seed).min(), trials().map(|it| it.seed).max());
    match (first, last) {
        (Some(first), Some(last)) if first == last => first.to_string(),
        (Some(first), Some(last)) => format!("{first} to {last}, for each point"),
        _ => "none".to_owned(),
    }
}

/// One hash over all points, in their order.
fn trace_hash(study: &Study) -> u64 {
    let hashes = study.points().map(|(_, point)| PointResult::trace_hash(point));
    hashes.fold(0, |all, hash| xxh3_64_with_seed(&hash.to_le_bytes(), all))
}
