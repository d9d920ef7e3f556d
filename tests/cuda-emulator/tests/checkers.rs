//! Every checker bites: for each kind of report a small kernel that deserves it, and beside it one that does not.

#![allow(
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    reason = "a call that fails has failed the test; what cudarc asks for is what each test sets up"
)]

use std::sync::{Mutex, PoisonError};

use cuda_emulator::{Emulator, Report, ReportKind};
use cudarc::driver::{CudaContext, DevicePtr, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

static ALONE: Mutex<()> = Mutex::new(());

/// What is reported of a kernel with one pointer to 4,096 bytes, of which the first half is written.
///
/// The statements find the pointer in `p`, the thread's number in `t`, the block's in `b`, and shared memory `room`.
fn reports(statements: &str, blocks: u32, threads: u32) -> Vec<Report> {
    reports_named(statements, blocks, threads, &[], Emulator::name)
}

fn reports_named(
    statements: &str,
    blocks: u32,
    threads: u32,
    regions: &[(usize, usize, &str)],
    name_region: fn(&Emulator, u64, usize, &str) -> bool,
) -> Vec<Report> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = Emulator::install().unwrap();
    emulator.take_reports();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let ptx = format!(
        ".version 8.8\n.target sm_90a\n.address_size 64\n.visible .entry one(.param .u64 pointer)\n{{\n
        .reg .pred q; .reg .b64 p, x; .reg .b32 t, b, s, r, v;\n.shared .align 16 .b8 room[1024];\n.shared .align 16 .b8 next[16];\n
        ld.param.u64 p, [pointer]; mov.u32 t, %tid.x; mov.u32 b, %ctaid.x; mov.u32 s, room; mov.u32 v, 0;\n{statements}\nret;\n}}\n"
    );
    let kernel = context.load_module(Ptx::from_src(ptx)).unwrap().load_function("one");
    let kernel = kernel.unwrap_or_else(|_| panic!("{:?}", emulator.take_reports()));
    let mut buffer = unsafe { stream.alloc::<u8>(4096) }.unwrap();
    stream.memcpy_htod(&[0; 2048], &mut buffer).unwrap();
    let address = {
        let (address, _sync) = buffer.device_ptr(&stream);
        address
    };
    assert!(emulator.name(address, 4096, "buffer"));
    for (start, bytes, name) in regions {
        assert!(name_region(&emulator, address + *start as u64, *bytes, name));
    }
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&buffer);
    let config =
        LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 };
    unsafe { launch.launch(config) }.unwrap();
    let failed = stream.synchronize().is_err();
    let reports = emulator.take_reports();
    assert_eq!(failed, !reports.is_empty(), "an error and a report come together");
    reports
}

fn only(statements: &str, blocks: u32, threads: u32) -> Report {
    let mut reports = reports(statements, blocks, threads);
    assert_eq!(reports.len(), 1, "{reports:#?}");
    reports.remove(0)
}

/// Races and nothing else.
fn raced(statements: &str, blocks: u32, threads: u32) {
    let reports = reports(statements, blocks, threads);
    let only_races = reports.iter().all(|report| report.kind == ReportKind::Race);
    assert!(only_races && !reports.is_empty(), "{reports:?}");
}

fn clean(statements: &str, blocks: u32, threads: u32) {
    assert_eq!(reports(statements, blocks, threads), [], "{statements}");
}

#[test]
fn bounds_of_global_memory() {
    clean("mad.wide.u32 x, t, 4, p; st.global.u32 [x+2048], t;", 1, 512);
    let report = only("mad.wide.u32 x, t, 4, p; st.global.u32 [x+2048], t;", 1, 513);
    assert_eq!(
        (report.kind, report.buffer.as_str(), report.offset),
        (ReportKind::OutOfBounds, "buffer", 4096)
    );
    assert_eq!(
        (report.thread, report.instruction.as_str()),
        ([512, 0, 0], "st.global.u32 [x+2048], t")
    );
    let before = only("ld.global.u32 v, [p+-4];", 1, 1);
    assert_eq!((before.kind, before.offset), (ReportKind::OutOfBounds, -4));
    // Four of the eight bytes are inside.
    assert_eq!(
        only("add.u64 x, p, 4088; ld.global.v4.u32 {v, v, v, v}, [x+8];", 1, 1).kind,
        ReportKind::OutOfBounds
    );
    let wild = only("mov.u64 x, 64; ld.global.u32 v, [x];", 1, 1);
    assert_eq!((wild.kind, wild.buffer.as_str()), (ReportKind::OutOfBounds, ""));
}

#[test]
fn bounds_of_an_arenas_regions() {
    let regions = [(0, 64, "weights"), (256, 64, "gradients")];
    assert_eq!(
        reports_named(
            "mad.wide.u32 x, t, 4, p; ld.global.u32 v, [x+256];",
            1,
            16,
            &regions,
            Emulator::name
        ),
        []
    );
    let past = reports_named(
        "mad.wide.u32 x, t, 4, p; ld.global.u32 v, [x];",
        1,
        17,
        &regions,
        Emulator::name,
    );
    assert_eq!(
        (past[0].kind, past[0].buffer.as_str(), past[0].offset),
        (ReportKind::OutOfBounds, "weights", 64)
    );
}

#[test]
fn what_was_written_before_a_region_is_handed_out_anew() {
    let regions = [(256, 64, "scratch")];
    let read =
        |name_region| reports_named("ld.global.u32 v, [p+256];", 1, 1, &regions, name_region);
    assert_eq!(read(Emulator::name), []);
    let reports = read(Emulator::renew);
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert_eq!(
        (reports[0].kind, reports[0].buffer.as_str(), reports[0].offset),
        (ReportKind::UninitialisedRead, "scratch", 0)
    );
    let written = "st.global.u32 [p+256], t; ld.global.u32 v, [p+256];";
    assert_eq!(reports_named(written, 1, 1, &regions, Emulator::renew), []);
}

#[test]
fn bounds_of_shared_memory() {
    clean("mad.lo.u32 s, t, 4, s; st.shared.u32 [s], t;", 1, 256);
    let past = only("mad.lo.u32 s, t, 4, s; st.shared.u32 [s], t;", 1, 257);
    assert_eq!(
        (past.kind, past.buffer.as_str(), past.offset),
        (ReportKind::OutOfBounds, "room", 1024)
    );
    assert_eq!(past.thread, [256, 0, 0]);
}

#[test]
fn alignment() {
    clean("ld.global.v4.u32 {v, v, v, v}, [p+16];", 1, 1);
    let report = only("ld.global.v4.u32 {v, v, v, v}, [p+8];", 1, 1);
    assert_eq!((report.kind, report.offset), (ReportKind::Misaligned, 8));
    assert_eq!(only("st.shared.u32 [s+2], v;", 1, 1).kind, ReportKind::Misaligned);
}

#[test]
fn bytes_that_nothing_has_written() {
    let global = only("ld.global.u32 v, [p+2048];", 1, 1);
    assert_eq!((global.kind, global.offset), (ReportKind::UninitialisedRead, 2048));
    // One byte of four.
    assert_eq!(
        only(
            "st.global.u16 [p+2048], 1; st.global.u8 [p+2050], 1; ld.global.u32 v, [p+2048];",
            1,
            1
        )
        .kind,
        ReportKind::UninitialisedRead
    );
    clean("st.global.u32 [p+2048], v; ld.global.u32 v, [p+2048];", 1, 1);
    let shared = only("ld.shared.u32 v, [s+8];", 1, 1);
    assert_eq!(
        (shared.kind, shared.buffer.as_str(), shared.offset),
        (ReportKind::UninitialisedRead, "room", 8)
    );
    // Shared memory does not outlive its block.
    let second = only("setp.eq.u32 q, b, 0; @q st.shared.u32 [s], b; ld.shared.u32 v, [s];", 2, 1);
    assert_eq!((second.kind, second.block), (ReportKind::UninitialisedRead, [1, 0, 0]));
    assert_eq!(
        only("atom.global.add.u32 v, [p+2048], 1;", 1, 1).kind,
        ReportKind::UninitialisedRead
    );
}

#[test]
fn races_within_a_block() {
    let own = "mad.lo.u32 r, t, 4, s; st.shared.u32 [r], t;";
    let neighbour = "xor.b32 v, t, 32; mad.lo.u32 r, v, 4, s;";
    clean(&format!("{own} bar.sync 0; {neighbour} ld.shared.u32 v, [r];"), 1, 64);
    let raced = reports(&format!("{own} {neighbour} ld.shared.u32 v, [r];"), 1, 64);
    assert!(raced.iter().any(|report| report.kind == ReportKind::Race), "{raced:?}");
    // Read, then written by another without a barrier between: the first warp still reads what it should.
    let overwritten = format!(
        "{own} bar.sync 0; {neighbour} ld.shared.u32 v, [r]; mad.lo.u32 r, t, 4, s; st.shared.u32 [r], v;"
    );
    let raced = reports(&overwritten, 1, 64);
    assert!(
        raced.iter().all(|report| report.kind == ReportKind::Race && report.thread == [32, 0, 0]),
        "{raced:?}"
    );
    assert!(
        raced.iter().any(|report| report.detail.contains("read of thread [0, 0, 0]")),
        "{raced:?}"
    );
    clean(
        &overwritten.replace("mad.lo.u32 r, t, 4, s; st", "bar.sync 0; mad.lo.u32 r, t, 4, s; st"),
        1,
        64,
    );
    // All lanes of a warp write one place.
    assert_eq!(only("st.shared.u32 [s], t;", 1, 32).kind, ReportKind::Race);
    assert_eq!(only("st.global.u32 [p], t;", 1, 2).kind, ReportKind::Race);
}

#[test]
fn races_within_a_warp() {
    let turned =
        "mad.lo.u32 r, t, 4, s; st.shared.u32 [r], t; xor.b32 v, t, 1; mad.lo.u32 r, v, 4, s;";
    assert_eq!(only(&format!("{turned} ld.shared.u32 v, [r];"), 1, 32).kind, ReportKind::Race);
    clean(&format!("{turned} bar.warp.sync -1; ld.shared.u32 v, [r];"), 1, 32);
    // A shuffle orders nothing.
    let shuffled = format!("{turned} shfl.sync.bfly.b32 v, v, 1, 31, -1; ld.shared.u32 v, [r];");
    assert_eq!(only(&shuffled, 1, 32).kind, ReportKind::Race);
}

#[test]
fn small_elements_of_one_word_are_not_one_place() {
    clean("cvt.u64.u32 x, t; add.u64 x, x, p; st.global.u8 [x], t;", 1, 64);
    clean(
        "mad.wide.u32 x, t, 2, p; st.global.u16 [x], t; mad.wide.u32 x, t, 2, p; ld.global.u16 v, [x];",
        1,
        64,
    );
}

#[test]
fn races_between_blocks() {
    let add = "setp.eq.u32 q, t, 0; @q ld.global.u32 v, [p]; @q add.u32 v, v, 1; @q st.global.u32 [p], v;";
    clean(add, 1, 32);
    let kinds: Vec<_> =
        reports(add, 2, 32).into_iter().map(|report| (report.kind, report.block)).collect();
    assert_eq!(kinds, [(ReportKind::Race, [1, 0, 0]); 2], "the read and the write");
    clean("red.global.add.u32 [p], 1;", 4, 32);
    // An atomic and a plain read of the same place.
    assert_eq!(
        only("setp.eq.u32 q, b, 0; @q red.global.add.u32 [p], 1; @!q ld.global.u32 v, [p];", 2, 1)
            .kind,
        ReportKind::Race
    );
    // Each block its own.
    clean("mad.wide.u32 x, b, 4, p; st.global.u32 [x], t;", 8, 1);
}

#[test]
fn divergence_at_barriers() {
    clean("setp.lt.u32 q, t, 32; @q add.u32 v, v, 1; bar.sync 0;", 1, 64);
    let part = only("setp.lt.u32 q, t, 16; @q bar.sync 0;", 1, 32);
    let ended = only("setp.lt.u32 q, t, 32; @q ret; bar.sync 0;", 1, 64);
    let elsewhere = only(
        "setp.lt.u32 q, t, 32; @q bra A; bar.sync 0; bra.uni B; A: bar.sync 0; B: mov.u32 v, 1;",
        1,
        64,
    );
    for report in [part, ended, elsewhere] {
        assert_eq!(report.kind, ReportKind::DivergentBarrier, "{report}");
    }
    // Named barriers for a part of the block.
    clean("setp.lt.u32 q, t, 64; @q bra A; ret; A: bar.sync 1, 64; mov.u32 v, 1;", 1, 128);
}

#[test]
fn lanes_that_never_come() {
    let missing = only("setp.lt.u32 q, t, 16; @q shfl.sync.bfly.b32 v, t, 1, 31, -1;", 1, 32);
    assert_eq!(missing.kind, ReportKind::DivergentWarp, "{missing}");
    clean("setp.lt.u32 q, t, 16; @q shfl.sync.bfly.b32 v, t, 1, 31, 0xffff;", 1, 32);
    let unnamed = only("shfl.sync.bfly.b32 v, t, 1, 31, 0xffff;", 1, 32);
    assert_eq!(unnamed.kind, ReportKind::DivergentWarp, "{unnamed}");
}

#[test]
fn traps() {
    assert_eq!(only("setp.eq.u32 q, t, 3; @q trap;", 1, 32).kind, ReportKind::Trap);
    clean("setp.eq.u32 q, t, 99; @q trap;", 1, 32);
}

#[test]
fn a_copy_is_not_there_before_it_is_waited_for() {
    let copy = "cp.async.ca.shared.global [s], [p], 16; cp.async.commit_group;";
    assert_eq!(
        only(&format!("{copy} ld.shared.u32 v, [s];"), 1, 1).kind,
        ReportKind::UninitialisedRead
    );
    clean(&format!("{copy} cp.async.wait_group 0; ld.shared.u32 v, [s];"), 1, 1);
    // A group of two is still under way.
    let second =
        "cp.async.ca.shared.global [s+16], [p], 16; cp.async.commit_group; cp.async.wait_group 1;";
    clean(&format!("{copy} {second} ld.shared.u32 v, [s];"), 1, 1);
    assert_eq!(
        only(&format!("{copy} {second} ld.shared.u32 v, [s+16];"), 1, 1).kind,
        ReportKind::UninitialisedRead
    );
    // Another thread needs a barrier behind the wait.
    let other = format!(
        "setp.eq.u32 q, t, 0; @!q bra A; {copy} cp.async.wait_group 0; A: bar.sync 0; ld.shared.u32 v, [s];"
    );
    clean(&other, 1, 64);
}

#[test]
fn nothing_else_is_written_where_a_copy_is_under_way() {
    let copy = "cp.async.cg.shared.global [s], [p], 16; cp.async.commit_group;";
    for other in ["st.shared.u32 [s+8], t;", copy] {
        let report = only(&format!("{copy} {other} cp.async.wait_all;"), 1, 1);
        assert_eq!(report.kind, ReportKind::Race, "{report}");
        assert!(report.detail.contains("not waited for"), "{report}");
        clean(&format!("{copy} cp.async.wait_all; {other} cp.async.wait_all;"), 1, 1);
    }
    // A barrier makes another thread no later than the copy.
    let other = format!(
        "setp.eq.u32 q, t, 0; @!q bra A; {copy} A: bar.sync 0; setp.eq.u32 q, t, 32; @q st.shared.u32 [s], t;"
    );
    raced(&other, 1, 64);
}

#[test]
fn a_copy_is_no_larger_than_it_says() {
    let copy = |bytes: u32| {
        format!(
            "mov.u32 r, {bytes}; cp.async.ca.shared.global [s], [p], 4, r; cp.async.wait_all; ld.shared.u32 v, [s];"
        )
    };
    clean(&copy(4), 1, 1);
    clean(&copy(0), 1, 1);
    assert_eq!(only(&copy(5), 1, 1).kind, ReportKind::Trap);
}

#[test]
fn many_readers_are_all_waited_for() {
    let begin = "setp.eq.u32 q, t, 0; @q st.shared.u32 [s], t; bar.sync 0; ld.shared.u32 v, [s];";
    let write = "@q st.shared.u32 [s], t;";
    clean(&format!("{begin} bar.sync 0; {write}"), 1, 128);
    raced(&format!("{begin} {write}"), 1, 128);
    // The other lanes of the writer's own warp.
    raced(&format!("{begin} {write}"), 1, 32);
    clean(&format!("{begin} bar.warp.sync -1; {write}"), 1, 32);
    // That warp's synchronisation says nothing of the other warps.
    raced(&format!("{begin} bar.warp.sync -1; {write}"), 1, 128);
    // Warps that have synchronised by themselves, differently often, meet at a barrier.
    let uneven = ".reg .pred w; setp.lt.u32 w, t, 64; @!w bra A; bar.warp.sync -1; bar.warp.sync -1; A: mov.u32 r, 0;";
    clean(&format!("{begin} {uneven} ld.shared.u32 v, [s]; bar.sync 0; {write}"), 1, 128);
    raced(&format!("{begin} {uneven} ld.shared.u32 v, [s]; {write}"), 1, 128);
}

#[test]
fn an_arrival_orders_what_came_before_it() {
    // The first warp hands over and goes on; the second waits for it.
    let hand = |before: &str, after: &str| {
        format!(
            ".reg .pred w; setp.lt.u32 w, t, 32; setp.eq.u32 q, t, 0; @!w bra A; {before} bar.arrive 1, 64; {after} bra.uni B;
             A: bar.sync 1, 64; ld.shared.u32 v, [s]; B: mov.u32 r, 0;"
        )
    };
    let write = "@q st.shared.u32 [s], t;";
    clean(&hand(write, ""), 1, 64);
    let late = reports(&hand("", write), 1, 64);
    assert_eq!(
        late.iter().map(|report| report.kind).collect::<Vec<_>>(),
        [ReportKind::Race],
        "{late:?}"
    );
}
