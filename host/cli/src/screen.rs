//! What a person sees: talk goes to stderr, data to stdout, and colour is never the only carrier of a meaning.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use anyhow::Context;
use sandbox::Rejection;

/// One line of talk. Where stderr takes none, the work goes on all the same.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// One line of data for machines.
///
/// # Errors
/// When stdout is closed or the value cannot be serialised.
pub(crate) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    data(&format!("{}\n", serde_json::to_string(value)?))
}

/// Text for people on stdout; it ends with the line.
///
/// # Errors
/// When stdout is closed or full.
pub(crate) fn data(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context(NO_STDOUT)
}

/// The context of an error of stdout.
pub(crate) const NO_STDOUT: &str = "cannot write to stdout";

/// Whether the error is that whoever reads stdout has had enough, as `head` has after ten lines.
pub(crate) fn reader_has_gone(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    error.to_string() == NO_STDOUT
        && cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A fault of ours, of the machine or of the command line, with everything that led to it, and then what to do.
pub(crate) fn fault(error: &anyhow::Error) {
    let mut said = error.to_string();
    let (message, hint) = hint_apart(&said);
    note(&format!("{} {message}", paint(Colour::Red, "error:")));
    let mut hints = Vec::from_iter(hint);
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Many errors quote their own cause.
        if !said.contains(&cause) {
            let (message, hint) = hint_apart(&cause);
            note(&format!("  because {message}"));
            hints.extend(hint);
        }
        said = cause;
    }
    for hint in hints {
        note(&format!("hint: {hint}"));
    }
}

/// What is wrong, and the remedy that the message names.
pub(crate) fn hint_apart(message: &str) -> (String, Option<String>) {
    match message.split_once("\nhint: ") {
        Some((detail, hint)) => (detail.to_owned(), Some(hint.to_owned())),
        None => (message.to_owned(), None),
    }
}

/// The plugin's own fault, in the words that a proposer gets too.
pub(crate) fn rejection(rejection: &Rejection) {
    note(&format!(
        "{} at {} by {}{}",
        paint(Colour::Red, "rejected"),
        rejection.stage,
        rejection.rule,
        place(rejection)
    ));
    note(&format!("  {}", indented(&rejection.message)));
    if !rejection.hint.is_empty() {
        note(&format!("  hint: {}", rejection.hint));
    }
}

fn place(rejection: &Rejection) -> String {
    match rejection.span {
        Some(span) => format!(" (line {}, column {})", span.line, span.column),
        None => String::new(),
    }
}

fn indented(message: &str) -> String {
    message.replace('\n', "\n  ")
}

/// The colours used on screen.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Red,
    Green,
    Yellow,
}

/// `text` in a colour, where stderr is a terminal and `NO_COLOR` is not set.
pub(crate) fn paint(colour: Colour, text: &str) -> String {
    if !std::io::stderr().is_terminal()
        || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
    {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Red => 31,
        Colour::Green => 32,
        Colour::Yellow => 33,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// What became of the rows of a data file, in words.
pub(crate) fn rows(tally: &trainer::data::Tally) -> String {
    let mut text = format!("{} pairs of {} rows", tally.pairs, tally.rows);
    for (count, what) in [
        (tally.truncated, "cut to the length limit"),
        (tally.dropped, "left out: the prompt fills the length limit"),
        (tally.bad, "left out: bad"),
    ] {
        if count > 0 {
            let _ = write!(text, "; {count} {what}");
        }
    }
    for message in &tally.first_messages {
        let _ = write!(text, "\n  {}", indented(message));
    }
    text
}

/// A table with a header; every column is as wide as its widest cell, numbers stand right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([header[column].chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    for row in std::iter::once(&header).chain(rows) {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_table_line_up() {
        let rows = vec![
            vec!["dpo".to_owned(), "0.51".to_owned()],
            vec!["discopop".to_owned(), "-0.1".to_owned()],
        ];
        assert_eq!(
            table(&["loss", "fitness"], &rows),
            "loss      fitness\ndpo          0.51\ndiscopop     -0.1\n"
        );
    }
}
