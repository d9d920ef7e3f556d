//! The emulated card. It checks every access; a test in which it finds anything fails.

use crate::support::{is_missing, skipped};
use cuda_emulator::Emulator;
use kernels::cuda::{Device, Fault};
use lossbox_kernels as kernels;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The card, for one test at a time, so that what is reported is that test's.
pub(crate) struct Session {
    device: &'static Device,
    emulator: Emulator,
    _alone: MutexGuard<'static, ()>,
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

/// The emulated card; `None` says what is missing.
pub(crate) fn device(what: &str) -> Option<Session> {
    static ALONE: Mutex<()> = Mutex::new(());
    static DEVICE: OnceLock<Result<Device, Fault>> = OnceLock::new();
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = Emulator::install().expect("cargo built the stand-ins beside this test");
    match DEVICE.get_or_init(|| Device::open(0, None).map(Device::watched)) {
        Ok(device) => Some(Session { device, emulator, _alone: alone }),
        Err(fault) if is_missing(fault) => {
            skipped(what, &fault.to_string());
            None
        }
        Err(fault) => panic!("{fault}"),
    }
}
