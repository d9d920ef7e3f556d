//! The first card of the machine.

use crate::support::skipped;
use kernels::cuda::{Device, Fault};
use lossbox_kernels as kernels;
use std::ops::Deref;
use std::sync::OnceLock;

/// The card, for one test.
pub(crate) struct Session(&'static Device);

impl Deref for Session {
    type Target = Device;

    fn deref(&self) -> &Device {
        self.0
    }
}

/// The first card; `None` says so.
pub(crate) fn device(what: &str) -> Option<Session> {
    static DEVICE: OnceLock<Result<Device, Fault>> = OnceLock::new();
    match DEVICE.get_or_init(|| Device::open(0, None).map(Device::watched)) {
        Ok(device) => Some(Session(device)),
        Err(fault) if fault.is_missing() => {
            skipped(what, &fault.to_string());
            None
        }
        Err(fault) => panic!("{fault}"),
    }
}
