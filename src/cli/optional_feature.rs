//! Options that need a feature of the build: without it, their errors say how to get it.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

/// Value parser of an option that needs a feature of the build.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptionalFeature<P> {
    /// The parser of the option's values.
    pub parser: P,
    /// The option, as users write it.
    pub option: &'static str,
    /// The feature's name in `Cargo.toml`.
    pub feature: &'static str,
    /// Whether this program was built with it.
    pub is_built: bool,
    /// Whether a value needs the feature.
    pub needs_it: fn(&OsStr) -> bool,
}

impl<P: TypedValueParser> TypedValueParser for OptionalFeature<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, Error> {
        if !self.is_built && (self.needs_it)(value) {
            let Self { option, feature, .. } = self;
            let cure = format!(
                "`{option}` needs the feature `{feature}`, which this program was built without\n\n\
                 \x20 tip: build it with `cargo build --release --features {feature}`\n"
            );
            return Err(command.clone().error(ErrorKind::ValueValidation, cure));
        }
        self.parser.parse_ref(command, argument, value)
    }

    fn possible_values(
        &self,
    ) -> Option<Box<dyn Iterator<Item = clap::builder::PossibleValue> + '_>> {
        self.parser.possible_values()
    }
}
