//! The part of a trial that is shown: one message's life, a time, or all of it.

use std::sync::atomic::AtomicBool;

use anyhow::bail;

use super::ReplayArguments;
use crate::base::{PublisherIndex, Time};
use crate::guarantee::Finding;
use crate::report::escape;
use crate::sim::{Setup, Trial};
use crate::study::{RecordingFilter, find_route};

/// The recording filter, and a sentence on how to see more or less of the trial.
pub(super) fn recording_filter(
    arguments: &ReplayArguments,
    trial: &Trial,
    findings: &[Finding],
    interrupt: &AtomicBool,
) -> anyhow::Result<(RecordingFilter, Option<String>)> {
    let from = arguments.from.unwrap_or(Time::ZERO);
    let until = arguments.until.unwrap_or(Time::NEVER);
    let mut filter = RecordingFilter { from, until, ..RecordingFilter::WHOLE_TRIAL };
    let is_free = !arguments.whole && arguments.from.is_none() && arguments.until.is_none();
    let (message, hint) = match (&arguments.message, findings.first().filter(|_| is_free)) {
        (Some(text), _) => (find_message(text, &trial.setup)?, None),
        (None, Some(first)) => {
            let hint = "Shown is the first message that broke a promise: --message shows another, \
                       --whole everything."
                .to_owned();
            ((first.publisher, first.sequence), Some(hint))
        }
        (None, None) => {
            let hint = "--message 7 shows one message, --from 8s --until 12s a time.".to_owned();
            return Ok((filter, Some(hint)));
        }
    };
    let Some(mut route) =
        find_route(&arguments.engine_option.engine, trial, message.0, message.1, interrupt)
    else {
        let name = escape::terminal(&trial.setup.publishers[message.0.index()].name);
        bail!("nobody publishes message #{} of `{name}` in this trial", message.1);
    };
    for finding in findings.iter().filter(|it| (it.publisher, it.sequence) == message) {
        route.include_finding(finding);
    }
    filter.route = Some(route);
    Ok((filter, hint))
}

/// The message that the user selected.
fn find_message(text: &str, setup: &Setup) -> anyhow::Result<(PublisherIndex, u32)> {
    let (name, number) = text.rsplit_once('#').unwrap_or(("", text));
    let sequence: u32 = number
        .parse()
        .map_err(|_| anyhow::anyhow!("`{text}` is no message: write sensor#7, or 7"))?;
    let streams = (0..).map(PublisherIndex).zip(&setup.publishers);
    let matching: Vec<_> = streams
        .filter(|(_, stream)| if name.is_empty() { !stream.is_will } else { *stream.name == *name })
        .map(|(index, _)| index)
        .collect();
    if let [stream] = matching[..] {
        return Ok((stream, sequence));
    }
    let mut names: Vec<_> = setup.publishers.iter().map(|it| &*it.name).take(4).collect();
    if setup.publishers.len() > names.len() {
        names.push("..");
    }
    let names = names.join(", ");
    let names = escape::terminal(&names);
    if name.is_empty() {
        bail!("several publish: write whose message it is, as in NAME#{sequence}: {names}");
    }
    bail!("nobody publishes as `{}`: there are {names}", escape::terminal(name));
}
