//! `cabi_realloc`, by which the host places lists in the guest's memory.

use alloc::alloc::{alloc, realloc};
use core::alloc::Layout;

/// Grows a block, or makes a new one where `old_size` is 0. Traps where memory is exhausted.
///
/// # Safety
/// As the canonical ABI calls it: `old` and `old_size` are those of an earlier call, or null and 0.
#[unsafe(export_name = "cabi_realloc")]
pub(super) unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_size: usize,
    align: usize,
    new_size: usize,
) -> *mut u8 {
    if old_size == 0 && new_size == 0 {
        return core::ptr::without_provenance_mut(align);
    }
    // SAFETY: the canonical ABI asks for alignments that are powers of two and sizes below 4 GiB; an old
    // block came from here with the same alignment, and one of the sizes is not 0.
    let block = unsafe {
        if old_size == 0 {
            alloc(Layout::from_size_align_unchecked(new_size, align))
        } else {
            realloc(old, Layout::from_size_align_unchecked(old_size, align), new_size)
        }
    };
    if block.is_null() {
        core::arch::wasm32::unreachable()
    }
    block
}
