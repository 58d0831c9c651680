//! Problem with one value, before it is known where the value stands.

use std::fmt;

use qoslab_core::base::units::UnitError;

/// A problem with a value: a fragment that follows the field's name, a label for the value itself,
/// and perhaps what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Follows the field's name: `must be between 0 and 100 percent`.
    pub message: String,
    /// Stands under the value: `this is 120 %`.
    pub label: String,
    /// The cure; may be empty.
    pub help: String,
}

impl Problem {
    /// A problem with a sufficient label and no cure.
    pub fn new(what: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: what.into(), label: label.into(), help: String::new() }
    }

    /// The same with a cure.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }

    /// A text that is no quantity.
    pub fn from_unit_error(error: &UnitError) -> Self {
        let text = error.to_string();
        let (label, help) = text.split_once(": ").unwrap_or((&text, ""));
        let what = match error {
            UnitError::NoUnit { .. } => "needs a unit",
            UnitError::UnknownUnit { .. } => "has an unknown unit",
            UnitError::NoNumber { .. } => "cannot be read",
            UnitError::TooLarge { .. } => "is too large",
        };
        Self::new(what, label).help(help)
    }
}

/// In one line, without the cure.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.label)
    }
}
