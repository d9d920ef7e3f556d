//! What a component is made of, gathered in one walk over its sections so that the rules only compare numbers.

use wasmparser::{
    BinaryReaderError, ComponentExternalKind, FunctionBody, MemoryType, Operator, Parser, Payload,
};

const PAGE_BYTES: u64 = 65_536;
/// Characters of a name that are kept.
const NAME_CHARACTERS_MAX: usize = 128;

/// Counts and names; lists have one entry per declaration, in the whole component with all that it nests.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Imports of the outermost component. A nested one has type-only imports, which its parent provides.
    pub(super) imports: Vec<String>,
    /// Exports of the outermost component.
    pub(super) exports: Vec<Export>,
    pub(super) start_functions: usize,
    pub(super) memories: Vec<Memory>,
    pub(super) tables: Vec<Table>,
    pub(super) functions: u32,
    pub(super) largest_body_bytes: usize,
    /// Blocks, loops and ifs around the most deeply nested instruction.
    pub(super) nesting: usize,
    pub(super) custom_sections: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Export {
    pub(super) name: String,
    pub(super) is_interface: bool,
}

#[derive(Debug)]
pub(super) struct Memory {
    pub(super) bytes: u64,
    pub(super) bytes_max: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) elements: u64,
}

impl Survey {
    /// Walks a component that was validated.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut survey = Survey::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                payload if depth == 0 => survey.add_outermost(&payload)?,
                payload => survey.add(&payload)?,
            }
        }
        Ok(survey)
    }

    fn add_outermost(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    self.imports.push(shown(import?.name.name));
                }
                Ok(())
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    let export = export?;
                    self.exports.push(Export {
                        name: shown(export.name.name),
                        is_interface: export.kind == ComponentExternalKind::Instance,
                    });
                }
                Ok(())
            }
            payload => self.add(payload),
        }
    }

    fn add(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::StartSection { .. } | Payload::ComponentStartSection { .. } => {
                self.start_functions += 1
            }
            Payload::MemorySection(memories) => {
                for memory in memories.clone() {
                    self.memories.push(Memory::from(memory?));
                }
            }
            Payload::TableSection(tables) => {
                for table in tables.clone() {
                    self.tables.push(Table {
                        elements: table?.ty.initial,
                    });
                }
            }
            Payload::CodeSectionStart { count, .. } => {
                self.functions = self.functions.saturating_add(*count)
            }
            Payload::CodeSectionEntry(body) => {
                self.largest_body_bytes = self.largest_body_bytes.max(body.range().len());
                self.nesting = self.nesting.max(nesting(body)?);
            }
            Payload::CustomSection(custom) => self.custom_sections.push(shown(custom.name())),
            _ => {}
        }
        Ok(())
    }
}

impl From<MemoryType> for Memory {
    fn from(memory: MemoryType) -> Self {
        Memory {
            bytes: memory.initial.saturating_mul(PAGE_BYTES),
            bytes_max: memory.maximum.map(|pages| pages.saturating_mul(PAGE_BYTES)),
        }
    }
}

fn nesting(body: &FunctionBody<'_>) -> Result<usize, BinaryReaderError> {
    let (mut depth, mut deepest) = (0_usize, 0);
    for operator in body.get_operators_reader()? {
        match operator? {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => depth += 1,
            Operator::End => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    Ok(deepest)
}

/// A name that can be printed.
fn shown(name: &str) -> String {
    name.chars()
        .take(NAME_CHARACTERS_MAX)
        .flat_map(char::escape_debug)
        .collect()
}
