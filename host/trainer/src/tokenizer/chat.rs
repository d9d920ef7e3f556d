//! Conversations to text, by the model's own Jinja template.
//!
//! The template sees what `transformers` shows it: messages without their null fields, reasoning under all its
//! names, tools, the special tokens, `raise_exception`, `strftime_now`, Python's string methods and `tojson` as
//! `json.dumps`. Text in special-token form inside a message is not defused, as there. A template is the
//! model's, not ours: it runs with a budget of instructions and can reach nothing but its arguments.

use std::collections::BTreeMap;

use chrono::{DateTime, Local, NaiveDateTime};
use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State};

use super::TokenizerFiles;
use super::python::{self, Dumps};
use super::special::{Configuration, SpecialTokens};

/// Instructions that one rendering may take; a conversation of a thousand messages takes about 10⁵.
const FUEL_PER_RENDERING: u64 = 50_000_000;

/// A chat template that has been read.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: BTreeMap<&'static str, String>,
}

/// What a row may give to the template besides its messages.
#[derive(Debug, Clone, Default)]
pub struct TemplateVariables {
    /// The tools that the assistant may call, as JSON schemas.
    pub tools: Option<Value>,
    /// Further variables, which go before the special tokens.
    pub further: Vec<(String, Value)>,
}

/// What the local clock says, in seconds since 1970 as if it were UTC's.
pub(crate) fn local_unix_seconds() -> i64 {
    Local::now().naive_local().and_utc().timestamp()
}

impl ChatTemplate {
    /// The template of a model, if it has one; or why it cannot be used.
    pub(super) fn find(
        files: &TokenizerFiles,
        configuration: &Configuration,
        special: &SpecialTokens,
    ) -> Option<Result<Self, String>> {
        // Files go before those of the configuration, all or none.
        let default = files.chat_template.map(|file| ("default", file));
        let of_files = default.into_iter().chain(files.additional_chat_templates.iter().copied());
        let text = |file: &[u8]| String::from_utf8_lossy(file).into_owned();
        let mut templates: BTreeMap<String, String> =
            of_files.map(|(name, file)| (name.to_owned(), text(file))).collect();
        if templates.is_empty() {
            templates = configuration.chat_templates();
        }
        let now = files.now_unix_seconds.unwrap_or_else(local_unix_seconds);
        let now = DateTime::from_timestamp(now, 0).unwrap_or_default().naive_utc();
        (!templates.is_empty()).then(|| Self::read(templates, special.for_templates(), now))
    }

    fn read(
        templates: BTreeMap<String, String>,
        special_tokens: BTreeMap<&'static str, String>,
        now: NaiveDateTime,
    ) -> Result<Self, String> {
        let mut environment = environment(now);
        for (name, template) in templates {
            environment
                .add_template_owned(name, without_generation_tags(&template))
                .map_err(|error| message_of(&error))?;
        }
        Ok(Self { environment, special_tokens })
    }

    /// The text of a conversation. Each message is a map with a `role`.
    ///
    /// # Errors
    ///
    /// What the template says against these messages, or why it could not be run.
    pub fn render(
        &self,
        messages: &[Value],
        add_generation_prompt: bool,
        variables: &TemplateVariables,
    ) -> Result<String, String> {
        let tool_use = variables.tools.as_ref().and(self.environment.get_template("tool_use").ok());
        let template = match tool_use {
            Some(template) => template,
            None => self.environment.get_template("default").map_err(|error| message_of(&error))?,
        };
        let mut context: BTreeMap<&str, Value> =
            self.special_tokens.iter().map(|(&name, text)| (name, text.into())).collect();
        context.extend(variables.further.iter().map(|(name, value)| (&**name, value.clone())));
        context.insert("messages", messages.iter().map(as_templates_see).collect());
        context.insert("tools", variables.tools.clone().unwrap_or(Value::from(())));
        context.insert("documents", Value::from(()));
        context.insert("add_generation_prompt", add_generation_prompt.into());
        template.render(context).map_err(|error| message_of(&error))
    }
}

/// Names under which a message's reasoning is passed, the one that templates read first.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A message without null fields and with its reasoning under the names that templates read.
fn as_templates_see(message: &Value) -> Value {
    let keys: Vec<Value> = message.try_iter().into_iter().flatten().collect();
    let field = |key: &Value| message.get_item(key).unwrap_or_default();
    let mut entries: Vec<(Value, Value)> = keys
        .into_iter()
        .map(|key| (key.clone(), field(&key)))
        .filter(|(_, value)| !value.is_none())
        .collect();
    let named = |name: &&&str| entries.iter().find(|(key, _)| key.as_str() == Some(name));
    let reasoning = REASONING.iter().find_map(|name| named(&name)).map(|(_, value)| value.clone());
    if let Some(reasoning) = reasoning {
        let mut set = |name: &str, at: usize, replace: bool| match entries
            .iter_mut()
            .find(|(key, _)| key.as_str() == Some(name))
        {
            Some((_, value)) if replace => *value = reasoning.clone(),
            Some(_) => {}
            None => entries.insert(at.min(entries.len()), (name.into(), reasoning.clone())),
        };
        set("thinking", 0, false);
        set("reasoning_content", usize::MAX, true);
    }
    entries.into_iter().collect()
}

fn environment(now: NaiveDateTime) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL_PER_RENDERING));
    environment.set_formatter(|output, _, value| {
        output.write_str(&python::str(value)).map_err(Error::from)
    });
    environment.set_unknown_method_callback(python_method);
    environment.add_filter("tojson", tojson);
    environment.add_filter("string", |value: Value| python::str(&value));
    environment.add_filter("trim", |value: Value, characters: Option<String>| {
        let text = python::str(&value);
        match characters {
            Some(characters) => text.trim_matches(|one| characters.contains(one)).to_owned(),
            None => text.trim().to_owned(),
        }
    });
    environment.add_filter("title", |value: Value| title(&python::str(&value)));
    environment.add_filter("wordcount", |value: Value| {
        let is_gap = |c: char| !(c.is_alphanumeric() || c == '_');
        python::str(&value).split(is_gap).filter(|word| !word.is_empty()).count()
    });
    for name in ["e", "escape"] {
        environment.add_filter(name, |value: Value| escape(&python::str(&value)));
    }
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", move |format: String| {
        use std::fmt::Write;
        let mut text = String::new();
        write!(text, "{}", now.format(&format)).map(|()| text).map_err(|_| {
            Error::new(ErrorKind::InvalidOperation, format!("{format:?} is no format of a date"))
        })
    });
    environment
}

/// A word begins where jinja2 says: after space and after a dash or a bracket that opens, not after an apostrophe.
fn title(text: &str) -> String {
    let separates = |c: char| c.is_whitespace() || "-({[<".contains(c);
    let mut begins = true;
    let mut titled = String::with_capacity(text.len());
    for c in text.chars() {
        match begins {
            true => titled.extend(c.to_uppercase()),
            false => titled.extend(c.to_lowercase()),
        }
        begins = separates(c);
    }
    titled
}

/// markupsafe's entities.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&#34;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// `json.dumps(value, ensure_ascii, indent, separators, sort_keys)`
fn tojson(value: Value, ensure_ascii: Option<bool>, options: Kwargs) -> Result<String, Error> {
    let ensure_ascii = match ensure_ascii {
        Some(given) => given,
        None => options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    let separators = match options.get::<Option<Vec<String>>>("separators")?.as_deref() {
        None => None,
        Some([items, key]) => Some((items.clone(), key.clone())),
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "separators come in pairs")),
    };
    let dumps = Dumps {
        ensure_ascii,
        indent: options.get("indent")?,
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        separators,
    };
    options.assert_all_used()?;
    dumps.dump(&value)
}

/// Python's methods of strings and maps.
fn python_method(
    state: &State,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    let text = value.as_str().filter(|_| value.kind() == ValueKind::String);
    match (text, method) {
        (Some(text), "removeprefix") => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        (Some(text), "removesuffix") => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        (Some(text), "isdigit" | "isnumeric" | "isdecimal") => {
            let () = from_args(arguments)?;
            Ok((!text.is_empty() && text.chars().all(char::is_numeric)).into())
        }
        (Some(text), "find") if arguments.len() == 1 => {
            let (sought,): (&str,) = from_args(arguments)?;
            let found = text.find(sought).map(|byte| text[..byte].chars().count());
            Ok(found.map_or(Value::from(-1), Value::from))
        }
        (Some(text), "rsplit") => rsplit(text, arguments),
        (Some(text), "partition") => {
            let (separator,): (&str,) = from_args(arguments)?;
            let (before, after) = text.split_once(separator).unwrap_or((text, ""));
            let separator = if text.contains(separator) { separator } else { "" };
            Ok([before, separator, after].into_iter().collect())
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments),
    }
}

fn rsplit(text: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (separator, n_splits_max): (Option<&str>, Option<i64>) = from_args(arguments)?;
    let n_parts = match n_splits_max {
        Some(splits) if splits >= 0 => splits as usize + 1,
        _ => usize::MAX,
    };
    let mut parts: Vec<String> = Vec::new();
    let mut rest = text;
    match separator {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(separator) => {
            parts.extend(text.rsplitn(n_parts, separator).map(str::to_owned));
        }
        None => loop {
            rest = rest.trim_end();
            if rest.is_empty() {
                break;
            }
            let cut = rest.rfind(char::is_whitespace).filter(|_| parts.len() + 1 < n_parts);
            let after =
                cut.map_or(0, |at| at + rest[at..].chars().next().map_or(0, char::len_utf8));
            parts.push(rest[after..].to_owned());
            rest = &rest[..cut.unwrap_or(0)];
        },
    }
    parts.reverse();
    Ok(parts.into_iter().collect())
}

/// `{% generation %}` marks what the assistant wrote, for masks that are not needed here; it becomes a block
/// that is always shown, so that the space around it is trimmed in the same way.
fn without_generation_tags(template: &str) -> String {
    let mut plain = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        plain.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let inside = &tag[2..end];
        let word = inside.trim_matches(['-', '+']).trim();
        let statement = match word {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => word,
        };
        if statement == word {
            plain.push_str(&tag[..end + 2]);
        } else {
            plain.push_str("{%");
            plain.push_str(&inside.replacen(word, &format!(" {statement} "), 1));
            plain.push_str("%}");
        }
        rest = &tag[end + 2..];
    }
    plain + rest
}

/// What went wrong, and in which line of the template.
fn message_of(error: &Error) -> String {
    let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("{message} (line {line} of the template)"),
        None => message,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn template(source: &str) -> ChatTemplate {
        let special = BTreeMap::from([("bos_token", "<s>".to_owned())]);
        let now = DateTime::from_timestamp(86_400, 0).unwrap().naive_utc();
        ChatTemplate::read(BTreeMap::from([("default".into(), source.into())]), special, now)
            .unwrap()
    }

    /// Renders with one message. Expected texts are jinja2's, set up as transformers sets it up.
    fn check(source: &str, message: &str, expected: &str) {
        let message: Value = serde_json::from_str(message).unwrap();
        let rendered = template(source).render(&[message], true, &TemplateVariables::default());
        assert_eq!(rendered.as_deref(), Ok(expected), "{source}");
    }

    const HELLO: &str = r#"{"role": "user", "content": " a b c ", "name": null}"#;

    #[test]
    fn pythons_methods_work_on_strings_and_maps() {
        check("{{ messages[0].content.strip().split(' ')[-1] }}", HELLO, "c");
        check("{{ messages[0].content.strip().rsplit(' ', 1)[0] }}", HELLO, "a b");
        check("{{ messages[0].content.rsplit() }}", HELLO, "['a', 'b', 'c']");
        check("{{ messages[0].content.rsplit(none, 1) }}", HELLO, "[' a b', 'c']");
        check("{{ messages[0]['content'].lstrip().removeprefix('a') }}", HELLO, " b c ");
        check("{{ messages[0].get('name', 'nobody') }}", HELLO, "nobody");
        check("{% for k, v in messages[0].items() %}{{ k }},{% endfor %}", HELLO, "role,content,");
        check("{{ '12'.isdigit() }}{{ 'ab'.startswith('a') }}", HELLO, "TrueTrue");
        check("{{ 'a=b=c'.partition('=') | list }}", HELLO, "['a', '=', 'b=c']");
    }

    #[test]
    fn filters_are_those_of_jinja2() {
        let message = r#"{"role": "user", "content": "abc é <tAg> & 'q' it's \"o-k\" x2y"}"#;
        let content = "{{ messages[0].content";
        check(&format!("{content}.find('q') }}}} {{{{ 'a'.find('b') }}}}"), message, "15 -1");
        check(&format!("{content} | title }}}}"), message, r#"Abc É <Tag> & 'q' It's "o-K" X2y"#);
        check(
            &format!("{content} | e }}}}"),
            message,
            "abc é &lt;tAg&gt; &amp; &#39;q&#39; it&#39;s &#34;o-k&#34; x2y",
        );
        check(&format!("{content} | wordcount }}}}"), message, "9");
    }

    #[test]
    fn values_are_written_as_in_python() {
        check(
            "{{ none }} {{ true }} {{ [1, 'a'] }} {{ undefined_name }}|",
            HELLO,
            "None True [1, 'a'] |",
        );
        check("{{ messages[0] | tojson }}", HELLO, r#"{"role": "user", "content": " a b c "}"#);
        check("{{ [1, 2] | tojson(indent=2) }}", HELLO, "[\n  1,\n  2\n]");
    }

    #[test]
    fn templates_get_special_tokens_a_date_and_loop_controls() {
        check("{{ bos_token }}{{ strftime_now('%d %b %Y') }}", HELLO, "<s>02 Jan 1970");
        check(
            "{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            HELLO,
            "01",
        );
        check("{% if add_generation_prompt %}assistant{% endif %}", HELLO, "assistant");
        check("{% set ns = namespace(x=1) %}{% set ns.x = ns.x + 1 %}{{ ns.x }}", HELLO, "2");
    }

    #[test]
    fn generation_tags_only_trim() {
        check("a {%- generation -%} b {%- endgeneration %} c", HELLO, "ab c");
        check("a\n  {% generation %}\nb\n  {% endgeneration %}\nc", HELLO, "a\nb\nc");
    }

    #[test]
    fn reasoning_is_passed_under_every_name() {
        let message = r#"{"role": "assistant", "reasoning": "hm", "content": "x"}"#;
        check("{{ messages[0].reasoning_content }}{{ messages[0].thinking }}", message, "hmhm");
        check(
            "{{ messages[0].keys() | list }}",
            message,
            "['thinking', 'role', 'reasoning', 'content', 'reasoning_content']",
        );
    }

    #[test]
    fn what_the_template_raises_is_the_message() {
        let template = template("x\n{{ raise_exception('roles must alternate') }}");
        let raised = template.render(&[], false, &TemplateVariables::default()).unwrap_err();
        assert_eq!(raised, "roles must alternate (line 2 of the template)");
    }

    #[test]
    fn a_template_that_does_not_end_runs_out_of_fuel() {
        let nested = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}\
                      {% endfor %}{% endfor %}{% endfor %}";
        assert!(template(nested).render(&[], false, &TemplateVariables::default()).is_err());
    }
}
