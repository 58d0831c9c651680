//! The command line: arguments, progress, exit codes, files. Terminals, the wall clock and `anyhow`
//! are used only here.

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod artifacts;
mod check;
mod choose;
mod decision;
mod engine_option;
pub mod exit;
mod explore;
mod files;
mod github;
mod interrupt;
mod known_bugs;
mod load;
mod merge;
mod optional_feature;
mod options;
mod progress;
mod replay;
mod run;
mod schema;
mod selection;
mod studies;
mod study_setup;
mod sweep;
mod terminal;
mod unused_entries;

/// What an MQTT QoS level really delivers, and what it costs: simulated, judged, with evidence.
#[derive(Debug, Parser)]
#[command(version, about, after_help = exit::HELP, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::RunArguments>),
    Sweep(Box<sweep::SweepArguments>),
    Merge(merge::MergeArguments),
    Report(merge::ReportArguments),
    Choose(Box<choose::ChooseArguments>),
    Explore(Box<explore::ExploreArguments>),
    Replay(Box<replay::ReplayArguments>),
    Check(check::CheckArguments),
    Schema(schema::SchemaArguments),
}

/// Runs the command that the process was started with and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match CommandLine::try_parse() {
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
        terminal::print_stderr(&format!(
            "error: this is a bug in qoslab; command: {}",
            command.join(" ")
        ));
        exit::BUG
    });
    ExitCode::from(code)
}

fn dispatch(arguments: CommandLine) -> u8 {
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
        terminal::print_stderr(&format!("error: {error:#}"));
        exit::USAGE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::CommandLine;

    #[test]
    fn the_arguments_are_consistent() {
        CommandLine::command().debug_assert();
    }
}
