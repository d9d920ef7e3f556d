//! The emulated card. A test in which it finds anything fails.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use cuda_emulator::Emulator;
use kernels::cuda;
use trainer::device::{Device, Precision};

/// Compiled kernels, for the processes of all tests.
const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/kernels");

/// The card, in a process of the test's own, so that what is reported is that test's.
pub(crate) struct Session {
    card: Arc<cuda::Device>,
    emulator: Emulator,
}

impl Session {
    pub(crate) fn device(&self, precision: Precision) -> Device {
        Device::Cuda { device: self.card.clone(), precision }
    }

    /// The card with bounds and a name for each piece of an arena and of the pool, in which nothing is written when it is handed
    /// out again. Work is then carried out before more of it is launched.
    pub(crate) fn observed(&self, precision: Precision) -> Device {
        let device =
            Arc::new(another().expect("opened before").observed_by(|address, bytes, what| {
                let emulator = Emulator::install().expect("installed by the session");
                assert!(emulator.renew(address, bytes, what), "{what} is nowhere");
            }));
        Device::Cuda { device, precision }
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

/// The card, opened once more.
pub(crate) fn another() -> Result<cuda::Device, cuda::Fault> {
    cuda::Device::open(0, Some(Path::new(CACHE)))
}

/// The emulated card; without NVRTC none, which is said, nor where the test has run in its process.
pub(crate) fn session(what: &str) -> Option<Session> {
    static CARD: OnceLock<Result<Arc<cuda::Device>, cuda::Fault>> = OnceLock::new();
    if !cuda_emulator::is_alone() {
        return None;
    }
    let emulator = Emulator::install().expect("cargo built the stand-ins beside this test");
    match CARD.get_or_init(|| another().map(Arc::new)) {
        Ok(card) => Some(Session { card: card.clone(), emulator }),
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
