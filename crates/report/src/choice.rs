//! A choice in words: the answer first, then the reasons, the confidence, where the choice would
//! change, and the requirements that no QoS can meet.

mod decision_json;
mod decision_text;
mod explanations;

pub use decision_json::json;

use super::number::format_amount;
use super::{describe, escape};
use decision_text::DecisionText;

use qoslab_study::Study;
use qoslab_study::choose::{Candidate, Choice, Crossovers, Objective};

/// The columns of a terminal.
const WIDTH: usize = 80;
/// The maximum number of options that a terminal shows.
const MAX_ROWS: usize = 12;

/// The choice in words and as a table. Its texts are not escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChoiceSummary {
    /// What stands above the decision: that these runs put no QoS to the test.
    pub caveat: Option<&'static str>,
    /// The decision in one sentence.
    pub title: String,
    /// The reasons.
    pub paragraphs: Vec<String>,
    /// The columns of the table.
    pub header: Vec<String>,
    /// The options that were compared, a row each.
    pub rows: Vec<Vec<String>>,
}

impl ChoiceSummary {
    /// The words for a choice of a study, with where it would change.
    #[must_use]
    pub fn new(study: &Study, choice: &Choice, flips: &[Crossovers]) -> Self {
        let names = DecisionText { study, choice };
        let best = choice.best.map(|at| &choice.options[at]);
        let title = best.map_or_else(
            || "No QoS meets all needs.".to_owned(),
            |best| format!("Choose {}.", names.option(best)),
        );
        let mut paragraphs = vec![names.comparison()];
        paragraphs.extend(choice.reasons.iter().cloned());
        paragraphs.extend([names.certainty(), names.flips(flips)]);
        paragraphs.push(explanations::explanations(study, choice).join(" "));
        paragraphs.push(names.cost_note());
        paragraphs.push(names.accounts());
        paragraphs.retain(|paragraph| !paragraph.is_empty());
        let has_month = matches!(choice.objective, Objective::Money { .. });
        let mut header = vec!["option", "cost", "relative"];
        header.extend(has_month.then_some("a month"));
        header.push("misses");
        let row = |option: &Candidate| {
            let mut row = vec![names.option(option), format_amount(option.cost.value)];
            row.push(best.map_or_else(
                || "-".to_owned(),
                |best| format!("{:.2} x", option.cost.value / best.cost.value),
            ));
            if has_month {
                let month = option.monthly_cost.map(|month| format_amount(month.cost));
                row.push(month.unwrap_or_else(|| "-".to_owned()));
            }
            row.push(decision_text::missed_summary(option));
            row
        };
        Self {
            caveat: study.is_delivery_untested().then_some(describe::DELIVERY_UNTESTED),
            title,
            paragraphs,
            header: header.into_iter().map(str::to_owned).collect(),
            rows: choice.options.iter().map(row).collect(),
        }
    }

    /// The text for a terminal, in 80 columns; escaped.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(caveat) = self.caveat {
            wrap(caveat, &mut text);
            text.push('\n');
        }
        text += &format!("{}\n", escape::terminal(&self.title));
        for paragraph in &self.paragraphs {
            text.push('\n');
            wrap(&escape::terminal(paragraph), &mut text);
        }
        text.push('\n');
        let rows = self.rows.iter().take(MAX_ROWS);
        let rows: Vec<Vec<String>> = std::iter::once(&self.header)
            .chain(rows)
            .map(|row| row.iter().map(|cell| escape::terminal(cell).into_owned()).collect())
            .collect();
        let last = self.header.len() - 1;
        let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..last).map(width).collect();
        for row in &rows {
            let mut line = format!("{:<width$}", row[0], width = widths[0]);
            for (cell, width) in row[1..last].iter().zip(&widths[1..]) {
                line.push_str(&format!("  {cell:>width$}"));
            }
            line.push_str(&format!("  {}", row[last]));
            if line.chars().count() > WIDTH {
                line = line.chars().take(WIDTH - 1).chain(['…']).collect();
            }
            text.push_str(&line);
            text.push('\n');
        }
        if self.rows.len() > MAX_ROWS {
            let more = self.rows.len() - MAX_ROWS;
            text.push_str(&format!("and {more} more, in report.html\n"));
        }
        text
    }
}

fn wrap(paragraph: &str, text: &mut String) {
    let mut column = 0;
    for word in paragraph.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
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

/// The cost that a choice minimises, after "least".
#[must_use]
pub const fn objective_phrase(objective: &Objective) -> &'static str {
    match objective {
        Objective::Packets => "packets for each message",
        Objective::Bytes => "bytes for each message",
        Objective::Energy => "energy for each message",
        Objective::Money { .. } => "money for each message",
    }
}
