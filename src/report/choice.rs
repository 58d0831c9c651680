//! A decision, ready to be shown: what was chosen, why, and beside what.

/// What was chosen, in words and with a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The decision in one sentence.
    pub title: String,
    /// Why.
    pub paragraphs: Vec<String>,
    /// The columns of the table.
    pub header: Vec<String>,
    /// What was compared, a row each.
    pub rows: Vec<Vec<String>>,
}
