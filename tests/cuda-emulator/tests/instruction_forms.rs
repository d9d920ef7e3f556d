//! Further instructions, in the forms that NVRTC emits: the same operation in another type or space, against what the PTX
//! manual says of it.

#[path = "common/lanes.rs"]
mod lanes;

use lanes::{WARP, check, f, g, h, neg, warp};

#[test]
fn integers_of_either_width() {
    check("add.s64 d64, a64, b64;", [u64::MAX, 3, 0], 2);
    check("sub.s32 d32, a32, b32;", [3, 5, 0], neg(-2));
    check("mul.lo.s64 d64, a64, b64;", [u64::MAX, 1 << 40, 0], (1_u64 << 40).wrapping_neg());
    check("mad.lo.s64 d64, a64, b64, c64;", [-3_i64 as u64, 5, 1], -14_i64 as u64);
    check("mul.wide.u32 d64, a32, b32;", [0xffff_ffff, 2, 0], 0x1_ffff_fffe);
    check("rem.u32 d32, a32, b32;", [neg(-7), 16, 0], 9);
    check("min.u32 d32, a32, b32;", [neg(-7), 2, 0], 2);
    check("min.u64 d64, a64, b64;", [1 << 63, 1 << 62, 0], 1 << 62);
    check("max.u64 d64, a64, b64;", [1 << 63, 1 << 62, 0], 1 << 63);
    check("sub.s64 d64, a64, b64;", [1 << 40, (1 << 40) + 5, 0], -5_i64 as u64);
    check("bfi.b64 d64, a64, b64, 32, 16;", [0x5_1234, 7, 0], 0x1234 << 32 | 7);
    check("neg.s32 d32, a32;", [0x8000_0000, 0, 0], 0x8000_0000);
    check("and.b64 d64, a64, b64;", [u64::MAX, 0xf0_0000_000f, 0], 0xf0_0000_000f);
    check("or.b32 d32, a32, b32;", [0x8000_0001, 2, 0], 0x8000_0003);
    check("not.b32 d32, a32;", [0xff00_ff00, 0, 0], 0x00ff_00ff);
    check("shl.b64 d64, a64, b32;", [3, 63, 0], 1 << 63);
    check("shl.b64 d64, a64, b32;", [3, 64, 0], 0);
}

#[test]
fn floats_of_either_width() {
    check("sub.f32 d32, a32, b32;", [f(1.0), f(0.75), 0], f(0.25));
    check("add.rn.f32 d32, a32, b32;", [f(1.0), f(0.75 * f32::EPSILON), 0], f(1.0 + f32::EPSILON));
    check("mul.rn.f32 d32, a32, b32;", [f(1.0 / 3.0), f(3.0), 0], f(1.0 / 3.0 * 3.0));
    // The half below the last place goes to even.
    check(
        "mul.rn.f32 d32, a32, b32;",
        [f(1.0 + f32::EPSILON), f(1.5), 0],
        f(1.5 + f32::EPSILON * 2.0),
    );
    check("add.f64 d64, a64, b64;", [g(0.1), g(0.2), 0], g(0.1 + 0.2));
    check("sub.f64 d64, a64, b64;", [g(1.0), g(1e-17), 0], g(1.0));
    check("mul.f64 d64, a64, b64;", [g(0.1), g(-3.0), 0], g(0.1 * -3.0));
    check("min.f64 d64, a64, b64;", [g(1.25), g(-3.0), 0], g(-3.0));
    check("min.f64 d64, a64, b64;", [g(f64::NAN), g(2.0), 0], g(2.0));
    check("min.f64 d64, a64, b64;", [g(0.0), g(-0.0), 0], g(-0.0));
    check("max.f64 d64, a64, b64;", [g(-0.0), g(0.0), 0], g(0.0));
    check("neg.f64 d64, a64;", [g(0.0), 0, 0], g(-0.0));
    check("sqrt.rn.f64 d64, a64;", [g(2.0), 0, 0], g(2.0_f64.sqrt()));
    check("sqrt.rn.f64 d64, a64;", [g(0.0), 0, 0], g(0.0));
}

#[test]
fn approximations_flush_what_is_subnormal() {
    check("ex2.approx.ftz.f32 d32, a32;", [f(-3.0), 0, 0], f(0.125));
    check("ex2.approx.ftz.f32 d32, a32;", [f(-130.0), 0, 0], f(0.0));
    check("ex2.approx.ftz.f32 d32, a32;", [f(f32::NEG_INFINITY), 0, 0], f(0.0));
    check("rcp.approx.ftz.f32 d32, a32;", [f(-4.0), 0, 0], f(-0.25));
    check("rcp.approx.ftz.f32 d32, a32;", [f(1e-40), 0, 0], f(f32::INFINITY));
    check("rcp.approx.ftz.f32 d32, a32;", [f(f32::INFINITY), 0, 0], f(0.0));
    check("rcp.approx.ftz.f64 d64, a64;", [g(-4.0), 0, 0], g(-0.25));
    check("rcp.approx.ftz.f64 d64, a64;", [g(0.0), 0, 0], g(f64::INFINITY));
    // A coarse one: twenty bits, and the lower half of the result is zero.
    let third = f64::from_bits(warp("rcp.approx.ftz.f64 d64, a64;", |_| [g(3.0), 0, 0])[0]);
    assert!((third * 3.0 - 1.0).abs() < 1e-6, "{third}");
    assert_eq!(third.to_bits() as u32, 0);
}

#[test]
fn conversions_without_a_sign() {
    check("cvt.rn.f32.u32 d32, a32;", [0xffff_ffff, 0, 0], f(4_294_967_296.0));
    check("cvt.rn.f32.u32 d32, a32;", [16_777_217, 0, 0], f(16_777_216.0));
    check("cvt.rzi.f32.f32 d32, a32;", [f(-2.7), 0, 0], f(-2.0));
    check("cvt.rzi.f32.f32 d32, a32;", [f(-0.3), 0, 0], f(-0.0));
    check("cvt.u64.u16 d64, a16;", [0x1_ffff, 0, 0], 0xffff);
    check("cvt.u32.u16 d32, a16;", [0x1_ffff, 0, 0], 0xffff);
    check("cvt.u16.u32 d16, a32;", [0x1_fffe, 0, 0], 0xfffe);
}

#[test]
fn comparisons_of_every_type() {
    let nan = f(f32::NAN);
    for (statement, [a, b], expected) in [
        ("setp.eq.b32 pd, a32, b32;", [1 << 32 | 5, 5], 1),
        ("setp.eq.s64 pd, a64, b64;", [1 << 32 | 5, 5], 0),
        ("setp.eq.b64 pd, a64, b64;", [1 << 32 | 5, 5], 0),
        ("setp.eq.b64 pd, a64, b64;", [1 << 32, 1 << 32], 1),
        ("setp.ne.s64 pd, a64, b64;", [1 << 32 | 5, 5], 1),
        ("setp.ne.s32 pd, a32, b32;", [1 << 32 | 5, 5], 0),
        ("setp.gt.s32 pd, a32, b32;", [neg(-1), 1], 0),
        ("setp.ge.u32 pd, a32, b32;", [neg(-1), 1], 1),
        ("setp.ge.u32 pd, a32, b32;", [4, 4], 1),
        ("setp.le.u32 pd, a32, b32;", [5, 4], 0),
        ("setp.le.u32 pd, a32, b32;", [4, 4], 1),
        ("setp.ge.u64 pd, a64, b64;", [1 << 63, 1], 1),
        ("setp.ge.u64 pd, a64, b64;", [0, 1], 0),
        ("setp.gt.u64 pd, a64, b64;", [1 << 63, 1], 1),
        ("setp.gt.u64 pd, a64, b64;", [1, 1], 0),
        ("setp.le.u64 pd, a64, b64;", [1 << 63, 1], 0),
        ("setp.le.u64 pd, a64, b64;", [1, 1], 1),
        ("setp.lt.u64 pd, a64, b64;", [1 << 63, 1], 0),
        ("setp.lt.u64 pd, a64, b64;", [1, 1 << 63], 1),
        ("setp.eq.f32 pd, a32, b32;", [f(0.0), f(-0.0)], 1),
        ("setp.eq.f32 pd, a32, b32;", [nan, nan], 0),
        ("setp.lt.f32 pd, a32, b32;", [f(-1.0), f(1.0)], 1),
        ("setp.lt.f32 pd, a32, b32;", [nan, f(1.0)], 0),
        ("setp.gt.f32 pd, a32, b32;", [f(2.0), f(2.0)], 0),
        ("setp.ge.f32 pd, a32, b32;", [f(2.0), f(2.0)], 1),
        ("setp.ge.f32 pd, a32, b32;", [nan, f(2.0)], 0),
        ("setp.leu.f32 pd, a32, b32;", [nan, f(2.0)], 1),
        ("setp.leu.f32 pd, a32, b32;", [f(3.0), f(2.0)], 0),
        ("setp.ltu.f32 pd, a32, b32;", [nan, f(2.0)], 1),
        ("setp.ltu.f32 pd, a32, b32;", [f(1.0), f(2.0)], 1),
        ("setp.ltu.f32 pd, a32, b32;", [f(2.0), f(2.0)], 0),
        ("setp.leu.f64 pd, a64, b64;", [g(2.0), g(f64::NAN)], 1),
        ("setp.leu.f64 pd, a64, b64;", [g(2.5), g(2.0)], 0),
    ] {
        check(statement, [a, b, 0], expected);
    }
    check("mov.pred pd, pa;", [1, 0, 0], 1);
    check("mov.pred pd, 0;", [0; 3], 0);
    check("mov.pred pd, 1;", [0; 3], 1);
    check("or.pred pd, pa, pb;", [1, 0, 0], 1);
    check("or.pred pd, pa, pb;", [0, 2, 0], 0);
    check("selp.u32 d32, a32, b32, pc;", [5, 6, 1], 5);
    check("selp.u32 d32, a32, b32, pc;", [5, 6, 0], 6);
    check("selp.f32 d32, a32, b32, pc;", [f(1.5), f(2.5), 1], f(1.5));
    check("selp.f64 d64, a64, b64, pc;", [g(1.5), g(2.5), 0], g(2.5));
}

#[test]
fn memory_in_every_type() {
    // A lane's own operands lie at `offset`: a, b, c of eight bytes each.
    check("ld.global.f32 d32, [offset+8];", [1, f(2.5), 0], f(2.5));
    check("ld.global.f64 d64, [offset+16];", [1, 2, g(2.5)], g(2.5));
    check("cvta.to.global.u64 t64, offset; ld.global.f32 d32, [t64];", [f(0.5), 0, 0], f(0.5));
    check("st.global.f32 [offset+12], a32; ld.global.f64 d64, [offset+8];", [7, 9, 0], 7 << 32 | 9);
    check("st.global.f64 [offset+8], a64; ld.global.f64 d64, [offset+8];", [g(4.5), 9, 0], g(4.5));
    check(
        "mad.lo.u32 s32, lane, 16, s32; st.shared.f32 [s32+4], a32; ld.shared.f32 d32, [s32+4];",
        [f(1.25), 0, 0],
        f(1.25),
    );
    check(
        "mad.lo.u32 s32, lane, 16, s32; st.shared.f64 [s32+8], a64; ld.shared.f64 d64, [s32+8];",
        [g(1.25), 0, 0],
        g(1.25),
    );
    for (place, expected) in [(0, 1), (4, 2), (8, 3), (12, 4)] {
        let statements = format!(
            "mad.lo.u32 s32, lane, 16, s32; mov.u32 e32, 4; st.shared.v4.u32 [s32], {{a32, b32, c32, e32}};
             ld.shared.u32 d32, [s32+{place}];"
        );
        check(&statements, [1, 2, 3], expected);
    }
    let loads = ["{d32, e32, e32, e32}", "{e32, d32, e32, e32}", "{e32, e32, d32, e32}"];
    for (to, expected) in loads.into_iter().zip([0.5, -3.0, 1e30]) {
        let statements = format!(
            "mad.lo.u32 s32, lane, 16, s32; st.shared.v4.f32 [s32], {{a32, b32, c32, a32}};
             ld.shared.v4.f32 {to}, [s32];"
        );
        check(&statements, [f(0.5), f(-3.0), f(1e30)], f(expected));
    }
    check("ld.global.u16 d16, [offset+2];", [0x1234_5678, 0, 0], 0x1234);
    check("ld.global.u32 d32, [offset+12];", [0, 5 << 32, 0], 5);
    check("st.global.u16 [offset+2], a16; ld.global.u32 d32, [offset];", [5, 0, 0], 5 << 16 | 5);
    check("st.global.u32 [offset+4], a32; ld.global.u64 d64, [offset];", [5, 0, 0], 5 << 32 | 5);
    // Every other lane's operands begin at a multiple of sixteen bytes.
    let vectors = warp(
        "and.b32 e32, lane, 1; setp.eq.u32 pe, e32, 0; @pe ld.global.v4.u32 {a32, b32, c32, d32}, [offset];
         @pe xor.b32 d32, d32, b32;",
        |lane| [lane as u64 | 3 << 32, 4 | 5 << 32, 0],
    );
    assert_eq!(vectors, [3 ^ 5, 0].repeat(WARP / 2));
    let vectors = warp(
        "and.b32 e32, lane, 1; setp.eq.u32 pe, e32, 0; @pe ld.global.v4.f32 {a32, b32, c32, e32}, [offset];
         @pe st.global.v4.f32 [offset], {e32, c32, b32, a32}; @pe ld.global.u64 d64, [offset+8];",
        |lane| [lane as u64 | 3 << 32, 4 | 5 << 32, 0],
    );
    let turned = |lane: usize| [3 | (lane as u64) << 32, 0][lane % 2];
    assert_eq!(vectors, (0..WARP).map(turned).collect::<Vec<u64>>());
    let vectors = warp(
        "and.b32 e32, lane, 1; setp.eq.u32 pe, e32, 0; @pe st.global.v2.u64 [offset], {b64, a64};
         @pe ld.global.u64 d64, [offset+8];",
        |_| [7 << 40, 5, 0],
    );
    assert_eq!(vectors, [7 << 40, 0].repeat(WARP / 2));
    check(
        "st.global.u64 [offset+8], a64; ld.global.u64 d64, [offset+8];",
        [7 << 40, 5, 0],
        7 << 40,
    );
    check("ld.param.u64 d64, [in]; xor.b64 d64, d64, input; not.b64 d64, d64;", [0; 3], u64::MAX);
    // The parameters are two addresses, of the operands and of the results.
    check("ld.param.f64 d64, [in]; xor.b64 d64, d64, input; not.b64 d64, d64;", [0; 3], u64::MAX);
    check(
        "ld.param.u32 d32, [in+4]; shr.u64 t64, input, 32; cvt.u32.u64 e32, t64; xor.b32 d32, d32, e32; not.b32 d32, d32;",
        [0; 3],
        0xffff_ffff,
    );
    check(
        "ld.param.f32 d32, [out]; cvt.u32.u64 e32, output; xor.b32 d32, d32, e32; not.b32 d32, d32;",
        [0; 3],
        0xffff_ffff,
    );
}

#[test]
fn a_lane_that_returns_does_no_more() {
    let results = warp("setp.lt.u32 pa, lane, 16; @pa ret; mov.u32 d32, 7;", |_| [0; 3]);
    assert_eq!(results, [[0; 16], [7; 16]].concat());
}

#[test]
fn two_matrices_are_loaded_transposed() {
    // Row r of matrix m holds 64 m + 8 r, the next one and so on: lanes 0 to 15 write a row each.
    let fill = "setp.gt.u32 pe, lane, 15; mad.lo.u32 e32, lane, 16, s32; @pe bra FULL;
        mul.lo.u32 a32, lane, 0x00080008; add.u32 a32, a32, 0x00010000; st.shared.u32 [e32], a32;
        add.u32 a32, a32, 0x00020002; st.shared.u32 [e32+4], a32; add.u32 a32, a32, 0x00020002; st.shared.u32 [e32+8], a32;
        add.u32 a32, a32, 0x00020002; st.shared.u32 [e32+12], a32; FULL: bar.sync 0; and.b32 e32, lane, 15;
        mad.lo.u32 b32, e32, 16, s32;";
    for (matrix, registers) in [(0, "{d32, e32}"), (1, "{e32, d32}")] {
        let statement =
            format!("{fill} ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {registers}, [b32];");
        for (lane, result) in (0..).zip(warp(&statement, |_| [0; 3])) {
            let (row, column) = (lane / 4, lane % 4 * 2);
            let at = |row: u64, column: u64| 64 * matrix + 8 * row + column;
            assert_eq!(result, at(column, row) | at(column + 1, row) << 16, "lane {lane}");
        }
    }
}

#[test]
fn four_matrices_are_loaded_either_way() {
    // Row r of matrix m holds 64 m + 8 r, the next one and so on: every lane writes a row.
    let fill = "mad.lo.u32 e32, lane, 16, s32; mul.lo.u32 a32, lane, 0x00080008; add.u32 a32, a32, 0x00010000;
        st.shared.u32 [e32], a32; add.u32 a32, a32, 0x00020002; st.shared.u32 [e32+4], a32; add.u32 a32, a32, 0x00020002;
        st.shared.u32 [e32+8], a32; add.u32 a32, a32, 0x00020002; st.shared.u32 [e32+12], a32; bar.sync 0;";
    for matrix in 0..4_u64 {
        let at = |row: u64, column: u64| 64 * matrix + 8 * row + column;
        let plain = format!(
            ".reg .b32 m<4>; {fill} ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{m0, m1, m2, m3}}, [e32]; mov.u32 d32, m{matrix};"
        );
        let turned = format!(
            ".reg .b32 m<4>; {fill} ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {{m0, m1, m2, m3}}, [e32]; mov.u32 d32, m{matrix};"
        );
        let results = warp(&plain, |_| [0; 3]).into_iter().zip(warp(&turned, |_| [0; 3]));
        for (lane, (plain, turned)) in (0..).zip(results) {
            let (row, column) = (lane / 4, lane % 4 * 2);
            let across = at(row, column) | at(row, column + 1) << 16;
            let down = at(column, row) | at(column + 1, row) << 16;
            assert_eq!([plain, turned], [across, down], "lane {lane}");
        }
    }
}

#[test]
fn tensor_cores_take_their_operands_from_the_lanes_that_the_figures_show() {
    // Small whole numbers, so that every sum is exact. A is [16, 16], B is [16, 8], D is [16, 8].
    let a = |row: usize, k: usize| (row * 3 + k * 5) as f32 % 7.0 - 3.0;
    let b = |k: usize, column: usize| (k * 2 + column * 3) as f32 % 5.0 - 2.0;
    let pair = |low: f32, high: f32| h(low) | h(high) << 16;
    // Of eight bytes the lower half is one register, the upper half the next.
    let operands = |lane: usize| {
        let (group, k) = (lane / 4, lane % 4 * 2);
        let of_a = |row: usize, k: usize| pair(a(row, k), a(row, k + 1));
        let of_b = |k: usize| pair(b(k, group), b(k + 1, group));
        [
            of_a(group, k) | of_a(group + 8, k) << 32,
            of_a(group, k + 8) | of_a(group + 8, k + 8) << 32,
            of_b(k) | of_b(k + 8) << 32,
        ]
    };
    for result in 0..4 {
        let statement = format!(
            ".reg .b32 a<4>, b<2>, c<4>, d<4>; mov.b64 {{a0, a1}}, a64; mov.b64 {{a2, a3}}, b64; mov.b64 {{b0, b1}}, c64;
             mov.f32 c0, 0f00000000; mov.f32 c1, 0f3F800000; mov.f32 c2, 0f40000000; mov.f32 c3, 0f40400000;
             mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {{d0, d1, d2, d3}}, {{a0, a1, a2, a3}}, {{b0, b1}}, {{c0, c1, c2, c3}};
             mov.u32 d32, d{result};"
        );
        let results = warp(&statement, operands);
        for (lane, got) in (0..WARP).zip(results) {
            let (row, column) = (lane / 4 + 8 * (result / 2), lane % 4 * 2 + result % 2);
            let product: f32 = (0..16).map(|k| a(row, k) * b(k, column)).sum();
            assert_eq!(got, f(product + result as f32), "lane {lane}, d{result}");
        }
    }
}
