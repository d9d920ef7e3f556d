//! Runs single instructions. A case is one statement over the registers `a`, `b`, `c` (with the suffix of their width: `a32`,
//! `a64`, `a16`, or `pa` for the lowest bit as a predicate) that sets `d32`, `d64`, `d16` or `pd`.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    reason = "each test file uses a part of it; a call that fails has failed the test"
)]

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use cuda_emulator::Emulator;
use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

static ALONE: Mutex<()> = Mutex::new(());

pub(crate) const WARP: usize = 32;

/// Runs statements in a warp, where lane `l` has the operands `operands(l)`; gives each lane's result.
pub(crate) fn warp(statements: &str, operands: impl Fn(usize) -> [u64; 3]) -> Vec<u64> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = Emulator::install().unwrap();
    let context: Arc<CudaContext> = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let mut ptx = String::from(
        ".version 8.8\n.target sm_90a\n.address_size 64\n.visible .entry one(\n.param .u64 in,\n.param .u64 out\n)\n{\n",
    );
    for name in ["a", "b", "c", "d"] {
        write!(
            ptx,
            ".reg .b64 {name}64; .reg .b32 {name}32; .reg .b16 {name}16; .reg .pred p{name};"
        )
        .unwrap();
    }
    ptx.push_str(
        ".reg .pred pe; .reg .b32 e32, lane, s32; .reg .b64 input, output, offset, t64;\n.shared .align 16 .b8 room[1024];\n
        ld.param.u64 input, [in]; ld.param.u64 output, [out]; mov.u32 lane, %tid.x; mov.u32 s32, room;
        mad.wide.u32 offset, lane, 24, input;",
    );
    for (place, name) in ["a", "b", "c"].iter().enumerate() {
        write!(
            ptx,
            "ld.global.u64 {name}64, [offset+{}]; cvt.u32.u64 {name}32, {name}64; cvt.u16.u64 {name}16, {name}64;
             and.b32 d32, {name}32, 1; setp.ne.u32 p{name}, d32, 0;\n",
            place * 8
        )
        .unwrap();
    }
    ptx.push_str("mov.u64 d64, 0; mov.u32 d32, 0; mov.u16 d16, 0; setp.ne.u32 pd, d32, 0; mov.pred pe, pd;\n");
    ptx.push_str(statements);
    ptx.push_str(
        "\ncvt.u64.u32 t64, d32; xor.b64 d64, d64, t64; cvt.u64.u16 t64, d16; xor.b64 d64, d64, t64;
        selp.u64 t64, 1, 0, pd; xor.b64 d64, d64, t64; mad.wide.u32 offset, lane, 8, output;
        st.global.u64 [offset], d64; ret;\n}\n",
    );
    let module = context.load_module(Ptx::from_src(ptx)).unwrap();
    let kernel = module.load_function("one");
    let kernel = kernel.unwrap_or_else(|_| panic!("{:?}", emulator.take_reports()));
    let operands: Vec<u64> = (0..WARP).flat_map(operands).collect();
    let input = stream.clone_htod(&operands).unwrap();
    let mut output = stream.alloc_zeros::<u64>(WARP).unwrap();
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&input).arg(&mut output);
    let config = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (32, 1, 1), shared_mem_bytes: 0 };
    unsafe { launch.launch(config) }.unwrap();
    if stream.synchronize().is_err() {
        panic!("{statements}: {:#?}", emulator.take_reports());
    }
    stream.clone_dtoh(&output).unwrap()
}

/// One statement with the same operands in all lanes.
pub(crate) fn check(statement: &str, [a, b, c]: [u64; 3], expected: u64) {
    let results = warp(statement, |_| [a, b, c]);
    assert!(
        results.iter().all(|result| *result == expected),
        "{statement} of {a:#x}, {b:#x}, {c:#x}: {:#x}, expected {expected:#x}",
        results[0]
    );
}

pub(crate) fn neg(value: i32) -> u64 {
    u64::from(value as u32)
}

pub(crate) fn f(value: f32) -> u64 {
    u64::from(value.to_bits())
}

pub(crate) fn g(value: f64) -> u64 {
    value.to_bits()
}

pub(crate) fn h(value: f32) -> u64 {
    u64::from(half::bf16::from_f32(value).to_bits())
}
