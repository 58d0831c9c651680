//! Checks of a scenario as a whole: its axes and its expectations.

use std::ops::Range;

use super::check_client::is_name_char;
use super::check_needs;
use super::client::ClientTable;
use super::diagnostic::Diagnostics;
use super::expect::{BreakTarget, Expectations, ExpectedBreak, ExpectedRule, SOMETIMES};
use super::file::{BrokenTable, ScenarioFile};
use super::nodes::ExpandedNodes;
use super::reachability::is_reachable;
use super::subscribers::SubscriberGroups;
use super::value::{Located, QosSetting};
use qoslab_core::base::{QoS, Span};
use qoslab_guarantee::rules::ALL_RULES;
use qoslab_guarantee::{Blame, Breach, Promise, Violation};
use qoslab_sim::Setup;

/// Checks the name, the deadline and the axes.
pub(super) fn check_header(file: &ScenarioFile, errors: &mut Diagnostics) {
    let name = &file.name;
    let long = name.value.len() > 64;
    if name.value.is_empty()
        || long
        || name.value.starts_with('.')
        || !name.value.chars().all(is_name_char)
    {
        errors
            .error(&name.span, "the name cannot name a folder", "results are kept under it")
            .help("use up to 64 letters, digits, `-`, `_` and `.`, not beginning with `.`");
    }
    if file.deadline.value.0 == Span::ZERO {
        errors.error(&file.deadline.span, "deadline must be more than zero", "no time at all");
    }
    let publishes = file.client.iter().flat_map(|client| &client.value.publish);
    let levels: Vec<_> = publishes.map(|publish| &publish.value.qos).collect();
    check_same_axis(&levels, "publish", errors);
    let subscribes = file.client.iter().flat_map(|client| &client.value.subscribe);
    let levels: Vec<_> = subscribes.map(|subscribe| &subscribe.value.qos).collect();
    check_same_axis(&levels, "subscribe", errors);
    let silent = |client: &ClientTable| client.publish.is_empty() && client.will.is_none();
    if file.client.iter().all(|client| silent(&client.value)) {
        let span = file.client.first().map_or(0..0, |client| client.value.name.span.clone());
        errors
            .error(&span, "nobody publishes", "no client has a [[client.publish]]")
            .help("add one to a client");
    }
}

/// Lists are one axis: they move together, so they must be the same.
fn check_same_axis(all: &[&Located<QosSetting>], which: &str, errors: &mut Diagnostics) {
    let mut lists = all.iter().filter(|levels| matches!(levels.value, QosSetting::Axis(_)));
    let Some(first) = lists.next() else { return };
    for other in lists.filter(|other| other.value != first.value) {
        let title = format!("all lists of QoS on [[client.{which}]] must be the same");
        errors
            .error(&other.span, title, "this one differs from the first")
            .help("they are one axis and move together; write a single QoS for what stays");
    }
}

/// Checks and takes over what is expected; `setups` are those of all points.
pub(super) fn read_expectations(
    file: &ScenarioFile,
    nodes: &ExpandedNodes,
    setups: &[&Setup],
    errors: &mut Diagnostics,
) -> Expectations {
    let mut expect = Expectations::default();
    for allow in &file.expect.allow {
        if allow.value != "queue-overflow" {
            let title = format!("allow cannot be `{}`", allow.value);
            errors.error(&allow.span, title, "unknown word").help("known here: queue-overflow");
        }
    }
    for word in &file.expect.sometimes {
        if !SOMETIMES.contains(&word.value.as_str()) {
            let title = format!("sometimes cannot be `{}`", word.value);
            errors.error(&word.span, title, "unknown word").suggest_name(&word.value, &SOMETIMES);
        } else if !setups.iter().any(|setup| is_reachable(&word.value, setup)) {
            let title = format!("`{}` can never happen here", word.value);
            // The file may well cause it, as a sweep from zero on does: but not so.
            if errors.settings.is_empty() {
                errors.error(&word.span, title, "nothing in this scenario causes it");
            } else {
                errors.warn(&word.span, title, "not judged: nothing causes it with what is set");
            }
        } else {
            expect.sometimes.push(word.value.clone());
        }
    }
    check_never(file, &mut expect, errors);
    expect.needs = check_needs::read_needs(&file.expect.need, nodes, setups, errors);
    for broken in &file.expect.broken {
        if let Some(what) = read_expected_break(broken, file, setups, errors) {
            expect.broken.push(ExpectedBreak { what, why: broken.value.why.clone() });
        }
    }
    expect
}

/// Which promise or which rule is known to break, where it can break here.
fn read_expected_break(
    given: &Located<BrokenTable>,
    file: &ScenarioFile,
    setups: &[&Setup],
    errors: &mut Diagnostics,
) -> Option<BreakTarget> {
    let what = read_break(given, errors)?;
    if let BreakTarget::Promise(violation) = what {
        check_promised(violation, given, file, setups, errors);
    }
    Some(what)
}

/// Which promise or which rule a table names.
pub(super) fn read_break(
    given: &Located<BrokenTable>,
    errors: &mut Diagnostics,
) -> Option<BreakTarget> {
    let table = &given.value;
    let blame = Blame::from(table.blame);
    match (table.promise, table.kind, &table.rule) {
        (Some(promise), Some(kind), None) => {
            let (promise, breach) = (Promise::from(promise), Breach::from(kind));
            let violation = Violation { promise, breach, blame };
            check_breach(violation, &given.span, errors).then_some(BreakTarget::Promise(violation))
        }
        (None, None, Some(rule)) => {
            check_rule(rule, blame, given, errors);
            Some(BreakTarget::Rule(ExpectedRule { rule: rule.clone(), blame }))
        }
        // A misspelt word was reported already.
        _ if !errors.errors.is_empty() => None,
        _ => {
            errors
                .error(&given.span, "what breaks is not clear", "neither a promise nor a rule")
                .help("give `promise` and `kind`, or `rule` alone");
            None
        }
    }
}

/// Whether there is such a rule, and whether such a node can break it.
fn check_rule(rule: &str, blame: Blame, given: &Located<BrokenTable>, errors: &mut Diagnostics) {
    if !ALL_RULES.iter().any(|known| known.is_named(rule)) {
        errors
            .error(&given.span, format!("no rule is called `{rule}`"), "nobody checks it")
            .help("docs/rules.md lists all, by id such as `MQTT-3.3.1-1` and by name");
    } else if !matches!(blame, Blame::Publisher | Blame::Broker | Blame::Subscriber) {
        errors
            .error(&given.span, "only an endpoint can break a rule", "so it is not to blame")
            .help("blame `publisher`, `broker` or `subscriber`");
    }
}

/// Whether a promise can break so at all.
fn check_breach(violation: Violation, span: &Range<usize>, errors: &mut Diagnostics) -> bool {
    let kinds: &[(Breach, &str)] = match violation.promise {
        Promise::AtMostOnce => &[(Breach::Duplicated, "duplicated")],
        Promise::AtLeastOnce => &[(Breach::Lost, "lost")],
        Promise::ExactlyOnce => &[(Breach::Lost, "lost"), (Breach::Duplicated, "duplicated")],
        Promise::Acknowledged => &[(Breach::Stuck, "stuck"), (Breach::Stalled, "stalled")],
        Promise::OnlySubscribed => &[(Breach::Unexpected, "unexpected")],
        Promise::Ordered => &[(Breach::Reordered, "reordered")],
    };
    let can = kinds.iter().any(|(kind, _)| *kind == violation.breach);
    if !can {
        let kinds: Vec<_> = kinds.iter().map(|(_, word)| *word).collect();
        errors
            .error(span, "this promise cannot break so", "an expectation without a case")
            .help(format!("its kinds: {}", kinds.join(", ")));
    }
    can
}

/// Whether the promise is made to any client here.
fn check_promised(
    violation: Violation,
    given: &Located<BrokenTable>,
    file: &ScenarioFile,
    setups: &[&Setup],
    errors: &mut Diagnostics,
) {
    if violation.promise == Promise::Ordered && file.expect.order != Some(true) {
        errors
            .error(&given.span, "order is not promised here", "so it cannot break")
            .help("add `order = true` to [expect]");
    } else if !setups.iter().any(|setup| is_promised(violation.promise, setup)) {
        errors.error(
            &given.span,
            "nobody is promised this here",
            "no message is published and subscribed to with such a QoS",
        );
    }
}

/// Whether some message falls under the promise.
fn is_promised(promise: Promise, setup: &Setup) -> bool {
    let falls = |published: QoS, granted: QoS| match promise {
        Promise::AtMostOnce => published.min(granted) == QoS::AtMostOnce && published.number() != 1,
        Promise::AtLeastOnce => published.min(granted) == QoS::AtLeastOnce,
        Promise::ExactlyOnce => published.min(granted) == QoS::ExactlyOnce,
        Promise::Acknowledged | Promise::OnlySubscribed | Promise::Ordered => true,
    };
    if promise == Promise::Acknowledged {
        return setup.publishers.iter().any(|one| one.qos > QoS::AtMostOnce);
    }
    let audience = SubscriberGroups::new(setup, |_| 0.0);
    setup.publishers.iter().any(|stream| {
        let mut any = false;
        audience.for_each_match(&stream.topic, |group| any |= falls(stream.qos, group.granted));
        any
    })
}

/// Checks the words of `never`: what must happen too cannot be kept.
fn check_never(file: &ScenarioFile, expect: &mut Expectations, errors: &mut Diagnostics) {
    for word in &file.expect.never {
        let is_wanted = file.expect.sometimes.iter().any(|it| it.value == word.value);
        if !SOMETIMES.contains(&word.value.as_str()) {
            let title = format!("never cannot be `{}`", word.value);
            errors.error(&word.span, title, "unknown word").suggest_name(&word.value, &SOMETIMES);
        } else if is_wanted {
            let title = format!("`{}` must happen and must never happen", word.value);
            errors
                .error(&word.span, title, "it is in `sometimes` too")
                .help("take it out of one of the two lists");
        } else {
            expect.never.push(word.value.clone());
        }
    }
}
