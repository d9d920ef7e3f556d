//! Values written as Python writes them, because chat templates are written for Python.
//!
//! `{{ none }}` is `None` there, a list prints as `['a', 1]`, and `tojson` is `json.dumps` with its spaces.
//! Not here: what a template computes (minijinja).

use std::fmt::Write;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// `str(value)`
pub(super) fn str(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined => String::new(),
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        _ => repr(value),
    }
}

/// `repr(value)`
fn repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "None".into(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.into(),
        ValueKind::Number => number(value),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            format!("[{}]", items(value).map(|item| repr(&item)).collect::<Vec<_>>().join(", "))
        }
        ValueKind::Map => {
            let entry = |key: Value| {
                let item = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", repr(&key), repr(&item))
            };
            format!("{{{}}}", items(value).map(entry).collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// How `json.dumps` is asked to write.
#[derive(Debug, Clone, Default)]
pub(super) struct Dumps {
    pub(super) ensure_ascii: bool,
    /// Spaces per level; none means one line.
    pub(super) indent: Option<usize>,
    pub(super) sort_keys: bool,
    /// Between items, and between key and value.
    pub(super) separators: Option<(String, String)>,
}

impl Dumps {
    /// `json.dumps(value)`
    pub(super) fn dump(&self, value: &Value) -> Result<String, Error> {
        let mut text = String::new();
        self.write(&mut text, value, 0)?;
        Ok(text)
    }

    fn write(&self, text: &mut String, value: &Value, level: usize) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => text.push_str("null"),
            ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => text.push_str(&number(value)),
            ValueKind::String => self.string(text, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let list = items(value).map(|item| (None, item)).collect();
                self.nested(text, ('[', ']'), list, level)?;
            }
            ValueKind::Map => {
                let mut entries: Vec<(Option<String>, Value)> = items(value)
                    .map(|key| (Some(str(&key)), value.get_item(&key).unwrap_or_default()))
                    .collect();
                if self.sort_keys {
                    entries.sort_by(|left, right| left.0.cmp(&right.0));
                }
                self.nested(text, ('{', '}'), entries, level)?;
            }
            kind => {
                let message = format!("{kind} cannot be written as JSON");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        }
        Ok(())
    }

    fn nested(
        &self,
        text: &mut String,
        (open, close): (char, char),
        entries: Vec<(Option<String>, Value)>,
        level: usize,
    ) -> Result<(), Error> {
        let default = (if self.indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned());
        let (between_items, after_key) = self.separators.clone().unwrap_or(default);
        let line = |text: &mut String, level: usize| {
            if let Some(indent) = self.indent {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent * level));
            }
        };
        let empty = entries.is_empty();
        text.push(open);
        for (index, (key, item)) in entries.into_iter().enumerate() {
            if index > 0 {
                text.push_str(&between_items);
            }
            line(text, level + 1);
            if let Some(key) = key {
                self.string(text, &key);
                text.push_str(&after_key);
            }
            self.write(text, &item, level + 1)?;
        }
        if !empty {
            line(text, level);
        }
        text.push(close);
        Ok(())
    }

    fn string(&self, text: &mut String, content: &str) {
        text.push('"');
        for character in content.chars() {
            match character {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                '\0'..='\u{1f}' => escape(text, character),
                _ if self.ensure_ascii && !character.is_ascii_graphic() && character != ' ' => {
                    escape(text, character);
                }
                _ => text.push(character),
            }
        }
        text.push('"');
    }
}

fn escape(text: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\u{unit:04x}");
    }
}

fn items(value: &Value) -> impl Iterator<Item = Value> {
    value.try_iter().into_iter().flatten()
}

fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match f64::try_from(value.clone()) {
        Ok(number) => float(number),
        Err(_) => value.to_string(),
    }
}

/// Python's shortest form: with an exponent below 10⁻⁴ and from 10¹⁶.
fn float(number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "nan"
        } else if number > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .into();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
        _ => format!("{number:?}"),
    }
}

fn quoted(content: &str) -> String {
    let quote = if content.contains('\'') && !content.contains('"') { '"' } else { '\'' };
    let mut text = String::from(quote);
    for character in content.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            _ if character == quote => text.extend(['\\', quote]),
            '\0'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(text, "\\x{:02x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text.push(quote);
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    /// What CPython 3.11 prints for the same values.
    #[test]
    fn values_print_as_in_python() {
        let value: Value = serde_json::from_str(
            r#"{"a": [1, 1.0, 0.1, 1e16, 1e-5, 123456789.5, true, null], "it's": "say \"hi\"", "b": "it's\n\\"}"#,
        )
        .unwrap();
        assert_eq!(
            str(&value),
            r#"{'a': [1, 1.0, 0.1, 1e+16, 1e-05, 123456789.5, True, None], "it's": 'say "hi"', 'b': "it's\n\\"}"#
        );
        assert_eq!(str(&Value::from("as it is\n")), "as it is\n");
        assert_eq!(str(&Value::UNDEFINED), "");
    }

    /// What `json.dumps` prints for the same values.
    #[test]
    fn json_has_the_spaces_of_python() {
        let value: Value =
            serde_json::from_str(r#"{"b": [1, 2.5, "é\u0001\n"], "a": {}, "c": [], "d": null}"#)
                .unwrap();
        let dump = |dumps: Dumps| dumps.dump(&value).unwrap();
        assert_eq!(
            dump(Dumps::default()),
            r#"{"b": [1, 2.5, "é\u0001\n"], "a": {}, "c": [], "d": null}"#
        );
        assert_eq!(
            dump(Dumps { indent: Some(2), sort_keys: true, ensure_ascii: true, separators: None }),
            "{\n  \"a\": {},\n  \"b\": [\n    1,\n    2.5,\n    \"\\u00e9\\u0001\\n\"\n  ],\n  \"c\": [],\n  \"d\": null\n}"
        );
        let tight = Some((",".to_owned(), ":".to_owned()));
        assert_eq!(
            dump(Dumps { separators: tight, ..Dumps::default() }),
            r#"{"b":[1,2.5,"é\u0001\n"],"a":{},"c":[],"d":null}"#
        );
    }
}
