//! A bump allocator: the next block starts where the last one ended.
//!
//! An instance lives for one call, so what is freed in between hardly matters. Two cases are worth
//! their few instructions: the newest block can grow, shrink and go in place, as a list that is pushed
//! to does; and when nothing is alive the memory starts again.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::Cell;

const PAGE_BYTES: usize = 64 * 1024;

unsafe extern "C" {
    /// The first address after the guest's static data, defined by the linker.
    static __heap_base: u8;
}

#[global_allocator]
static ALLOCATOR: Bump = Bump { end: Cell::new(0), alive: Cell::new(0) };

struct Bump {
    /// Where the newest block ends.
    end: Cell<usize>,
    /// Blocks that were not freed.
    alive: Cell<usize>,
}

// SAFETY: a component without threads has one thread.
unsafe impl Sync for Bump {}

impl Bump {
    /// Whether a block is the newest, so that the memory behind it is free.
    fn is_newest(&self, block: *mut u8, size: usize) -> bool {
        block as usize + size == self.end.get()
    }

    /// Ends the newest block at `end`, with memory up to there. Fails where there is no more.
    fn end_at(&self, end: usize) -> bool {
        let mapped = memory_size(0).saturating_mul(PAGE_BYTES);
        let missing = end.saturating_sub(mapped).div_ceil(PAGE_BYTES);
        if missing > 0 && memory_grow(0, missing) == usize::MAX {
            return false;
        }
        self.end.set(end);
        true
    }
}

// SAFETY: a block starts at a multiple of its alignment, at or after the end of every block alive, and
// ends within memory; `dealloc` gives back the newest block alone.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let free =
            if self.alive.get() == 0 { &raw const __heap_base as usize } else { self.end.get() };
        let block = free.checked_next_multiple_of(layout.align());
        let end = block.and_then(|block| block.checked_add(layout.size()));
        match (block, end) {
            (Some(block), Some(end)) if self.end_at(end) => {
                self.alive.set(self.alive.get() + 1);
                block as *mut u8
            }
            _ => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.is_newest(block, layout.size()) {
            self.end.set(block as usize);
        }
        self.alive.set(self.alive.get() - 1);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.is_newest(block, layout.size()) {
            let end = (block as usize).checked_add(size);
            return match end {
                Some(end) if self.end_at(end) => block,
                _ => core::ptr::null_mut(),
            };
        }
        // SAFETY: the caller's promise about `size` makes the layout valid; the blocks are apart, since
        // the old one is alive while the new one is made.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}
