//! What a component is made of, gathered in one walk over its sections so that the rules only compare numbers.

use std::collections::HashSet;

use wasmparser::{
    BinaryReaderError, CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternalKind,
    ComponentInstance, ComponentOuterAliasKind, ComponentType, ComponentTypeDeclaration,
    ComponentTypeRef, CompositeInnerType, ElementItems, FunctionBody, Instance,
    InstanceTypeDeclaration, MemoryType, Operator, Parser, Payload,
};

use super::Imports;
use super::rules::valid;
use crate::Rejection;
use crate::limits::COMPONENT_TYPE_BYTES_MAX;

const PAGE_BYTES: u64 = 65_536;
/// Characters of a name that are kept.
const NAME_CHARACTERS_MAX: usize = 128;

/// Counts and names; counts are of the whole component with all that it nests.
#[derive(Debug)]
pub(super) struct Survey {
    /// What the host serves.
    pub(super) allowed: Imports,
    /// Imports of the outermost component. A nested one has type-only imports, which its parent provides.
    pub(super) imports: Vec<Import>,
    /// Exports of the outermost component.
    pub(super) exports: Vec<Export>,
    /// What keeps the exported interface from being the contract's.
    pub(super) difference: Option<String>,
    pub(super) custom_sections: Vec<String>,
    pub(super) memories: Vec<Memory>,
    pub(super) tables: Vec<Table>,
    pub(super) code: Code,
    pub(super) core: Core,
    pub(super) structure: Structure,
    /// What the canonical ABI is asked to do that the world does not need.
    pub(super) canonical: Option<String>,
}

/// What Cranelift compiles.
#[derive(Debug, Default)]
pub(super) struct Code {
    pub(super) functions: u64,
    pub(super) bytes: u64,
    pub(super) largest_body_bytes: u64,
    /// Blocks, loops and ifs around the most deeply nested instruction.
    pub(super) nesting: u64,
    /// Loops, calls through tables and bulk operations: each becomes many blocks of machine code.
    pub(super) costly: u64,
    /// Of one function, beside its parameters.
    pub(super) locals: u64,
    pub(super) params: u64,
    pub(super) results: u64,
}

/// What core modules declare beside code, memories and tables.
#[derive(Debug, Default)]
pub(super) struct Core {
    pub(super) start_functions: u64,
    pub(super) types: u64,
    pub(super) globals: u64,
    pub(super) imports: u64,
    pub(super) exports: u64,
    pub(super) data_segments: u64,
    pub(super) data_bytes: u64,
    pub(super) element_segments: u64,
    pub(super) elements: u64,
}

/// How the component is put together.
#[derive(Debug, Default)]
pub(super) struct Structure {
    pub(super) modules: u64,
    pub(super) core_instances: u64,
    pub(super) components: u64,
    /// Components around the innermost one.
    pub(super) depth: u64,
    pub(super) instances: u64,
    pub(super) aliases: u64,
    pub(super) types: u64,
    /// Of the sections that declare types of components.
    pub(super) type_bytes: u64,
    /// Types of components and instances around the innermost declaration.
    pub(super) type_depth: u64,
    pub(super) canonical_functions: u64,
    /// Modules inside nested components.
    pub(super) nested_modules: u64,
    /// Modules and components that are instantiated more than once, or reached by another name.
    pub(super) reused: u64,
    pub(super) resources: u64,
}

#[derive(Debug)]
pub(super) struct Import {
    pub(super) name: String,
    pub(super) is_interface: bool,
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

/// Where in the component the walk is: a module or a component, and what it has instantiated.
#[derive(Debug, Default)]
struct Place {
    is_module: bool,
    instantiated: HashSet<(bool, u32)>,
}

impl Survey {
    /// Walks what may be a component; whether it is valid is not looked at.
    pub(super) fn of(bytes: &[u8], allowed: Imports) -> Result<Self, Rejection> {
        valid::is_component(bytes)?;
        Survey::walk(bytes, allowed).map_err(|error| valid::invalid(&error))
    }

    fn walk(bytes: &[u8], allowed: Imports) -> Result<Self, BinaryReaderError> {
        let mut survey = Survey {
            allowed,
            imports: Vec::new(),
            exports: Vec::new(),
            difference: None,
            custom_sections: Vec::new(),
            memories: Vec::new(),
            tables: Vec::new(),
            code: Code::default(),
            core: Core::default(),
            structure: Structure::default(),
            canonical: None,
        };
        let mut places = vec![Place::default()];
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } => {
                    survey.structure.modules += 1;
                    survey.structure.nested_modules += u64::from(places.len() > 1);
                    places.push(Place { is_module: true, ..Place::default() });
                }
                Payload::ComponentSection { .. } => {
                    survey.structure.components += 1;
                    survey.structure.depth = survey.structure.depth.max(places.len() as u64);
                    places.push(Place::default());
                }
                Payload::End(_) if places.len() > 1 => drop(places.pop()),
                payload => survey.add(&payload, &mut places)?,
            }
        }
        Ok(survey)
    }

    fn add(
        &mut self,
        payload: &Payload<'_>,
        places: &mut [Place],
    ) -> Result<(), BinaryReaderError> {
        let is_outermost = places.len() == 1;
        let Some(place) = places.last_mut() else {
            return Ok(());
        };
        if let Payload::CustomSection(custom) = payload {
            self.custom_sections.push(shown(custom.name()));
            return Ok(());
        }
        if place.is_module {
            self.add_core(payload)
        } else if is_outermost {
            self.add_names(payload)?;
            self.add_structure(payload, place)
        } else {
            self.add_structure(payload, place)
        }
    }

    /// Imports and exports of the outermost component.
    fn add_names(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    let import = import?;
                    self.imports.push(Import {
                        name: shown(import.name.name),
                        is_interface: matches!(import.ty, ComponentTypeRef::Instance(_)),
                    });
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    let export = export?;
                    self.exports.push(Export {
                        name: shown(export.name.name),
                        is_interface: export.kind == ComponentExternalKind::Instance,
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add_structure(
        &mut self,
        payload: &Payload<'_>,
        place: &mut Place,
    ) -> Result<(), BinaryReaderError> {
        let structure = &mut self.structure;
        match payload {
            Payload::ComponentStartSection { .. } => self.core.start_functions += 1,
            Payload::InstanceSection(instances) => {
                for instance in instances.clone() {
                    structure.core_instances += 1;
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        let is_new = place.instantiated.insert((true, module_index));
                        structure.reused += u64::from(!is_new);
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    structure.instances += 1;
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        let is_new = place.instantiated.insert((false, component_index));
                        structure.reused += u64::from(!is_new);
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    structure.aliases += 1;
                    structure.reused += u64::from(is_of_code(&alias?));
                }
            }
            Payload::CoreTypeSection(types) => structure.types += u64::from(types.count()),
            Payload::ComponentTypeSection(types) => {
                structure.type_bytes += types.range().len() as u64;
                // Reading nests as deep as the types, and is bounded by their bytes alone: more is rejected unread.
                if structure.type_bytes > COMPONENT_TYPE_BYTES_MAX {
                    return Ok(());
                }
                for ty in types.clone() {
                    count_types(&ty?, 0, structure);
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions.clone() {
                    structure.canonical_functions += 1;
                    if let Some(what) = unneeded(&function?) {
                        self.canonical.get_or_insert(what);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add_core(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        let core = &mut self.core;
        match payload {
            Payload::StartSection { .. } => core.start_functions += 1,
            Payload::TypeSection(types) => {
                for group in types.clone() {
                    for ty in group?.types() {
                        core.types += 1;
                        if let CompositeInnerType::Func(function) = &ty.composite_type.inner {
                            let (params, results) = (function.params(), function.results());
                            self.code.params = self.code.params.max(params.len() as u64);
                            self.code.results = self.code.results.max(results.len() as u64);
                        }
                    }
                }
            }
            Payload::ImportSection(imports) => core.imports += u64::from(imports.count()),
            Payload::ExportSection(exports) => core.exports += u64::from(exports.count()),
            Payload::GlobalSection(globals) => core.globals += u64::from(globals.count()),
            Payload::MemorySection(memories) => {
                for memory in memories.clone() {
                    self.memories.push(Memory::from(memory?));
                }
            }
            Payload::TableSection(tables) => {
                for table in tables.clone() {
                    let elements = table?.ty.initial;
                    self.tables.push(Table { elements });
                }
            }
            Payload::ElementSection(segments) => {
                for segment in segments.clone() {
                    core.element_segments += 1;
                    core.elements += u64::from(match segment?.items {
                        ElementItems::Functions(items) => items.count(),
                        ElementItems::Expressions(_, items) => items.count(),
                    });
                }
            }
            Payload::DataSection(segments) => {
                for segment in segments.clone() {
                    core.data_segments += 1;
                    core.data_bytes += segment?.data.len() as u64;
                }
            }
            Payload::CodeSectionEntry(body) => self.code.add(body)?,
            _ => {}
        }
        Ok(())
    }
}

impl Code {
    fn add(&mut self, body: &FunctionBody<'_>) -> Result<(), BinaryReaderError> {
        let bytes = body.range().len() as u64;
        self.functions += 1;
        self.bytes += bytes;
        self.largest_body_bytes = self.largest_body_bytes.max(bytes);
        self.add_operators(body)?;
        let mut locals = 0_u64;
        for group in body.get_locals_reader()? {
            locals += u64::from(group?.0);
        }
        self.locals = self.locals.max(locals);
        Ok(())
    }

    fn add_operators(&mut self, body: &FunctionBody<'_>) -> Result<(), BinaryReaderError> {
        let mut depth = 0_u64;
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            match operator {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => depth += 1,
                Operator::End => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.costly += u64::from(is_costly(&operator));
            self.nesting = self.nesting.max(depth);
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

/// What is compiled with checks of its own: fuel and deadline, the table's bounds and types, the memory's bounds.
fn is_costly(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Loop { .. }
            | Operator::CallIndirect { .. }
            | Operator::MemoryCopy { .. }
            | Operator::MemoryFill { .. }
            | Operator::MemoryInit { .. }
            | Operator::MemoryGrow { .. }
            | Operator::TableInit { .. }
            | Operator::TableCopy { .. }
    )
}

/// Whether an alias gives a module or a component a second name, under which it could be instantiated again.
fn is_of_code(alias: &ComponentAlias<'_>) -> bool {
    match alias {
        ComponentAlias::InstanceExport { kind, .. } => {
            matches!(kind, ComponentExternalKind::Module | ComponentExternalKind::Component)
        }
        ComponentAlias::Outer { kind, .. } => {
            matches!(kind, ComponentOuterAliasKind::CoreModule | ComponentOuterAliasKind::Component)
        }
        ComponentAlias::CoreInstanceExport { .. } => false,
    }
}

/// Declarations, with those inside the types of components and instances, of which `depth` are around this one.
fn count_types(ty: &ComponentType<'_>, depth: u64, structure: &mut Structure) {
    structure.types += 1;
    structure.type_depth = structure.type_depth.max(depth);
    match ty {
        ComponentType::Resource { .. } => structure.resources += 1,
        ComponentType::Component(declarations) => {
            for declaration in declarations {
                match declaration {
                    ComponentTypeDeclaration::Type(ty) => count_types(ty, depth + 1, structure),
                    _ => structure.types += 1,
                }
            }
        }
        ComponentType::Instance(declarations) => {
            for declaration in declarations {
                match declaration {
                    InstanceTypeDeclaration::Type(ty) => count_types(ty, depth + 1, structure),
                    _ => structure.types += 1,
                }
            }
        }
        ComponentType::Defined(_) | ComponentType::Func(_) => {}
    }
}

/// What a canonical function asks for that a loss does not need.
fn unneeded(function: &CanonicalFunction) -> Option<String> {
    let options = match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            options
        }
        // Handles of imported resources are dropped by whoever got them.
        CanonicalFunction::ResourceDrop { .. } => return None,
        other => return Some(word(&format!("{other:?}"))),
    };
    let option = options.iter().find(|option| {
        !matches!(
            option,
            CanonicalOption::UTF8
                | CanonicalOption::Memory(_)
                | CanonicalOption::Realloc(_)
                | CanonicalOption::PostReturn(_)
        )
    })?;
    Some(word(&format!("{option:?}")))
}

/// The first word of a value's debug form: its variant.
fn word(debug: &str) -> String {
    debug.chars().take_while(|character| character.is_ascii_alphanumeric()).collect()
}

/// A name that can be printed.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(NAME_CHARACTERS_MAX).flat_map(char::escape_debug).collect()
}
