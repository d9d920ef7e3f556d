//! One row: a JSON object with the columns of TRL's preference format.
//!
//! | kind | columns |
//! | --- | --- |
//! | text | `prompt`, `chosen`, `rejected`: strings; without `prompt` it is what the other two begin with |
//! | conversation | the same, as lists of messages, each an object with `role`; optionally `tools` and `chat_template_kwargs` |
//! | tokens | `prompt_ids`, `chosen_ids`, `rejected_ids`: lists of ids (or `…_input_ids`, TRL's names before 1.0) |
//!
//! Other columns are ignored, as TRL ignores them. Not here: tokens of texts (`encoding`).

use std::fmt;

use minijinja::Value;
use minijinja::value::ValueKind;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::problem::Problem;
use crate::tokenizer::chat::TemplateVariables;

/// What the rows of a file hold. All rows of a file are of one kind, that of its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Strings with a prompt.
    Text,
    /// Strings whose common beginning is the prompt.
    TextWithoutPrompt,
    /// Conversations with a prompt.
    Conversation,
    /// Conversations whose common beginning is the prompt.
    ConversationWithoutPrompt,
    /// Token ids.
    Tokens,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text => "strings with a prompt",
            Self::TextWithoutPrompt => "strings without a prompt",
            Self::Conversation => "conversations with a prompt",
            Self::ConversationWithoutPrompt => "conversations without a prompt",
            Self::Tokens => "token ids",
        })
    }
}

/// A row with its prompt taken out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) content: Content,
}

/// Prompt, chosen and rejected.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Text([String; 3]),
    Conversation([Vec<Value>; 3], TemplateVariables),
    Tokens([Vec<u32>; 3]),
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::Conversation(left, _), Self::Conversation(right, _)) => left == right,
            (Self::Tokens(left), Self::Tokens(right)) => left == right,
            _ => false,
        }
    }
}

/// The columns that mean something, in the order in which they are listed to a person.
pub(super) const COLUMNS: [&str; 11] = [
    "prompt",
    "chosen",
    "rejected",
    "prompt_ids",
    "chosen_ids",
    "rejected_ids",
    "prompt_input_ids",
    "chosen_input_ids",
    "rejected_input_ids",
    "tools",
    "chat_template_kwargs",
];

const PROMPT: usize = 0;
const CHOSEN: usize = 1;
const REJECTED: usize = 2;
/// Where the three columns of ids start, newest names first.
const IDS: [usize; 2] = [3, 6];
const TOOLS: usize = 9;
const TEMPLATE_VARIABLES: usize = 10;

const HINT_COLUMNS: &str = "a row is {\"prompt\": …, \"chosen\": …, \"rejected\": …}, with strings or lists of \
     messages, or {\"prompt_ids\": […], \"chosen_ids\": […], \"rejected_ids\": […]}";
const HINT_JSON: &str = "write one JSON object per line";
const HINT_IDS: &str = "token ids are a list of whole numbers from 0";
const HINT_MESSAGES: &str = "messages are [{\"role\": \"user\", \"content\": \"…\"}, …]";
const HINT_SAME: &str =
    "give prompt, chosen and rejected in one form: all strings, or all lists of messages";
const HINT_COMMON: &str =
    "without a prompt, chosen and rejected both begin with it and then differ";

impl Row {
    /// Reads a row. The prompt that is not given is what chosen and rejected have in common.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Problem> {
        Columns::read(line)?.row()
    }

    /// The columns of a row that mean nothing here.
    pub(super) fn ignored_columns(line: &[u8]) -> Vec<String> {
        Columns::read(line).map(|columns| columns.others).unwrap_or_default()
    }
}

/// The columns of a row, as they were written. One that is null is absent.
struct Columns<'a> {
    known: [Option<&'a RawValue>; COLUMNS.len()],
    others: Vec<String>,
}

impl<'a> Columns<'a> {
    fn read(line: &'a [u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(line).map_err(|error| {
            let message = format!("not UTF-8 from byte {} on", error.valid_up_to());
            Problem::new("row", message, "save the file as UTF-8")
        })?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let columns = deserializer.deserialize_map(ColumnsVisitor);
        columns
            .and_then(|columns| deserializer.end().map(|()| columns))
            .map_err(|error| Problem::new("row", json_message(&error), HINT_JSON))
    }

    fn row(&self) -> Result<Row, Problem> {
        for first in IDS {
            if self.known[first..first + 3].iter().any(Option::is_some) {
                return self.tokens(first);
            }
        }
        let chosen = self.column(CHOSEN)?;
        match first_byte(chosen) {
            b'"' => self.texts(),
            b'[' => self.conversation(),
            _ => Err(wrong_type(CHOSEN, "a string or a list of messages", chosen, HINT_COLUMNS)),
        }
    }

    fn tokens(&self, first: usize) -> Result<Row, Problem> {
        let ids = |column: usize| {
            let column = first + column;
            let written = self.column(column)?;
            serde_json::from_str::<Vec<u32>>(written.get())
                .map_err(|error| Problem::new(COLUMNS[column], json_message(&error), HINT_IDS))
        };
        let content = Content::Tokens([ids(PROMPT)?, ids(CHOSEN)?, ids(REJECTED)?]);
        Ok(Row { kind: Kind::Tokens, content })
    }

    fn texts(&self) -> Result<Row, Problem> {
        let text = |column: usize| {
            let written = self.column(column)?;
            if first_byte(written) != b'"' {
                return Err(wrong_type(column, "a string as in chosen", written, HINT_SAME));
            }
            serde_json::from_str::<String>(written.get())
                .map_err(|error| Problem::new(COLUMNS[column], json_message(&error), HINT_JSON))
        };
        let (chosen, rejected) = (text(CHOSEN)?, text(REJECTED)?);
        let (kind, texts) = match self.known[PROMPT] {
            Some(_) => (Kind::Text, [text(PROMPT)?, chosen, rejected]),
            None => (Kind::TextWithoutPrompt, split_texts(&chosen, &rejected)?),
        };
        Ok(Row { kind, content: Content::Text(texts) })
    }

    fn conversation(&self) -> Result<Row, Problem> {
        let (chosen, rejected) = (self.messages(CHOSEN)?, self.messages(REJECTED)?);
        // Some data sets repeat the prompt as a string beside whole conversations.
        let given = self.known[PROMPT].filter(|prompt| first_byte(prompt) != b'"');
        let (kind, messages) = match given {
            Some(_) => (Kind::Conversation, [self.messages(PROMPT)?, chosen, rejected]),
            None => (Kind::ConversationWithoutPrompt, split_messages(chosen, rejected)?),
        };
        Ok(Row { kind, content: Content::Conversation(messages, self.variables()?) })
    }

    fn messages(&self, column: usize) -> Result<Vec<Value>, Problem> {
        let written = self.column(column)?;
        if first_byte(written) != b'[' {
            return Err(wrong_type(column, "a list of messages as in chosen", written, HINT_SAME));
        }
        let messages: Vec<Value> = serde_json::from_str(written.get())
            .map_err(|error| Problem::new(COLUMNS[column], json_message(&error), HINT_MESSAGES))?;
        let problem = |message| Err(Problem::new(COLUMNS[column], message, HINT_MESSAGES));
        if messages.is_empty() {
            return problem("expected at least one message, got an empty list".to_owned());
        }
        for (index, message) in messages.iter().enumerate() {
            if message.kind() != ValueKind::Map {
                return problem(format!(
                    "message {index}: expected an object, got {}",
                    message.kind()
                ));
            }
            let role = message.get_attr("role").unwrap_or_default();
            if role.kind() != ValueKind::String {
                return problem(format!(
                    "message {index}: role: expected a string, got {}",
                    role.kind()
                ));
            }
        }
        Ok(messages)
    }

    /// `tools` may be a list or, because tables cannot hold every list, its JSON as a string.
    fn variables(&self) -> Result<TemplateVariables, Problem> {
        let mut variables = TemplateVariables::default();
        let read = |column: usize, json: &str| {
            serde_json::from_str::<Value>(json)
                .map_err(|error| Problem::new(COLUMNS[column], json_message(&error), HINT_TOOLS))
        };
        if let Some(written) = self.known[TOOLS] {
            let mut tools = read(TOOLS, written.get())?;
            if let Some(json) = tools.as_str() {
                tools = read(TOOLS, json)?;
            }
            variables.tools = Some(tools).filter(|tools| !tools.is_none());
        }
        if let Some(written) = self.known[TEMPLATE_VARIABLES] {
            let further = read(TEMPLATE_VARIABLES, written.get())?;
            if further.kind() != ValueKind::Map {
                let message = format!("expected an object, got {}", further.kind());
                return Err(Problem::new(COLUMNS[TEMPLATE_VARIABLES], message, HINT_VARIABLES));
            }
            for key in further.try_iter().into_iter().flatten() {
                let name = key.as_str().unwrap_or_default().to_owned();
                if ARGUMENTS.contains(&&*name) {
                    let message = format!("{name} is not a variable of templates");
                    return Err(Problem::new(COLUMNS[TEMPLATE_VARIABLES], message, HINT_VARIABLES));
                }
                variables.further.push((name, further.get_item(&key).unwrap_or_default()));
            }
        }
        Ok(variables)
    }

    fn column(&self, column: usize) -> Result<&'a RawValue, Problem> {
        self.known[column]
            .ok_or_else(|| Problem::new(COLUMNS[column], "missing or null", HINT_COLUMNS))
    }
}

const HINT_TOOLS: &str = "tools are a list of JSON schemas, or that list's JSON as a string";
const HINT_VARIABLES: &str = "chat_template_kwargs holds variables that the chat template reads";

/// What `apply_chat_template` takes for itself.
const ARGUMENTS: [&str; 9] = [
    "conversation",
    "messages",
    "tools",
    "documents",
    "chat_template",
    "add_generation_prompt",
    "continue_final_message",
    "tokenize",
    "max_length",
];

struct ColumnsVisitor;

impl<'a> Visitor<'a> for ColumnsVisitor {
    type Value = Columns<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Columns<'a>, M::Error> {
        let mut columns = Columns { known: [None; COLUMNS.len()], others: Vec::new() };
        while let Some(name) = map.next_key::<std::borrow::Cow<str>>()? {
            match COLUMNS.iter().position(|column| *column == name) {
                Some(column) => {
                    let written = map.next_value::<&RawValue>()?;
                    columns.known[column] = Some(written).filter(|value| value.get() != "null");
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                    columns.others.push(name.into_owned());
                }
            }
        }
        Ok(columns)
    }
}

fn first_byte(written: &RawValue) -> u8 {
    written.get().as_bytes().first().copied().unwrap_or_default()
}

fn wrong_type(column: usize, expected: &str, written: &RawValue, hint: &'static str) -> Problem {
    let got = match first_byte(written) {
        b'"' => "a string",
        b'[' => "a list",
        b'{' => "an object",
        b't' | b'f' => "a truth value",
        _ => "a number",
    };
    Problem::new(COLUMNS[column], format!("expected {expected}, got {got}"), hint)
}

/// What serde_json says, in the words of the format. The line that it counts is always the first, because a row is a
/// line.
fn json_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (said, byte) = text.rsplit_once(" at line 1 column ").unwrap_or((&text, ""));
    let wrong =
        said.strip_prefix("invalid type: ").or_else(|| said.strip_prefix("invalid value: "));
    let message = match wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) {
        Some((got, expected)) => format!("expected {}, got {}", plain(expected), plain(got)),
        None if error.is_eof() => "the JSON ends too early".to_owned(),
        None => plain(said).to_owned(),
    };
    match byte {
        "" => message,
        byte => format!("{message}, at byte {byte}"),
    }
}

/// Words of serde_json's that mean nothing to who writes a data file.
fn plain(said: &str) -> &str {
    match said {
        "u32" => "a token id, a whole number from 0",
        "a sequence" | "sequence" => "a list",
        "map" => "an object",
        "expected ident" => "expected true, false or null",
        "expected value" => "expected a string, a number, a list, an object, true, false or null",
        "key must be a string" => "the name of a column must be in double quotes",
        "trailing characters" => "there is more after the object",
        other => other,
    }
}

/// The common beginning of two texts, without a space at its end, and what is left of each.
///
/// As TRL has it: where one text is the beginning of the other, the shorter one keeps its last character.
fn split_texts(chosen: &str, rejected: &str) -> Result<[String; 3], Problem> {
    for (column, text) in [(CHOSEN, chosen), (REJECTED, rejected)] {
        if text.is_empty() {
            return Err(Problem::new(
                COLUMNS[column],
                "empty, and there is no prompt",
                HINT_COMMON,
            ));
        }
    }
    let starts = || chosen.char_indices().zip(rejected.chars());
    let differ = starts().find(|((_, left), right)| left != right);
    let mut end = match differ.or_else(|| starts().last()) {
        Some(((start, _), _)) => start,
        None => 0,
    };
    if differ.is_some() && chosen[..end].ends_with(' ') {
        end -= 1;
    }
    let (prompt, chosen) = chosen.split_at(end);
    Ok([prompt, chosen, &rejected[end..]].map(str::to_owned))
}

/// The messages that two conversations begin with, and what is left of each: at least one message.
fn split_messages(
    mut chosen: Vec<Value>,
    mut rejected: Vec<Value>,
) -> Result<[Vec<Value>; 3], Problem> {
    let n_common = chosen.iter().zip(&rejected).take_while(|(left, right)| left == right).count();
    let n_prompt = n_common.min(chosen.len() - 1).min(rejected.len() - 1);
    if n_prompt == 0 {
        let message =
            "there is no prompt, and chosen and rejected have no first messages in common";
        return Err(Problem::new("prompt", message, HINT_COMMON));
    }
    let after = chosen.split_off(n_prompt);
    Ok([chosen, after, rejected.split_off(n_prompt)])
}
