//! The engine as an option, and the points that an engine cannot run.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::optional_feature::OptionalFeature;
use crate::report::escape;
use crate::sim::EngineKind;
use crate::study::Plan;

/// On what trials are run.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct EngineOption {
    /// Which simulator runs the clients and the broker
    #[arg(long, value_name = "ENGINE", value_parser = engines(),
        default_value = "event", help_heading = "How to run",
        hide_possible_values = true, long_help = LONG_HELP)]
    pub engine: EngineKind,
}

const LONG_HELP: &str = "\
Which simulator runs the clients and the broker: `event`, one queue of events, exact and fast; or \
`turmoil`, the same endpoints as async code on simulated hosts, to confirm by other means what \
`event` found: ten times slower, and only for links of 10 ms or more";

/// Parser of engines by their names.
fn engines() -> impl TypedValueParser<Value = EngineKind> {
    let names = PossibleValuesParser::new(["event", "turmoil"]);
    OptionalFeature {
        parser: names.map(|name| match name.as_str() {
            #[cfg(feature = "turmoil")]
            "turmoil" => EngineKind::Turmoil,
            _ => EngineKind::Event,
        }),
        option: "--engine turmoil",
        feature: "turmoil",
        is_built: cfg!(feature = "turmoil"),
        needs_it: |name| name == "turmoil",
    }
}

impl EngineOption {
    /// Applies the engine to a plan, and removes what it cannot run: a line for each such point, or
    /// one where it is the whole scenario.
    pub(super) fn select_engine(self, plan: &mut Plan) -> Vec<String> {
        let name = escape::terminal(&plan.scenario.name).into_owned();
        let left_out = plan.retain_supported(self.engine);
        let is_whole = plan.trials.is_empty();
        let lines = left_out.iter().map(|(point, why)| {
            let why = escape::terminal(&why.to_string()).into_owned();
            if is_whole {
                format!("SKIP {name}: {why}")
            } else {
                format!("SKIP {name}, {point}: {why}")
            }
        });
        lines.take(if is_whole { 1 } else { usize::MAX }).collect()
    }
}
