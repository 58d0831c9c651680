//! Colours of terminal output, each used for one meaning.

/// Whether to colour, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences are written at all.
    pub colour: bool,
}

impl Style {
    /// Text without colours.
    pub const PLAIN: Self = Self { colour: false };

    /// Style of success.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32;1", text)
    }

    /// Style of failure.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("31;1", text)
    }

    /// Style of inconclusive results.
    #[must_use]
    pub fn warning(self, text: &str) -> String {
        self.paint("33;1", text)
    }

    /// Style of names.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Style of secondary text.
    #[must_use]
    pub fn muted(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
