//! A module: its variables and its kernels, decoded once.
//!
//! A kernel that uses an instruction which is not emulated does not spoil the module: it is kept with the reason, and
//! asking for it fails.

use std::collections::HashMap;

use super::mnemonic::Type;
use super::scope::Scope;
use super::text::{Item, items, split_operands, without_comments};
use super::{Reg, Special, Statement};
use crate::isa::{Instruction, Op, decode};

/// What in a module's text is not understood, with its line.
#[derive(Debug, Clone, thiserror::Error)]
#[error("PTX line {line}: {what}")]
pub(crate) struct PtxError {
    /// Counted from 1.
    pub(crate) line: u32,
    /// The statement and the reason.
    pub(crate) what: String,
}

/// A variable of a module in global or constant memory.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) name: String,
    /// Its initial value, zeros included.
    pub(crate) bytes: Vec<u8>,
}

/// A variable in shared memory and where the emulator puts it.
#[derive(Debug, Clone)]
pub(crate) struct SharedVariable {
    pub(crate) name: String,
    pub(crate) start: u64,
    /// Zero for the dynamic array, whose size the launch gives.
    pub(crate) bytes: u64,
    pub(crate) is_dynamic: bool,
}

/// One parameter of a kernel.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) offset: usize,
    pub(crate) bytes: usize,
}

/// A kernel, ready to run.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) code: Vec<Instruction>,
    pub(crate) n_registers: usize,
    pub(crate) constants: Vec<u64>,
    pub(crate) specials: Vec<(Reg, Special)>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) shared: Vec<SharedVariable>,
    /// Static shared memory as a card would count it, without the gaps between variables here.
    pub(crate) shared_static_bytes: u64,
    /// Where the dynamic array begins.
    pub(crate) dynamic_start: u64,
    pub(crate) local_bytes: usize,
    /// From `.maxntid` or `.reqntid`.
    pub(crate) n_threads_max: u32,
}

/// A loaded module.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) kernels: HashMap<String, Result<Kernel, PtxError>>,
    pub(crate) variables: Vec<(Variable, u64)>,
}

/// Bytes that nobody owns between two shared variables, so that a step beyond the end of one does not land in the next.
const SHARED_GAP: u64 = 256;

impl Module {
    /// Reads a module. `place` gives each variable of it an address in global memory.
    pub(crate) fn parse(
        source: &str,
        place: &mut dyn FnMut(&Variable) -> u64,
    ) -> Result<Self, PtxError> {
        let text = without_comments(source);
        let mut module = Self::default();
        let mut symbols = HashMap::new();
        let mut shared = Vec::new();
        for (header, body, line) in top_level(&text)? {
            let fail = |what| PtxError { line, what };
            let words: Vec<&str> = header.split_whitespace().collect();
            if words.contains(&".entry") {
                let kernel = kernel(&header, body.unwrap_or(""), line, &symbols, &shared);
                let name = entry_name(&header).to_owned();
                module.kernels.insert(name, kernel);
            } else if words.contains(&".shared") {
                shared.push(Declaration::parse(&header).map_err(fail)?);
            } else if words.contains(&".global") || words.contains(&".const") {
                let declaration = Declaration::parse(&header).map_err(fail)?;
                let value = body.or(header.split_once('=').map(|(_, value)| value));
                let bytes = declaration.initial(value).map_err(fail)?;
                let name = declaration.name;
                let variable = Variable { name, bytes };
                let address = place(&variable);
                symbols.insert(variable.name.clone(), address);
                module.variables.push((variable, address));
            }
        }
        Ok(module)
    }
}

/// A variable's declaration: `.shared .align 4 .b8 name[1024]`.
#[derive(Debug, Clone)]
struct Declaration {
    name: String,
    align: u64,
    element: Type,
    n_elements: u64,
    is_extern: bool,
}

impl Declaration {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.split('=').next().unwrap_or(text).trim();
        let words: Vec<&str> = text.split_whitespace().collect();
        let last = words.last().copied().unwrap_or("");
        let name = last.split('[').next().unwrap_or(last).to_owned();
        let element = words
            .iter()
            .find_map(|word| Type::parse(word.trim_start_matches('.')))
            .ok_or_else(|| format!("{text}: a declaration without a type"))?;
        let align = words
            .iter()
            .position(|word| *word == ".align")
            .and_then(|place| words.get(place + 1)?.parse().ok())
            .unwrap_or(element.bytes() as u64);
        let mut n_elements = 1;
        for extent in last.split('[').skip(1) {
            n_elements *= extent.trim_end_matches(']').parse().unwrap_or(0);
        }
        Ok(Self { name, align, element, n_elements, is_extern: words.contains(&".extern") })
    }

    fn bytes(&self) -> u64 {
        self.n_elements * self.element.bytes() as u64
    }

    /// The bytes that `{1, 2, 0fFF}` or a single number gives; zeros where it gives none.
    fn initial(&self, values: Option<&str>) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; self.bytes() as usize];
        let n = self.element.bytes();
        let mut scope = Scope::default();
        let values = values.unwrap_or("").replace(['{', '}'], "");
        for (place, value) in split_operands(&values).into_iter().enumerate() {
            let constant = scope.source(value)?;
            let constant = constant.constant().unwrap_or(0);
            let value = scope.constants[constant].to_le_bytes();
            let target = bytes.get_mut(place * n..(place + 1) * n);
            let target = target.ok_or_else(|| format!("{}: too many values", self.name))?;
            target.copy_from_slice(&value[..n]);
        }
        Ok(bytes)
    }
}

/// A declaration or a function: header, what its braces hold, and the line on which those begin.
type Part<'a> = (String, Option<&'a str>, u32);

/// The declarations and functions of a module.
fn top_level(text: &str) -> Result<Vec<Part<'_>>, PtxError> {
    let mut found = Vec::new();
    let (mut header, mut line, mut place) = (String::new(), 1, 0);
    while let Some(mark) = text[place..].chars().next() {
        place += mark.len_utf8();
        match mark {
            '\n' => {
                line += 1;
                let ended = [".version", ".target", ".address_size", ".file"];
                if ended.iter().any(|word| header.trim().starts_with(word)) {
                    header.clear();
                }
                header.push(' ');
            }
            ';' => {
                let whole = std::mem::take(&mut header);
                found.push((whole, None, line));
            }
            '{' => {
                let end = closing_brace(text, place)
                    .ok_or_else(|| PtxError { line, what: "a brace is never closed".to_owned() })?;
                let whole = std::mem::take(&mut header);
                found.push((whole, Some(&text[place..end]), line));
                line += text[place..end].matches('\n').count() as u32;
                place = end + 1;
                // The semicolon after a variable's initial values.
                if let Some(rest) = text[place..].strip_prefix(';') {
                    place = text.len() - rest.len();
                }
            }
            mark => header.push(mark),
        }
    }
    Ok(found)
}

fn closing_brace(text: &str, from: usize) -> Option<usize> {
    let mut depth = 1;
    for (place, mark) in text[from..].char_indices() {
        match mark {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(from + place);
        }
    }
    None
}

fn entry_name(header: &str) -> &str {
    let after = header.split(".entry").nth(1).unwrap_or("").trim_start();
    after.split(['(', ' ']).next().unwrap_or("")
}

/// A kernel's parameters and its limit on threads.
fn signature(header: &str, scope: &mut Scope) -> Result<(Vec<Parameter>, u32), String> {
    let inner = header.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    let (list, after) = inner.unwrap_or(("", ""));
    let (mut parameters, mut end) = (Vec::new(), 0_u64);
    for text in split_operands(list) {
        // A pointer's attributes (`.ptr .align 16`) tell of what it points to, not of the parameter.
        let attributes = text.find(".ptr");
        let plain = match attributes {
            Some(place) => {
                let name = text.split_whitespace().last().unwrap_or("");
                format!("{} {name}", &text[..place])
            }
            None => text.to_owned(),
        };
        let declaration = Declaration::parse(&plain)?;
        let offset = end.next_multiple_of(declaration.align.max(1));
        end = offset + declaration.bytes();
        scope.symbols.insert(declaration.name.clone(), offset);
        parameters.push(Parameter { offset: offset as usize, bytes: declaration.bytes() as usize });
    }
    let limit = [".maxntid", ".reqntid"].iter().find_map(|word| {
        let sizes = after.split_once(word)?.1;
        let sizes = sizes.split('.').next()?;
        Some(sizes.split(',').filter_map(|n| n.trim().parse::<u32>().ok()).product())
    });
    Ok((parameters, limit.unwrap_or(1024)))
}

/// Where a kernel's own and its module's variables lie.
#[derive(Default)]
struct Layout {
    shared: Vec<SharedVariable>,
    shared_end: u64,
    shared_static_bytes: u64,
    dynamic: Vec<String>,
    local_bytes: u64,
}

impl Layout {
    fn add_shared(&mut self, declaration: &Declaration, scope: &mut Scope) {
        if declaration.is_extern || declaration.bytes() == 0 {
            self.dynamic.push(declaration.name.clone());
            return;
        }
        let start = self.shared_end.next_multiple_of(declaration.align.max(16));
        let bytes = declaration.bytes();
        self.shared_end = start + bytes + SHARED_GAP;
        let align = declaration.align.max(1);
        self.shared_static_bytes = self.shared_static_bytes.next_multiple_of(align) + bytes;
        scope.symbols.insert(declaration.name.clone(), start);
        self.shared.push(SharedVariable {
            name: declaration.name.clone(),
            start,
            bytes,
            is_dynamic: false,
        });
    }

    fn add_local(&mut self, declaration: &Declaration, scope: &mut Scope) {
        let start = self.local_bytes.next_multiple_of(declaration.align.max(1));
        scope.symbols.insert(declaration.name.clone(), start);
        self.local_bytes = start + declaration.bytes();
    }

    /// The dynamic array lies behind all others; every name of it means the same place.
    fn place_dynamic(&mut self, scope: &mut Scope) -> u64 {
        let start = self.shared_end.next_multiple_of(128);
        for name in &self.dynamic {
            scope.symbols.insert(name.clone(), start);
        }
        self.shared.push(SharedVariable {
            name: self
                .dynamic
                .first()
                .cloned()
                .unwrap_or_else(|| "dynamic shared memory".to_owned()),
            start,
            bytes: 0,
            is_dynamic: true,
        });
        start
    }
}

fn kernel(
    header: &str,
    body: &str,
    line: u32,
    symbols: &HashMap<String, u64>,
    module_shared: &[Declaration],
) -> Result<Kernel, PtxError> {
    let fail = |line| move |what| PtxError { line, what };
    let mut scope = Scope::default();
    scope.symbols.clone_from(symbols);
    let mut layout = Layout::default();
    let (parameters, n_threads_max) = signature(header, &mut scope).map_err(fail(line))?;
    for declaration in module_shared {
        layout.add_shared(declaration, &mut scope);
    }
    let items = items(body, line);
    let (mut statements, mut labels): (Vec<&Statement>, HashMap<&str, usize>) = Default::default();
    let mut tables: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut last_label = "";
    for item in &items {
        let statement = match item {
            Item::Label(label) => {
                last_label = label;
                if labels.insert(label, statements.len()).is_some() {
                    return Err(fail(line)(format!("label {label} is there twice")));
                }
                continue;
            }
            Item::Statement(statement) => statement,
        };
        let text = statement.text.as_str();
        let declared = || Declaration::parse(text).map_err(fail(statement.line));
        match text.split(' ').next().unwrap_or("") {
            ".reg" => scope.declare(&text[".reg".len()..]),
            ".shared" => layout.add_shared(&declared()?, &mut scope),
            ".local" => layout.add_local(&declared()?, &mut scope),
            ".branchtargets" => {
                tables.insert(last_label, split_operands(&text[".branchtargets".len()..]));
            }
            directive if directive.starts_with('.') => {}
            _ => statements.push(statement),
        }
    }
    let dynamic_start = layout.place_dynamic(&mut scope);
    let mut code: Vec<Instruction> = Vec::new();
    let mut starts = Vec::new();
    for statement in &statements {
        starts.push(code.len());
        let decoded = decode(statement, &mut scope, &labels, &tables);
        let decoded = decoded.map_err(|what| PtxError {
            line: statement.line,
            what: format!("{}: {what}", statement.text),
        })?;
        code.extend(decoded);
    }
    starts.push(code.len());
    code.push(Instruction::exit(line));
    for instruction in &mut code {
        match &mut instruction.op {
            Op::Branch { target } => *target = starts[*target],
            Op::BranchIndexed { targets, .. } => {
                targets.iter_mut().for_each(|target| *target = starts[*target]);
            }
            _ => {}
        }
    }
    Ok(Kernel {
        name: entry_name(header).to_owned(),
        code,
        n_registers: scope.n_registers(),
        constants: scope.constants,
        specials: scope.specials,
        parameters,
        shared: layout.shared,
        shared_static_bytes: layout.shared_static_bytes,
        dynamic_start,
        local_bytes: layout.local_bytes as usize,
        n_threads_max,
    })
}
