//! The sentences of a decision, each made from its numbers.

use crate::number::{self, counted, measured, percent_bound};
use qoslab_core::base::units::{format_count, format_share};
use qoslab_study::choose::{
    Candidate, Choice, Doubt, Flip, Flips, Judgement, Level, Means, Objective,
};
use qoslab_study::needs::{Value, measure};
use qoslab_study::result::Verdict;
use qoslab_study::scenario::expect::{Comparison, Metric};
use qoslab_study::sweep::Study;

/// At most so many other options are told of in words.
const MOST_OTHERS: usize = 4;

/// A choice with the study that has the names of what it is about.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) study: &'a Study,
    pub(super) choice: &'a Choice,
}

impl Names<'_> {
    /// An option: `QoS 1`, or `QoS 1 at keep_alive 5m`.
    pub(super) fn option(&self, option: &Candidate) -> String {
        let named = self.study.axes.iter().zip(&option.values);
        let named: Vec<_> =
            named.map(|(axis, value)| format!("{} {}", axis.field(), value.text)).collect();
        let at = if named.is_empty() { String::new() } else { format!(" at {}", named.join(", ")) };
        format!("{}{at}", level(option.level()))
    }

    /// Why the best is the best, and by how much each other is not.
    pub(super) fn why(&self) -> String {
        let Some(best) = self.choice.best.map(|at| &self.choice.options[at]) else {
            let each = self.choice.options.iter().take(MOST_OTHERS);
            let each = each.map(|it| format!("{} {}", self.option(it), self.misses(it)));
            return format!("{}.{}", each.collect::<Vec<_>>().join("; "), self.rest());
        };
        let needs: Vec<String> =
            self.choice.needs.iter().map(|need| format!("`{}`", need.text)).collect();
        let mut text = format!(
            "It meets {} at the least cost: {}.",
            together(&needs),
            self.cost_of(best.cost.value)
        );
        if let Some(month) = best.month {
            text += &format!(
                " That is {} a month for {}.",
                self.money(month.cost),
                counted(month.devices, "device")
            );
        }
        if let Some(years) = self.battery(best) {
            text += &format!(" The radios' batteries last {years}.");
        }
        let mut others: Vec<&Candidate> =
            self.choice.options.iter().filter(|it| !std::ptr::eq(*it, best)).collect();
        // What is told in words: the other levels in the same place, then the cheapest.
        others.sort_by(|a, b| {
            let place = |it: &Candidate| it.cell != best.cell;
            place(a).cmp(&place(b)).then(a.cost.value.total_cmp(&b.cost.value))
        });
        for other in others.iter().take(MOST_OTHERS) {
            let cost = relation(other.cost.value, best.cost.value);
            let (but, missed) = match (other.meets(), other.cost.value < best.cost.value) {
                (true, _) => ("and meets them too", String::new()),
                (false, true) => ("but ", self.misses(other)),
                (false, false) => ("and ", self.misses(other)),
            };
            text += &format!(" {} {cost} {but}{missed}.", self.option(other));
        }
        text + &self.rest()
    }

    fn rest(&self) -> String {
        let told = MOST_OTHERS + usize::from(self.choice.best.is_some());
        match self.choice.options.len().saturating_sub(told) {
            0 => String::new(),
            _ => " The table has the others.".to_owned(),
        }
    }

    /// What an option misses: `misses `lost <= 1%` with 4.6 %, 4.6 times the bound`.
    fn misses(&self, option: &Candidate) -> String {
        if option.verdict != Verdict::Holds {
            return "cannot be relied on".to_owned();
        }
        let missed = option.missed().map(|need| {
            format!("misses `{}` with {}", need.result.need.text, self.found(option, need))
        });
        let missed: Vec<String> = missed.collect();
        if missed.is_empty() { "meets them".to_owned() } else { missed.join(" and ") }
    }

    /// What was measured, with its share where a count was, and how many times the bound it is.
    fn found(&self, option: &Candidate, need: &Judgement) -> String {
        let result = &need.result;
        let Some(worst) = &result.worst else { return "nothing to measure".to_owned() };
        let mut text = measured(&result.need, worst);
        let is_count = matches!(
            result.need.metric,
            Metric::Delivered | Metric::Lost | Metric::Duplicated | Metric::Reordered
        );
        let point = &self.study.cells[option.cell].result.points[option.point];
        if let (true, Value::Number(_)) = (is_count, worst.value)
            && let Some(Value::Share(share)) = measure(point, option.qos, result.need.metric, true)
        {
            text += &format!(" a run ({})", format_share(share, 1));
        }
        let times = worst.value.number() / worst.bound;
        let is_most = matches!(result.need.comparison, Comparison::AtMost | Comparison::Less);
        if is_most && times.is_finite() && times >= 1.05 {
            text += &format!(", {} times the bound", amount(times));
        }
        text
    }

    /// How sure it is that the best meets the needs, that what is cheaper misses them, and that
    /// it is the cheapest.
    pub(super) fn certainty(&self) -> String {
        let options = &self.choice.options;
        let best = self.choice.best.map(|at| &options[at]);
        let mut clear: Vec<String> = Vec::new();
        let mut told: Vec<String> = Vec::new();
        for need in best.iter().flat_map(|best| &best.needs) {
            let text = format!("`{}`", need.result.need.text);
            match need.doubt {
                Doubt::Settled(_) => clear.push(text),
                Doubt::NoneOf(units, most) => told.push(format!(
                    "{text}: 0 of {}, which proves at most {} at 95 %.",
                    format_count(units),
                    percent_bound(most)
                )),
                Doubt::Undecided { .. } => {
                    told.push(format!("{text} is met, but not settled at 95 %{}.", open(need)));
                }
                Doubt::Unknown => {
                    told.push(format!("{text} is met by these runs, which give no interval."));
                }
            }
        }
        match clear.as_slice() {
            [] => {}
            [one] => told.push(format!("{one} is clear of its bound at 95 %.")),
            all => told.push(format!("{} are clear of their bounds at 95 %.", together(all))),
        }
        let cheaper = |it: &&Candidate| best.is_none_or(|best| it.cost.value < best.cost.value);
        for option in options.iter().filter(cheaper).take(MOST_OTHERS) {
            for need in option.missed() {
                if matches!(need.doubt, Doubt::Undecided { .. }) {
                    let (name, text) = (self.option(option), &need.result.need.text);
                    told.push(format!(
                        "That {name} misses `{text}` is not settled at 95 %{}.",
                        open(need)
                    ));
                }
            }
        }
        if let Some(rival) = self.choice.rival {
            told.push(format!(
                "That it costs less than {} is not settled at 95 %{}.",
                self.option(&options[rival.option]),
                would_tell(rival.seeds)
            ));
        }
        told.join(" ")
    }

    /// Where the choice would be another.
    pub(super) fn flips(&self, flips: &[Flips]) -> String {
        let best = self.choice.best.map(|at| self.choice.options[at].level());
        let each = flips.iter().map(|it| {
            let (by, source) = match it.means {
                Means::ClosedForm => ("closed form".to_owned(), "By the closed form".to_owned()),
                Means::Simulation { seeds } => {
                    let seeds = counted(seeds.into(), "seed");
                    (format!("simulated, {seeds} a value"), format!("With {seeds} alone"))
                }
            };
            let about = if it.means == Means::ClosedForm { "" } else { "about " };
            let at = |flip: Flip| format!("{about}{}", percent(flip.at));
            let mut text = String::new();
            if it.here != best {
                text = format!("{source} the choice here is {}. ", chosen(it.here));
            }
            let path = &it.path;
            text += &match (it.below, it.above) {
                (None, None) => {
                    let (low, high) = (percent(it.range.0), percent(it.range.1));
                    format!("It stays so with {path} from {low} to {high}")
                }
                (None, Some(above)) => {
                    let beyond = chosen(above.choice);
                    format!("It flips where {path} is above {}: then {beyond}", at(above))
                }
                (Some(below), None) => {
                    let beyond = chosen(below.choice);
                    format!("It flips where {path} is {}: then {beyond}", under(below, about))
                }
                (Some(below), Some(above)) => format!(
                    "It flips where {path} is {}: then {}; and above {}: then {}",
                    under(below, about),
                    chosen(below.choice),
                    at(above),
                    chosen(above.choice)
                ),
            };
            format!("{text} ({by}).")
        });
        each.collect::<Vec<_>>().join(" ")
    }

    /// What the cost is, and what all numbers rest on.
    pub(super) fn cost(&self) -> String {
        let what = match &self.choice.objective {
            Objective::Packets => {
                "message packets for each message, both hops, resends included".to_owned()
            }
            Objective::Bytes => "wire bytes of all links for each message, keep alive and \
                                 connecting included"
                .to_owned(),
            Objective::Energy => "joules of all clients' radios for each message".to_owned(),
            Objective::Money(money) => format!(
                "{currency} for each message, at {} {currency} a MB for the wire bytes of all \
                 links. A month has 30 days at the scenario's rate",
                money.per_megabyte,
                currency = money.currency
            ),
        };
        format!("Cost: {what}. All numbers hold for what the scenario assumes.")
    }

    fn cost_of(&self, cost: f64) -> String {
        match &self.choice.objective {
            Objective::Packets => format!("{} packets a message", amount(cost)),
            Objective::Bytes => format!("{} bytes a message", amount(cost)),
            Objective::Energy => format!("{} J a message", amount(cost)),
            Objective::Money(_) => format!("{} a message", self.money(cost)),
        }
    }

    fn money(&self, cost: f64) -> String {
        match &self.choice.objective {
            Objective::Money(money) => format!("{} {}", amount(cost), money.currency),
            _ => amount(cost),
        }
    }

    /// How long the batteries last, where energy is what counts.
    fn battery(&self, option: &Candidate) -> Option<String> {
        let point = &self.study.cells[option.cell].result.points[option.point];
        let is_asked = self.choice.objective == Objective::Energy;
        let years = measure(point, option.qos, Metric::Battery, false).filter(|_| is_asked)?;
        let years = years.number();
        Some(if years < 1.0 {
            format!("{} days", amount(years * 365.0))
        } else {
            format!("{} years", amount(years))
        })
    }
}

/// What an option misses, for a table.
pub(super) fn misses_in_short(option: &Candidate) -> String {
    if option.verdict != Verdict::Holds {
        return "not reliable".to_owned();
    }
    let missed: Vec<_> = option.missed().map(|need| need.result.need.text.clone()).collect();
    if missed.is_empty() { "meets all".to_owned() } else { missed.join(", ") }
}

/// A level: `QoS 1`, or `QoS 1, granted 0`.
pub(super) fn level(level: Level) -> String {
    let granted = level.granted.map(|granted| format!(", granted {granted}"));
    format!("QoS {}{}", level.qos, granted.unwrap_or_default())
}

fn chosen(choice: Option<Level>) -> String {
    choice.map_or_else(|| "no QoS meets all needs".to_owned(), level)
}

/// A change downwards; what only nothing reaches is at nothing.
fn under(flip: Flip, about: &str) -> String {
    match percent(flip.at).as_str() {
        "0 %" => "0 %".to_owned(),
        at => format!("below {about}{at}"),
    }
}

/// One cost beside another: `costs 95 % more`.
fn relation(cost: f64, best: f64) -> String {
    let more = (cost / best - 1.0) * 100.0;
    if !more.is_finite() {
        return "has no known cost".to_owned();
    }
    match more {
        more if more.abs() < 0.5 => "costs the same".to_owned(),
        more if more < 0.0 => format!("costs {:.0} % less", -more),
        more if more >= 200.0 => format!("costs {} times as much", amount(cost / best)),
        more => format!("costs {more:.0} % more"),
    }
}

/// The interval of an open need, and what would settle it.
fn open(need: &Judgement) -> String {
    let Doubt::Undecided { interval, seeds } = need.doubt else { return String::new() };
    let unit = need.result.worst.as_ref().map_or(Value::Number(0.0), |worst| worst.value);
    let end = |number: f64| number::value(unit.with(number));
    format!(" ({} to {}){}", end(interval.low), end(interval.high), would_tell(seeds))
}

fn would_tell(seeds: Option<u64>) -> String {
    seeds.map_or_else(
        || ", and no number of seeds in reach would tell".to_owned(),
        |seeds| format!("; about {} would likely tell", counted(seeds, "seed")),
    )
}

/// `a`, `a and b`, `a, b and c`.
fn together(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Percent with three digits that count, without zeros at the end.
fn percent(percent: f64) -> String {
    let places = if percent >= 10.0 { 1 } else { 2 };
    let text = format!("{percent:.places$}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A number of any size with three digits that count.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^53")]
pub(super) fn amount(number: f64) -> String {
    if !number.is_finite() {
        return "-".to_owned();
    }
    if (1_000.0..1e15).contains(&number) {
        return format_count(number.round() as u64);
    }
    let (mut places, mut scale) = (2, number);
    while scale > 0.0 && scale < 1.0 && places < 15 {
        scale *= 10.0;
        places += 1;
    }
    let places = match number {
        100.0.. => 0,
        10.0.. => 1,
        _ => places,
    };
    format!("{number:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_any_size_have_three_digits() {
        let found = [0.0, 0.000_003_4, 0.05, 0.456, 4.284, 95.0, 312.4, 12_345.6].map(amount);
        let told = ["0.00", "0.00000340", "0.0500", "0.456", "4.28", "95.0", "312", "12,346"];
        assert_eq!(found, told);
        assert_eq!([2.0, 10.04, 0.5, 0.0001].map(percent), ["2 %", "10 %", "0.5 %", "0 %"]);
    }

    #[test]
    fn a_cost_beside_another_is_told_in_words() {
        assert_eq!(relation(1.95, 1.0), "costs 95 % more");
        assert_eq!(relation(0.46, 1.0), "costs 54 % less");
        assert_eq!(relation(3.5, 1.0), "costs 3.50 times as much");
        assert_eq!(relation(1.0, 1.0), "costs the same");
    }
}
