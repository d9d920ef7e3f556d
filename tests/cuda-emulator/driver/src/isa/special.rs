//! What fits no other family: address arithmetic that changes nothing here, and questions about address spaces.

use crate::lanes::{Pure, lanes};
use crate::machine::{LOCAL_BASE, SHARED_BASE, WINDOW_BYTES};
use crate::ptx::Mnemonic;

/// `isspacep` and `mapa`-free odds and ends.
pub(crate) fn function(m: &Mnemonic) -> Option<Pure> {
    if m.base() != "isspacep" {
        return None;
    }
    Some(match m.part(1) {
        "shared" | "shared::cta" => {
            lanes!(|a: u64| (SHARED_BASE..SHARED_BASE + WINDOW_BYTES).contains(&a))
        }
        "local" => lanes!(|a: u64| (LOCAL_BASE..LOCAL_BASE + WINDOW_BYTES).contains(&a)),
        "global" => lanes!(|a: u64| a < SHARED_BASE),
        _ => return None,
    })
}
