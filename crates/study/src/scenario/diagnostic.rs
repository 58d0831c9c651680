//! Diagnostics of a scenario file, all of them, shown at their places in the style of rustc.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::axis::Setting;

/// The text before a setting where its place is shown.
const SETTING_PREFIX: &str = "--set ";

/// The label of a field that does not exist.
pub(super) const UNKNOWN_FIELD: &str = "unknown field";

/// Everything that is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// The file, as the user wrote it.
    pub path: String,
    /// Its text, as far as it could be read.
    pub source: String,
    /// The settings that came on top, each as `--set PATH=VALUE`; their places follow those of
    /// the source.
    pub settings: Vec<String>,
    /// Errors: unknown fields, then the rest, each in the order of the file.
    pub errors: Vec<Diagnostic>,
    /// Warnings about what is right but surprising, in the order of the file.
    pub warnings: Vec<Diagnostic>,
}

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The error or warning, as a fragment.
    pub title: String,
    /// The place: bytes of the source. `None`: the file as a whole.
    pub span: Option<Range<usize>>,
    /// The label at the place; may be empty.
    pub label: String,
    /// The suggested cure; may be empty.
    pub help: String,
}

impl Diagnostics {
    /// No diagnostics so far.
    pub(super) fn new(path: &str, source: &str) -> Self {
        let (path, source) = (path.to_owned(), source.to_owned());
        Self { path, source, settings: Vec::new(), errors: Vec::new(), warnings: Vec::new() }
    }

    /// The places of the next setting's path and value, for spans.
    pub(super) fn add_setting(&mut self, setting: &Setting) -> (Range<usize>, Range<usize>) {
        let line = format!("{SETTING_PREFIX}{setting}");
        let start = self.setting_start(self.settings.len());
        let path = start + SETTING_PREFIX.len();
        let value = path + setting.path.len() + 1;
        let end = start + line.len();
        self.settings.push(line);
        (path..value - 1, value..end)
    }

    /// Where a setting's line begins, counted on from the end of the source.
    fn setting_start(&self, nth: usize) -> usize {
        self.settings[..nth].iter().fold(self.source.len() + 1, |at, line| at + line.len() + 1)
    }

    /// The text in which a place is, what to call it, and the place in it.
    fn source_of(&self, span: &Range<usize>) -> (&str, &str, Range<usize>) {
        let nth = (0..self.settings.len()).rev().find(|nth| self.setting_start(*nth) <= span.start);
        match nth {
            Some(nth) => {
                let start = self.setting_start(nth);
                (&self.settings[nth], "command line", span.start - start..span.end - start)
            }
            None => (&self.source, &self.path, span.clone()),
        }
    }

    /// One error about a file as a whole.
    pub(super) fn for_file(path: &str, title: impl Into<String>, help: impl Into<String>) -> Self {
        let mut all = Self::new(path, "");
        let (title, help) = (title.into(), help.into());
        all.errors.push(Diagnostic { title, span: None, label: String::new(), help });
        all
    }

    /// Adds an error at a place.
    pub(super) fn error(
        &mut self,
        span: &Range<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> &mut Diagnostic {
        push(&mut self.errors, span, title.into(), label.into())
    }

    /// Adds a warning at a place.
    pub(super) fn warn(
        &mut self,
        span: &Range<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> &mut Diagnostic {
        push(&mut self.warnings, span, title.into(), label.into())
    }

    /// In the order of the file, none twice; but unknown fields first, for a misspelt one may be
    /// the cause of whatever else is wrong.
    pub(super) fn sorted(mut self) -> Self {
        let place = |one: &Diagnostic| {
            (one.label != UNKNOWN_FIELD, one.span.as_ref().map_or(0, |span| span.start))
        };
        for list in [&mut self.errors, &mut self.warnings] {
            list.sort_by_key(place);
            list.dedup();
        }
        self
    }

    /// As text for a terminal, with or without colour; ends with a line feed.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        let errors = self.errors.iter().map(|one| (Level::ERROR, one));
        for (level, one) in errors.chain(self.warnings.iter().map(|one| (Level::WARNING, one))) {
            let title = printable(&one.title);
            let title = level.primary_title(title.as_str());
            let main = match &one.span {
                Some(span) => {
                    let (source, path, span) = self.source_of(span);
                    title.element(
                        Snippet::source(source)
                            .path(path)
                            .annotation(AnnotationKind::Primary.span(span).label(&one.label)),
                    )
                }
                None => Group::with_title(title)
                    .element(annotate_snippets::Origin::path(self.path.as_str())),
            };
            let mut report = vec![main];
            if !one.help.is_empty() {
                report.push(Group::with_title(Level::HELP.secondary_title(one.help.as_str())));
            }
            text.push_str(&renderer.render(&report));
            text.push_str("\n\n");
        }
        text.pop();
        text
    }
}

fn push<'a>(
    list: &'a mut Vec<Diagnostic>,
    span: &Range<usize>,
    title: String,
    label: String,
) -> &'a mut Diagnostic {
    let span = Some(span.clone());
    list.push(Diagnostic { title, span, label, help: String::new() });
    list.last_mut().expect("one was pushed just now")
}

/// The text without control characters, which a file could use to fool a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Without colour.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostic {
    /// Adds the suggested cure.
    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = help.into();
        self
    }

    /// Suggests which of the known names was perhaps meant, or names them all.
    pub(super) fn suggest_name(&mut self, name: &str, known: &[&str]) -> &mut Self {
        if known.is_empty() { self } else { self.help(name_hint(name, known)) }
    }
}

/// Which of the known names was perhaps meant, or all of them.
pub(super) fn name_hint(name: &str, known: &[&str]) -> String {
    match nearest_name(name, known) {
        Some(one) => format!("did you mean `{one}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The known name that was perhaps meant: at most a third of the letters differ.
pub(super) fn nearest_name<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (steps, one) = known.iter().map(|one| (edit_distance(name, one), *one)).min()?;
    (steps <= 1.max(name.chars().count() / 3)).then_some(one)
}

/// The number of letters to put in, leave out, change or swap with the next to get from `a` to `b`
/// (Damerau and Levenshtein's distance, restricted).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[a.len()][b.len()]
}
