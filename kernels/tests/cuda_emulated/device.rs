//! The emulated card. It checks every access; a test in which it finds anything fails.

use crate::support::skipped;
use cuda_emulator::Emulator;
use kernels::cuda::{Device, Fault};
use lossbox_kernels as kernels;
use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;

/// Compiled kernels, for the processes of all tests.
pub(crate) const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/kernels");

/// The card, in a process of the test's own, so that what is reported is that test's.
pub(crate) struct Session {
    device: &'static Device,
    emulator: Emulator,
}

impl Session {
    pub(crate) fn emulator(&self) -> Emulator {
        self.emulator
    }
}

impl Deref for Session {
    type Target = Device;

    fn deref(&self) -> &Device {
        self.device
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let reports = self.emulator.take_reports();
        let lines: Vec<String> = reports.iter().map(ToString::to_string).collect();
        if std::thread::panicking() {
            return skipped("the rest of this test, after these reports", &lines.join("\n"));
        }
        assert!(lines.is_empty(), "the emulator reports:\n{}", lines.join("\n"));
    }
}

/// The card, opened once more.
pub(crate) fn another() -> Device {
    Device::open(0, Some(Path::new(CACHE))).unwrap()
}

/// The emulated card; `None` says what is missing, or that the test has run in its process.
pub(crate) fn device(what: &str) -> Option<Session> {
    static DEVICE: OnceLock<Result<Device, Fault>> = OnceLock::new();
    if !cuda_emulator::is_alone() {
        return None;
    }
    let emulator = Emulator::install().expect("cargo built the stand-ins beside this test");
    match DEVICE.get_or_init(|| Device::open(0, Some(Path::new(CACHE))).map(Device::watched)) {
        Ok(device) => Some(Session { device, emulator }),
        Err(fault) if fault.is_missing() => {
            skipped(what, &fault.to_string());
            None
        }
        Err(fault) => panic!("{fault}"),
    }
}
