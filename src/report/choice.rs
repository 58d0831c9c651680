//! A choice in words: the answer first, then why, beside what, and how sure.

use serde_json::{Value as Json, json};

use super::{escape, number};
use crate::base::units::format_count;
use crate::study::choose::{Candidate, Choice, Doubt, Objective};

/// What was chosen, in words and with a table. Its texts are not escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The decision in one sentence.
    pub title: String,
    /// Why.
    pub paragraphs: Vec<String>,
    /// The columns of the table.
    pub header: Vec<String>,
    /// What was compared, a row each.
    pub rows: Vec<Vec<String>>,
}

impl Decision {
    /// The words for a choice.
    #[must_use]
    pub fn of(choice: &Choice) -> Self {
        let best = choice.best.map(|at| &choice.options[at]);
        let title = best.map_or_else(
            || "No QoS meets all needs.".to_owned(),
            |best| format!("Choose {}.", name(best)),
        );
        let cost = best.map_or(f64::NAN, |best| best.cost.value);
        let mut paragraphs = vec![why(choice, best)];
        paragraphs.extend(choice.reasons.iter().cloned());
        paragraphs.extend(best.and_then(certainty));
        paragraphs.push(format!(
            "Cost is {}. Numbers are of what the scenario assumes, and hold for it only.",
            words(choice.objective)
        ));
        let row = |option: &Candidate| {
            let missed: Vec<&str> =
                option.missed().map(|need| need.result.need.text.as_str()).collect();
            let misses = match (option.sound, missed.is_empty()) {
                (false, _) => "not reliable".to_owned(),
                (true, true) => "meets all".to_owned(),
                (true, false) => missed.join(", "),
            };
            let times = option.cost.value / cost;
            let times = if times.is_finite() { format!("{times:.2} x") } else { "-".to_owned() };
            vec![name(option), plain(option.cost.value), times, misses]
        };
        Self {
            title,
            paragraphs,
            header: ["option", "cost", "relative", "misses"].map(str::to_owned).to_vec(),
            rows: choice.options.iter().map(row).collect(),
        }
    }
}

/// The text for a terminal, in 80 columns but for the table's last column; escaped.
#[must_use]
pub fn text(choice: &Choice) -> String {
    let decision = Decision::of(choice);
    let mut text = format!("{}\n", escape::terminal(&decision.title));
    for paragraph in &decision.paragraphs {
        text.push('\n');
        wrap(&escape::terminal(paragraph), &mut text);
    }
    text.push('\n');
    let rows = || std::iter::once(&decision.header).chain(&decision.rows);
    let width = |at: usize| rows().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    for row in rows() {
        let cells: Vec<_> = row.iter().map(|cell| escape::terminal(cell)).collect();
        text.push_str(&format!(
            "{:<a$}  {:>b$}  {:>c$}  {}\n",
            cells[0],
            cells[1],
            cells[2],
            cells[3],
            a = widths[0],
            b = widths[1],
            c = widths[2],
        ));
    }
    text
}

/// The choice for machines.
#[must_use]
pub fn json(choice: &Choice) -> Vec<u8> {
    let option = |option: &Candidate| -> Json {
        let need = |need: &crate::study::choose::Judgement| {
            let worst = need.result.worst.as_ref();
            json!({
                "need": need.result.need.text,
                "met": need.result.verdict == crate::study::result::Verdict::Holds,
                // JSON knows no infinity: null stands for never and for not measured.
                "value": worst.map(|worst| worst.value.number()),
                "bound": worst.map(|worst| worst.bound),
                "undecided": matches!(need.doubt, Doubt::Undecided(_)),
            })
        };
        json!({
            "option": name(option),
            "qos": option.qos.to_string(),
            "values": option.values.iter().map(|value| value.text.clone()).collect::<Vec<_>>(),
            "meets": option.meets(),
            "cost": option.cost.value,
            "cost_low95": option.cost.low,
            "cost_high95": option.cost.high,
            "needs": option.needs.iter().map(need).collect::<Vec<_>>(),
        })
    };
    let json = json!({
        "best": choice.best,
        "cost": words(choice.objective),
        "reasons": choice.reasons,
        "options": choice.options.iter().map(option).collect::<Vec<_>>(),
    });
    format!("{json:#}\n").into_bytes()
}

fn name(option: &Candidate) -> String {
    let values: Vec<&str> = option.values.iter().map(|value| value.text.as_str()).collect();
    let at = if values.is_empty() { String::new() } else { format!(" at {}", values.join(", ")) };
    format!("QoS {}{at}", option.qos)
}

fn why(choice: &Choice, best: Option<&Candidate>) -> String {
    if let Some(best) = best {
        let cheaper: Vec<String> = choice
            .options
            .iter()
            .filter(|option| option.cost.value < best.cost.value)
            .map(|option| format!("{} is cheaper but {}", name(option), misses(option)))
            .collect();
        let cheapest = "It meets all needs at the least cost.".to_owned();
        return if cheaper.is_empty() {
            cheapest
        } else {
            format!("{cheapest} {}.", cheaper.join("; "))
        };
    }
    let each = choice.options.iter().map(|option| format!("{} {}", name(option), misses(option)));
    format!("{}.", each.collect::<Vec<_>>().join("; "))
}

fn misses(option: &Candidate) -> String {
    let missed = option.missed().map(|need| {
        let result = &need.result;
        let measured = result.worst.as_ref();
        let found = measured.map_or("nothing".to_owned(), |it| number::measured(&result.need, it));
        format!("misses `{}` with {found}", result.need.text)
    });
    let mut missed: Vec<String> = missed.collect();
    if !option.sound {
        missed.push("has trials that prove nothing".to_owned());
    }
    missed.join(" and ")
}

fn certainty(best: &Candidate) -> Option<String> {
    let sure = best.needs.iter().map(|need| {
        let text = &need.result.need.text;
        match need.doubt {
            Doubt::Settled(_) => format!("`{text}` is clear of its bound at 95 %."),
            Doubt::Undecided(_) => {
                format!(
                    "`{text}` is met, but its bound is within the 95 % interval: use more seeds."
                )
            }
            Doubt::NoneOf(units, most) => format!(
                "`{text}`: 0 of {}, which proves at most {} at 95 %.",
                format_count(units),
                number::percent_bound(most)
            ),
            Doubt::Unknown => format!("`{text}` is met by these runs; it has no interval."),
        }
    });
    let sure: Vec<String> = sure.collect();
    (!sure.is_empty()).then(|| sure.join(" "))
}

const fn words(objective: Objective) -> &'static str {
    match objective {
        Objective::Packets => "message packets for each message, both hops, resends included",
        Objective::Bytes => {
            "wire bytes of all clients for each message, keep alive and connecting included"
        }
        Objective::Energy => "joules of all clients' radios for each message",
    }
}

fn plain(cost: f64) -> String {
    number::value(crate::study::needs::Value::Number(cost))
}

fn wrap(paragraph: &str, text: &mut String) {
    let mut column = 0;
    for word in paragraph.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > 80 {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
}
