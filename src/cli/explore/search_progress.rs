//! Progress of a search: a spinner on a terminal, periodic lines where there is none.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::Duration;
#[expect(clippy::disallowed_types, reason = "progress is for people, and reaches no result")]
use std::time::Instant;

use indicatif::ProgressBar;

use crate::base::units::format_count;
use crate::cli::progress::ProgressMode;
use crate::cli::terminal::print_stderr;
use crate::study::explore::{ExploreReport, SearchListener};

/// The interval between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows the progress of a search.
pub(super) struct SearchProgress {
    bar: Option<ProgressBar>,
    prints_lines: bool,
    #[expect(clippy::disallowed_types, reason = "progress is for people, and reaches no result")]
    last_line: Mutex<Instant>,
}

impl SearchProgress {
    /// Starts the clock.
    #[expect(clippy::disallowed_types, reason = "progress is for people, and reaches no result")]
    pub(super) fn start(mode: ProgressMode) -> Self {
        let terminal = io::stderr().is_terminal();
        let shown = mode == ProgressMode::Auto;
        Self {
            bar: (shown && terminal).then(ProgressBar::new_spinner),
            prints_lines: shown && !terminal,
            last_line: Mutex::new(Instant::now()),
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl SearchListener for SearchProgress {
    #[expect(clippy::disallowed_types, reason = "progress is for people, and reaches no result")]
    fn on_progress(&self, report: &ExploreReport) {
        let Some(level) = report.levels.last() else { return };
        let text = format!(
            "Exploring {} of {} with {} faults, {} states",
            format_count(level.schedules),
            format_count(level.planned),
            report.levels.len() - 1,
            format_count(report.states()),
        );
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            bar.tick();
        } else if let (true, Ok(mut last)) = (self.prints_lines, self.last_line.lock())
            && last.elapsed() >= LINE_EVERY
        {
            *last = Instant::now();
            print_stderr(&format!("   {text}"));
        }
    }
}
