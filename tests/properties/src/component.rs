//! The component gate: whatever bytes a stranger drops, they are audited or refused, and the audit tells the truth.

use std::sync::LazyLock;

use arbitrary::{Arbitrary as _, Result, Unstructured};
use sandbox::limits::{COMPONENT_BYTES_MAX, COMPONENT_FUNCTIONS_MAX, MEMORY_BYTES_MAX};
use sandbox::{AuditedComponent, Component, Imports, Rejection, Stage};
use wasm_smith::{Config, Module};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::mutate::{BYTES_MAX, damaged};
use crate::{Verdict, rejected};

/// What the core module of a plugin exports, with bodies that do nothing.
pub(crate) const SHAPE: &str = r#"(module
    (memory (export "memory") 1 16)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "lossbox:preference/loss@0.1.0#describe") (result i32) unreachable)
    (func (export "cabi_post_lossbox:preference/loss@0.1.0#describe") (param i32))
    (func (export "lossbox:preference/loss@0.1.0#evaluate")
        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
    (func (export "cabi_post_lossbox:preference/loss@0.1.0#evaluate") (param i32)))"#;

/// A component of the world around [`SHAPE`], in front of its core module and behind it.
struct Template {
    front: Vec<u8>,
    back: Vec<u8>,
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    let wit = include_str!("../../../guest-sdk/wit/loss.wit");
    let package = resolve.push_str("loss.wit", wit).expect("our own contract");
    let world = resolve.select_world(&[package], Some("preference-loss")).expect("its world");
    let mut module = wat::parse_str(SHAPE).expect("well formed");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("a module with room for a section");
    let component = ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .expect("the shape of the world");
    around_the_module(&component)
});

fn around_the_module(component: &[u8]) -> Template {
    let module = Parser::new(0)
        .parse_all(component)
        .find_map(|payload| match payload {
            Ok(Payload::ModuleSection { unchecked_range, .. }) => Some(unchecked_range),
            _ => None,
        })
        .expect("a component has a core module");
    let header = 1 + leb(module.len()).len();
    Template {
        front: component[..module.start - header].to_vec(),
        back: component[module.end..].to_vec(),
    }
}

/// A component of the world around this core module.
pub(crate) fn wrapped(module: &[u8]) -> Vec<u8> {
    let mut component = TEMPLATE.front.clone();
    component.extend(section(1, module));
    component.extend(&TEMPLATE.back);
    component
}

/// Imports a clock of WASI behind everything else, where no index of the component is moved by it.
pub(crate) fn with_an_import(mut component: Vec<u8>) -> Vec<u8> {
    const CLOCK: &str = r#"(component
        (import "wasi:clocks/monotonic-clock@0.2.6" (instance (export "now" (func (result u64))))))"#;
    let clock = wat::parse_str(CLOCK).expect("well formed");
    let n_types = Validator::new_with_features(WasmFeatures::all())
        .validate_all(&component)
        .map_or(0, |types| types.as_ref().component_type_count());
    for payload in Parser::new(0).parse_all(&clock) {
        match payload.expect("well formed") {
            Payload::ComponentTypeSection(types) => {
                component.extend(section(7, &clock[types.range()]));
            }
            Payload::ComponentImportSection(imports) => {
                let (index, name) = clock[imports.range()].split_last().expect("an index");
                assert_eq!(*index, 0, "the import's type is the only one");
                component.extend(section(10, &[name, &leb(n_types as usize)].concat()));
            }
            _ => {}
        }
    }
    component
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut section = vec![id];
    section.extend(leb(content.len()));
    section.extend(content);
    section
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Audits the component that the bytes make.
///
/// # Panics
/// When the property does not hold.
pub fn check(bytes: &[u8]) -> Verdict {
    let component = generate(&mut Unstructured::new(bytes)).unwrap_or_default();
    let strict = audited(&component, Imports::None);
    let open = audited(&component, Imports::Wasi);
    match (&strict, &open) {
        (Ok(strict), Ok(open)) => assert_eq!(strict.report(), open.report()),
        (Ok(_), Err(rejection)) => panic!("rejected where more is allowed: {rejection:?}"),
        (Err(rejection), Ok(open)) => {
            assert_eq!(rejection.rule, "component/no-imports");
            assert!(open.report().needs_wasi, "{:?}", open.report());
        }
        (Err(_), Err(_)) => {}
    }
    match strict {
        Ok(_) => Verdict::Accepted,
        Err(rejection) => rejected(&rejection.rule),
    }
}

/// The gate's answer, held against what must be true of it.
pub(crate) fn audited(
    bytes: &[u8],
    imports: Imports,
) -> std::result::Result<AuditedComponent, Rejection> {
    let audit = || sandbox::component::audit_with(Component::from_bytes(bytes.to_vec()), imports);
    let answer = audit();
    match (&answer, audit()) {
        (Ok(first), Ok(second)) => assert_eq!(first.report(), second.report()),
        (Err(first), Err(second)) => assert_eq!(*first, second),
        (first, second) => panic!("two answers to the same bytes: {first:?} and {second:?}"),
    }
    match &answer {
        Ok(audited) => check_report(bytes, audited, imports),
        Err(rejection) => {
            assert_eq!(rejection.stage, Stage::Component);
            assert!(is_plain(&rejection.message), "{rejection:?}");
        }
    }
    answer
}

/// Neither a terminal's control characters nor those that turn the line round.
pub(crate) fn is_plain(text: &str) -> bool {
    let turns = |c| matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !text.chars().any(|c| c.is_control() || turns(c))
}

fn check_report(bytes: &[u8], audited: &AuditedComponent, imports: Imports) {
    let report = audited.report();
    assert_eq!(report.bytes, bytes.len());
    assert!(report.bytes <= COMPONENT_BYTES_MAX);
    assert!(report.memory_bytes <= report.memory_bytes_max);
    assert!(report.memory_bytes_max <= MEMORY_BYTES_MAX as u64);
    assert!(report.functions <= COMPONENT_FUNCTIONS_MAX);
    assert_eq!(report.exports, ["lossbox:preference/loss@0.1.0"]);
    let is_allowed = |name: &String| imports == Imports::Wasi && name.starts_with("wasi:");
    assert!(report.imports.iter().all(is_allowed), "{report:?}");
    assert_eq!(report.needs_wasi, !report.imports.is_empty());
    let mut limits = report.limits.iter();
    assert!(limits.all(|measure| measure.count <= measure.limit), "{report:?}");
    let mut shown = report.custom_sections.iter();
    assert!(shown.all(|name| is_plain(name)), "{report:?}");
    Validator::new_with_features(WasmFeatures::all())
        .validate_all(bytes)
        .expect("what is valid with few proposals is valid with all");
}

/// Sections of a component and of a module, to be put together in any order.
static SECTIONS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let module = wat::parse_str(SHAPE).expect("well formed");
    let component = wrapped(&module);
    let mut sections = vec![module, component.clone(), section(0, b"\x04name\x01\x02")];
    for payload in Parser::new(0).parse_all(&component) {
        let Ok(payload) = payload else { break };
        if let Some((id, range)) = payload.as_section() {
            sections.push(section(id, &component[range]));
        }
    }
    sections
});

const PIECES: &[&[u8]] = &[
    b"\0asm\x01\0\0\0",
    b"\0asm\x0d\0\x01\0",
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x00",
    b"\x00\x01\x00",
    b"\x05\x03\x01\x00\x01",
    b"\x08\x01\x00",
    b"\x7f",
    b"\x40",
    b"\x03\x40\x03\x40\x0b\x0b",
    b"\xfd\x0c",
    b"\xfe\x00",
];

const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn generate(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut component = match u.int_in_range(0..=6)? {
        0 => u.bytes(u.len())?.to_vec(),
        1 => [COMPONENT, u.bytes(u.len())?].concat(),
        2 => assembled(u)?,
        3 => nested(u)?,
        4 => wrapped(&Module::new(anything(u)?, u)?.to_bytes()),
        5 => crate::call::component(u)?,
        _ => {
            let component = crate::call::component(u)?;
            damaged(u, component, PIECES)?
        }
    };
    component.truncate(4 * BYTES_MAX);
    Ok(component)
}

/// Any proposal may be on: the gate has to say no.
fn anything(u: &mut Unstructured<'_>) -> Result<Config> {
    let mut config = Config::arbitrary(u)?;
    config.max_imports = config.max_imports.min(4);
    if u.ratio(1, 2)? {
        config.exports = Some(wat::parse_str(SHAPE).expect("well formed"));
    }
    Ok(config)
}

/// Sections of ours and of nobody's, in any order, with sizes that may lie.
fn assembled(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut bytes = u.choose(&[COMPONENT, MODULE])?.to_vec();
    for _ in 0..u.int_in_range(0..=12)? {
        if u.ratio(3, 4)? {
            bytes.extend(u.choose(&SECTIONS)?);
        } else {
            let id = u.int_in_range(0..=14)?;
            let n_bytes = u.int_in_range(0..=40)?.min(u.len());
            let mut content = section(id, u.bytes(n_bytes)?);
            if u.ratio(1, 4)? {
                content[1] = u.arbitrary()?;
            }
            bytes.extend(content);
        }
    }
    Ok(bytes)
}

/// Components within components, blocks within blocks, or one section very often.
fn nested(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let n = u.int_in_range(1..=3_000)?;
    Ok(match u.int_in_range(0..=3)? {
        0 => {
            let mut bytes = COMPONENT.to_vec();
            for _ in 0..n.min(400) {
                bytes = [COMPONENT, &section(4, &bytes)].concat();
            }
            bytes
        }
        1 => {
            let blocks = [b"\x03\x40".repeat(n), b"\x0b".repeat(n)].concat();
            module_of([b"\x00".as_slice(), &blocks, b"\x0b"].concat(), 1)
        }
        2 => module_of(b"\x00\x0b".to_vec(), n),
        _ => {
            let again = u.choose(&SECTIONS)?.repeat(n.min(200));
            [COMPONENT, &again].concat()
        }
    })
}

/// A component with one module of `n` functions with this body.
fn module_of(body: Vec<u8>, n: usize) -> Vec<u8> {
    let types = section(1, b"\x01\x60\x00\x00");
    let functions = section(3, &[leb(n), vec![0; n]].concat());
    let bodies = [leb(body.len()), body].concat().repeat(n);
    let code = section(10, &[leb(n), bodies].concat());
    let module = [MODULE, &types, &functions, &code].concat();
    [COMPONENT, &section(1, &module)].concat()
}
