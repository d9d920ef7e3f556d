//! `source/hidden-characters`

use super::SourceRule;
use crate::rules::{Example, Rule};
use crate::source::Offence;
use crate::{Span, Stage};

pub(super) const RULE: SourceRule<str> = SourceRule {
    page: Rule {
        name: "source/hidden-characters",
        stage: Stage::Source,
        what: "control characters, and characters that are not visible or turn the direction of the text",
        why: "they make a file look different from what compiles",
        hint: "use plain text; Greek letters are fine, byte order marks and control characters are not",
        rejected: Example::Source("fn loss() { /* \u{202e} */ }"),
        accepted: Example::PLAIN,
    },
    // A carriage return belongs to a line's end or is a control character: `lines` takes the former away.
    find: |text| {
        text.lines().enumerate().find_map(|(row, line)| {
            let column = line.chars().position(is_hidden)?;
            let place = Span { line: row + 1, column: column + 1 };
            let code = line.chars().nth(column).map_or(0, u32::from);
            let message = format!("U+{code:04X} is a character that is not visible: delete it");
            Some(Offence::in_text(place, message))
        })
    },
};

fn is_hidden(character: char) -> bool {
    let turns_direction =
        matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    let has_no_width = matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    );
    let is_blank = matches!(
        character,
        '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
    );
    let breaks_lines = matches!(character, '\u{2028}' | '\u{2029}');
    let is_control = character.is_control() && character != '\t';
    turns_direction || has_no_width || is_blank || breaks_lines || is_control
}
