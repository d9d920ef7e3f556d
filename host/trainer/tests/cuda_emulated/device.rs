//! The emulated card. A test in which it finds anything fails.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cuda_emulator::Emulator;
use kernels::cuda;
use trainer::device::{Device, Precision};

/// The card, for one test at a time, so that what is reported is that test's.
pub(crate) struct Session {
    card: Arc<cuda::Device>,
    emulator: Emulator,
    _alone: MutexGuard<'static, ()>,
}

impl Session {
    pub(crate) fn device(&self, precision: Precision) -> Device {
        Device::Cuda { device: self.card.clone(), precision }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let reports = self.emulator.take_reports();
        let lines: Vec<String> = reports.iter().map(ToString::to_string).collect();
        if std::thread::panicking() {
            return say(&format!("reports before the failure:\n{}", lines.join("\n")));
        }
        assert!(lines.is_empty(), "the emulator reports:\n{}", lines.join("\n"));
    }
}

/// The emulated card; without NVRTC none, which is said.
pub(crate) fn session(what: &str) -> Option<Session> {
    static ALONE: Mutex<()> = Mutex::new(());
    static CARD: OnceLock<Result<Arc<cuda::Device>, cuda::Fault>> = OnceLock::new();
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = Emulator::install().expect("cargo built the stand-ins beside this test");
    match CARD.get_or_init(|| cuda::Device::open(0, None).map(Arc::new)) {
        Ok(card) => Some(Session { card: card.clone(), emulator, _alone: alone }),
        Err(fault @ cuda::Fault::NoCompiler) => {
            say(&format!("SKIPPED: {what}: {fault}"));
            None
        }
        Err(fault) => panic!("{fault}"),
    }
}

/// Past the harness's capture.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
