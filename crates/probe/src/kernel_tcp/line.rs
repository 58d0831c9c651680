//! Payloads that are lines of text: what `mosquitto_pub -l` reads and `mosquitto_sub` prints.

/// A line of `length` bytes, its end included not, that begins with a number.
pub(super) fn numbered_line(number: u32, length: usize) -> Vec<u8> {
    let mut line = format!("{number:08} ").into_bytes();
    line.resize(length, b'.');
    line.push(b'\n');
    line
}

/// The number of a line, with or without its end; `None` if it is no such line.
pub(super) fn line_number(line: &[u8]) -> Option<u32> {
    let (number, rest) = line.split_at_checked(8)?;
    rest.starts_with(b" ").then_some(())?;
    str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_length_and_its_number() {
        for (number, length) in [(0, 64), (7, 64), (99_999_999, 1_000), (1, 300_000)] {
            let line = numbered_line(number, length);
            assert_eq!(line.len(), length + 1);
            assert_eq!(line.split(|byte| *byte == b'\n').count(), 2);
            assert_eq!(line_number(&line), Some(number));
            assert_eq!(line_number(&line[..length]), Some(number));
        }
    }

    #[test]
    fn other_lines_have_no_number() {
        for line in
            ["", "\n", "1234567", "12345678", "1234567x .", "123456789 .", "\u{fc}bung ...."]
        {
            assert_eq!(line_number(line.as_bytes()), None, "{line:?}");
        }
    }
}
