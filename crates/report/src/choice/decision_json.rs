//! The choice as JSON, for programs.

use serde_json::{Value as Json, json};

use super::decision_text::{DecisionText, level_name};
use super::{ChoiceSummary, explanations};
use crate::labels;
use qoslab_study::choose::{
    Candidate, Choice, Confidence, Crossover, CrossoverUnit, Crossovers, NeedJudgement,
    SearchMethod,
};
use qoslab_study::{Study, Verdict};

/// The choice as JSON. Seeds that would settle something are estimates.
#[must_use]
pub fn json(study: &Study, choice: &Choice, flips: &[Crossovers]) -> Vec<u8> {
    let names = DecisionText { study, choice };
    let decision = ChoiceSummary::new(study, choice, flips);
    let rival = choice
        .close_alternative
        .map(|rival| json!({ "option": rival.option, "seeds_to_settle": rival.seeds }));
    let json = json!({
        "caveat": decision.caveat,
        "title": decision.title,
        "best": choice.best,
        "cost": names.cost_note(),
        "rival": rival,
        "reasons": choice.reasons,
        "flips": flips.iter().map(flips_json).collect::<Vec<_>>(),
        "lessons": explanations::explanations(study, choice),
        "options": choice.options.iter().map(|it| option_json(&names, it)).collect::<Vec<_>>(),
    });
    format!("{json:#}\n").into_bytes()
}

fn option_json(names: &DecisionText<'_>, option: &Candidate) -> Json {
    json!({
        "option": names.option(option),
        "qos": option.qos.to_string(),
        "granted": option.granted.map(|granted| granted.to_string()),
        "values": option.values.iter().map(|value| value.text.clone()).collect::<Vec<_>>(),
        "verdict": labels::verdict(option.verdict),
        "meets": option.is_acceptable(),
        "cost": option.cost.value,
        "cost_low95": option.cost.low,
        "cost_high95": option.cost.high,
        "month": option.monthly_cost.map(|month| json!({
            "devices": month.devices,
            "cost": month.cost,
        })),
        "needs": option.needs.iter().map(need_json).collect::<Vec<_>>(),
    })
}

fn need_json(need: &NeedJudgement) -> Json {
    let worst = need.result.worst.as_ref();
    let seeds = match need.confidence {
        Confidence::Undecided { seeds, .. } => seeds,
        _ => None,
    };
    json!({
        "need": need.result.need.text,
        "met": need.result.verdict == Verdict::Holds,
        // JSON knows no infinity: null stands for never and for not measured.
        "value": worst.map(|worst| worst.value.number()),
        "bound": worst.map(|worst| worst.bound),
        "undecided": matches!(need.confidence, Confidence::Undecided { .. }),
        "seeds_to_settle": seeds,
    })
}

fn flips_json(flips: &Crossovers) -> Json {
    let flip = |flip: Option<Crossover>| {
        flip.map(|flip| json!({ "at": flip.at, "choice": flip.choice.map(level_name) }))
    };
    json!({
        "path": flips.path,
        "outage_every_s": flips.outage_every,
        "here": flips.current.map(level_name),
        "below": flip(flips.below),
        "above": flip(flips.above),
        "from": flips.searched_range.0,
        "to": flips.searched_range.1,
        "unit": match flips.unit {
            CrossoverUnit::Percent => "percent",
            CrossoverUnit::Seconds => "seconds",
            CrossoverUnit::Bytes => "bytes",
        },
        "by": match flips.method {
            SearchMethod::ClosedForm => "closed form".to_owned(),
            SearchMethod::Simulation { seeds } => format!("simulation with {seeds} seeds a value"),
        },
    })
}
