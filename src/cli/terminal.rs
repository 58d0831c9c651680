//! Standard output and error, colours, the width of the terminal.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::Context;
use clap::ValueEnum;
use terminal_size::{Width, terminal_size_of};

use crate::report::Style;

/// Columns where there is no terminal.
const DEFAULT_WIDTH: usize = 80;

/// Whether to colour: a choice that follows the terminal unless the user says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorMode {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The style of a stream: `NO_COLOR` and `CLICOLOR=0` turn `auto` off, `CLICOLOR_FORCE` on.
pub(super) fn style(when: ColorMode, stream: &impl IsTerminal) -> Style {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    let colour = match when {
        ColorMode::Always => true,
        ColorMode::Never => false,
        ColorMode::Auto if env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) => false,
        ColorMode::Auto if is_set("CLICOLOR_FORCE") => true,
        ColorMode::Auto => {
            let wanted = env::var_os("CLICOLOR").is_none_or(|value| value != "0");
            let able = env::var_os("TERM").is_none_or(|term| term != "dumb");
            wanted && able && stream.is_terminal()
        }
    };
    Style { colour }
}

/// Columns of standard output.
pub(super) fn width() -> usize {
    let size = terminal_size_of(io::stdout());
    size.map_or(DEFAULT_WIDTH, |(Width(columns), _)| usize::from(columns).max(40))
}

/// Standard output, which may be a pipe that its reader closes: then the rest is not printed, and
/// all else continues.
#[derive(Debug, Default)]
pub(super) struct StandardOutput {
    closed: bool,
}

impl StandardOutput {
    /// Prints text.
    ///
    /// # Errors
    /// If it cannot be written, such as on a full disk.
    pub(super) fn print(&mut self, text: &str) -> anyhow::Result<()> {
        if self.closed {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result.context("failed to write standard output"),
        }
    }
}

/// Prints a line on standard error; a failure of that cannot be reported and is ignored.
pub(super) fn print_stderr(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
