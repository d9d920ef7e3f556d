//! The plugin call: whatever a component does that kept the gate's rules, its call ends in numbers or in a rejection.
//!
//! Half of the modules come from `wasm-smith` and do anything that is valid; the others answer with records whose
//! pointers and lengths lie in ways that a compiler never would.

use arbitrary::{Arbitrary as _, Result, Unstructured};
use sandbox::{
    AuditedComponent, Evaluation, Failure, Imports, InProcess, Pairs, Rejection, Stage, Walls,
};
use wasm_smith::{Config, Module};

use crate::component::{SHAPE, audited, is_plain, with_an_import, wrapped};
use crate::{Verdict, rejected};

/// Pairs of a call: fuel grows with them, and few show as much as many.
const PAIRS_MAX: usize = 4;

/// Calls the plugin that the bytes make.
///
/// # Panics
/// When the property does not hold.
pub fn check(bytes: &[u8]) -> Verdict {
    let u = &mut Unstructured::new(bytes);
    let Ok((pairs, component)) = generate(u) else {
        return Verdict::Rejected("nothing to call");
    };
    let answer = audited(&component, Imports::Wasi).and_then(|audited| called(&audited, &pairs));
    match answer {
        Ok(_) => Verdict::Accepted,
        Err(rejection) => rejected(&rejection.rule),
    }
}

fn called(
    component: &AuditedComponent,
    pairs: &Pairs,
) -> std::result::Result<Evaluation, Rejection> {
    let guest = InProcess::unprobed(component, Walls::default(), Stage::Probe);
    let mut guest = guest.map_err(rejection)?;
    let declared = &guest.metadata().hyperparameters;
    let hyperparameters: Vec<f64> = declared.iter().map(|declared| declared.default).collect();
    let mut call = || guest.evaluate(pairs, &hyperparameters).map_err(rejection);
    let (first, second) = (call(), call());
    match (&first, &second) {
        (Ok(first), Ok(second)) => {
            assert_eq!(bits(first), bits(second), "two calls, two answers");
            let lists = [&first.losses, &first.policy_chosen, &first.policy_rejected];
            assert!(lists.into_iter().all(|list| list.len() == pairs.len()));
        }
        (Err(first), Err(second)) => assert_eq!(first, second, "two calls, two rejections"),
        (first, second) => panic!("two calls, {first:?} and {second:?}"),
    }
    first
}

/// The plugin's fault; there must be none of ours.
fn rejection(failure: Failure) -> Rejection {
    match failure {
        Failure::Rejected(rejection) => {
            assert!(is_plain(&rejection.message), "{rejection:?}");
            *rejection
        }
        Failure::Fault(fault) => panic!("a plugin made a fault of ours: {fault}"),
    }
}

fn bits(evaluation: &Evaluation) -> (Vec<u64>, u64) {
    let lists = [&evaluation.losses, &evaluation.policy_chosen, &evaluation.policy_rejected];
    let numbers = lists.into_iter().flatten().map(|number| number.to_bits());
    (numbers.collect(), evaluation.fuel)
}

fn generate(u: &mut Unstructured<'_>) -> Result<(Pairs, Vec<u8>)> {
    let pairs = pairs(u)?;
    Ok((pairs, component(u)?))
}

fn pairs(u: &mut Unstructured<'_>) -> Result<Pairs> {
    let n_pairs = u.int_in_range(1..=PAIRS_MAX)?;
    let mut pairs = Pairs {
        policy_chosen_logps: Vec::new(),
        policy_rejected_logps: Vec::new(),
        reference_chosen_logps: Vec::new(),
        reference_rejected_logps: Vec::new(),
        chosen_tokens: Vec::new(),
        rejected_tokens: Vec::new(),
    };
    for _ in 0..n_pairs {
        pairs.policy_chosen_logps.push(u.arbitrary()?);
        pairs.policy_rejected_logps.push(u.arbitrary()?);
        pairs.reference_chosen_logps.push(u.arbitrary()?);
        pairs.reference_rejected_logps.push(u.arbitrary()?);
        pairs.chosen_tokens.push(u.int_in_range(1..=u32::MAX)?);
        pairs.rejected_tokens.push(u.int_in_range(1..=u32::MAX)?);
    }
    Ok(pairs)
}

/// A component of the world; some import a clock, so that they are called where WASI is served.
pub(crate) fn component(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let imports = u.ratio(1, 8)?;
    let component = wrapped(&module(u)?);
    Ok(match imports {
        true => with_an_import(component),
        false => component,
    })
}

/// A core module with the exports of a plugin.
fn module(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    if u.ratio(1, 2)? {
        Ok(Module::new(valid(u)?, u)?.to_bytes())
    } else {
        Ok(wat::parse_str(answering(u)?).expect("well formed"))
    }
}

/// Only what the gate lets through: the calls are what is tried here.
fn valid(u: &mut Unstructured<'_>) -> Result<Config> {
    let mut config = Config::arbitrary(u)?;
    config.exports = Some(wat::parse_str(SHAPE).expect("well formed"));
    config.max_imports = 0;
    config.min_imports = 0;
    config.min_memories = 0;
    config.max_memories = 1;
    config.min_tables = 0;
    config.max_tables = 1;
    config.max_table_elements = 100;
    config.table_max_size_required = true;
    config.memory_max_size_required = true;
    config.max_memory32_bytes = 16 << 16;
    config.max_instructions = config.max_instructions.min(400);
    config.min_tags = 0;
    config.max_tags = 0;
    config.min_funcs = 0;
    config.max_funcs = config.max_funcs.min(30);
    config.allow_start_export = false;
    config.allow_invalid_funcs = false;
    config.generate_custom_sections = false;
    config.multi_value_enabled = true;
    for proposal in [
        &mut config.exceptions_enabled,
        &mut config.gc_enabled,
        &mut config.custom_descriptors_enabled,
        &mut config.custom_page_sizes_enabled,
        &mut config.memory64_enabled,
        &mut config.reference_types_enabled,
        &mut config.relaxed_simd_enabled,
        &mut config.shared_everything_threads_enabled,
        &mut config.tail_call_enabled,
        &mut config.threads_enabled,
        &mut config.wide_arithmetic_enabled,
        &mut config.extended_const_enabled,
    ] {
        *proposal = false;
    }
    Ok(config)
}

/// Memory is one page: a record of metadata at 1,024, one of gradients at 2,048, texts and numbers around them.
fn answering(u: &mut Unstructured<'_>) -> Result<String> {
    let mut data = vec![b'a'; 2_048 + 64];
    let usual = u.int_in_range(1..=PAIRS_MAX as u32)?;
    let describe = record(u, usual, &[Text, Text, Byte, Text, Byte, List])?;
    data[1_024..1_024 + describe.len()].copy_from_slice(&describe);
    let evaluate = record(u, usual, &[Byte, List, List, List])?;
    data[2_048..2_048 + evaluate.len()].copy_from_slice(&evaluate);
    let describe_at = pointer(u, 1_024)?;
    let evaluate_at = pointer(u, 2_048)?;
    let next = pointer(u, 8_192)?;
    let n_bytes = u.len().min(512);
    data[..n_bytes].copy_from_slice(u.bytes(n_bytes)?);
    let escaped: String = data.iter().map(|byte| format!("\\{byte:02x}")).collect();
    Ok(format!(
        r#"(module
    (memory (export "memory") 1 16)
    (global $next (mut i32) (i32.const {next}))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (global.get $next)
        (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7)) (i32.const -8))))
    (func (export "lossbox:preference/loss@0.1.0#describe") (result i32) (i32.const {describe_at}))
    (func (export "cabi_post_lossbox:preference/loss@0.1.0#describe") (param i32))
    (func (export "lossbox:preference/loss@0.1.0#evaluate")
        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const {evaluate_at}))
    (func (export "cabi_post_lossbox:preference/loss@0.1.0#evaluate") (param i32))
    (data (i32.const 0) "{escaped}"))"#
    ))
}

/// A field of a record as the canonical ABI lays it out, four bytes at a time.
#[derive(Clone, Copy)]
enum Field {
    Byte,
    Text,
    List,
}
use Field::{Byte, List, Text};

fn record(u: &mut Unstructured<'_>, usual: u32, fields: &[Field]) -> Result<Vec<u8>> {
    let mut words = Vec::new();
    for field in fields {
        match field {
            Byte => words.push(match u.int_in_range(0..=31)? {
                31 => u.arbitrary()?,
                28..=30 => 1,
                _ => 0,
            }),
            Text => words.extend([pointer(u, 1_536)?, length(u, usual)?]),
            List => words.extend([pointer(u, 4_096)?, length(u, usual)?]),
        }
    }
    Ok(words.into_iter().flat_map(u32::to_le_bytes).collect())
}

fn pointer(u: &mut Unstructured<'_>, usual: u32) -> Result<u32> {
    Ok(match u.int_in_range(0..=31)? {
        29 => u.arbitrary()?,
        30 => *u.choose(&[0, 1, 65_535, 65_536, 65_528, u32::MAX, 1 << 31])?,
        31 => usual + u.int_in_range(0..=7)?,
        _ => usual,
    })
}

fn length(u: &mut Unstructured<'_>, usual: u32) -> Result<u32> {
    Ok(match u.int_in_range(0..=31)? {
        28 => u.arbitrary()?,
        29 => *u.choose(&[65_536, 8_192, 7_681, 1 << 29, 1 << 31, u32::MAX])?,
        30..=31 => u.int_in_range(0..=100)?,
        _ => usual,
    })
}
