//! `source/hidden-characters`

use super::{SourceRule, page};
use crate::Span;
use crate::source::Offence;

pub(super) const RULE: SourceRule<str> = SourceRule {
    page: page(
        "source/hidden-characters",
        "control characters, and characters that are not visible or turn the direction of the text",
        "they make a file read otherwise than it compiles",
        "use plain text; Greek letters are fine, byte order marks and control characters are not",
        "fn loss() { /* \u{202e} */ }",
    ),
    find: |text| {
        text.lines().enumerate().find_map(|(row, line)| {
            let column = line.chars().position(is_hidden)?;
            let place = Span {
                line: row + 1,
                column: column + 1,
            };
            Some(Offence::in_text(
                place,
                "the file has a character that is not visible",
            ))
        })
    },
};

fn is_hidden(character: char) -> bool {
    let turns_direction =
        matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    let has_no_width =
        matches!(character, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    turns_direction || has_no_width || (character.is_control() && !matches!(character, '\t' | '\r'))
}
