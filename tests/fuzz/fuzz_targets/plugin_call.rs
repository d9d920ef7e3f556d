//! Any component that keeps the gate's rules can be called. See `lossbox-properties`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    properties::call::check(bytes);
});
