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

    /// What went well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32;1", text)
    }

    /// What is broken.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("31;1", text)
    }

    /// What proves nothing.
    #[must_use]
    pub fn warning(self, text: &str) -> String {
        self.paint("33;1", text)
    }

    /// Names.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What helps to read the rest.
    #[must_use]
    pub fn muted(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
