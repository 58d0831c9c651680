//! Escapes text from a scenario for its destination. JSON and XML are escaped by their writers.

use std::borrow::Cow;
use std::fmt::Write;

/// For a terminal: control characters, which could move the cursor or change its title, and
/// characters that turn the direction of text are written out, as `\u{1b}`.
#[must_use]
pub fn terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::with_capacity(text.len() + 8), |mut safe, char| {
        if is_dangerous(char) {
            safe.extend(char.escape_unicode());
        } else {
            safe.push(char);
        }
        safe
    }))
}

/// For text of several lines on a page, where markup is escaped by its writer: as [`terminal`], but
/// line feeds and tabs stay.
#[must_use]
pub fn multiline(text: &str) -> String {
    let lines =
        text.split_inclusive(['\n', '\t']).map(|part| match part.strip_suffix(['\n', '\t']) {
            Some(line) => format!("{}{}", terminal(line), &part[line.len()..]),
            None => terminal(part).into_owned(),
        });
    lines.collect()
}

/// For the message of a GitHub workflow command, where `%` and line ends are special.
#[must_use]
pub fn workflow_message(text: &str) -> String {
    terminal(text).replace('%', "%25")
}

/// For a property of a GitHub workflow command, which also ends at `,` and `:`.
#[must_use]
pub fn workflow_property(text: &str) -> String {
    workflow_message(text).replace(':', "%3A").replace(',', "%2C")
}

fn is_dangerous(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}')
        || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// For a cell of a CSV file: spreadsheets run what begins with one of `= + - @`, a tab or a
/// carriage return as a formula, so such text gets an apostrophe in front.
#[must_use]
pub fn csv(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// For Markdown: escapes all that could begin markup, a table cell or HTML.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\n' | '\r' | '\t' => safe.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '$' => {
                safe.push('\\');
                safe.push(char);
            }
            _ if is_dangerous(char) => {
                write!(safe, "\\\\{}", char.escape_unicode()).expect("a String takes any text");
            }
            _ => safe.push(char),
        }
    }
    safe
}

/// For the name of a file or folder: letters, digits, `-`, `_` and inner dots stay.
#[must_use]
pub fn file_name(text: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.');
    let name: String = text.chars().map(|char| if plain(char) { char } else { '-' }).collect();
    let name = name.trim_matches('.');
    if name.is_empty() { "scenario".to_owned() } else { name.to_owned() }
}

/// For one argument of a POSIX shell: quoted unless it is plain.
#[must_use]
pub fn shell(text: &str) -> Cow<'_, str> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+=:,@%".contains(char);
    if !text.is_empty() && text.chars().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(terminal("meter-7 über 10 µs"), "meter-7 über 10 µs");
        assert_eq!(terminal("\x1b]0;owned\x07"), r"\u{1b}]0;owned\u{7}");
        assert_eq!(terminal("a\u{9b}2Jb\u{202e}c"), r"a\u{9b}2Jb\u{202e}c");
        assert_eq!(terminal("two\r\nlines"), r"two\u{d}\u{a}lines");
    }

    #[test]
    fn text_on_a_page_keeps_its_lines_and_nothing_else_that_is_invisible() {
        assert_eq!(multiline("a\n\tb\u{202e}c\x1b\n"), "a\n\tb\\u{202e}c\\u{1b}\n");
    }

    #[test]
    fn a_workflow_command_has_one_line_and_its_own_properties_only() {
        assert_eq!(workflow_message("50%\n::error::x"), r"50%25\u{a}::error::x");
        assert_eq!(workflow_property("a,line=1::b%0A"), "a%2Cline=1%3A%3Ab%250A");
    }

    #[test]
    fn a_spreadsheet_runs_no_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(csv(text), format!("'{text}"));
        }
        assert_eq!(csv("qos 1 = best"), "qos 1 = best");
    }

    #[test]
    fn markdown_stays_in_its_cell() {
        assert_eq!(markdown("a|b\n<img src=x>`c`"), r"a\|b &lt;img src=x&gt;\`c\`");
        assert_eq!(markdown("![x](y)"), r"\!\[x\](y)");
    }

    #[test]
    fn a_folder_stays_in_its_place() {
        assert_eq!(file_name("clean-lan_2.1"), "clean-lan_2.1");
        assert_eq!(file_name("../../etc/passwd"), "-..-etc-passwd");
        assert_eq!(file_name(".."), "scenario");
        assert_eq!(file_name("a\0b\nc"), "a-b-c");
    }

    #[test]
    fn a_path_is_one_argument() {
        assert_eq!(shell("scenarios/clean-lan.toml"), "scenarios/clean-lan.toml");
        assert_eq!(shell("my file's.toml"), r"'my file'\''s.toml'");
        assert_eq!(shell("$(reboot)"), "'$(reboot)'");
        assert_eq!(shell(""), "''");
    }
}
