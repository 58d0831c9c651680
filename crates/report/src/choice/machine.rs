//! The choice for machines.

use serde_json::{Value as Json, json};

use super::sentences::{Names, level};
use super::{Decision, lessons};
use crate::words;
use qoslab_study::choose::{Candidate, Choice, Doubt, Flip, Flips, Judgement, Means};
use qoslab_study::result::Verdict;
use qoslab_study::sweep::Study;

/// The choice as JSON. Seeds that would settle something are estimates; a loss is in percent.
#[must_use]
pub fn json(study: &Study, choice: &Choice, flips: &[Flips]) -> Vec<u8> {
    let names = Names { study, choice };
    let decision = Decision::of(study, choice, flips);
    let rival =
        choice.rival.map(|rival| json!({ "option": rival.option, "seeds_to_settle": rival.seeds }));
    let json = json!({
        "title": decision.title,
        "best": choice.best,
        "cost": names.cost(),
        "rival": rival,
        "reasons": choice.reasons,
        "flips": flips.iter().map(along).collect::<Vec<_>>(),
        "lessons": lessons::of(study, choice),
        "options": choice.options.iter().map(|it| option(&names, it)).collect::<Vec<_>>(),
    });
    format!("{json:#}\n").into_bytes()
}

fn option(names: &Names<'_>, option: &Candidate) -> Json {
    json!({
        "option": names.option(option),
        "qos": option.qos.to_string(),
        "granted": option.granted.map(|granted| granted.to_string()),
        "values": option.values.iter().map(|value| value.text.clone()).collect::<Vec<_>>(),
        "verdict": words::verdict(option.verdict),
        "meets": option.meets(),
        "cost": option.cost.value,
        "cost_low95": option.cost.low,
        "cost_high95": option.cost.high,
        "month": option.month.map(|month| json!({
            "devices": month.devices,
            "cost": month.cost,
        })),
        "needs": option.needs.iter().map(need).collect::<Vec<_>>(),
    })
}

fn need(need: &Judgement) -> Json {
    let worst = need.result.worst.as_ref();
    let seeds = match need.doubt {
        Doubt::Undecided { seeds, .. } => seeds,
        _ => None,
    };
    json!({
        "need": need.result.need.text,
        "met": need.result.verdict == Verdict::Holds,
        // JSON knows no infinity: null stands for never and for not measured.
        "value": worst.map(|worst| worst.value.number()),
        "bound": worst.map(|worst| worst.bound),
        "undecided": matches!(need.doubt, Doubt::Undecided { .. }),
        "seeds_to_settle": seeds,
    })
}

fn along(flips: &Flips) -> Json {
    let flip = |flip: Option<Flip>| {
        flip.map(|flip| json!({ "at_percent": flip.at, "choice": flip.choice.map(level) }))
    };
    json!({
        "path": flips.path,
        "here": flips.here.map(level),
        "below": flip(flips.below),
        "above": flip(flips.above),
        "from_percent": flips.range.0,
        "to_percent": flips.range.1,
        "by": match flips.means {
            Means::ClosedForm => "closed form".to_owned(),
            Means::Simulation { seeds } => format!("simulation with {seeds} seeds a value"),
        },
    })
}
