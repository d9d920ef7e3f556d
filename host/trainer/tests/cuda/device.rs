//! The machine's first card.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use kernels::cuda::{self, Fault};
use trainer::device::{Device, Precision};

/// The card, for one test.
pub(crate) struct Session(Arc<cuda::Device>);

impl Session {
    pub(crate) fn device(&self, precision: Precision) -> Device {
        Device::Cuda { device: self.0.clone(), precision }
    }

    /// The same: a card tells nobody of bounds.
    pub(crate) fn observed(&self, precision: Precision) -> Device {
        self.device(precision)
    }
}

/// The first card; where there is none, that is said.
pub(crate) fn session(what: &str) -> Option<Session> {
    static CARD: OnceLock<Result<Arc<cuda::Device>, Fault>> = OnceLock::new();
    match CARD.get_or_init(|| cuda::Device::open(0, None).map(Arc::new)) {
        Ok(card) => Some(Session(card.clone())),
        Err(fault) if fault.is_missing() => {
            // Past the harness's capture.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {what} on a card: {fault}");
            None
        }
        Err(fault) => panic!("{fault}"),
    }
}
