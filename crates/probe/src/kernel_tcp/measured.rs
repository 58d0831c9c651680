//! A cell under the kernel's TCP.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::process::ChildStdin;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::{Context as _, Result, bail};
use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::{Span, Time};
use qoslab_core::network::LinkKeys;
use qoslab_guarantee::LatencyHistogram;

use super::line::numbered_line;
use super::programs::{PROGRAMS, Programs};
use super::{CellScenario, KernelRun, Workload};
use crate::Clock;
use crate::link::{Namespace, PacketLink};

/// How long it may take until a first message has come through.
const CONNECT: Span = Span::from_secs(60);
/// From the first messages until the traffic begins: longer than any acknowledgement takes.
const SETTLE: Span = Span::from_secs(2);
/// How long the last message may take.
const DRAIN: Span = Span::from_secs(120);
/// The number of messages that only show that there is a connection.
const GREETING: u32 = 0;

/// What is missing on this machine, and how to get it; `None` if all is there.
#[must_use]
pub fn missing() -> Option<String> {
    let paths = env::var_os("PATH").unwrap_or_default();
    let has = |program: &&str| env::split_paths(&paths).any(|path| path.join(program).exists());
    let programs: Vec<_> = PROGRAMS.into_iter().filter(|program| !has(program)).collect();
    if !programs.is_empty() {
        let packages = "apt-get install mosquitto mosquitto-clients iproute2 util-linux";
        return Some(format!("{} not found; on Debian: {packages}", programs.join(", ")));
    }
    if let Err(error) = Namespace::new() {
        return Some(format!("no network namespaces ({error}): run it as root"));
    }
    File::open("/dev/net/tun").err().map(|error| {
        format!("no /dev/net/tun ({error}): modprobe tun; a container: --device /dev/net/tun")
    })
}

/// Sends the messages of a cell over a link of its own. The seed decides what the link loses, but
/// the number of each packet depends on the kernel and on the time, so this does not repeat.
///
/// # Errors
/// If the programs or the link fail, a message is not delivered within minutes, or it was
/// interrupted.
pub fn measure(scenario: &CellScenario, seed: u64, interrupt: &AtomicBool) -> Result<KernelRun> {
    let cell = scenario.cell();
    let folder = tempfile::tempdir()?;
    let keys = LinkKeys::new(DrawKey::new(seed), "publisher");
    let link = PacketLink::new(scenario.link(), keys, "cubic").context("no link")?;
    let clock = Clock::start();
    let mut programs = Programs::start(&cell, &link, clock, interrupt, folder.path())?;
    greet(&mut programs, clock)?;
    let latency = transfer(&mut programs, clock, cell.workload, scenario.messages());
    drop(programs);
    // If the link failed, that is why messages did not come.
    let carried = link.close().context("the link failed")?;
    let latency = latency?;
    let lateness = carried.lateness.quantile(0.99, carried.lateness.count()).unwrap_or_default();
    Ok(KernelRun { latency, lateness, sent: carried.sent, lost: carried.lost })
}

/// Waits until all are connected, and the line is quiet again.
fn greet(programs: &mut Programs<'_>, clock: Clock) -> Result<()> {
    let deadline = clock.now() + CONNECT;
    let greeting = numbered_line(GREETING, Workload::Trickle.payload());
    // The first may come before the subscription, so it is said again.
    loop {
        programs.input.as_mut().expect("it is taken later").write_all(&greeting)?;
        if programs.next_arrival(clock.now() + Span::from_secs(1))?.is_some() {
            break;
        }
        if clock.now() > deadline {
            bail!("no message came through{}", programs.logs());
        }
    }
    let mut quiet_from = clock.now() + SETTLE;
    while programs.next_arrival(quiet_from)?.is_some() {
        quiet_from = clock.now() + SETTLE;
    }
    Ok(())
}

/// Publishes the messages; returns the latency of each.
fn transfer(
    programs: &mut Programs<'_>,
    clock: Clock,
    workload: Workload,
    messages: u32,
) -> Result<LatencyHistogram> {
    let input = programs.input.take().expect("nothing else takes it");
    // The publisher may stop to read, so a thread of its own waits for it; it ends with that.
    let sender = thread::spawn(move || send(input, clock, workload, messages));
    let deadline = clock.now() + workload.every().times(messages.into()) + DRAIN;
    let mut arrived: Vec<Option<Time>> = vec![None; messages as usize];
    let mut missing = messages;
    while missing > 0 {
        let Some((number, at)) = programs.next_arrival(deadline)? else {
            bail!("{missing} of {messages} messages did not come{}", programs.logs());
        };
        let Some(place) = (number as usize).checked_sub(1).and_then(|n| arrived.get_mut(n)) else {
            bail!("message {number} was never sent");
        };
        if place.replace(at).is_some() {
            bail!("message {number} came twice");
        }
        missing -= 1;
    }
    let (_input, sent) = sender.join().expect("the sender does not panic")?;
    let mut latency = LatencyHistogram::new();
    for (sent, arrived) in sent.into_iter().zip(arrived.into_iter().flatten()) {
        latency.record(arrived.since(sent));
    }
    Ok(latency)
}

/// Writes a line for each message when it is due; returns when each was written. The publisher
/// stays connected until its input is dropped.
fn send(
    mut input: ChildStdin,
    clock: Clock,
    workload: Workload,
    messages: u32,
) -> io::Result<(ChildStdin, Vec<Time>)> {
    let start = clock.now();
    let lines = (1..=messages).map(|number| numbered_line(number, workload.payload()));
    if workload.every() == Span::ZERO {
        input.write_all(&lines.collect::<Vec<_>>().concat())?;
        return Ok((input, vec![start; messages as usize]));
    }
    let mut sent = Vec::new();
    for (number, line) in (0..).zip(lines) {
        clock.sleep_until(start + workload.every().times(number));
        sent.push(clock.now());
        input.write_all(&line)?;
    }
    Ok((input, sent))
}
