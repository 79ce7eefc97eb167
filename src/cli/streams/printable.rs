//! Escaping text from outside that people read: no character of it may control a terminal, change
//! the direction of text, or be invisible.

/// Returns the text with each such character escaped as in Rust.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |shown, character| {
        shown.extend(character.escape_default());
    })
}

/// Returns JSON lines with each such character escaped as in JSON, which keeps their meaning. The
/// newlines after the lines stay.
pub(crate) fn printable_json(lines: &str) -> String {
    escaped(lines, |shown, character| {
        if character == '\n' {
            shown.push(character);
            return;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            shown.push_str(&format!("\\u{unit:04x}"));
        }
    })
}

/// Returns log lines with each such character escaped. Newlines and the escape characters of
/// colours stay; text from outside was escaped before it was logged.
pub(crate) fn printable_log(lines: &str) -> String {
    escaped(lines, |shown, character| match character {
        '\n' | '\u{1b}' => shown.push(character),
        _ => shown.extend(character.escape_default()),
    })
}

fn escaped(text: &str, escape: impl Fn(&mut String, char)) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_printable(character) {
            shown.push(character);
        } else {
            escape(&mut shown, character);
        }
    }
    shown
}

/// True if a character is visible and does nothing else. False for control characters, for those
/// that Unicode ignores by default (`Default_Ignorable_Code_Point`: characters without width, and
/// those that set the direction of text), for separators of lines and paragraphs, and for marks of
/// annotations.
fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEERING: &str = "a\u{1b}[2J\u{9b}\u{7f}\u{200b}\u{202e}\u{feff}\u{e0041}\u{e9}\u{20ac}";

    #[test]
    fn a_text_for_people_has_no_character_that_steers_or_hides() {
        let shown = printable(STEERING);
        let expected = r"a\u{1b}[2J\u{9b}\u{7f}\u{200b}\u{202e}\u{feff}\u{e0041}";
        assert_eq!(shown, format!("{expected}\u{e9}\u{20ac}"));
    }

    #[test]
    fn json_says_the_same_when_it_is_printable() {
        let record = serde_json::json!({ STEERING: [STEERING, "\n\\\"\u{2028}"] });
        let line = format!("{record}\n");
        let shown = printable_json(&line);
        assert!(shown.trim_end().chars().all(is_printable), "{shown}");
        let said: serde_json::Value = serde_json::from_str(&shown).expect("it is JSON still");
        assert_eq!(said, record);
        assert_eq!(
            printable_json("{\"a\":\"\u{e9}\"}\n"),
            "{\"a\":\"\u{e9}\"}\n"
        );
    }
}
