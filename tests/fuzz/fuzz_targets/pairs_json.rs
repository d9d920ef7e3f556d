//! Any pairs file is read or refused in words. See `lossbox-properties`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    properties::pairs::check(bytes);
});
