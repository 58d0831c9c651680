//! The result of a test, and how it is reported.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::mem::discriminant;
use std::sync::atomic::AtomicBool;
use std::thread;

use qoslab_study::{
    PointResult, ScenarioResult, ShrunkTrial, ThreadPool, Verdict, judge_trial, minimal_failures,
};

use super::TRIAL_VARIABLE;
use super::sut_trial::SutNotes;
use qoslab_core::base::Node;
use qoslab_core::base::units::format_count;
use qoslab_report::table::{TableLayout, table};
use qoslab_report::{Style, escape, failure, summary};
use qoslab_sim::turmoil::NodeFactories;
use qoslab_sim::{Setup, SutError, SutErrorKind};

/// The result of a [`Harness`](super::Harness). Its text form is what `qoslab run` prints.
#[derive(Debug)]
pub struct HarnessReport {
    factories: NodeFactories,
    result: ScenarioResult,
    /// By the names of trials.
    notes: BTreeMap<String, SutNotes>,
    /// For each trial that was shrunk: the number of its reruns in which the same broke.
    failed_rerun_counts: Vec<usize>,
}

/// The width of the report in columns.
const WIDTH: usize = 80;

/// The number of reruns of a shrunk trial.
const RERUNS: usize = 5;

impl HarnessReport {
    pub(super) fn new(
        cast: NodeFactories,
        result: ScenarioResult,
        notes: BTreeMap<String, SutNotes>,
    ) -> Self {
        Self { factories: cast, result, notes, failed_rerun_counts: Vec::new() }
    }

    /// Shrinks the first failure of each kind, system under test included, to the fewest messages
    /// and faults that still fail the same: then its ladder is shown too, and in how many of 5
    /// reruns of it the same broke. It takes the time of some hundred trials. Where code makes
    /// random draws of its own, a failure may not recur, and is not shrunk then; nothing is shrunk
    /// where code hung.
    ///
    /// # Panics
    /// If no threads can be started.
    #[must_use]
    pub fn with_shrunk_failures(mut self) -> Self {
        let hung = self.sut_errors().any(|(_, sut_error)| sut_error.kind == SutErrorKind::Hung);
        if !hung {
            let pool = ThreadPool::new(None).expect("threads can be started");
            minimal_failures::shrink_failures(
                &self.factories,
                &mut self.result,
                &pool,
                &AtomicBool::new(false),
            );
            let failures = self.result.points.iter().flat_map(|point| &point.failures);
            let stories = failures.flat_map(|failure| &failure.minimal_failures);
            self.failed_rerun_counts =
                stories.map(|story| count_rerun_breaks(&self.factories, &story.shrunk)).collect();
        }
        self
    }

    /// Whether every trial came to its end, kept all promises and rules, and no system under test
    /// did what no endpoint may.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.result.verdict == Verdict::Holds
            && self.notes.values().all(|notes| notes.errors.is_empty())
    }

    /// All that was found, point by point and trial by trial.
    #[must_use]
    pub const fn result(&self) -> &ScenarioResult {
        &self.result
    }

    /// Forbidden actions of systems under test, by the names of trials.
    pub fn sut_errors(&self) -> impl Iterator<Item = (&str, &SutError)> {
        let notes = self.notes.iter();
        notes.flat_map(|(trial, notes)| notes.errors.iter().map(move |it| (&**trial, it)))
    }

    /// The trials whose runs were not all the same: their systems under test have randomness of
    /// their own, such as the order of a hash map, a `select!` that is not `biased`, or the wall
    /// clock.
    pub fn nondeterministic_trials(&self) -> impl Iterator<Item = &str> {
        let unsteady = self.notes.iter().filter(|(_, notes)| notes.agreeing_runs < notes.runs);
        unsteady.map(|(trial, _)| &**trial)
    }

    /// Fails the test unless everything holds.
    ///
    /// # Panics
    /// Always when something does not hold, with the text of this report.
    #[track_caller]
    pub fn assert_holds(&self) {
        assert!(self.holds(), "\n{self}");
    }

    fn trials(&self) -> impl Iterator<Item = (&PointResult, &str, &SutNotes)> {
        self.result.points.iter().flat_map(|point| {
            let named = point.trials.iter().filter_map(|row| {
                let (name, notes) = self.notes.get_key_value(&row.name)?;
                Some((point, name.as_str(), notes))
            });
            named.collect::<Vec<_>>()
        })
    }
}

impl fmt::Display for HarnessReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = Style::PLAIN;
        let layout = TableLayout { width: WIDTH, verbose: false, style };
        f.write_str(&table(&self.result, layout))?;
        f.write_str(&summary::expectations(&self.result, style))?;
        let mut told = String::new();
        for (point, trial, notes) in self.trials() {
            let setup = &*self.result.scenario.points[point.index].setup;
            for sut_error in first_error_of_each_kind(&notes.errors) {
                writeln!(
                    told,
                    "FAIL {}  trial {trial}: {}",
                    point.label,
                    error_sentence(sut_error, setup)
                )?;
                writeln!(told, "  reproduce: {}", rerun_command(trial))?;
            }
        }
        if !told.is_empty() {
            write!(f, "\n{told}")?;
        }
        let failures = failure::failures(&self.result, "", style);
        if !failures.is_empty() {
            write!(f, "\n{}", with_rerun_commands(&failures, &self.failed_rerun_counts))?;
        }
        let unsteady = self.nondeterministic_trials().count();
        if unsteady > 0 {
            writeln!(
                f,
                "\n{} of {} trials did not run the same twice: the code under test draws at random \
                 itself,\nsuch as by a `select!` that is not `biased`, the order of a hash map, or \
                 the wall clock.",
                format_count(unsteady as u64),
                format_count(self.notes.len() as u64),
            )?;
        }
        Ok(())
    }
}

/// Repeated actions of a node are reported once.
fn first_error_of_each_kind(errors: &[SutError]) -> impl Iterator<Item = &SutError> {
    let kind = |it: &SutError| (it.node, discriminant(&it.kind));
    let is_new = move |n: &usize| errors[..*n].iter().all(|it| kind(it) != kind(&errors[*n]));
    (0..errors.len()).filter(is_new).map(|n| &errors[n])
}

/// The node, its action, and the time.
fn error_sentence(error: &SutError, setup: &Setup) -> String {
    let who = match error.node {
        Node::Broker => "the broker under test".to_owned(),
        Node::Client(client) => format!("`{}`", setup.clients[client.index()].name),
    };
    let at = error.at;
    let text = match &error.kind {
        SutErrorKind::Panicked(message) => format!("{who} panicked at {at}: {message}"),
        SutErrorKind::Exited(None) => format!("{who}'s code ended at {at}, and should not"),
        SutErrorKind::Exited(Some(error)) => format!("{who}'s code ended at {at}: {error}"),
        SutErrorKind::NeverReady if error.node == Node::Broker => {
            format!("{who} had accepted no client by {at}")
        }
        SutErrorKind::NeverReady => {
            format!("{who} was not connected with all subscriptions acknowledged by {at}")
        }
        SutErrorKind::NotConnected => {
            format!("{who} had no connection at {at} and did not come back")
        }
        SutErrorKind::Flooded(packets) => {
            format!("{who} flooded the network: {} packets by {at}", format_count(*packets))
        }
        SutErrorKind::MalformedPacket(why) => {
            format!("{who} wrote no MQTT packet at {at}: it {why}")
        }
        SutErrorKind::UnknownPayload => {
            format!("{who} delivered a payload at {at} that nobody published")
        }
        SutErrorKind::Hung => {
            format!("{who}'s code did not give control back at {at}: it blocks, or spins")
        }
    };
    escape::terminal(&text).into_owned()
}

/// The command that runs one trial of the test again.
fn rerun_command(trial: &str) -> String {
    let test =
        thread::current().name().filter(|name| *name != "main").unwrap_or_default().to_owned();
    format!("{TRIAL_VARIABLE}={trial} cargo test {test}").trim_end().to_owned()
}

/// The number of reruns of a shrunk trial in which the same breaks.
fn count_rerun_breaks(factories: &NodeFactories, shrunk: &ShrunkTrial) -> usize {
    let never = AtomicBool::new(false);
    let reruns = (0..RERUNS).filter_map(|_| judge_trial(factories, &shrunk.trial, &never).ok());
    reruns.filter(|outcome| shrunk.broken.is_in(outcome)).count()
}

/// Commands for our own endpoints show nothing of a system under test: the test is what repeats a
/// trial. A shrunk trial is reported with its reruns.
fn with_rerun_commands(failures: &str, rerun_breaks: &[usize]) -> String {
    let mut again = rerun_breaks.iter();
    let mut text = String::new();
    for line in failures.lines() {
        if let Some(command) = line.strip_prefix("  reproduce: ") {
            let trial = command.rsplit(' ').next().unwrap_or_default();
            text.extend(["  reproduce: ", &rerun_command(trial), "\n"]);
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
