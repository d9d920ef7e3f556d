//! Which characters of a stranger's text show, and leave the text around them as it is.
//!
//! Names, summaries, errors and compiler messages end on a terminal and in the next prompt. A terminal obeys control
//! characters, a reader is fooled by those that turn the line round, and a model reads tags that nobody sees.

use std::path::Path;

/// Whether a character shows and leaves the text around it as it is. A line break does not.
pub(crate) fn is_printable(character: char) -> bool {
    let turns_direction =
        matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    let has_no_width = matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    let breaks_the_line = matches!(character, '\u{2028}' | '\u{2029}');
    // Tags, which terminals do not show and models read.
    let is_tag = matches!(character, '\u{e0000}'..='\u{e007f}');
    !(character.is_control() || turns_direction || has_no_width || breaks_the_line || is_tag)
}

/// The character, or one that says that something was here.
pub fn shown(character: char) -> char {
    match is_printable(character) {
        true => character,
        false => char::REPLACEMENT_CHARACTER,
    }
}

/// The text as it may be printed; line breaks stay.
pub(crate) fn printable(text: &str) -> String {
    let kept = |character| match character {
        '\n' => character,
        _ => shown(character),
    };
    text.chars().map(kept).collect()
}

/// The name of a file as it may stand in a line, without what does not show or ends the line.
pub(crate) fn name_of(file: &Path) -> String {
    file.to_string_lossy().chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_show_is_replaced() {
        let text = "a\u{1b}[2J\u{202e}b\u{200b}\u{e0041}\u{2028}é\u{3b1}";
        let text: String = text.chars().map(shown).collect();
        assert_eq!(text, "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}\u{fffd}é\u{3b1}");
    }
}
