//! The result, as a page.

use std::fmt::Write as _;

use crate::judge::{Outcome, Outcomes, ToolVerdict};
use crate::mutant::Mutant;
use qoslab_study::statistics::wilson;

pub(crate) fn markdown(population: usize, sample: &[Mutant], outcomes: &Outcomes) -> String {
    let judged: Vec<(&Mutant, &Outcome)> =
        sample.iter().filter_map(|mutant| Some((mutant, outcomes.of(mutant)?))).collect();
    let viable: Vec<_> = judged.iter().copied().filter(|(_, outcome)| outcome.compiles).collect();
    let caught = viable.iter().filter(|(_, outcome)| outcome.test.is_some()).count();
    let of_endpoints: Vec<_> =
        viable.iter().copied().filter(|(mutant, _)| mutant.is_of_an_endpoint()).collect();
    let noticed =
        of_endpoints.iter().filter(|(_, outcome)| outcome.is_noticed_by_the_tool()).count();
    let mut text = format!(
        "{} of {population} possible changes drawn, {} of them judged; {} do not compile.\n\n\
         | noticed by | changes | noticed | share | 95 % interval |\n|---|--:|--:|--:|---|\n",
        sample.len(),
        judged.len(),
        judged.len() - viable.len(),
    );
    row(&mut text, "the tests", viable.len(), caught);
    row(&mut text, "`qoslab run scenarios/`, of the endpoints", of_endpoints.len(), noticed);
    let own_bug = |outcome: &Outcome| outcome.tool == Some(ToolVerdict::OwnBug);
    list(&mut text, "Ended with exit code 70", &of_endpoints, own_bug);
    list(&mut text, "Noticed by no test", &viable, |outcome| outcome.test.is_none());
    list(&mut text, "Not noticed by qoslab", &of_endpoints, |outcome| {
        !outcome.is_noticed_by_the_tool()
    });
    text
}

fn row(text: &mut String, what: &str, count: usize, noticed: usize) {
    let share = wilson(noticed as u64, count as u64);
    let [value, low, high] = [share.value, share.low, share.high].map(|share| share * 100.0);
    let _infallible =
        writeln!(text, "| {what} | {count} | {noticed} | {value:.1} % | {low:.1} to {high:.1} % |");
}

fn list(
    text: &mut String,
    title: &str,
    judged: &[(&Mutant, &Outcome)],
    is_listed: impl Fn(&Outcome) -> bool,
) {
    let _infallible = writeln!(text, "\n## {title}\n");
    for (mutant, _) in judged.iter().filter(|(_, outcome)| is_listed(outcome)) {
        let _infallible = writeln!(text, "- `{}`", mutant.name);
    }
}
