//! Any bytes are audited. See `lossbox-properties`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    properties::component::check(bytes);
});
