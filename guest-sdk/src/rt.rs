//! What the generated bindings ask of a runtime, and what a component without a standard library needs:
//! an allocator and a panic handler. Both exist in WebAssembly only.
//!
//! A panic is a trap: the host sees it, and the instance is gone.

#[cfg(target_family = "wasm")]
mod allocator;
#[cfg(target_family = "wasm")]
mod realloc;

use alloc::alloc::{alloc, dealloc, handle_alloc_error};
use core::alloc::Layout;
use core::ptr::NonNull;

/// A block of memory that is freed unless it is forgotten: how lists leave the guest.
pub struct Cleanup {
    start: NonNull<u8>,
    layout: Layout,
}

impl Cleanup {
    /// Allocates a block. An empty one needs neither memory nor cleaning up.
    pub fn new(layout: Layout) -> (*mut u8, Option<Cleanup>) {
        if layout.size() == 0 {
            return (core::ptr::without_provenance_mut(layout.align()), None);
        }
        // SAFETY: the size is not 0.
        let start = unsafe { alloc(layout) };
        match NonNull::new(start) {
            Some(block) => (start, Some(Cleanup { start: block, layout })),
            None => handle_alloc_error(layout),
        }
    }

    /// Leaves the block to whoever has its address.
    pub fn forget(self) {
        core::mem::forget(self);
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // SAFETY: `new` allocated the block with this layout, and `forget` was not called.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// Keeps `cabi_realloc` in the component: the generated bindings refer to this function.
pub fn maybe_link_cabi_realloc() {
    #[cfg(target_family = "wasm")]
    {
        #[used]
        static KEEP: unsafe extern "C" fn(*mut u8, usize, usize, usize) -> *mut u8 =
            realloc::cabi_realloc;
    }
}

#[cfg(target_family = "wasm")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
