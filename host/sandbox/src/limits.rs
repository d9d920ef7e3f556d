//! Every limit of the sandbox in one table, as a contract: what is limited, in which unit, by how much, and what happens at
//! the limit.
//!
//! The unit stands last in a name, unless it is a plain count. The value is the default and, but for clocks, the only one:
//! [`Options::compile_wall`](crate::Options::compile_wall) and [`Options::walls`](crate::Options::walls) set the clocks of a
//! host in more or less of a hurry; nothing else can be changed, since a verdict must be the same for everybody. What is
//! exactly at a limit is within it.
//!
//! | what | is limited by | at the limit |
//! | --- | --- | --- |
//! | source text, before anything recurses | `SOURCE_*`, `CRATE_*` | a rejection with its place, nothing was parsed or read further |
//! | the compiler | `COMPILE_*`, [`CHILD_FILES_MAX`] | the kernel fails a call or a signal ends the process: `compile/crash`; the clock ends its group: `compile/timeout` |
//! | a component, before wasmtime sees it; code, structure and declarations before it is validated | `COMPONENT_*` and what follows up to [`TABLES_MAX`] | a rejection with both numbers |
//! | a running call | [`STACK_BYTES_MAX`], [`MEMORY_BYTES_MAX`], [`MEMORIES_MAX`], [`TABLE_ELEMENTS_MAX`], [`INSTANCES_MAX`], `WASI_*` | a trap, so that no result depends on how much was left: `run/trap` |
//! | the work of a call | [`FUEL_PER_CALL`], [`FUEL_PER_PAIR`] | `run/fuel`, the same on every machine |
//! | time | [`COMPILE_WALL`], [`Walls`], [`PROBE_WALL`] | `compile/timeout` or `run/timeout`; first tried again alone, the compiler if it hardly had a processor, which is [`Fault::Busy`](crate::Fault::Busy) in the end |
//! | the process of a guest | [`GUEST_ADDRESS_SPACE_BYTES`], [`CHILD_FILES_MAX`] | an allocation fails and the process ends: `run/crash` |
//! | what a guest says | [`PAIRS_MAX`], [`HYPERPARAMETERS_MAX`], [`GUEST_TEXT_BYTES_MAX`] | more is not believed, or cut off |
//! | what a loss calls itself | 64 characters for a name, 300 for a summary: form, not load, so they stand with their rule in the probe | `probe/metadata` |
//!
//! Not covered by any: processor time of a guest up to its clock, disk space in total, the number of a compiler's processes
//! (see [`confine`](crate::confine)), the number of candidates, and how long a candidate waits for others. Of a
//! machine that is busy with other programs, the probe's clock makes no verdict, nor does the compiler's where it had less than
//! half of it; those of [`Walls`] do, met twice. All other limits are the same on every machine.

use std::time::Duration;

/// Source text in bytes; more is rejected by `source/size` before it is parsed.
pub const SOURCE_BYTES_MAX: usize = 64 << 10;
/// Depth of brackets; more is rejected by `source/nesting` before anything recurses.
pub const SOURCE_NESTING_MAX: usize = 64;
/// Operators in a row; more is rejected by `source/nesting`: `----x` nests as deep as `((((x))))`.
pub const SOURCE_MARK_RUN_MAX: usize = 32;
/// Tokens; more is rejected by `source/nesting`: `1+1+1+…` nests as deep as it is long.
pub const SOURCE_TOKENS_MAX: usize = 16 << 10;
/// Tokens that may nest without brackets, with those before the brackets around them; more is rejected by
/// `source/nesting`.
///
/// `return return …`, `x.f().f()…`, `|x| |y| …`, `if … else if …` nest as deep as they are long. rustc overflows its stack
/// at 1,000 to 2,000 of the worst of them (`if let y = if let y = …`, `return - return - …`). None of a published loss
/// reaches a quarter of this.
pub const SOURCE_CHAIN_MAX: usize = 512;
/// Characters of one number; more is rejected by `source/nesting`. The longest that means something has about 330.
pub const SOURCE_NUMBER_CHARACTERS_MAX: usize = 400;
/// Stack of the thread that parses: enough for the deepest file within the limits above; taken page by page. Nothing
/// happens at it, since nothing that passes them reaches it.
pub const SOURCE_STACK_BYTES: usize = 256 << 20;
/// Files of a crate; more is rejected by `source/crate-layout`.
pub const CRATE_FILES_MAX: usize = 64;
/// Files and folders in a crate's folder, read or not; more is rejected by `source/crate-layout`.
pub const CRATE_ENTRIES_MAX: usize = 1_000;
/// Bytes of a path within a crate's folder; more is rejected by `source/crate-layout`. Systems take 4,096 with what stands
/// before it.
pub const CRATE_PATH_BYTES_MAX: usize = 1_024;

/// Wall clock of one compilation; the process group is killed, `compile/timeout`, which is not remembered.
///
/// A compiler that had the processor for less than half of it did not get to work: it is tried again, up to
/// [`COMPILE_TRIES`] times in all, while every other guest and compiler of the sandbox is at rest. Where other programs
/// leave it no processor then either, that is [`Fault::Busy`](crate::Fault::Busy) and no verdict. One that was at work all
/// the time is rejected at once. Not covered: one that had between half of its clock and all of it, which is rejected.
///
/// A loss takes 0.1 to 0.4 s, the latter with five programs on two cores. No rule of the source gate bounds what a pattern
/// costs: whether a match over 24 flags leaves a case out is a search, on which rustc has spent 18 s. This is its bound.
pub const COMPILE_WALL: Duration = Duration::from_secs(10);
/// How often a compiler that gets no processor is tried, the first time beside others.
pub const COMPILE_TRIES: u32 = 3;
/// Address space of the compiler and of each process that it starts; beyond, its allocations fail, `compile/crash` with a
/// message that says so. 512 MiB just suffices. What fails in the linker is an error of the compiler's, `compile/rustc`.
pub const COMPILE_ADDRESS_SPACE_BYTES: u64 = 2 << 30;
/// Processor time in seconds of each process of the compiler, its threads together; beyond, a signal ends it,
/// `compile/crash`.
///
/// [`COMPILE_WALL`] comes first, unless more than three cores work on one candidate. This is for a host that gives more
/// wall clock, and for a machine on which the host itself does not get to run.
pub const COMPILE_CPU_SECONDS: u64 = 30;
/// Size of any file that the compiler writes; beyond, a signal ends it, `compile/crash`.
pub const COMPILE_FILE_BYTES_MAX: u64 = 64 << 20;
/// Files that a child may have open at once. Opening more fails (`EMFILE`), which a compiler reports as an error of its own,
/// `compile/rustc` or `compile/crash`; a guest's child has its pipes and may open nothing.
pub const CHILD_FILES_MAX: u64 = 256;
/// Bytes of compiler output that are kept, of stdout and stderr each; the rest is read and dropped, which is no verdict.
///
/// Of what is kept, a rejection has the first four errors and at most 4,000 characters.
pub const COMPILE_OUTPUT_BYTES_MAX: usize = 256 << 10;

/// Component size; more is rejected by `component/size`.
pub const COMPONENT_BYTES_MAX: usize = 1 << 20;
/// Functions in a component; more is rejected by `component/code`.
pub const COMPONENT_FUNCTIONS_MAX: u64 = 2_000;
/// Bytes of all functions' bodies; more is rejected by `component/code`. A loss that uses much of std has 93 kB, which
/// compile in 0.2 s; of what was tried, direct calls are the slowest to compile: 0.7 s for this much.
pub const COMPONENT_CODE_BYTES_MAX: u64 = 192 << 10;
/// Bytes of one function's body; more is rejected by `component/code`. std's largest has 7 kB.
pub const COMPONENT_BODY_BYTES_MAX: u64 = 16 << 10;
/// Blocks, loops and ifs around one instruction; more is rejected by `component/code`.
pub const CODE_NESTING_MAX: u64 = 64;
/// Loops, calls through tables and bulk operations in all; more is rejected by `component/code`.
/// Each becomes many blocks: 2,000 loops in functions with 400 locals compile in 0.4 to 0.8 s, 50,000 calls through a
/// table would take 6 s.
pub const COSTLY_OPERATORS_MAX: u64 = 2_000;
/// Locals of one function beside its parameters; more is rejected by `component/code`.
pub const LOCALS_MAX: u64 = 500;
/// Parameters of one function of a module; more is rejected by `component/code`. The contract's longest has 14.
pub const PARAMETERS_MAX: u64 = 64;
/// Results of one function of a module; more is rejected by `component/code`.
pub const RESULTS_MAX: u64 = 16;
/// Function types of all modules; more is rejected by `component/declarations`.
pub const TYPES_MAX: u64 = 1_000;
/// Globals of all modules; more is rejected by `component/declarations`.
pub const GLOBALS_MAX: u64 = 100;
/// Data segments of all modules; more is rejected by `component/declarations`.
pub const DATA_SEGMENTS_MAX: u64 = 256;
/// Bytes in data segments, which every fresh instance copies; more is rejected by `component/declarations`.
pub const DATA_BYTES_MAX: u64 = 256 << 10;
/// Imports of modules, which other modules of the component provide; more is rejected by `component/declarations`.
pub const MODULE_IMPORTS_MAX: u64 = 500;
/// Exports of modules; more is rejected by `component/declarations`.
pub const MODULE_EXPORTS_MAX: u64 = 500;
/// Custom sections of all levels, which nobody reads but which are listed; more is rejected by `component/declarations`.
pub const CUSTOM_SECTIONS_MAX: u64 = 64;
/// Modules in a component; more is rejected by `component/structure`. std brings two beside the loss.
pub const MODULES_MAX: u64 = 8;
/// Instances of modules, with bundles of exports that are passed on; more is rejected by `component/structure`.
pub const CORE_INSTANCES_MAX: u64 = 64;
/// Components within the component; more is rejected by `component/structure`.
pub const NESTED_COMPONENTS_MAX: u64 = 4;
/// How deep components nest; deeper is rejected by `component/structure`.
pub const COMPONENT_DEPTH_MAX: u64 = 1;
/// Instances of nested components; more is rejected by `component/structure`.
pub const COMPONENT_INSTANCES_MAX: u64 = 16;
/// Declarations of component types, with those inside types of instances; more is rejected by `component/structure`.
pub const COMPONENT_TYPES_MAX: u64 = 1_000;
/// Bytes of the sections that declare types of components; more is rejected by `component/structure` before any is read,
/// since a type of three bytes may hold the next. A component of std has about 4 kB.
pub const COMPONENT_TYPE_BYTES_MAX: u64 = 64 << 10;
/// How deep types of components and instances nest; deeper is rejected by `component/structure` before it is validated.
///
/// Not covered: how deep types refer to each other by number. The validator counts to 127; beyond, it panics, which ends
/// its own thread and the component with it, `component/valid`.
pub const COMPONENT_TYPE_DEPTH_MAX: u64 = 8;
/// Stack of the thread that reads a component: enough for the deepest types within [`COMPONENT_TYPE_BYTES_MAX`]; taken page
/// by page. Nothing happens at it, since nothing that passes them reaches it.
pub const COMPONENT_STACK_BYTES: usize = 256 << 20;
/// Aliases; more is rejected by `component/structure`.
pub const ALIASES_MAX: u64 = 1_000;
/// Functions lifted, lowered or built in; more is rejected by `component/structure`.
pub const CANONICAL_FUNCTIONS_MAX: u64 = 256;
/// Linear memory that a component may declare in all, in bytes; more, or a memory without a maximum, is rejected by
/// `component/memory`. What is declared bounds what may be grown: growing further traps.
///
/// Not covered: what the host keeps beside it. An instance that was used keeps up to 2 MiB of pages for the next.
pub const MEMORY_BYTES_MAX: usize = 64 << 20;
/// Elements of a table; more is rejected by `component/tables`, growing further traps.
pub const TABLE_ELEMENTS_MAX: usize = 1_000;
/// Element segments of all modules; more is rejected by `component/tables`.
pub const ELEMENT_SEGMENTS_MAX: u64 = 100;
/// Elements in all segments; more is rejected by `component/tables`.
pub const ELEMENTS_MAX: u64 = 2_000;
/// Tables of a component; more is rejected by `component/tables`.
///
/// A module has at most one, so [`MODULES_MAX`] comes first.
pub const TABLES_MAX: usize = 8;
/// Stack of the guest in bytes; more traps, `run/trap`.
///
/// Of the machine's stack, on which Cranelift's code keeps what it has no register for. The stack that a language keeps
/// in linear memory is part of the memory. The thread that runs a guest has this much and four MiB for what calls it.
pub const STACK_BYTES_MAX: usize = 512 << 10;

/// Address space of the process that holds a guest, for Cranelift, wasmtime and the guest together; beyond, allocations
/// fail and end it, `run/crash`.
pub const GUEST_ADDRESS_SPACE_BYTES: u64 = 2 << 30;

/// Linear memories of a component; more is rejected by `component/memory`.
///
/// [`MEMORY_BYTES_MAX`] bounds them together while the guest runs: what each may take depends on what the others took.
/// Asking for more traps, so no result depends on how much was left. Not covered: what Cranelift takes to compile a
/// component, which [`GUEST_ADDRESS_SPACE_BYTES`] bounds, and the copies of arguments and results on the host's side,
/// which [`PAIRS_MAX`] bounds.
pub const MEMORIES_MAX: usize = 2;
/// Core instances of one call; more is `run/world` or `run/trap`.
///
/// One of Rust's compiler needs one; a component that imports WASI needs four. No module is instantiated twice, so
/// [`MODULES_MAX`] comes first: this holds should the component gate miss one.
pub const INSTANCES_MAX: usize = 8;

/// Fuel of one call: this much, and [`FUEL_PER_PAIR`] for each pair; running out is `run/fuel`.
///
/// The unit is about one WebAssembly instruction, and one byte of a bulk copy or fill. The count is the same on every
/// machine and in every run, so running out is a verdict. Not covered: time. An instruction takes from a fraction of a
/// nanosecond to a hundred (a division, a cache miss), and what the host does for a guest that imports WASI takes no
/// fuel at all: the guest pays a few instructions for a call that may cost the host 64 KiB of random numbers. No function
/// of WASI blocks or takes longer than that, and the epoch is looked at as soon as the guest goes on, so `call_inside` of
/// [`Walls`] stops whoever does nothing else, and the parent's clock the child.
pub const FUEL_PER_CALL: u64 = 2_000_000;
/// See [`FUEL_PER_CALL`]. A DPO pair takes about 250.
pub const FUEL_PER_PAIR: u64 = 100_000;
/// Fuel of a call with this many pairs.
pub(crate) const fn fuel_of_call(n_pairs: usize) -> u64 {
    FUEL_PER_CALL + FUEL_PER_PAIR * n_pairs as u64
}

/// The wall clocks of a running plugin: guards against what fuel does not count, and no verdicts.
///
/// What meets one is tried once more while every other guest and compiler of the sandbox is at rest; only what meets it
/// again is rejected, by `run/timeout`. So the worst plugin holds its caller up for twice as long as this says, and the
/// others while it is alone. Not covered: other programs on the machine, which can make any clock run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walls {
    /// One call as epochs see it, where the guest runs: it is stopped between this and an eighth more, wherever it is.
    ///
    /// Default: 10 s. A bulk copy or fill is not stopped half way; of 64 MiB it takes some milliseconds.
    pub call_inside: Duration,
    /// One answer as the host sees it; the child is killed. In process there is no such wall.
    ///
    /// Default: 15 s. Less than `call_inside` makes this the only wall.
    pub call: Duration,
    /// Starting: from the component's bytes to machine code to the plugin's description; the child is killed.
    ///
    /// Default: 15 s. In process Cranelift cannot be stopped, so only the description has a wall there.
    pub start: Duration,
}

impl Default for Walls {
    fn default() -> Self {
        Walls {
            call_inside: Duration::from_secs(10),
            call: Duration::from_secs(15),
            start: Duration::from_secs(15),
        }
    }
}

/// All calls of one probe together; what passes it is rejected by `run/timeout` before the next call.
///
/// The probe of a usual loss takes a fraction of a second. Of a call that is answered, the processor's time counts as the
/// child measures it, so that a busy machine changes no verdict; of one that fails, the time as the host sees it. [`Walls`]
/// bound the last call, so a probe ends at the latest at this and one call. Fuel counts nothing of what the host does for a guest that
/// imports WASI (64 KiB of random numbers are one call), so this and the walls are all that bounds that.
pub const PROBE_WALL: Duration = Duration::from_secs(30);

/// What is kept of a plugin's output, both streams together, in bytes; the rest is accepted and dropped.
///
/// It explains a trap and goes nowhere else. Only a plugin that imports WASI has an output.
pub const WASI_OUTPUT_BYTES_MAX: usize = 1 << 10;
/// Random bytes that a plugin may ask for at once; more traps, `run/trap`. How often it asks is for fuel and the clock.
pub const WASI_RANDOM_BYTES_MAX: u64 = 64 << 10;
/// Handles of WASI (streams, pollables, errors) that a call may hold; more traps, `run/trap`.
pub const WASI_RESOURCES_MAX: usize = 1_024;
/// Disk space of the cached verdicts of one user; beyond, the least recently used are deleted. Processes that write at
/// once may pass it by a sixteenth each.
pub const CACHE_BYTES_MAX: u64 = 256 << 20;
/// One cached verdict; a larger one, as a component that the next gate rejects by its size, is not cached.
pub const CACHE_ENTRY_BYTES_MAX: usize = COMPONENT_BYTES_MAX + (64 << 10);

/// Pairs in one call; more is [`Fault::Call`](crate::Fault::Call): the caller's mistake, and no verdict on the plugin.
///
/// It bounds what crosses the pipe: 40 bytes a pair there, 24 back.
pub const PAIRS_MAX: usize = 65_536;
/// Hyperparameters that a loss may describe; more is rejected by `probe/metadata`.
pub const HYPERPARAMETERS_MAX: usize = 32;
/// Bytes of a text that a guest hands over (its name, its summary, an error); the rest is cut off, which is no verdict.
pub const GUEST_TEXT_BYTES_MAX: usize = 4 << 10;
