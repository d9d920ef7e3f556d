//! From text to statements: comments dropped, lines counted, bodies cut at their semicolons.

/// One instruction or directive of a kernel's body, without its semicolon.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// The line on which it begins, counted from 1.
    pub(crate) line: u32,
    /// Its text, blanks squeezed.
    pub(crate) text: String,
}

impl Statement {
    /// The guard (`@%p1`, `@!%p1`) without its at sign, the instruction's name and its operands.
    pub(crate) fn split(&self) -> (Option<&str>, &str, Vec<&str>) {
        let mut rest = self.text.as_str();
        let mut guard = None;
        if let Some(guarded) = rest.strip_prefix('@') {
            let (name, after) = guarded.split_once(' ').unwrap_or((guarded, ""));
            guard = Some(name);
            rest = after.trim_start();
        }
        let (name, operands) = rest.split_once(' ').unwrap_or((rest, ""));
        (guard, name, split_operands(operands))
    }
}

/// Cuts at the commas outside of braces and brackets.
pub(crate) fn split_operands(text: &str) -> Vec<&str> {
    let (mut operands, mut depth, mut start) = (Vec::new(), 0, 0);
    for (place, mark) in text.char_indices() {
        match mark {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                operands.push(text[start..place].trim());
                start = place + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() {
        operands.push(text[start..].trim());
    }
    operands
}

/// The text without comments, every line kept in its place.
pub(crate) fn without_comments(source: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(source.len()), source);
    while let Some(place) = rest.find('/') {
        text.push_str(&rest[..place]);
        rest = &rest[place..];
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").map_or(rest.len(), |end| end + 2);
            text.extend(rest[..end].chars().filter(|mark| *mark == '\n'));
            rest = &rest[end..];
        } else {
            text.push('/');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    text
}

/// What a body consists of.
#[derive(Debug)]
pub(crate) enum Item {
    /// A label, without its colon.
    Label(String),
    /// An instruction or a directive.
    Statement(Statement),
}

/// Cuts a body, given without its outer braces and beginning on `line`, at its semicolons.
/// Inner scopes, which inline assembly opens, are dissolved.
pub(crate) fn items(body: &str, mut line: u32) -> Vec<Item> {
    let mut items = Vec::new();
    let (mut text, mut begun, mut previous) = (String::new(), line, ' ');
    let mut marks = body.chars().peekable();
    while let Some(mark) = marks.next() {
        if mark == '\n' {
            line += 1;
            // The only directive of a body that ends with its line.
            if text.starts_with(".loc") {
                text.clear();
            }
        }
        let at_start = text.is_empty();
        match mark {
            ';' => {
                let statement = std::mem::take(&mut text).trim().to_owned();
                if !statement.is_empty() {
                    items.push(Item::Statement(Statement { line: begun, text: statement }));
                }
            }
            '{' | '}' if at_start => {}
            ':' if previous != ':' && marks.peek() != Some(&':') && is_name(text.trim()) => {
                items.push(Item::Label(std::mem::take(&mut text).trim().to_owned()));
            }
            blank if blank.is_whitespace() => {
                if !at_start && !text.ends_with(' ') {
                    text.push(' ');
                }
            }
            _ => {
                if at_start {
                    begun = line;
                }
                text.push(mark);
            }
        }
        previous = mark;
    }
    items
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|mark| mark.is_ascii_alphanumeric() || "_$%".contains(mark))
}
