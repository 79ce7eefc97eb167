//! Foreign text for people: nothing in it may steer a terminal, turn what is shown around, or be
//! there without being seen.

/// A text in which each character that could do so is escaped, as Rust escapes it.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |shown, character| {
        shown.extend(character.escape_default());
    })
}

/// JSON in which each character that could do so is escaped, as JSON escapes it; the newlines after
/// the lines stay. It says the same as before.
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

/// Lines of a log, whose newlines and colours stay; what is foreign in them has no escape character
/// any more.
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

/// Whether a character is shown as itself and does nothing else. Not so are the control characters,
/// what Unicode has to be ignored by default (`Default_Ignorable_Code_Point`: characters without
/// width, and those that set the direction of text), the separators of lines and paragraphs, and
/// the marks of annotations.
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
