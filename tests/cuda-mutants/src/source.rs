//! As much of a kernel's C++ as mutation needs: tokens without comments, functions with their parameters, fields of structs.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name or a keyword.
    Name,
    /// A literal number.
    Number,
    /// A literal text.
    String,
    /// An operator or a bracket.
    Mark,
}

/// A word of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// As it is written.
    pub text: &'a str,
    /// Where it begins.
    pub start: usize,
    /// What it is.
    pub kind: Kind,
}

impl Token<'_> {
    /// Where it ends.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Fields of a struct that have one type, in their order.
pub type Fields = Vec<String>;

/// A function with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Type and name of each parameter that is not an array.
    pub parameters: Vec<(String, String)>,
    /// The body's tokens, without its braces.
    pub body: Range<usize>,
    /// Whether the host launches it.
    pub is_kernel: bool,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    /// All of it.
    pub text: &'a str,
    /// Without comments and without lines for the preprocessor.
    pub tokens: Vec<Token<'a>>,
}

/// Longer ones first.
const MARKS: [&str; 21] = [
    "<<=", ">>=", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=", "%=",
    "|=", "&=", "++", "--", "->", "::",
];

impl<'a> Text<'a> {
    /// Cuts a file into tokens.
    pub fn parse(text: &'a str) -> Self {
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let first = rest.chars().next().unwrap_or(' ');
            let line = || rest.find('\n').unwrap_or(rest.len());
            let run = |f: fn(char) -> bool| rest.find(|c| !f(c)).unwrap_or(rest.len());
            let (kind, length) = match first {
                '#' => (None, line()),
                _ if rest.starts_with("//") => (None, line()),
                c if c.is_whitespace() => (None, c.len_utf8()),
                '"' => (Some(Kind::String), rest[1..].find('"').map_or(rest.len(), |end| end + 2)),
                c if c.is_ascii_digit() => {
                    (Some(Kind::Number), run(|c| c.is_ascii_alphanumeric() || c == '.'))
                }
                c if c.is_alphabetic() || c == '_' => {
                    (Some(Kind::Name), run(|c| c.is_alphanumeric() || c == '_'))
                }
                c => {
                    let known = MARKS.iter().find(|mark| rest.starts_with(**mark));
                    (Some(Kind::Mark), known.map_or(c.len_utf8(), |mark| mark.len()))
                }
            };
            if let Some(kind) = kind {
                tokens.push(Token { text: &rest[..length], start: at, kind });
            }
            at += length;
        }
        Self { text, tokens }
    }

    /// The token's text, empty beyond the end.
    pub fn word(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    /// The place of the bracket that closes the one here.
    pub fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for at in open..self.tokens.len() {
            match self.word(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }

    /// The functions that have a body.
    pub fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        let (mut at, mut item) = (0, 0);
        while at < self.tokens.len() {
            match self.word(at) {
                "(" if self.tokens[at - 1].kind == Kind::Name => {
                    let close = self.closing(at);
                    if self.word(close + 1) == "{" {
                        let end = self.closing(close + 1);
                        functions.push(Function {
                            name: self.word(at - 1).to_owned(),
                            parameters: self.parameters(at + 1..close),
                            body: close + 2..end,
                            is_kernel: (item..at).any(|at| self.word(at) == "__global__"),
                        });
                        (at, item) = (end, end + 1);
                    } else {
                        at = close;
                    }
                }
                "{" => at = self.closing(at),
                ";" => item = at + 1,
                _ => {}
            }
            at += 1;
        }
        functions
    }

    fn parameters(&self, range: Range<usize>) -> Vec<(String, String)> {
        let parts = self.tokens[range].split(|token| token.text == ",");
        let parts =
            parts.filter(|part| !part.is_empty() && part.iter().all(|token| token.text != "("));
        parts
            .map(|part| {
                let words: Vec<&str> = part.iter().map(|token| token.text).collect();
                let (name, ty) = words.split_last().unwrap_or((&"", &[]));
                (ty.join(" "), (*name).to_owned())
            })
            .collect()
    }

    /// The fields of each struct, those of one type together.
    pub fn structs(&self) -> Vec<Fields> {
        let mut all: Vec<Fields> = Vec::new();
        for at in 0..self.tokens.len() {
            if self.word(at) != "struct" || self.word(at + 2) != "{" {
                continue;
            }
            let mut types: Vec<(&str, Fields)> = Vec::new();
            let body = &self.tokens[at + 3..self.closing(at + 2)];
            for declaration in body.split(|token| token.text == ";") {
                let Some((ty, names)) = declaration.split_first() else {
                    continue;
                };
                if declaration.iter().any(|token| token.text == "[") {
                    continue;
                }
                let names = names
                    .iter()
                    .filter(|token| token.kind == Kind::Name)
                    .map(|token| token.text.to_owned());
                match types.iter_mut().find(|(known, _)| *known == ty.text) {
                    Some((_, fields)) => fields.extend(names),
                    None => types.push((ty.text, names.collect())),
                }
            }
            all.extend(types.into_iter().map(|(_, fields)| fields));
        }
        all
    }

    /// The names of the types that the file declares.
    pub fn types(&self) -> Vec<&'a str> {
        let declares =
            |at: &usize| matches!(self.word(*at), "struct" | "enum") && self.word(at + 2) == "{";
        (0..self.tokens.len()).filter(declares).map(|at| self.word(at + 1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
// struct Not { float a; };
struct Pair { uint a, b; float c; };
#define SKIPPED (1)
template <typename T>
__device__ inline T twice(T x) { return x * 2; }
extern \"C\" __global__ void add(float* y, const float* x, uint n, uint m) {
    if (x[0] <= 1.5f) return;
    y[0] += twice(x[n]);
}
";

    #[test]
    fn functions_parameters_and_fields_are_found() {
        let text = Text::parse(SOURCE);
        let functions = text.functions();
        let names: Vec<_> = functions.iter().map(|f| (f.name.as_str(), f.is_kernel)).collect();
        assert_eq!(names, [("twice", false), ("add", true)]);
        let parameters: Vec<_> =
            functions[1].parameters.iter().map(|(ty, name)| format!("{ty} {name}")).collect();
        assert_eq!(parameters, ["float * y", "const float * x", "uint n", "uint m"]);
        assert_eq!(text.word(functions[1].body.start), "if");
        assert_eq!(text.word(functions[1].body.end), "}");
        assert_eq!(text.structs(), [vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]]);
        assert_eq!(text.types(), ["Pair"]);
    }
}
