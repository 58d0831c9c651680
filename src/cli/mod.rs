//! The command line: arguments, progress, exit codes, files. Only here are terminals, the wall
//! clock and `anyhow`.

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;
mod choose;
mod decide;
mod engines;
pub mod exit;
mod explore;
mod files;
mod github;
mod grid;
mod interrupt;
mod known;
mod load;
mod merge;
mod options;
mod progress;
mod proofs;
mod replay;
mod run;
mod schema;
mod studies;
mod sweep;
mod terminal;
mod unmet;

/// What an MQTT QoS level really delivers, and what it costs: simulated, judged, with evidence.
#[derive(Debug, Parser)]
#[command(version, about, after_help = exit::HELP, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Arguments>),
    Sweep(Box<sweep::Arguments>),
    Merge(merge::MergeArguments),
    Report(merge::ReportArguments),
    Choose(Box<choose::Arguments>),
    Explore(Box<explore::Arguments>),
    Replay(Box<replay::Arguments>),
    Check(check::Arguments),
    Schema(schema::Arguments),
}

/// Runs the command that the process was started with, to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { exit::HOLDS };
            // A closed pipe is no reason to fail: the reader has seen enough.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let code = catch_unwind(|| dispatch(arguments)).unwrap_or_else(|_| {
        let command: Vec<String> = std::env::args().collect();
        terminal::note(&format!("error: this is a bug in qoslab; command: {}", command.join(" ")));
        exit::BUG
    });
    ExitCode::from(code)
}

fn dispatch(arguments: Arguments) -> u8 {
    let result = match arguments.command {
        Command::Run(arguments) => run::execute(&arguments),
        Command::Sweep(arguments) => sweep::execute(&arguments),
        Command::Merge(arguments) => merge::execute_merge(&arguments),
        Command::Report(arguments) => merge::execute_report(&arguments),
        Command::Choose(arguments) => choose::execute(&arguments),
        Command::Explore(arguments) => explore::execute(&arguments),
        Command::Replay(arguments) => replay::execute(&arguments),
        Command::Check(arguments) => check::execute(&arguments),
        Command::Schema(arguments) => schema::execute(&arguments),
    };
    result.unwrap_or_else(|error| {
        terminal::note(&format!("error: {error:#}"));
        exit::USAGE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
