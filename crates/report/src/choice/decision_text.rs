//! The sentences of a decision, each made from its numbers.

use crate::accounts;
use crate::number::{self, counted, format_amount, format_measured, percent_bound};
use crate::point_summary::PointSummary;
use qoslab_core::base::Span;
use qoslab_core::base::units::{format_bytes, format_count, format_share, format_span, trim_zeros};
use qoslab_study::choose::{
    Candidate, Choice, Confidence, Crossover, CrossoverUnit, Crossovers, NeedJudgement, Objective,
    QosChoice, SearchMethod,
};
use qoslab_study::scenario::{Comparison, Metric};
use qoslab_study::{MetricValue, Study, Verdict, measure_metric};

/// The maximum number of other options that are described in words.
const MAX_OTHERS: usize = 4;

/// A choice, with the study that has the names of its options.
#[derive(Clone, Copy)]
pub(super) struct DecisionText<'a> {
    pub(super) study: &'a Study,
    pub(super) choice: &'a Choice,
}

impl DecisionText<'_> {
    /// An option: `QoS 1`, or `QoS 1 at keep_alive 5m`.
    pub(super) fn option(&self, option: &Candidate) -> String {
        let named = self.study.axes.iter().zip(&option.values);
        let named: Vec<_> =
            named.map(|(axis, value)| format!("{} {}", axis.field(), value.text)).collect();
        let at = if named.is_empty() { String::new() } else { format!(" at {}", named.join(", ")) };
        format!("{}{at}", level_name(option.level()))
    }

    /// The reasons why the best option is the best, and by how much each other one is not.
    pub(super) fn comparison(&self) -> String {
        let Some(best) = self.choice.best.map(|at| &self.choice.options[at]) else {
            let each = self.choice.options.iter().take(MAX_OTHERS);
            let each = each.map(|it| format!("{} {}", self.option(it), self.missed_needs(it)));
            return format!("{}.{}", each.collect::<Vec<_>>().join("; "), self.table_note());
        };
        let needs: Vec<String> =
            self.choice.needs.iter().map(|need| format!("`{}`", need.text)).collect();
        let mut text = format!(
            "It meets {} at the least cost: {}.",
            join_and(&needs),
            self.cost_text(best.cost.value)
        );
        if let Some(month) = best.monthly_cost {
            text += &format!(
                " That is {} a month for {}.",
                self.money_text(month.cost),
                counted(month.devices, "device")
            );
        }
        if let Some(years) = self.battery_life(best) {
            text += &format!(" The radios' batteries last {years}.");
        }
        let mut others: Vec<&Candidate> =
            self.choice.options.iter().filter(|it| !std::ptr::eq(*it, best)).collect();
        // Options described in words: the other levels in the same place, then the cheapest.
        others.sort_by(|a, b| {
            let place = |it: &Candidate| it.cell != best.cell;
            place(a).cmp(&place(b)).then(a.cost.value.total_cmp(&b.cost.value))
        });
        for other in others.iter().take(MAX_OTHERS) {
            let cost = cost_difference(other.cost.value, best.cost.value);
            let (but, missed) = match (other.is_acceptable(), other.cost.value < best.cost.value) {
                (true, _) => ("and meets them too", String::new()),
                (false, true) => ("but ", self.missed_needs(other)),
                (false, false) => ("and ", self.missed_needs(other)),
            };
            text += &format!(" {} {cost} {but}{missed}.", self.option(other));
        }
        text + &self.table_note()
    }

    fn table_note(&self) -> String {
        let told = MAX_OTHERS + usize::from(self.choice.best.is_some());
        match self.choice.options.len().saturating_sub(told) {
            0 => String::new(),
            _ => " The table has the others.".to_owned(),
        }
    }

    /// The need that an option misses: `misses `lost <= 1%` with 4.6 %, 4.6 times the bound`.
    fn missed_needs(&self, option: &Candidate) -> String {
        if option.verdict != Verdict::Holds {
            return "cannot be relied on".to_owned();
        }
        let missed = option.missed_needs().map(|need| {
            format!("misses `{}` with {}", need.result.need.text, self.measured_value(option, need))
        });
        let missed: Vec<String> = missed.collect();
        if missed.is_empty() { "meets them".to_owned() } else { missed.join(" and ") }
    }

    /// The measured value, with its share for a count, and its ratio to the bound.
    fn measured_value(&self, option: &Candidate, need: &NeedJudgement) -> String {
        let result = &need.result;
        let Some(worst) = &result.worst else { return "nothing to measure".to_owned() };
        let mut text = format_measured(&result.need, worst);
        let is_count = matches!(
            result.need.metric,
            Metric::Delivered | Metric::Lost | Metric::Duplicated | Metric::Reordered
        );
        let point = &self.study.cells[option.cell].result.points[option.point];
        if let (true, MetricValue::Number(_)) = (is_count, worst.value)
            && let Some(MetricValue::Share(share)) =
                measure_metric(point, option.qos, result.need.metric, true)
        {
            text += &format!(" per run ({})", format_share(share, 1));
        }
        let times = worst.value.number() / worst.bound;
        let is_most = matches!(result.need.comparison, Comparison::AtMost | Comparison::Less);
        if is_most && times.is_finite() && times >= 1.05 {
            text += &format!(", {} times the bound", format_amount(times));
        }
        text
    }

    /// The confidence that the best option meets the needs, that cheaper options miss them, and
    /// that it is the cheapest.
    pub(super) fn certainty(&self) -> String {
        let options = &self.choice.options;
        let best = self.choice.best.map(|at| &options[at]);
        let mut clear_needs: Vec<String> = Vec::new();
        let mut sentences: Vec<String> = Vec::new();
        for need in best.iter().flat_map(|best| &best.needs) {
            let text = format!("`{}`", need.result.need.text);
            match need.confidence {
                Confidence::Settled(_) => clear_needs.push(text),
                Confidence::NoneSeen(units, most) => sentences.push(format!(
                    "{text}: 0 of {}, which proves at most {} at 95 %.",
                    format_count(units),
                    percent_bound(most)
                )),
                Confidence::Undecided { .. } => {
                    sentences.push(format!(
                        "{text} is met, but not settled at 95 %{}.",
                        open_interval(need)
                    ));
                }
                Confidence::Unknown => {
                    sentences.push(format!("{text} is met by these runs, which give no interval."));
                }
            }
        }
        match clear_needs.as_slice() {
            [] => {}
            [one] => sentences.push(format!("{one} is clear of its bound at 95 %.")),
            all => sentences.push(format!("{} are clear of their bounds at 95 %.", join_and(all))),
        }
        let cheaper = |it: &&Candidate| best.is_none_or(|best| it.cost.value < best.cost.value);
        for option in options.iter().filter(cheaper).take(MAX_OTHERS) {
            for need in option.missed_needs() {
                if matches!(need.confidence, Confidence::Undecided { .. }) {
                    let (name, text) = (self.option(option), &need.result.need.text);
                    sentences.push(format!(
                        "That {name} misses `{text}` is not settled at 95 %{}.",
                        open_interval(need)
                    ));
                }
            }
        }
        if let Some(rival) = self.choice.close_alternative {
            sentences.push(format!(
                "That it costs less than {} is not settled at 95 %{}.",
                self.option(&options[rival.option]),
                seeds_hint(rival.seeds)
            ));
        }
        sentences.join(" ")
    }

    /// The parameter values at which the choice would change.
    pub(super) fn flips(&self, flips: &[Crossovers]) -> String {
        let best = self.choice.best.map(|at| self.choice.options[at].level());
        let each = flips.iter().map(|it| {
            let (by, source) = match it.method {
                SearchMethod::ClosedForm => {
                    ("closed form".to_owned(), "By the closed form".to_owned())
                }
                SearchMethod::Simulation { seeds } => {
                    let seeds = counted(seeds.into(), "seed");
                    (format!("simulated, {seeds} a value"), format!("With {seeds} alone"))
                }
            };
            let about = if it.method == SearchMethod::ClosedForm { "" } else { "about " };
            let at = |flip: Crossover| format!("{about}{}", format_at(it.unit, flip.at));
            let mut text = String::new();
            if it.current != best {
                text = format!("{source} the choice here is {}. ", choice_name(it.current));
            }
            let path = &it.path;
            text += &match (it.below, it.above) {
                (None, None) => {
                    let (low, high) = it.searched_range;
                    let (low, high) = (format_at(it.unit, low), format_at(it.unit, high));
                    format!("It stays so with {path} from {low} to {high}")
                }
                (None, Some(above)) => {
                    let beyond = choice_name(above.choice);
                    format!("It flips where {path} is above {}: then {beyond}", at(above))
                }
                (Some(below), None) => {
                    let beyond = choice_name(below.choice);
                    format!(
                        "It flips where {path} is {}: then {beyond}",
                        downward_threshold(it.unit, below, about)
                    )
                }
                (Some(below), Some(above)) => format!(
                    "It flips where {path} is {}: then {}; and above {}: then {}",
                    downward_threshold(it.unit, below, about),
                    choice_name(below.choice),
                    at(above),
                    choice_name(above.choice)
                ),
            };
            let every = it.outage_every.map(Span::from_secs_f64).map(format_span);
            let every = every.map(|every| format!("; an outage every {every} on average"));
            format!("{text} ({by}{}).", every.unwrap_or_default())
        });
        each.collect::<Vec<_>>().join(" ")
    }

    /// The definition of the cost, and the assumptions behind all numbers.
    pub(super) fn cost_note(&self) -> String {
        let what = match &self.choice.objective {
            Objective::Packets => {
                "message packets for each message, both hops, resends included".to_owned()
            }
            Objective::Bytes => "wire bytes of all links for each message, keep alive and \
                                 connecting included"
                .to_owned(),
            Objective::Energy => "joules of all clients' radios for each message".to_owned(),
            Objective::Money { .. } => format!(
                "{} for each message, for the wire bytes of the {} that pay. A month has 30 days \
                 at the scenario's rate",
                self.currency(),
                counted(self.billed_devices(), "device"),
            ),
        };
        format!("Cost: {what}. All numbers hold for what the scenario assumes.")
    }

    /// Where messages went with the best option that were not lost on the way.
    pub(super) fn accounts(&self) -> String {
        let Some(best) = self.choice.best.map(|at| &self.choice.options[at]) else {
            return String::new();
        };
        let result = &self.study.cells[best.cell].result;
        let point = &result.points[best.point];
        let setup = &result.scenario.points[point.index].setup;
        let row = PointSummary::for_point(point).find(|row| row.published == best.qos);
        let lines = row.map(|row| accounts::lines(&row.totals, setup, row.published));
        match lines.unwrap_or_default().as_slice() {
            [] => String::new(),
            lines => format!("Messages with {}: {}.", self.option(best), lines.join("; ")),
        }
    }

    fn cost_text(&self, cost: f64) -> String {
        match &self.choice.objective {
            Objective::Packets => format!("{} packets per message", format_amount(cost)),
            Objective::Bytes => format!("{} bytes per message", format_amount(cost)),
            Objective::Energy => format!("{} J per message", format_amount(cost)),
            Objective::Money { .. } => format!("{} per message", self.money_text(cost)),
        }
    }

    fn money_text(&self, cost: f64) -> String {
        format!("{} {}", format_amount(cost), self.currency())
    }

    fn currency(&self) -> &str {
        let first = self.study.cells.first();
        first.and_then(|cell| cell.result.scenario.currency.as_deref()).unwrap_or_default()
    }

    fn billed_devices(&self) -> u64 {
        let setup = self.study.cells.first().and_then(|cell| cell.result.scenario.points.first());
        let clients = setup.map(|point| point.setup.clients.as_slice()).unwrap_or_default();
        clients.iter().filter(|client| client.billed.is_some()).count() as u64
    }

    /// The battery life, where energy is the cost.
    fn battery_life(&self, option: &Candidate) -> Option<String> {
        let point = &self.study.cells[option.cell].result.points[option.point];
        let is_asked = self.choice.objective == Objective::Energy;
        let years =
            measure_metric(point, option.qos, Metric::Battery, false).filter(|_| is_asked)?;
        let years = years.number();
        Some(if years < 1.0 {
            format!("{} days", format_amount(years * 365.0))
        } else {
            format!("{} years", format_amount(years))
        })
    }
}

/// The needs that an option misses, for a table.
pub(super) fn missed_summary(option: &Candidate) -> String {
    if option.verdict != Verdict::Holds {
        return "not reliable".to_owned();
    }
    let missed: Vec<_> = option.missed_needs().map(|need| need.result.need.text.clone()).collect();
    if missed.is_empty() { "meets all".to_owned() } else { missed.join(", ") }
}

/// A level: `QoS 1`, or `QoS 1, granted 0`.
pub(super) fn level_name(level: QosChoice) -> String {
    let granted = level.granted.map(|granted| format!(", granted {granted}"));
    format!("QoS {}{}", level.qos, granted.unwrap_or_default())
}

fn choice_name(choice: Option<QosChoice>) -> String {
    choice.map_or_else(|| "no QoS meets all needs".to_owned(), level_name)
}

/// A change downwards; what only nothing reaches is at nothing.
fn downward_threshold(unit: CrossoverUnit, flip: Crossover, about: &str) -> String {
    match format_at(unit, flip.at).as_str() {
        "0 %" => "0 %".to_owned(),
        at => format!("below {about}{at}"),
    }
}

/// One cost beside another: `costs 95 % more`.
fn cost_difference(cost: f64, best: f64) -> String {
    let more = (cost / best - 1.0) * 100.0;
    if !more.is_finite() {
        return "has no known cost".to_owned();
    }
    match more {
        more if more.abs() < 0.5 => "costs the same".to_owned(),
        more if more < 0.0 => format!("costs {:.0} % less", -more),
        more if more >= 200.0 => format!("costs {} times as much", format_amount(cost / best)),
        more => format!("costs {more:.0} % more"),
    }
}

/// The interval of an open need, and what would settle it.
fn open_interval(need: &NeedJudgement) -> String {
    let Confidence::Undecided { interval, seeds } = need.confidence else { return String::new() };
    let unit = need.result.worst.as_ref().map_or(MetricValue::Number(0.0), |worst| worst.value);
    let end = |number: f64| number::format_value(unit.with_number(number));
    format!(" ({} to {}){}", end(interval.low), end(interval.high), seeds_hint(seeds))
}

fn seeds_hint(seeds: Option<u64>) -> String {
    seeds.map_or_else(
        || ", and no number of seeds in reach would tell".to_owned(),
        |seeds| format!("; about {} would likely tell", counted(seeds, "seed")),
    )
}

/// `a`, `a and b`, `a, b and c`.
fn join_and(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A value along which the choice changes.
fn format_at(unit: CrossoverUnit, value: f64) -> String {
    match unit {
        CrossoverUnit::Percent => format_percent(value),
        CrossoverUnit::Seconds => format_span(Span::from_secs_f64(value)),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size")]
        CrossoverUnit::Bytes => format_bytes(value as u64),
    }
}

/// Percent with three digits that count, without zeros at the end.
fn format_percent(percent: f64) -> String {
    let places = if percent >= 10.0 { 1 } else { 2 };
    format!("{} %", trim_zeros(&format!("{percent:.places$}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_any_size_have_three_digits() {
        let found =
            [0.0, 0.000_003_4, 0.05, 0.456, 4.284, 95.0, 312.4, 12_345.6].map(format_amount);
        let told = ["0.00", "0.00000340", "0.0500", "0.456", "4.28", "95.0", "312", "12,346"];
        assert_eq!(found, told);
        assert_eq!([2.0, 10.04, 0.5, 0.0001].map(format_percent), ["2 %", "10 %", "0.5 %", "0 %"]);
    }

    #[test]
    fn a_cost_difference_is_written_in_words() {
        assert_eq!(cost_difference(1.95, 1.0), "costs 95 % more");
        assert_eq!(cost_difference(0.46, 1.0), "costs 54 % less");
        assert_eq!(cost_difference(3.5, 1.0), "costs 3.50 times as much");
        assert_eq!(cost_difference(1.0, 1.0), "costs the same");
    }
}
