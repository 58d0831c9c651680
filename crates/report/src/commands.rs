//! Commands that reproduce a result, ready to be pasted into a shell.

use super::escape;
use qoslab_core::base::QoS;
use qoslab_sim::EngineKind;
use qoslab_study::scenario::Scenario;
use qoslab_study::{PointResult, ScenarioResult};

/// `qoslab run FILE --set PATH=VALUE .. --engine NAME`: one cell with all its points and seeds;
/// `flags` are further options with a leading space.
#[must_use]
pub fn run_command(scenario: &Scenario, engine: EngineKind, flags: &str) -> String {
    command_for(scenario, "run") + &spaced_engine_flag(engine) + flags
}

/// The option that chooses the engine, with a leading space; empty for the default engine.
#[must_use]
pub fn spaced_engine_flag(engine: EngineKind) -> String {
    if engine == EngineKind::default() {
        return String::new();
    }
    format!(" --engine {}", engine.name())
}

/// `qoslab explore FILE --set PATH=VALUE .. --faults K`.
#[must_use]
pub fn explore(scenario: &Scenario, faults: u8) -> String {
    command_for(scenario, "explore") + &format!(" --faults {faults}")
}

fn command_for(scenario: &Scenario, verb: &str) -> String {
    let mut command = format!("qoslab {verb} {}", quote_argument(&scenario.path));
    for setting in &scenario.settings {
        command += &format!(" --set {}", quote_argument(setting));
    }
    command
}

/// One argument of a command, harmless on a terminal too.
#[must_use]
pub fn quote_argument(text: &(impl std::fmt::Display + ?Sized)) -> String {
    escape::shell(&escape::terminal(&text.to_string())).into_owned()
}

/// The same for one published QoS of one point, with the seeds that were run.
#[must_use]
pub fn point_run_command(result: &ScenarioResult, point: &PointResult, qos: QoS) -> String {
    let mut flags = format!(" --qos {qos}");
    if let (Some(first), Some(last)) = (point.trials.first(), point.trials.last()) {
        flags += &format!(" --seeds {}..{}", first.seed, last.seed);
    }
    run_command(&result.scenario, result.engine, &flags)
}
