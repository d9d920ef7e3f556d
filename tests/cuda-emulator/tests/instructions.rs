//! Each instruction against what the PTX manual says of it: hand-written PTX, and values worked out by hand or with Rust's
//! own arithmetic. What a case is stands in `common/lanes.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    reason = "a call that fails has failed the test; what cudarc asks for is what each test sets up"
)]

#[path = "common/lanes.rs"]
mod lanes;

use lanes::{WARP, check, f, g, h, neg, warp};

#[test]
fn integer_arithmetic() {
    check("add.s32 d32, a32, b32;", [0xffff_ffff, 2, 0], 1);
    check("add.sat.s32 d32, a32, b32;", [0x7fff_ffff, 2, 0], 0x7fff_ffff);
    check("sub.u64 d64, a64, b64;", [1, 2, 0], u64::MAX);
    check("mul.lo.s32 d32, a32, b32;", [neg(-3), 5, 0], neg(-15));
    check("mul.hi.u32 d32, a32, b32;", [0x8000_0000, 6, 0], 3);
    check("mul.hi.s64 d64, a64, b64;", [u64::MAX, 1 << 40, 0], u64::MAX);
    check("mul.wide.s32 d64, a32, b32;", [neg(-2), 3, 0], -6_i64 as u64);
    check("mul.wide.u16 d32, a16, b16;", [0xffff, 0xffff, 0], 0xfffe_0001);
    check("mad.lo.s32 d32, a32, b32, c32;", [7, 6, neg(-2)], 40);
    check("mad.wide.u32 d64, a32, b32, c64;", [0xffff_ffff, 2, 1], 0x1_ffff_ffff);
    check("div.s32 d32, a32, b32;", [neg(-7), 2, 0], neg(-3));
    check("rem.s32 d32, a32, b32;", [neg(-7), 2, 0], neg(-1));
    check("div.u32 d32, a32, b32;", [neg(-7), 2, 0], 0x7fff_fffc);
    check("min.s32 d32, a32, b32;", [neg(-7), 2, 0], neg(-7));
    check("max.u32 d32, a32, b32;", [neg(-7), 2, 0], neg(-7));
    check("abs.s32 d32, a32;", [neg(-7), 0, 0], 7);
    check("neg.s64 d64, a64;", [1, 0, 0], u64::MAX);
    check("sad.u32 d32, a32, b32, c32;", [3, 10, 5], 12);
    check("dp4a.s32.s32 d32, a32, b32, c32;", [0xff02_0304, 0x0101_0101, 10], 18);
}

#[test]
fn logic_shifts_and_bit_fields() {
    check("and.b32 d32, a32, b32;", [0b1100, 0b1010, 0], 0b1000);
    check("and.b16 d16, a16, b16;", [0xff07, 0x0fff, 0], 0x0f07);
    check("or.b64 d64, a64, b64;", [1 << 60, 1, 0], 1 << 60 | 1);
    check("xor.b16 d16, a16, b16;", [0xff00, 0x0ff0, 0], 0xf0f0);
    check("not.b16 d16, a16;", [0xff00, 0, 0], 0x00ff);
    check("cnot.b32 d32, a32;", [0, 0, 0], 1);
    check(
        "lop3.b32 d32, a32, b32, c32, 0x96;",
        [0b1111_0000, 0b1100_1100, 0b1010_1010],
        0b1001_0110,
    );
    check(
        "lop3.b32 d32, a32, b32, c32, 0xe8;",
        [0b1111_0000, 0b1100_1100, 0b1010_1010],
        0b1110_1000,
    );
    check("shl.b32 d32, a32, b32;", [3, 31, 0], 0x8000_0000);
    check("shl.b32 d32, a32, b32;", [3, 32, 0], 0);
    check("shr.u32 d32, a32, b32;", [0x8000_0000, 40, 0], 0);
    check("shr.s32 d32, a32, b32;", [0x8000_0000, 40, 0], 0xffff_ffff);
    check("shr.s64 d64, a64, b32;", [1 << 63, 62, 0], -2_i64 as u64);
    check("shf.l.wrap.b32 d32, a32, b32, c32;", [0x8000_0000, 1, 33], 3);
    check("shf.r.clamp.b32 d32, a32, b32, c32;", [0x8000_0000, 1, 40], 1);
    check("bfe.u32 d32, a32, b32, c32;", [0xabcd_1234, 8, 12], 0xd12);
    check("bfe.s32 d32, a32, b32, c32;", [0x0000_0f00, 8, 4], 0xffff_ffff);
    check("bfi.b32 d32, a32, b32, 8, 4;", [0xf, 0x1234_5078, 0], 0x1234_5f78);
    check("popc.b64 d32, a64;", [u64::MAX, 0, 0], 64);
    check("clz.b32 d32, a32;", [1, 0, 0], 31);
    check("brev.b32 d32, a32;", [1, 0, 0], 0x8000_0000);
    check("bfind.u32 d32, a32;", [0x10, 0, 0], 4);
    check("bfind.s32 d32, a32;", [u64::from(u32::MAX), 0, 0], 0xffff_ffff);
}

#[test]
fn float_arithmetic_rounds_as_it_says() {
    let third = 1.0_f32 / 3.0;
    check("add.f32 d32, a32, b32;", [f(1.5), f(-4.0), 0], f(-2.5));
    check("sub.rz.f32 d32, a32, b32;", [f(1.0), f(1e-10), 0], f(1.0_f32.next_down()));
    check("add.rm.f32 d32, a32, b32;", [f(1.0), f(-1e-30), 0], f(1.0_f32.next_down()));
    check("add.rp.f32 d32, a32, b32;", [f(1.0), f(1e-30), 0], f(1.0_f32.next_up()));
    check("div.rn.f32 d32, a32, b32;", [f(1.0), f(3.0), 0], f(third));
    check("div.rm.f32 d32, a32, b32;", [f(1.0), f(3.0), 0], f(third.next_down()));
    check("div.rp.f32 d32, a32, b32;", [f(1.0), f(3.0), 0], f(third));
    check("sqrt.rn.f32 d32, a32;", [f(2.0), 0, 0], f(2.0_f32.sqrt()));
    check(
        "fma.rn.f32 d32, a32, b32, c32;",
        [f(1.0 + f32::EPSILON), f(1.0 - f32::EPSILON), f(-1.0)],
        f(-f32::EPSILON * f32::EPSILON),
    );
    check("fma.rm.f32 d32, a32, b32, c32;", [f(1.0), f(1.0), f(-1e-30)], f(1.0_f32.next_down()));
    check("fma.rn.sat.f32 d32, a32, b32, c32;", [f(2.0), f(3.0), f(0.0)], f(1.0));
    check("mul.ftz.f32 d32, a32, b32;", [f(1e-30), f(-1e-9), 0], f(-0.0));
    check("mul.f32 d32, a32, b32;", [f(1e-30), f(-1e-9), 0], f(1e-30 * -1e-9));
    check("min.f32 d32, a32, b32;", [f(f32::NAN), f(2.0), 0], f(2.0));
    check("max.f32 d32, a32, b32;", [f(-0.0), f(0.0), 0], f(0.0));
    check("max.NaN.f32 d32, a32, b32;", [f(f32::NAN), f(2.0), 0], 0x7fff_ffff);
    check("neg.f32 d32, a32;", [f(0.0), 0, 0], f(-0.0));
    check("abs.f32 d32, a32;", [f(-3.0), 0, 0], f(3.0));
    check("copysign.f32 d32, a32, b32;", [f(-1.0), f(5.0), 0], f(-5.0));
    check("ex2.approx.f32 d32, a32;", [f(3.0), 0, 0], f(8.0));
    check("lg2.approx.f32 d32, a32;", [f(0.125), 0, 0], f(-3.0));
    check("rcp.rn.f32 d32, a32;", [f(3.0), 0, 0], f(third));
    check("rsqrt.approx.f32 d32, a32;", [f(4.0), 0, 0], f(0.5));
    check("tanh.approx.f32 d32, a32;", [f(0.0), 0, 0], f(0.0));
    check("fma.rn.f64 d64, a64, b64, c64;", [g(3.0), g(4.0), g(0.5)], g(12.5));
    check("div.rn.f64 d64, a64, b64;", [g(1.0), g(3.0), 0], g(1.0 / 3.0));
    check("mov.f32 d32, 0f3FC00000;", [0; 3], f(1.5));
    check("mov.f64 d64, 0d3FF8000000000000;", [0; 3], g(1.5));
}

#[test]
fn halves_single_and_in_pairs() {
    check("add.rn.bf16 d16, a16, b16;", [h(1.0), h(0.00390625), 0], h(1.0));
    check("fma.rn.bf16 d16, a16, b16, c16;", [h(3.0), h(5.0), h(0.5)], h(15.5));
    check(
        "mul.rn.bf16x2 d32, a32, b32;",
        [h(2.0) << 16 | h(3.0), h(4.0) << 16 | h(-1.0), 0],
        h(8.0) << 16 | h(-3.0),
    );
    check(
        "fma.rn.bf16x2 d32, a32, b32, c32;",
        [h(2.0) << 16 | h(3.0), h(1.0) << 16 | h(1.0), h(1.0)],
        h(2.0) << 16 | h(4.0),
    );
    check(
        "max.bf16x2 d32, a32, b32;",
        [h(2.0) << 16 | h(3.0), h(5.0) << 16 | h(1.0), 0],
        h(5.0) << 16 | h(3.0),
    );
    check("neg.bf16x2 d32, a32;", [h(2.0) << 16, 0, 0], h(-2.0) << 16 | 0x8000);
    check("abs.bf16 d16, a16;", [h(-2.0), 0, 0], h(2.0));
    check("add.f16 d16, a16, b16;", [0x3c00, 0x4000, 0], 0x4200);
    check("setp.lt.bf16 pd, a16, b16;", [h(-1.0), h(0.5), 0], 1);
}

#[test]
fn conversions() {
    check("cvt.rn.bf16.f32 d16, a32;", [0x3f80_8000, 0, 0], 0x3f80);
    check("cvt.rn.bf16.f32 d16, a32;", [0x3f81_8000, 0, 0], 0x3f82);
    check("cvt.rz.bf16.f32 d16, a32;", [0x3f81_ffff, 0, 0], 0x3f81);
    check("cvt.rn.bf16x2.f32 d32, a32, b32;", [f(1.0), f(2.0), 0], h(1.0) << 16 | h(2.0));
    check("cvt.f32.bf16 d32, a16;", [h(-1.5), 0, 0], f(-1.5));
    check("cvt.f32.f16 d32, a16;", [0x3e00, 0, 0], f(1.5));
    check("cvt.rn.f16.f32 d16, a32;", [f(1.5), 0, 0], 0x3e00);
    check("cvt.rni.s32.f32 d32, a32;", [f(2.5), 0, 0], 2);
    check("cvt.rzi.s32.f32 d32, a32;", [f(-2.7), 0, 0], neg(-2));
    check("cvt.rmi.s32.f32 d32, a32;", [f(-2.1), 0, 0], neg(-3));
    check("cvt.rpi.u32.f32 d32, a32;", [f(2.1), 0, 0], 3);
    check("cvt.rzi.u32.f32 d32, a32;", [f(-5.0), 0, 0], 0);
    check("cvt.rzi.s32.f32 d32, a32;", [f(1e20), 0, 0], 0x7fff_ffff);
    check("cvt.rzi.s64.f64 d64, a64;", [g(-1e3), 0, 0], -1000_i64 as u64);
    check("cvt.rn.f32.s32 d32, a32;", [neg(-3), 0, 0], f(-3.0));
    check("cvt.rn.f32.u64 d32, a64;", [u64::MAX, 0, 0], f(1.844_674_4e19));
    check("cvt.rn.f32.f64 d32, a64;", [g(1.0 / 3.0), 0, 0], f(1.0 / 3.0));
    check("cvt.rm.f32.f64 d32, a64;", [g(1.0 - 1e-12), 0, 0], f(1.0_f32.next_down()));
    check("cvt.f64.f32 d64, a32;", [f(0.1), 0, 0], g(f64::from(0.1_f32)));
    check("cvt.rni.f32.f32 d32, a32;", [f(3.5), 0, 0], f(4.0));
    check("cvt.sat.f32.f32 d32, a32;", [f(3.5), 0, 0], f(1.0));
    check("cvt.s64.s32 d64, a32;", [neg(-2), 0, 0], -2_i64 as u64);
    check("cvt.u64.u32 d64, a32;", [neg(-2), 0, 0], 0xffff_fffe);
    check("cvt.s32.s8 d32, a32;", [0x80, 0, 0], 0xffff_ff80);
    check("cvt.sat.u8.s32 d32, a32;", [neg(-9), 0, 0], 0);
}

#[test]
fn predicates_and_selection() {
    check("setp.lt.s32 pd, a32, b32;", [neg(-1), 1, 0], 1);
    check("setp.lt.u32 pd, a32, b32;", [neg(-1), 1, 0], 0);
    check("setp.hi.u32 pd, a32, b32;", [neg(-1), 1, 0], 1);
    check("setp.ne.f32 pd, a32, b32;", [f(f32::NAN), f(1.0), 0], 0);
    check("setp.neu.f32 pd, a32, b32;", [f(f32::NAN), f(1.0), 0], 1);
    check("setp.num.f32 pd, a32, b32;", [f(2.0), f(1.0), 0], 1);
    check("setp.gtu.f64 pd, a64, b64;", [g(f64::NAN), g(1.0), 0], 1);
    check("setp.eq.ftz.f32 pd, a32, b32;", [f(1e-40), f(0.0), 0], 1);
    check("setp.eq.and.s32 pd, a32, b32, pc;", [5, 5, 0], 0);
    check("setp.eq.or.s32 pd, a32, b32, !pc;", [5, 6, 0], 1);
    check("setp.eq.s32 pe|pd, a32, b32;", [5, 6, 0], 1);
    check("selp.b32 d32, a32, b32, pc;", [5, 6, 1], 5);
    check("selp.b64 d64, a64, b64, pc;", [5, 6, 2], 6);
    check("slct.b32.s32 d32, a32, b32, c32;", [5, 6, neg(-1)], 6);
    check("and.pred pd, pa, pb;", [1, 1, 0], 1);
    check("not.pred pd, pa;", [1, 0, 0], 0);
    check("@pa mov.u32 d32, 7;", [1, 0, 0], 7);
    check("@!pa mov.u32 d32, 7;", [1, 0, 0], 0);
    check("prmt.b32 d32, a32, b32, 0x5410;", [0x3333_1111, 0x4444_2222, 0], 0x2222_1111);
    check("prmt.b32 d32, a32, b32, 0x8880;", [0x0000_0080, 0, 0], 0xffff_ff80);
    check("mov.b32 d32, {a16, b16};", [1, 2, 0], 0x2_0001);
    check("mov.b32 {d16, a16}, b32;", [0, 0x7777_2222, 0], 0x2222);
    check("mov.b64 {a32, d32}, b64;", [0, 0x9_0000_0001, 0], 9);
    check("mov.b64 d64, {a32, b32};", [1, 2, 0], 0x2_0000_0001);
}

#[test]
fn memory_of_every_space() {
    // Each lane writes its own eight bytes.
    check(
        "mad.lo.u32 s32, lane, 8, s32; st.shared.v2.u32 [s32], {a32, b32}; ld.shared.u64 d64, [s32];",
        [1, 2, 0],
        0x2_0000_0001,
    );
    check(
        "mad.lo.u32 s32, lane, 8, s32; st.shared.u8 [s32], a32; ld.shared.s8 d32, [s32];",
        [0x80, 0, 0],
        0xffff_ff80,
    );
    check(
        "mad.lo.u32 s32, lane, 8, s32; st.shared.u8 [s32+1], a32; ld.shared.u8 d16, [s32+1];",
        [0x80, 0, 0],
        0x80,
    );
    check(
        "mad.lo.u32 s32, lane, 8, s32; cvt.u64.u32 t64, s32; cvta.shared.u64 t64, t64; st.u32 [t64+4], a32; cvta.to.shared.u64 t64, t64; ld.shared.u32 d32, [t64+4];",
        [99, 0, 0],
        99,
    );
    check(
        ".local .align 8 .b8 mine[16]; mov.u64 t64, mine; st.local.u32 [t64+12], a32; cvta.local.u64 t64, t64; ld.u32 d32, [t64+12];",
        [77, 0, 0],
        77,
    );
    check("ld.global.nc.L1::no_allocate.v2.u32 {d32, e32}, [offset];", [6, 0, 0], 6);
}

#[test]
fn asynchronous_copies_come_with_their_group() {
    check(
        "mad.lo.u32 s32, lane, 16, s32; cp.async.ca.shared.global [s32], [offset], 8; cp.async.commit_group; cp.async.wait_group 0; ld.shared.u64 d64, [s32];",
        [1234, 0, 0],
        1234,
    );
    // Four of eight bytes come from memory, the rest are zeros.
    check(
        "mad.lo.u32 s32, lane, 16, s32; cp.async.ca.shared.global [s32], [offset], 8, 4; cp.async.wait_all; ld.shared.u64 d64, [s32];",
        [0x5_0000_0007, 0, 0],
        7,
    );
    // The same counts, from registers.
    check(
        "mad.lo.u32 s32, lane, 16, s32; mov.u32 e32, 4; cp.async.ca.shared.global [s32], [offset], 4, e32; cp.async.wait_all; ld.shared.u32 d32, [s32];",
        [0x5_0000_0007, 0, 0],
        7,
    );
    let room = "and.b64 offset, input, -16; mad.wide.u32 offset, lane, 16, offset; mad.lo.u32 s32, lane, 16, s32;";
    for (bytes, second) in [(16, 0x2_0000_0001), (12, 1), (8, 0), (0, 0)] {
        let copy = format!(
            "{room} mov.u32 e32, {bytes}; cp.async.cg.shared.global [s32], [offset], 16, e32; cp.async.commit_group; cp.async.wait_group 0; ld.shared.u64 d64, [s32+8];"
        );
        // Every sixteen bytes end with the same eight.
        check(&copy, [0x2_0000_0001; 3], second);
    }
}

#[test]
fn atomics_take_turns() {
    let sums = warp(
        "setp.eq.u32 pe, lane, 0; @pe st.shared.u32 [s32], 0; bar.sync 0; atom.shared.add.u32 e32, [s32], a32; bar.sync 0; ld.shared.u32 d32, [s32];",
        |lane| [lane as u64, 0, 0],
    );
    assert_eq!(sums, vec![496; WARP]);
    let exchanges = warp(
        "setp.eq.u32 pe, lane, 0; @pe st.shared.u32 [s32], 5; bar.sync 0; atom.shared.cas.b32 d32, [s32], 5, a32;",
        |lane| [lane as u64 + 100, 0, 0],
    );
    assert_eq!(exchanges.iter().filter(|old| **old == 5).count(), 1);
    let maxima = warp(
        "setp.eq.u32 pe, lane, 0; @pe st.shared.u32 [s32], 0; bar.sync 0; red.shared.max.s32 [s32], a32; bar.sync 0; ld.shared.u32 d32, [s32];",
        |lane| [lane as u64, 0, 0],
    );
    assert_eq!(maxima, vec![31; WARP]);
}

#[test]
fn lanes_exchange_values() {
    let lane = |lane: usize| [lane as u64, 0, 0];
    let shuffled = |statement: &str, source: fn(usize) -> u64| {
        assert_eq!(warp(statement, lane), (0..WARP).map(source).collect::<Vec<_>>(), "{statement}");
    };
    shuffled("shfl.sync.bfly.b32 d32, a32, 5, 31, -1;", |lane| lane as u64 ^ 5);
    shuffled("shfl.sync.down.b32 d32, a32, 4, 31, -1;", |lane| {
        if lane < 28 { lane as u64 + 4 } else { lane as u64 }
    });
    shuffled("shfl.sync.up.b32 d32, a32, 4, 0, -1;", |lane| {
        if lane < 4 { lane as u64 } else { lane as u64 - 4 }
    });
    shuffled("shfl.sync.idx.b32 d32, a32, 9, 31, -1;", |_| 9);
    // Segments of eight lanes.
    shuffled("shfl.sync.idx.b32 d32, a32, 1, 0x181f, -1;", |lane| lane as u64 / 8 * 8 + 1);
    shuffled("shfl.sync.down.b32 e32|pd, a32, 1, 31, -1;", |lane| u64::from(lane < 31));
    shuffled("setp.gt.u32 pe, lane, 27; vote.sync.ballot.b32 d32, pe, -1;", |_| 0xf000_0000);
    shuffled("setp.gt.u32 pe, lane, 27; vote.sync.any.pred pd, pe, -1;", |_| 1);
    shuffled("setp.gt.u32 pe, lane, 27; vote.sync.all.pred pd, !pe, -1;", |_| 0);
    shuffled("and.b32 e32, a32, 1; match.any.sync.b32 d32, e32, -1;", |lane| {
        if lane % 2 == 0 { 0x5555_5555 } else { 0xaaaa_aaaa }
    });
    shuffled("redux.sync.add.s32 d32, a32, -1;", |_| 496);
    shuffled("redux.sync.max.u32 d32, a32, -1;", |_| 31);
    shuffled("activemask.b32 d32;", |_| 0xffff_ffff);
    shuffled("mov.u32 d32, %lanemask_lt;", |lane| (1 << lane) - 1);
    shuffled("setp.gt.u32 pe, lane, 27; bar.red.popc.u32 d32, 0, pe;", |_| 4);
    shuffled("setp.gt.u32 pe, lane, 27; bar.red.or.pred pd, 0, pe;", |_| 1);
}

#[test]
fn lanes_part_and_meet_again() {
    // Odd lanes count to their number, even lanes skip; then all vote together.
    let statements = "and.b32 e32, lane, 1; setp.eq.u32 pe, e32, 0; @pe bra MEET; mov.u32 b32, 0;
        COUNT: add.u32 b32, b32, 1; add.u32 d32, d32, 2; setp.lt.u32 pa, b32, lane; @pa bra COUNT;
        MEET: activemask.b32 c32; setp.ne.u32 pa, c32, -1; @pa mov.u32 d32, 9999;";
    let expected: Vec<u64> = (0..32).map(|lane| if lane % 2 == 1 { 2 * lane } else { 0 }).collect();
    assert_eq!(warp(statements, |_| [0; 3]), expected);
    // A table of targets.
    let table = "and.b32 e32, lane, 1; bra.uni GO; EVEN: mov.u32 d32, 10; bra.uni END; ODD: mov.u32 d32, 20; bra.uni END;
        GO: TABLE: .branchtargets EVEN, ODD; brx.idx e32, TABLE; END: mov.u32 e32, 0;";
    assert_eq!(warp(table, |_| [0; 3])[..2], [10, 20]);
}

#[test]
fn matrices_are_loaded_as_the_figure_shows() {
    // Row r of the matrix holds 8 r, 8 r + 1, …: lanes 0 to 7 write a row each.
    let fill = "setp.gt.u32 pe, lane, 7; mad.lo.u32 e32, lane, 16, s32; @pe bra FULL;
        mul.lo.u32 a32, lane, 0x00080008; add.u32 a32, a32, 0x00010000; st.shared.u32 [e32], a32;
        add.u32 a32, a32, 0x00020002; st.shared.u32 [e32+4], a32; add.u32 a32, a32, 0x00020002; st.shared.u32 [e32+8], a32;
        add.u32 a32, a32, 0x00020002; st.shared.u32 [e32+12], a32; FULL: bar.sync 0; and.b32 e32, lane, 7; mad.lo.u32 e32, e32, 16, s32;";
    let plain =
        warp(&format!("{fill} ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{d32}}, [e32];"), |_| {
            [0; 3]
        });
    let turned = warp(
        &format!("{fill} ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {{d32}}, [e32];"),
        |_| [0; 3],
    );
    for lane in 0..32_u64 {
        let (row, column) = (lane / 4, lane % 4 * 2);
        let at = |row: u64, column: u64| 8 * row + column;
        assert_eq!(plain[lane as usize], at(row, column) | at(row, column + 1) << 16);
        assert_eq!(turned[lane as usize], at(column, row) | at(column + 1, row) << 16);
    }
}

#[test]
fn matrices_are_stored_as_they_are_loaded() {
    // Matrix stored, its rows read back: lane l gave elements 2 (l % 4) and the next of row l / 4.
    let statements = "mad.lo.u32 e32, lane, 16, s32; stmatrix.sync.aligned.m8n8.x1.shared.b16 [e32], {a32}; bar.warp.sync -1;
        mad.lo.u32 e32, lane, 4, s32; ld.shared.u32 d32, [e32];";
    let stored = warp(statements, |lane| [lane as u64 * 0x1_0001, 0, 0]);
    let expected: Vec<u64> = (0..32).map(|lane| lane * 0x1_0001).collect();
    assert_eq!(stored, expected);
}

#[test]
fn tensor_cores_add_products() {
    // All elements of A are 2 and of B 3, C is 1: 16 products of 6, and 1.
    for (ty, two, three) in
        [("bf16", 0x4000_4000_u64, 0x4040_4040), ("f16", 0x4000_4000, 0x4200_4200)]
    {
        let statement = format!(
            ".reg .b32 d<4>; mma.sync.aligned.m16n8k16.row.col.f32.{ty}.{ty}.f32 {{d0, d1, d2, d3}}, {{a32, a32, a32, a32}},
             {{b32, b32}}, {{c32, c32, c32, c32}}; mov.u32 d32, d3;"
        );
        check(&statement, [two, three, f(1.0)], f(97.0));
    }
}

#[test]
fn matches_and_arrivals() {
    check("match.all.sync.b32 d32|pe, a32, -1;", [7, 0, 0], 0xffff_ffff);
    let differing = warp("match.all.sync.b32 d32|pe, a32, -1;", |lane| [lane as u64 / 16, 0, 0]);
    assert_eq!(differing, vec![0; WARP]);
    check("bar.arrive 3, 64; mov.u32 d32, 1;", [0; 3], 1);
}
