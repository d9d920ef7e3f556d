//! The changes that are made to a kernel's text. Each is made alone, wherever it can be: inside the functions, not in their
//! heads, not in inline assembly.

use crate::source::{Fields, Function, Kind, Text};
use std::ops::Range;

/// A part of the text and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// In which function.
    pub function: String,
    /// The bytes that go.
    pub range: Range<usize>,
    /// What comes in their place.
    pub to: String,
}

/// Types without those that a file declares.
const TYPES: [&str; 9] = ["uint", "float", "double", "size_t", "real", "uint4", "T", "int", "bool"];

/// What stands before a declared name.
const BEFORE_TYPES: [&str; 5] = ["const", "__shared__", "extern", "volatile", "__align__"];

/// All changes to a file. `structs` are the fields that its code may name.
pub fn edits(text: &Text, structs: &[Fields]) -> Vec<Edit> {
    let types: Vec<&str> = TYPES
        .into_iter()
        .chain(text.types())
        .chain(["Head", "Segment", "Shape", "ValueAndSlope"])
        .collect();
    let functions = text.functions();
    functions
        .iter()
        .flat_map(|function| Body { text, function, structs, types: &types }.edits())
        .collect()
}

struct Body<'a> {
    text: &'a Text<'a>,
    function: &'a Function,
    structs: &'a [Fields],
    types: &'a [&'a str],
}

impl Body<'_> {
    fn edits(&self) -> Vec<Edit> {
        let mut edits = Vec::new();
        let assembly = self.assembly();
        for at in self.function.body.clone() {
            if assembly.iter().any(|range| range.contains(&at)) {
                continue;
            }
            self.operator(at, &mut edits);
            self.number(at, &mut edits);
            self.names(at, &mut edits);
            self.index(at, &mut edits);
            self.condition(at, &mut edits);
            self.choice(at, &mut edits);
            self.initialiser(at, &mut edits);
        }
        self.statements(&mut edits);
        edits
    }

    fn word(&self, at: usize) -> &str {
        self.text.word(at)
    }

    fn before(&self, at: usize) -> &str {
        at.checked_sub(1).map_or("", |at| self.word(at))
    }

    fn is_type(&self, word: &str) -> bool {
        self.types.contains(&word)
    }

    /// From the start of one token to the end of another.
    fn bytes(&self, first: usize, last: usize) -> Range<usize> {
        self.text.tokens[first].start..self.text.tokens[last].end()
    }

    fn push(&self, edits: &mut Vec<Edit>, range: Range<usize>, to: impl Into<String>) {
        edits.push(Edit { function: self.function.name.clone(), range, to: to.into() });
    }

    fn replace(&self, edits: &mut Vec<Edit>, at: usize, to: &str) {
        self.push(edits, self.bytes(at, at), to);
    }

    /// Inline assembly, and the explicit arguments of templates.
    fn assembly(&self) -> Vec<Range<usize>> {
        let body = self.function.body.clone();
        let assembly = body.clone().filter(|at| self.word(*at) == "asm").map(|at| {
            let end = (at..body.end).find(|at| self.word(*at) == ";").unwrap_or(body.end);
            // The statement as a whole can be dropped, its operands stay.
            at + 1..end
        });
        let templates = body.clone().filter(|at| {
            self.word(*at) == "<" && self.word(at + 2) == ">" && self.word(at + 3) == "("
        });
        assembly.chain(templates.map(|at| at..at + 3)).collect()
    }

    /// Whether a mark stands between two values.
    fn is_binary(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1).map(|at| self.text.tokens[at]) else {
            return false;
        };
        match before.kind {
            Kind::Number => true,
            Kind::Name => !self.is_type(before.text) && before.text != "return",
            _ => matches!(before.text, ")" | "]") && !self.closes_cast(at - 1),
        }
    }

    /// `(float)` and `(const uint4*)`.
    fn closes_cast(&self, close: usize) -> bool {
        let mut at = close;
        while at > 0
            && (self.is_type(self.word(at - 1)) || matches!(self.word(at - 1), "*" | "const"))
        {
            at -= 1;
        }
        at < close && at > 0 && self.word(at - 1) == "(" && !self.is_called(at - 1)
    }

    fn is_called(&self, open: usize) -> bool {
        open > 0
            && self.text.tokens[open - 1].kind == Kind::Name
            && !matches!(self.word(open - 1), "return" | "if")
    }

    fn operator(&self, at: usize, edits: &mut Vec<Edit>) {
        let to = match self.word(at) {
            "<" => "<=",
            "<=" => "<",
            ">" => ">=",
            ">=" => ">",
            "==" => "!=",
            "!=" => "==",
            "&&" => "||",
            "||" => "&&",
            "+=" => "-=",
            "-=" | "*=" => "+=",
            "/=" => "-=",
            "min" => "max",
            "max" => "min",
            "fmaxf" => "fminf",
            "fminf" => "fmaxf",
            "lane" if self.word(at + 1) == "(" => "warp",
            "warp" if self.word(at + 1) == "(" => "lane",
            // A length in a declaration: see `is_length`.
            "+" | "-" | "*" | "/" if self.is_length(at) => return,
            "+" if self.is_binary(at) => "-",
            "-" if self.is_binary(at) => "+",
            "*" if self.is_binary(at) => "+",
            // Not "*": a bound that is unrolled would keep the compiler busy for minutes.
            "/" if self.is_binary(at) => "+",
            "%" if self.is_binary(at) => "/",
            "-" => "",
            _ => return,
        };
        self.replace(edits, at, to);
    }

    /// A number becomes another: 0 one, an integer the next one, any other its double.
    fn number(&self, at: usize, edits: &mut Vec<Edit>) {
        let token = self.text.tokens[at];
        if token.kind != Kind::Number || token.text.starts_with("0x") || self.is_length(at) {
            return;
        }
        let to = match token.text.parse::<u64>() {
            Ok(n) => format!("{}", n + 1),
            Err(_) if token.text == "0.0f" => "1.0f".to_owned(),
            Err(_) if token.text == "0.0" => "1.0".to_owned(),
            Err(_) => format!("(2 * {})", token.text),
        };
        self.replace(edits, at, &to);
    }

    /// Whether a token is part of a declared array's length: a longer one holds the same.
    fn is_length(&self, at: usize) -> bool {
        let body = self.function.body.start..at;
        body.rev().any(|open| {
            self.word(open) == "[" && self.text.closing(open) > at && self.declares_array(open)
        })
    }

    /// A parameter becomes the next one of its type, a field likewise.
    fn names(&self, at: usize, edits: &mut Vec<Edit>) {
        let word = self.word(at);
        if matches!(self.before(at), "." | "->") {
            let fields =
                self.structs.iter().find(|fields| fields.iter().any(|field| field == word));
            if let Some(next) = fields.and_then(|fields| next(fields, word)) {
                self.replace(edits, at, &next);
            }
            return;
        }
        let parameters = &self.function.parameters;
        let Some((ty, _)) = parameters.iter().find(|(_, name)| name == word) else {
            return;
        };
        let same: Vec<String> = parameters
            .iter()
            .filter(|(other, _)| other == ty)
            .map(|(_, name)| name.clone())
            .collect();
        if let Some(next) = next(&same, word) {
            self.replace(edits, at, &next);
        }
    }

    /// An index becomes the next one.
    fn index(&self, at: usize, edits: &mut Vec<Edit>) {
        if self.word(at) != "[" || self.declares_array(at) {
            return;
        }
        let close = self.text.closing(at);
        self.push(edits, self.text.tokens[close].start..self.text.tokens[close].start, " + 1");
    }

    /// `float x[2]`, also as one of several names.
    fn declares_array(&self, open: usize) -> bool {
        let Some(name) = open.checked_sub(1) else {
            return false;
        };
        if self.word(name) == "]" {
            let first =
                (0..name).rev().find(|at| self.word(*at) == "[" && self.text.closing(*at) == name);
            return first.is_some_and(|open| self.declares_array(open));
        }
        let before = self.before(name);
        match self.is_type(before) {
            true => true,
            false => before == "," && self.is_declared(name),
        }
    }

    /// Whether the name stands in a list of declared names, not of arguments.
    fn is_declared(&self, at: usize) -> bool {
        let (mut depth, mut first) = (0, at);
        while first > self.function.body.start {
            match self.word(first - 1) {
                // The end of a block, not of an initialiser.
                "}" if depth == 0 && !matches!(self.word(first), "," | ";" | ")") => break,
                ")" | "]" | "}" => depth += 1,
                "(" | "[" if depth == 0 => return false,
                "{" if depth == 0 => break,
                "(" | "[" | "{" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
            first -= 1;
        }
        self.is_declaration(first)
    }

    /// Whether a statement that begins here declares something.
    fn is_declaration(&self, at: usize) -> bool {
        BEFORE_TYPES.contains(&self.word(at))
            || self.is_type(self.word(at)) && self.word(at + 1) != "("
    }

    /// A condition holds always, or never.
    fn condition(&self, at: usize, edits: &mut Vec<Edit>) {
        if self.word(at) == "if" && self.word(at + 1) == "(" {
            let close = self.text.closing(at + 1);
            for to in ["true", "false"] {
                self.push(edits, self.bytes(at + 2, close - 1), to);
            }
        }
    }

    /// `= {}` is dropped.
    fn initialiser(&self, at: usize, edits: &mut Vec<Edit>) {
        if self.word(at) == "=" && self.word(at + 1) == "{" && self.word(at + 2) == "}" {
            self.push(edits, self.bytes(at, at + 2), "");
        }
    }

    /// Of `a : b` either is taken in both cases.
    fn choice(&self, at: usize, edits: &mut Vec<Edit>) {
        if self.word(at) != "?" {
            return;
        }
        let end_of = |from: usize, ends: &[&str]| {
            let mut at = from;
            while at < self.function.body.end && !ends.contains(&self.word(at)) {
                at = if matches!(self.word(at), "(" | "[" | "{") {
                    self.text.closing(at)
                } else {
                    at
                };
                at += 1;
            }
            at
        };
        let colon = end_of(at + 1, &[":"]);
        let end = end_of(colon + 1, &[";", ",", ")", "]", "}"]);
        let (first, second) = (self.bytes(at + 1, colon - 1), self.bytes(colon + 1, end - 1));
        self.push(edits, first.clone(), &self.text.text[second.clone()]);
        self.push(edits, second, &self.text.text[first]);
    }

    /// Each statement that is not a declaration is dropped.
    fn statements(&self, edits: &mut Vec<Edit>) {
        let mut depth = 0_i32;
        let mut closes_head = vec![];
        for at in self.function.body.clone() {
            if depth == 0 && matches!(self.word(at), "for" | "if" | "while") {
                closes_head.push(self.text.closing(at + 1));
            }
            let before = self.before(at);
            let begins = matches!(before, ";" | "{" | "}" | "else")
                || at.checked_sub(1).is_some_and(|at| closes_head.contains(&at));
            let is_own = matches!(
                self.word(at),
                "for" | "if" | "while" | "else" | "return" | "{" | "}" | ";" | "," | ")"
            );
            if depth == 0
                && begins
                && !is_own
                && !self.is_declaration(at)
                && !self.in_initialiser(at)
            {
                let end = self.end_of_statement(at);
                self.push(edits, self.bytes(at, end - 1), "");
            }
            match self.word(at) {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
        }
    }

    /// `= {1, 2}`: what follows the brace is no statement.
    fn in_initialiser(&self, at: usize) -> bool {
        self.before(at) == "{" && at >= 2 && matches!(self.word(at - 2), "=" | "return" | ",")
    }

    fn end_of_statement(&self, from: usize) -> usize {
        let mut at = from;
        while at < self.function.body.end && self.word(at) != ";" {
            at = if matches!(self.word(at), "(" | "[" | "{") { self.text.closing(at) } else { at };
            at += 1;
        }
        at
    }
}

/// What follows a name in a list that begins again at its end; none where it is alone.
fn next(names: &[String], name: &str) -> Option<String> {
    let at = names.iter().position(|other| other == name)?;
    let next = &names[(at + 1) % names.len()];
    (next != name).then(|| next.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The changed lines of a function `f`.
    fn changed(head: &str, body: &str) -> Vec<String> {
        let source =
            format!("struct Pair {{ uint a, b; }};\n__device__ void f({head}) {{ {body} }}");
        let text = Text::parse(&source);
        let edits = edits(&text, &text.structs());
        let line = |edit: &Edit| {
            let changed =
                format!("{}{}{}", &source[..edit.range.start], edit.to, &source[edit.range.end..]);
            let start = changed.find(") { ").map_or(0, |at| at + 4);
            changed[start..changed.len() - 2].trim().to_owned()
        };
        edits.iter().map(line).collect()
    }

    #[test]
    fn barriers_and_statements_are_dropped_declarations_are_not() {
        assert_eq!(changed("", "__syncthreads();"), [";"]);
        assert_eq!(changed("", "const float a = b; return;"), [] as [&str; 0]);
        assert!(changed("", "if (a) x = y;").contains(&"if (a) ;".to_owned()));
        assert!(changed("", "asm volatile(\"add %0, 1;\" : \"+r\"(x));").contains(&";".to_owned()));
    }

    #[test]
    fn guards_go_either_way_and_bounds_move() {
        assert_eq!(
            changed("", "if (i >= n) return;"),
            ["if (true) return;", "if (false) return;", "if (i > n) return;"]
        );
        let of_loop = changed("", "for (uint i = 0; i < n; i++) break;");
        for expected in [
            "for (uint i = 0; i <= n; i++) break;",
            "for (uint i = 1; i < n; i++) break;",
            "for (uint i = 0; i < n; i++) ;",
        ] {
            assert!(of_loop.contains(&expected.to_owned()), "{expected} not in {of_loop:?}");
        }
    }

    #[test]
    fn casts_pointers_and_arrays_are_left_alone() {
        assert_eq!(changed("", "const float* p = (const float*)q;"), [] as [&str; 0]);
        assert_eq!(changed("", "float a[2], b[3 + 1][4];"), [] as [&str; 0]);
        assert_eq!(
            changed("", "while (a) { b(); } float c[2] = {}, d[3];"),
            ["while (a) { b(); } float c[2] , d[3];", "while (a) { ; } float c[2] = {}, d[3];"]
        );
        assert_eq!(changed("", "float a = *p * (size_t)n;"), ["float a = *p + (size_t)n;"]);
    }

    #[test]
    fn indices_names_and_choices_change() {
        let changes = changed("uint n, uint m, float x", "y[n] = p.a > 0 ? x : 2.5f;");
        for expected in [
            "y[n + 1] = p.a > 0 ? x : 2.5f;",
            "y[m] = p.a > 0 ? x : 2.5f;",
            "y[n] = p.b > 0 ? x : 2.5f;",
            "y[n] = p.a >= 0 ? x : 2.5f;",
            "y[n] = p.a > 1 ? x : 2.5f;",
            "y[n] = p.a > 0 ? 2.5f : 2.5f;",
            "y[n] = p.a > 0 ? x : x;",
            "y[n] = p.a > 0 ? x : (2 * 2.5f);",
            ";",
        ] {
            assert!(changes.contains(&expected.to_owned()), "{expected} not in {changes:?}");
        }
        assert_eq!(changes.len(), 9);
    }
}
