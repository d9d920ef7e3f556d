//! What is timed on a card: all of it runs, and every kernel there is runs within it.

use crate::device::{another, device};
use kernels::speed::{self, Sizes};
use lossbox_kernels as kernels;

#[test]
fn every_kernel_is_timed() {
    let Some(session) = device("every_kernel_is_timed") else { return };
    let device = another();
    session.emulator().take_launched();
    let timings = speed::time_all(&device, &Sizes::TINY, 1).unwrap();
    let launched = session.emulator().take_launched();
    for source in kernels::cuda_sources() {
        for kernel in source.kernels() {
            assert!(launched.iter().any(|name| name == kernel), "{kernel} is not timed");
        }
    }
    let mut names: Vec<&str> = timings.iter().map(|timing| timing.operation).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), timings.len(), "two operations have one name");
    assert!(timings.iter().all(|timing| timing.seconds > 0.0 && timing.bytes > 0.0));
    assert_eq!(device.refused_epilogues(), []);
}
