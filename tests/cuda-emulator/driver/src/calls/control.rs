//! What the emulator exports beyond the driver's interface: names, reports, counters. `Emulator` calls these.

use std::ffi::c_char;

use super::state::with;
use super::{INVALID_VALUE, SUCCESS, calls, get_text, put, put_bytes};

calls! {
    /// Names a buffer or, in an arena, a region.
    fn cuda_emulator_name(address: u64, bytes: u64, name: *const c_char) {
        let Some(name) = get_text(name) else { return INVALID_VALUE };
        match with(|driver| driver.memory.name(address, bytes, &name)) {
            true => SUCCESS,
            false => INVALID_VALUE,
        }
    }
    /// The reports as JSON: with a null pointer only their size; with room for it, the text, and all is forgotten,
    /// the error too.
    fn cuda_emulator_take_reports(text: *mut u8, room: usize, bytes: *mut usize) {
        with(|driver| {
            let Ok(json) = serde_json::to_vec(&driver.reports) else { return INVALID_VALUE };
            if !text.is_null() {
                if room < json.len() {
                    return INVALID_VALUE;
                }
                put_bytes(text, &json);
                driver.reports.clear();
                driver.error = SUCCESS;
            }
            put(bytes, json.len())
        })
    }
    /// Thread instructions carried out since the process began.
    fn cuda_emulator_instructions(count: *mut u64) { put(count, with(|driver| driver.n_instructions)) }
    /// What the device says of its compute capability.
    fn cuda_emulator_set_capability(major: i32, minor: i32) {
        with(|driver| driver.capability = (major, minor));
        SUCCESS
    }
}
