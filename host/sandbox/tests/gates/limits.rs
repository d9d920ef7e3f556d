//! The limits table: each limit is met by a test, and what a component may hold is tried at the limit and one beyond.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sandbox::limits::*;
use sandbox::{Component, Rejection, component};

/// Each limit, and a test that goes beyond it: the file, and the words in it.
const MET_BY: &[(&str, &str, &str)] = &[
    ("SOURCE_BYTES_MAX", "tests/gates/attacks.rs", "\"(\".repeat(1 << 20), \"source/size\""),
    ("SOURCE_NESTING_MAX", "tests/gates/attacks.rs", "deep(\"(\", \")\", 3_000)"),
    ("SOURCE_MARK_RUN_MAX", "tests/gates/attacks.rs", "\"-\".repeat(5_000)"),
    ("SOURCE_TOKENS_MAX", "tests/gates/attacks.rs", "\"x \".repeat(20_000)"),
    ("SOURCE_CHAIN_MAX", "tests/gates/attacks.rs", "chain(\"return \", \"x\")"),
    ("SOURCE_NUMBER_CHARACTERS_MAX", "tests/gates/attacks.rs", "\"1\".repeat(401)"),
    (
        "SOURCE_STACK_BYTES",
        "src/source/mod.rs",
        "fn chains_without_brackets_do_not_overflow_the_stack",
    ),
    ("CRATE_FILES_MAX", "src/source/folder.rs", "fn crates_of_too_many_files_are_refused"),
    ("CRATE_ENTRIES_MAX", "src/source/folder.rs", "fn folders_without_end_are_refused"),
    ("CRATE_PATH_BYTES_MAX", "src/source/folder.rs", "fn paths_that_are_too_long_are_refused"),
    ("COMPILE_TRIES", "src/sandbox.rs", "tried(COMPILE_TRIES)"),
    ("COMPILE_WALL", "src/compile/tests.rs", "fn at_the_wall_nothing_of_a_compiler_stays"),
    ("COMPILE_ADDRESS_SPACE_BYTES", "src/confine/tests.rs", "fn a_confined_child_meets_its_limits"),
    ("COMPILE_CPU_SECONDS", "src/confine/tests.rs", "fn a_confined_child_meets_its_limits"),
    (
        "COMPILE_FILE_BYTES_MAX",
        "src/confine/tests.rs",
        "fn a_compiler_that_writes_too_large_a_file_is_ended",
    ),
    ("CHILD_FILES_MAX", "src/confine/tests.rs", "fn a_confined_child_meets_its_limits"),
    (
        "COMPILE_OUTPUT_BYTES_MAX",
        "src/compile/process.rs",
        "fn output_beyond_the_limit_is_read_and_dropped",
    ),
    (
        "COMPONENT_BYTES_MAX",
        "src/component/mod.rs",
        "check_rejected(vec![0; 2 << 20], \"component/size\")",
    ),
    ("COMPONENT_FUNCTIONS_MAX", HERE, "\"functions\""),
    ("COMPONENT_CODE_BYTES_MAX", HERE, "\"bytes of code\""),
    ("COMPONENT_BODY_BYTES_MAX", HERE, "\"bytes in one function\""),
    ("CODE_NESTING_MAX", HERE, "\"blocks around one instruction\""),
    ("COSTLY_OPERATORS_MAX", HERE, "\"loops, indirect calls and bulk operations\""),
    ("LOCALS_MAX", HERE, "\"locals in one function\""),
    ("PARAMETERS_MAX", HERE, "\"parameters of one function\""),
    ("RESULTS_MAX", HERE, "\"results of one function\""),
    ("TYPES_MAX", HERE, "\"function types\""),
    ("GLOBALS_MAX", HERE, "\"globals\""),
    ("DATA_SEGMENTS_MAX", HERE, "\"data segments\""),
    ("DATA_BYTES_MAX", HERE, "\"bytes of data\""),
    ("MODULE_IMPORTS_MAX", HERE, "\"imports of modules\""),
    ("MODULE_EXPORTS_MAX", HERE, "\"exports of modules\""),
    ("CUSTOM_SECTIONS_MAX", HERE, "\"custom sections\""),
    ("MODULES_MAX", HERE, "\"modules\""),
    ("CORE_INSTANCES_MAX", HERE, "\"instances of modules\""),
    ("NESTED_COMPONENTS_MAX", HERE, "\"nested components\""),
    ("COMPONENT_DEPTH_MAX", HERE, "\"components around the innermost\""),
    ("COMPONENT_INSTANCES_MAX", HERE, "\"component instances\""),
    ("COMPONENT_TYPES_MAX", HERE, "\"component types\""),
    ("COMPONENT_TYPE_BYTES_MAX", HERE, "\"bytes of component types\""),
    ("COMPONENT_TYPE_DEPTH_MAX", HERE, "\"types around the innermost\""),
    (
        "COMPONENT_STACK_BYTES",
        "src/component/mod.rs",
        "what_nests_deep_is_rejected_before_anybody_goes_down_into_it",
    ),
    ("ALIASES_MAX", HERE, "\"aliases\""),
    ("CANONICAL_FUNCTIONS_MAX", HERE, "\"canonical functions\""),
    ("MEMORY_BYTES_MAX", HERE, "\"bytes of memory at most\""),
    ("MEMORIES_MAX", HERE, "\"memories\""),
    ("TABLES_MAX", "src/guest/bounds.rs", "fn a_store_holds_as_much_as_the_table_says_and_no_more"),
    ("TABLE_ELEMENTS_MAX", HERE, "\"elements in one table\""),
    ("ELEMENT_SEGMENTS_MAX", HERE, "\"element segments\""),
    ("ELEMENTS_MAX", HERE, "\"elements in segments\""),
    ("STACK_BYTES_MAX", "tests/gates/run.rs", "fn a_guest_in_process_has_a_stack_of_its_own"),
    ("GUEST_ADDRESS_SPACE_BYTES", "src/confine/tests.rs", "fn a_confined_child_meets_its_limits"),
    (
        "INSTANCES_MAX",
        "src/guest/bounds.rs",
        "fn a_store_holds_as_much_as_the_table_says_and_no_more",
    ),
    ("FUEL_PER_CALL", "tests/hostile-components/x18_describe_loops.wat", "run/fuel"),
    ("FUEL_PER_PAIR", "tests/hostile/d01_infinite_loop.rs", "run/fuel"),
    ("PROBE_WALL", "src/probe/tests/clock.rs", "fn calls_that_take_too_long_together_are_rejected"),
    (
        "WASI_OUTPUT_BYTES_MAX",
        "src/guest/wasi.rs",
        "fn the_beginning_of_the_output_is_kept_and_the_rest_accepted",
    ),
    ("WASI_RANDOM_BYTES_MAX", "tests/gates/clocks.rs", "fn what_wasi_may_hold_is_limited"),
    ("WASI_RESOURCES_MAX", "tests/gates/clocks.rs", "fn what_wasi_may_hold_is_limited"),
    (
        "CACHE_BYTES_MAX",
        "src/cache/shelf.rs",
        "fn the_least_recently_used_go_when_there_are_too_many",
    ),
    ("CACHE_ENTRY_BYTES_MAX", "src/cache/tests.rs", "CACHE_ENTRY_BYTES_MAX"),
    ("PAIRS_MAX", "tests/gates/components.rs", "pairs(PAIRS_MAX + 1)"),
    ("HYPERPARAMETERS_MAX", "tests/gates/components.rs", "for n_more in [32, 1_000]"),
    ("GUEST_TEXT_BYTES_MAX", "src/guest/protocol.rs", "fn texts_are_cut_at_a_character"),
];

const HERE: &str = "tests/gates/limits.rs";

#[test]
fn every_limit_is_met_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("src/limits.rs")).unwrap();
    let limits: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    let met: BTreeSet<&str> = MET_BY.iter().map(|(limit, _, _)| *limit).collect();
    assert_eq!(limits, met);
    for (limit, file, words) in MET_BY {
        let text = fs::read_to_string(root.join(file)).unwrap();
        // The row of this table is not the test.
        let in_table = usize::from(*file == HERE);
        let escaped = words.replace('"', "\\\"");
        let n_found = text.matches(words).count() + text.matches(&escaped).count();
        assert!(n_found > in_table, "{limit}: {words} is not in {file}");
    }
}

/// What is counted, how much of it there may be, and a component that has `n` of it.
type Row = (&'static str, u64, fn(usize) -> String);

fn module(fields: String) -> String {
    format!("(component (core module {fields}))")
}

/// Bodies of this many bytes in all: the count of locals, the instructions and the end, in parts of 15,000.
fn bodies(n_bytes: usize) -> String {
    let sizes = std::iter::repeat_n(15_000, n_bytes / 15_000 - 1);
    let last = n_bytes - 15_000 * (n_bytes / 15_000 - 1);
    sizes
        .chain([last / 2, last - last / 2])
        .map(|size| format!("(func {})", "nop ".repeat(size - 2)))
        .collect()
}

const ROWS: &[(&str, &[Row])] = &[
    (
        "component/code",
        &[
            ("functions", COMPONENT_FUNCTIONS_MAX, |n| module("(func)".repeat(n))),
            ("bytes of code", COMPONENT_CODE_BYTES_MAX, |n| module(bodies(n))),
            ("bytes in one function", COMPONENT_BODY_BYTES_MAX, |n| {
                module(format!("(func {})", "nop ".repeat(n - 2)))
            }),
            ("blocks around one instruction", CODE_NESTING_MAX, |n| {
                module(format!("(func {} nop {})", "block ".repeat(n), "end ".repeat(n)))
            }),
            ("loops, indirect calls and bulk operations", COSTLY_OPERATORS_MAX, |n| {
                module(format!("(func {})", "loop end ".repeat(n)))
            }),
            ("locals in one function", LOCALS_MAX, |n| {
                module(format!("(func (local {}))", "f64 ".repeat(n)))
            }),
            ("parameters of one function", PARAMETERS_MAX, |n| {
                module(format!("(func (param {}))", "f64 ".repeat(n)))
            }),
            ("results of one function", RESULTS_MAX, |n| {
                module(format!("(func (result {}) unreachable)", "f64 ".repeat(n)))
            }),
        ],
    ),
    (
        "component/declarations",
        &[
            ("function types", TYPES_MAX, |n| module("(type (func))".repeat(n))),
            ("globals", GLOBALS_MAX, |n| module("(global i32 (i32.const 0))".repeat(n))),
            ("data segments", DATA_SEGMENTS_MAX, |n| {
                module(format!("(memory 1 1) {}", "(data (i32.const 0) \"\")".repeat(n)))
            }),
            ("bytes of data", DATA_BYTES_MAX, |n| {
                module(format!("(memory 8 8) (data (i32.const 0) \"{}\")", "x".repeat(n)))
            }),
            ("imports of modules", MODULE_IMPORTS_MAX, |n| {
                let import = |k| format!("(import \"a\" \"{k}\" (func))");
                module((0..n).map(import).collect())
            }),
            ("exports of modules", MODULE_EXPORTS_MAX, |n| {
                let export = |k| format!("(export \"{k}\" (func $f))");
                module(format!("(func $f) {}", (0..n).map(export).collect::<String>()))
            }),
            ("custom sections", CUSTOM_SECTIONS_MAX, |n| {
                format!("(component {})", "(@custom \"a\" \"\")".repeat(n))
            }),
        ],
    ),
    (
        "component/structure",
        &[
            ("modules", MODULES_MAX, |n| format!("(component {})", "(core module)".repeat(n))),
            ("instances of modules", CORE_INSTANCES_MAX, |n| {
                format!("(component {})", "(core instance)".repeat(n))
            }),
            ("nested components", NESTED_COMPONENTS_MAX, |n| {
                format!("(component {})", "(component)".repeat(n))
            }),
            ("components around the innermost", COMPONENT_DEPTH_MAX, |n| {
                format!("(component {}{})", "(component ".repeat(n), ")".repeat(n))
            }),
            ("component instances", COMPONENT_INSTANCES_MAX, |n| {
                format!("(component {})", "(instance)".repeat(n))
            }),
            // Six of them around the name of the one case.
            ("bytes of component types", COMPONENT_TYPE_BYTES_MAX, |n| {
                format!("(component (type (enum \"{}\")))", "x".repeat(n - 6))
            }),
            ("types around the innermost", COMPONENT_TYPE_DEPTH_MAX, |n| {
                let (open, close) = ("(type (component ".repeat(n), "))".repeat(n));
                format!("(component {open}(type (func)){close})")
            }),
            ("component types", COMPONENT_TYPES_MAX, |n| {
                format!("(component {})", "(type (func))".repeat(n))
            }),
            ("aliases", ALIASES_MAX, |n| {
                let alias = "(alias core export $i \"f\" (core func))".repeat(n);
                format!(
                    "(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m)) {alias})"
                )
            }),
            ("canonical functions", CANONICAL_FUNCTIONS_MAX, |n| {
                let lift = "(func (canon lift (core func $f)))".repeat(n);
                format!(
                    "(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m)) \
                     (alias core export $i \"f\" (core func $f)) {lift})"
                )
            }),
        ],
    ),
    (
        "component/memory",
        &[
            ("memories", MEMORIES_MAX as u64, |n| {
                format!("(component {})", "(core module (memory 1 1))".repeat(n))
            }),
            // In pages of 64 KiB: one byte beyond is a page beyond.
            ("bytes of memory at most", MEMORY_BYTES_MAX as u64, |n| {
                module(format!("(memory 1 {})", n.div_ceil(64 << 10)))
            }),
        ],
    ),
    (
        "component/tables",
        &[
            ("elements in one table", TABLE_ELEMENTS_MAX as u64, |n| {
                module(format!("(table {n} {n} funcref)"))
            }),
            ("element segments", ELEMENT_SEGMENTS_MAX, |n| {
                module(format!("(table 1 1 funcref) {}", "(elem (i32.const 0))".repeat(n)))
            }),
            ("elements in segments", ELEMENTS_MAX, |n| {
                let segment = |n| format!("(elem (i32.const 0) {})", "$f ".repeat(n));
                module(format!(
                    "(func $f) (table 1000 1000 funcref) {}{}{}",
                    segment(900),
                    segment(900),
                    segment(n - 1_800)
                ))
            }),
        ],
    ),
];

fn audit(text: &str) -> Rejection {
    let bytes = wat::parse_str(text).unwrap();
    component::audit(Component::from_bytes(bytes)).expect_err("no plugin")
}

/// None of these is a plugin. What has as much as it may is refused for that alone, by a rule that comes later.
#[test]
fn a_component_may_have_as_much_as_the_table_says_and_no_more() {
    for (rule, rows) in ROWS {
        for (name, limit, text) in *rows {
            let n_most = usize::try_from(*limit).unwrap();
            let within = audit(&text(n_most));
            assert!(within.rule != *rule || !within.message.contains(name), "{name}: {within:?}");
            let beyond = audit(&text(n_most + 1));
            assert_eq!(&beyond.rule, rule, "{name}: {beyond:?}");
            let tail = format!(" {name}, expected at most {limit}");
            assert!(beyond.message.ends_with(&tail), "{name}: {beyond:?}");
        }
    }
}
