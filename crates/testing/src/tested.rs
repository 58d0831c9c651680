//! What came of a test, and how it is told.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::mem::discriminant;
use std::sync::atomic::AtomicBool;
use std::thread;

use rayon::ThreadPoolBuilder;

use super::TRIAL;
use super::judge::Notes;
use qoslab_core::base::name::Node;
use qoslab_core::base::units::format_count;
use qoslab_report::style::Style;
use qoslab_report::table::{Layout, table};
use qoslab_report::{escape, failure, summary};
use qoslab_sim::mishap::{Mishap, MishapKind};
use qoslab_sim::trial::Setup;
use qoslab_sim::turmoil::Cast;
use qoslab_study::judge::judge_trial;
use qoslab_study::result::{PointResult, ScenarioResult, Verdict};
use qoslab_study::shrink::Shrunk;
use qoslab_study::stories;

/// What came of a [`Test`](super::Test). Shown as text it is what `qoslab run` prints.
#[derive(Debug)]
pub struct Tested {
    cast: Cast,
    result: ScenarioResult,
    /// By the names of trials.
    notes: BTreeMap<String, Notes>,
    /// Of each trial that was shrunk: in how many reruns of it the same broke.
    again: Vec<usize>,
}

/// Columns of what is told.
const WIDTH: usize = 80;

/// How often a trial that was shrunk is run again.
const RERUNS: usize = 5;

impl Tested {
    pub(super) fn new(cast: Cast, result: ScenarioResult, notes: BTreeMap<String, Notes>) -> Self {
        Self { cast, result, notes, again: Vec::new() }
    }

    /// Shrinks the first failure of each kind, product included, to the fewest messages and faults
    /// that still fail the same: then its ladder is shown too, and in how many of 5 reruns of it
    /// the same broke. It takes the time of some hundred trials. Where code has luck of its own,
    /// what failed may not fail again, and is not shrunk then; nothing is where code hung.
    ///
    /// # Panics
    /// If no threads can be started.
    #[must_use]
    pub fn shrunk(mut self) -> Self {
        let hung = self.mishaps().any(|(_, mishap)| mishap.what == MishapKind::Hung);
        if !hung {
            let pool = ThreadPoolBuilder::new().build().expect("threads can be started");
            stories::tell(&self.cast, &mut self.result, &pool, &AtomicBool::new(false));
            let failures = self.result.points.iter().flat_map(|point| &point.failures);
            let stories = failures.flat_map(|failure| &failure.stories);
            self.again = stories.map(|story| breaks_again(&self.cast, &story.shrunk)).collect();
        }
        self
    }

    /// Whether every trial came to its end, kept all promises and rules, and no product did what no
    /// endpoint may.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.result.verdict == Verdict::Holds
            && self.notes.values().all(|notes| notes.mishaps.is_empty())
    }

    /// All that was found, point by point and trial by trial.
    #[must_use]
    pub const fn result(&self) -> &ScenarioResult {
        &self.result
    }

    /// What products did that no endpoint may, by the names of trials.
    pub fn mishaps(&self) -> impl Iterator<Item = (&str, &Mishap)> {
        let notes = self.notes.iter();
        notes.flat_map(|(trial, notes)| notes.mishaps.iter().map(move |it| (&**trial, it)))
    }

    /// The trials whose runs were not all the same: products there have luck of their own, such as
    /// the order of a hash map, a `select!` that is not `biased`, or the wall clock.
    pub fn unsteady(&self) -> impl Iterator<Item = &str> {
        let unsteady = self.notes.iter().filter(|(_, notes)| notes.agree < notes.runs);
        unsteady.map(|(trial, _)| &**trial)
    }

    /// Fails the test unless everything holds.
    ///
    /// # Panics
    /// With all that this shows as text.
    #[track_caller]
    pub fn assert_holds(&self) {
        assert!(self.holds(), "\n{self}");
    }

    fn trials(&self) -> impl Iterator<Item = (&PointResult, &str, &Notes)> {
        self.result.points.iter().flat_map(|point| {
            let named = point.trials.iter().filter_map(|row| {
                let (name, notes) = self.notes.get_key_value(&row.name)?;
                Some((point, name.as_str(), notes))
            });
            named.collect::<Vec<_>>()
        })
    }
}

impl fmt::Display for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = Style::PLAIN;
        let layout = Layout { width: WIDTH, verbose: false, style };
        f.write_str(&table(&self.result, layout))?;
        f.write_str(&summary::expectations(&self.result, style))?;
        let mut told = String::new();
        for (point, trial, notes) in self.trials() {
            let setup = &*self.result.scenario.points[point.index].setup;
            for mishap in first_of_each_kind(&notes.mishaps) {
                writeln!(told, "FAIL {}  trial {trial}: {}", point.label, sentence(mishap, setup))?;
                writeln!(told, "  repeat: {}", repeat(trial))?;
            }
        }
        if !told.is_empty() {
            write!(f, "\n{told}")?;
        }
        let failures = failure::failures(&self.result, "", style);
        if !failures.is_empty() {
            write!(f, "\n{}", repeated(&failures, &self.again))?;
        }
        let unsteady = self.unsteady().count();
        if unsteady > 0 {
            writeln!(
                f,
                "\n{} of {} trials did not run the same twice: the code under test has luck of \
                 its own,\nsuch as a `select!` that is not `biased`, the order of a hash map, or \
                 the wall clock.",
                format_count(unsteady as u64),
                format_count(self.notes.len() as u64),
            )?;
        }
        Ok(())
    }
}

/// What a node does again and again is told once.
fn first_of_each_kind(mishaps: &[Mishap]) -> impl Iterator<Item = &Mishap> {
    let kind = |it: &Mishap| (it.node, discriminant(&it.what));
    let is_new = move |n: &usize| mishaps[..*n].iter().all(|it| kind(it) != kind(&mishaps[*n]));
    (0..mishaps.len()).filter(is_new).map(|n| &mishaps[n])
}

/// Who did what, and when.
fn sentence(mishap: &Mishap, setup: &Setup) -> String {
    let who = match mishap.node {
        Node::Broker => "the broker under test".to_owned(),
        Node::Client(client) => format!("`{}`", setup.clients[client.index()].name),
    };
    let at = mishap.at;
    let text = match &mishap.what {
        MishapKind::Panicked(message) => format!("{who} panicked at {at}: {message}"),
        MishapKind::Ended(None) => format!("{who}'s code ended at {at}, and should not"),
        MishapKind::Ended(Some(error)) => format!("{who}'s code ended at {at}: {error}"),
        MishapKind::NeverReady if mishap.node == Node::Broker => {
            format!("{who} had accepted no client by {at}")
        }
        MishapKind::NeverReady => {
            format!("{who} was not connected with all subscriptions acknowledged by {at}")
        }
        MishapKind::Away => format!("{who} had no connection at {at} and did not come back"),
        MishapKind::Flooded(packets) => {
            format!("{who} flooded the network: {} packets by {at}", format_count(*packets))
        }
        MishapKind::Garbage(why) => format!("{who} wrote no MQTT packet at {at}: it {why}"),
        MishapKind::Invented => {
            format!("{who} delivered a payload at {at} that nobody published")
        }
        MishapKind::Hung => {
            format!("{who}'s code did not give control back at {at}: it blocks, or spins")
        }
    };
    escape::terminal(&text).into_owned()
}

/// The command that runs one trial of the test again.
fn repeat(trial: &str) -> String {
    let test =
        thread::current().name().filter(|name| *name != "main").unwrap_or_default().to_owned();
    format!("{TRIAL}={trial} cargo test {test}").trim_end().to_owned()
}

/// In how many reruns of a trial that was shrunk the same breaks.
fn breaks_again(cast: &Cast, shrunk: &Shrunk) -> usize {
    let never = AtomicBool::new(false);
    let reruns = (0..RERUNS).filter_map(|_| judge_trial(cast, &shrunk.trial, &never).ok());
    reruns.filter(|outcome| shrunk.bug.is_in(outcome)).count()
}

/// Commands for our own endpoints show nothing of a product: the test is what repeats a trial. What
/// was shrunk is told with its reruns.
fn repeated(failures: &str, again: &[usize]) -> String {
    let mut again = again.iter();
    let mut text = String::new();
    for line in failures.lines() {
        if let Some(command) = line.strip_prefix("  reproduce: ") {
            let trial = command.rsplit(' ').next().unwrap_or_default();
            text.extend(["  repeat: ", &repeat(trial), "\n"]);
            continue;
        }
        text.extend([line, "\n"]);
        if line.starts_with("  shrunk: ")
            && let Some(again) = again.next()
        {
            text.extend([&format!("  the same broke in {again} of {RERUNS} reruns of that"), "\n"]);
        }
    }
    text
}
