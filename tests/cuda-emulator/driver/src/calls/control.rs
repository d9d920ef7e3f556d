//! What the emulator exports beyond the driver's interface: names, reports, counters. `Emulator` calls these.

use std::ffi::c_char;

use super::state::{Tampering, with};
use super::{INVALID_VALUE, SUCCESS, calls, get_text, put, put_bytes};

calls! {
    /// Names a buffer or, in an arena, a region.
    fn cuda_emulator_name(address: u64, bytes: u64, name: *const c_char) {
        let Some(name) = get_text(name) else { return INVALID_VALUE };
        // What was launched before is held against the names that it knew.
        let named = with(|driver| {
            driver.drain_all();
            driver.memory.name(address, bytes, &name)
        });
        match named {
            true => SUCCESS,
            false => INVALID_VALUE,
        }
    }
    /// The same, and forgets what was written there.
    fn cuda_emulator_renew(address: u64, bytes: u64, name: *const c_char) {
        let Some(name) = get_text(name) else { return INVALID_VALUE };
        let named = with(|driver| {
            driver.drain_all();
            driver.memory.renew(address, bytes, &name)
        });
        match named {
            true => SUCCESS,
            false => INVALID_VALUE,
        }
    }
    /// The reports as JSON: with a null pointer only their size; with room for it, the text, and all is forgotten,
    /// the error too.
    fn cuda_emulator_take_reports(text: *mut u8, room: usize, bytes: *mut usize) {
        with(|driver| {
            driver.drain_all();
            let Ok(json) = serde_json::to_vec(&driver.reports) else { return INVALID_VALUE };
            if !text.is_null() {
                if room < json.len() {
                    return INVALID_VALUE;
                }
                put_bytes(text, &json);
                driver.reports.clear();
                driver.error = SUCCESS;
                driver.forget_pending();
            }
            put(bytes, json.len())
        })
    }
    /// Thread instructions carried out since the process began.
    fn cuda_emulator_instructions(count: *mut u64) {
        put(count, with(|driver| {
            driver.drain_all();
            driver.n_instructions
        }))
    }
    /// Graphs launched since the process began.
    fn cuda_emulator_graph_launches(count: *mut u64) { put(count, with(|driver| driver.n_graph_launches)) }
    /// The names of the kernels that were launched since the last time, one a line: with a null pointer only their size; with
    /// room for them, the text, and they are forgotten.
    fn cuda_emulator_take_launched(text: *mut u8, room: usize, bytes: *mut usize) {
        with(|driver| {
            let names = Vec::from_iter(driver.launched.iter().cloned()).join("\n");
            if !text.is_null() {
                if room < names.len() {
                    return INVALID_VALUE;
                }
                put_bytes(text, names.as_bytes());
                driver.launched.clear();
            }
            put(bytes, names.len())
        })
    }
    /// What the device says of its compute capability.
    fn cuda_emulator_set_capability(major: i32, minor: i32) {
        with(|driver| driver.capability = (major, minor));
        SUCCESS
    }
    /// Warp instructions after which a block is taken not to end.
    fn cuda_emulator_set_steps(steps_max: u64) {
        with(|driver| driver.steps_max = steps_max);
        SUCCESS
    }
    /// From now on a module of this text is loaded as another; as itself again with a null pointer for the other.
    fn cuda_emulator_substitute(original: *const c_char, replacement: *const c_char) {
        let Some(original) = get_text(original) else { return INVALID_VALUE };
        with(|driver| match get_text(replacement) {
            Some(replacement) => driver.substitutes.insert(original, replacement),
            None => driver.substitutes.remove(&original),
        });
        SUCCESS
    }
    /// From now on launches of a kernel go wrong in this way; in none with a null pointer for the kernel.
    fn cuda_emulator_tamper(kernel: *const c_char, kind: u32, one: i32, other: i32) {
        let tampering = match kind {
            0 => Tampering::SwapArguments(one as usize, other as usize),
            1 => Tampering::AddBlocks(one as usize, other),
            2 => Tampering::DropWarp,
            3 => Tampering::DropShared,
            _ => return INVALID_VALUE,
        };
        with(|driver| driver.tampering = get_text(kernel).map(|kernel| (kernel, tampering)));
        SUCCESS
    }
    /// The next call of this name does nothing and answers with this error.
    fn cuda_emulator_fail(call: *const c_char, error: i32) {
        let Some(call) = get_text(call) else { return INVALID_VALUE };
        with(|driver| driver.failures.push((call, error)));
        SUCCESS
    }
    /// How much memory the device has.
    fn cuda_emulator_set_memory(bytes: usize) {
        with(|driver| driver.memory_bytes = bytes);
        SUCCESS
    }
    /// The newest CUDA version that the driver says it supports: 1000 times the major and 10 times the minor number.
    fn cuda_emulator_set_version(version: i32) {
        with(|driver| driver.version = version);
        SUCCESS
    }
}
