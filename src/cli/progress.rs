//! Progress of a run: a bar on a terminal, periodic lines where there is none. All of it goes to
//! standard error, and the wall clock is used for nothing else.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
#[expect(clippy::disallowed_types, reason = "progress is for people, and reaches no result")]
use std::time::Instant;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::options::PrintOptions;
use super::terminal::{print_stderr, style};
use crate::base::units::format_count;
use crate::report::number::counted;
use crate::report::summary::scenario_line;
use crate::report::table::coloured_verdict;
use crate::report::{Style, labels};
use crate::study::{RunOutput, RunSize, ScenarioResult, Verdict};

/// The interval between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How a run's progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressMode {
    /// A bar on a terminal, elsewhere a line every 10 seconds; nothing with --quiet.
    #[default]
    Auto,
    /// Nothing.
    Never,
}

/// Shows the progress of a run.
#[derive(Debug)]
pub(super) struct ProgressDisplay {
    total: u64,
    done: AtomicU64,
    bar: Option<ProgressBar>,
    prints_lines: bool,
    quiet: bool,
    style: Style,
    clock: Mutex<ProgressClock>,
}

#[derive(Debug)]
#[expect(clippy::disallowed_types, reason = "progress is for people, and reaches no result")]
struct ProgressClock {
    began: Instant,
    scenario_began: Instant,
    last_line: Instant,
}

impl ProgressDisplay {
    /// Prints that a run of the given number of what `cell` names starts, and starts the clock.
    /// With --quiet there is no bar, and a line only for scenarios that fail.
    #[expect(clippy::disallowed_types, reason = "progress is for people, and reaches no result")]
    pub(super) fn start(size: RunSize, cell: &str, printing: &PrintOptions) -> Self {
        let quiet = printing.quiet;
        let total = size.trials as u64;
        if !quiet {
            let runs = counted(total, "run");
            let cells = counted(size.cells as u64, cell);
            let jobs = counted(size.jobs as u64, "job");
            print_stderr(&format!("  Starting {runs} of {cells} ({jobs})"));
        }
        let terminal = io::stderr().is_terminal();
        let shown = printing.progress == ProgressMode::Auto && !quiet;
        let now = Instant::now();
        Self {
            total,
            done: AtomicU64::new(0),
            bar: (shown && terminal).then(|| progress_bar(total)),
            prints_lines: shown && !terminal,
            quiet,
            style: style(printing.color, &io::stderr()),
            clock: Mutex::new(ProgressClock { began: now, scenario_began: now, last_line: now }),
        }
    }

    /// Removes the bar and returns the time since the start in seconds.
    pub(super) fn finish(&self) -> f64 {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.clock.lock().map_or(0.0, |clock| clock.began.elapsed().as_secs_f64())
    }

    fn print_line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => print_stderr(line),
        }
    }

    /// Counts a trial; called from any thread.
    #[expect(clippy::disallowed_types, reason = "progress is for people, and reaches no result")]
    pub(super) fn trial_done(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
        // The thread that holds the clock is printing, so no other thread has to print a line.
        if let (true, Ok(mut clock)) = (self.prints_lines, self.clock.try_lock())
            && clock.last_line.elapsed() >= LINE_EVERY
        {
            clock.last_line = Instant::now();
            print_stderr(&format!(
                "   Running {}/{}",
                format_count(done),
                format_count(self.total)
            ));
        }
    }

    /// Prints the verdict on a scenario.
    #[expect(clippy::disallowed_types, reason = "progress is for people, and reaches no result")]
    pub(super) fn scenario_done(&self, result: &ScenarioResult) {
        let Ok(mut clock) = self.clock.lock() else { return };
        let took = clock.scenario_began.elapsed().as_secs_f64();
        clock.scenario_began = Instant::now();
        drop(clock);
        if self.quiet && result.verdict == Verdict::Holds {
            return;
        }
        // Colour codes take no columns, so the padding is counted from the bare word.
        let padding =
            " ".repeat(10_usize.saturating_sub(labels::verdict_mark(result.verdict).len()));
        let verdict = coloured_verdict(result.verdict, self.style);
        self.print_line(&format!("{padding}{verdict} [{took:>6.2}s] {}", scenario_line(result)));
    }
}

/// Output of a sweep or a choice while its trials run.
#[derive(Debug)]
pub(super) struct StudyProgress<'a> {
    printing: &'a PrintOptions,
    display: Option<ProgressDisplay>,
    /// The time that the trials took on this machine.
    pub seconds: f64,
}

impl<'a> StudyProgress<'a> {
    /// The output before the trials start.
    pub(super) const fn new(printing: &'a PrintOptions) -> Self {
        Self { printing, display: None, seconds: 0.0 }
    }
}

impl RunOutput for StudyProgress<'_> {
    fn started(&mut self, size: RunSize) {
        self.display = Some(ProgressDisplay::start(size, "cell", self.printing));
    }

    fn trial_done(&self, _: bool) {
        self.display.iter().for_each(ProgressDisplay::trial_done);
    }

    fn trials_done(&mut self) {
        self.seconds = self.display.as_ref().map_or(0.0, ProgressDisplay::finish);
    }
}

fn progress_bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("   Running [{bar:24}] {pos}/{len}  ETA {eta}")
        .expect("the template is fixed and right");
    bar.with_style(style.progress_chars("=> "))
}
