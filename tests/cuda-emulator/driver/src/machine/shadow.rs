//! What is remembered of memory: which bytes were written, and who wrote and read each last.
//!
//! Order follows clocks (as in FastTrack): each warp of a block counts its synchronisations, and knows of each other warp
//! up to which count it has waited for it. An access is ordered before a later one where the later thread's warp has waited
//! for the count that the earlier carries. Blocks are never ordered, launches always are.

/// Who accesses, and what it has waited for.
#[derive(Clone, Copy)]
pub(crate) struct Accessor<'a> {
    /// Numbers blocks over all launches, from 1.
    pub(crate) instance: u32,
    /// The first block of this launch; what earlier ones did is in order.
    pub(crate) first_instance: u32,
    /// Number of the thread in its block.
    pub(crate) thread: u16,
    /// What this thread's warp has waited for, of each warp; its own entry is its own count.
    pub(crate) seen: &'a [u32],
}

impl Accessor<'_> {
    fn warp(&self) -> usize {
        usize::from(self.thread / 32)
    }

    fn now(&self) -> u32 {
        self.seen.get(self.warp()).copied().unwrap_or(0)
    }
}

#[derive(Clone, Copy, Default)]
struct Mark {
    instance: u32,
    clock: u32,
    thread: u16,
    flags: u8,
}

const ATOMIC: u8 = 1;
/// Other lanes of the last reader's warp read too, at the same count.
const OTHER_LANES: u8 = 2;
/// Other warps read too, none at a later count than the mark's.
const OTHER_WARPS: u8 = 4;
const OTHER_BLOCKS: u8 = 8;

impl Mark {
    fn of(who: &Accessor, flags: u8) -> Self {
        Self { instance: who.instance, clock: who.now(), thread: who.thread, flags }
    }

    fn is_stale(&self, who: &Accessor) -> bool {
        self.instance < who.first_instance || self.instance == 0
    }

    fn warp(&self) -> usize {
        usize::from(self.thread / 32)
    }

    fn is_before(&self, who: &Accessor) -> bool {
        if self.is_stale(who) || self.instance == who.instance && self.thread == who.thread {
            return true;
        }
        self.instance == who.instance && !self.is_unordered(who, self.warp())
    }

    /// Whether what a warp did at the mark's count may still be under way.
    fn is_unordered(&self, who: &Accessor, warp: usize) -> bool {
        match warp == who.warp() {
            true => who.now() <= self.clock,
            false => who.seen.get(warp).is_none_or(|seen| *seen < self.clock),
        }
    }

    /// Whether one of the readers that the mark stands for, beside the one that it names, may still be under way.
    fn has_others_unordered(&self, who: &Accessor) -> bool {
        let lanes = self.flags & OTHER_LANES != 0 && self.is_unordered(who, self.warp());
        let warps = || (0..who.seen.len()).any(|warp| self.is_unordered(who, warp));
        lanes || self.flags & OTHER_WARPS != 0 && warps()
    }
}

#[derive(Clone, Copy, Default)]
struct Cell {
    write: Mark,
    read: Mark,
}

/// How an access takes part in races.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// Both at once, or a relaxed load or store.
    Atomic,
}

/// The other access of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// In words, the earlier access.
    pub(crate) earlier: &'static str,
    pub(crate) thread: u16,
    pub(crate) is_other_block: bool,
}

impl Cell {
    fn touch(&mut self, who: &Accessor, access: Access) -> Option<Conflict> {
        let atomic = if access == Access::Atomic { ATOMIC } else { 0 };
        let both_atomic = |mark: &Mark| atomic & mark.flags & ATOMIC != 0;
        let mut conflict = None;
        if !self.write.is_before(who) && !both_atomic(&self.write) {
            conflict = Some(self.write.conflict(who, "write"));
        }
        if access == Access::Read {
            self.note_read(who);
            return conflict;
        }
        let read = self.read;
        let other_blocks = read.flags & OTHER_BLOCKS != 0 && !read.is_stale(who);
        let other_threads = read.instance == who.instance && read.has_others_unordered(who);
        if !read.is_before(who) || other_blocks || other_threads {
            conflict = Some(Conflict {
                is_other_block: other_blocks || read.instance != who.instance,
                ..read.conflict(who, "read")
            });
        }
        self.write = Mark::of(who, atomic);
        conflict
    }

    fn note_read(&mut self, who: &Accessor) {
        let earlier = self.read;
        self.read = Mark::of(who, 0);
        if earlier.is_stale(who) {
            return;
        }
        if earlier.instance != who.instance {
            self.read.flags = OTHER_BLOCKS;
            return;
        }
        self.read.flags = earlier.flags & OTHER_BLOCKS;
        let (other, others) = (!earlier.is_before(who), earlier.has_others_unordered(who));
        if earlier.warp() != who.warp() && (other || others)
            || others && earlier.flags & OTHER_WARPS != 0
        {
            self.read.flags |= OTHER_WARPS;
            self.read.clock = earlier.clock.max(who.now());
        }
        if earlier.warp() == who.warp() && (other || others) {
            self.read.flags |= OTHER_LANES;
        }
    }
}

impl Mark {
    fn conflict(&self, who: &Accessor, earlier: &'static str) -> Conflict {
        Conflict { earlier, thread: self.thread, is_other_block: self.instance != who.instance }
    }
}

const PAGE_BYTES: usize = 4096;

const WRITTEN: u8 = 1;
/// A copy to the byte was begun and is not complete: it holds nothing, and nobody else may write it.
const UNDER_WAY: u8 = 2;

/// The largest access is a vector of four times eight bytes.
const ALL_WRITTEN: [u8; 32] = [WRITTEN; 32];

/// Who accessed a page: a cell for every four bytes, or for every one or two where so small accesses were seen.
struct Page {
    shift: u32,
    cells: Vec<Cell>,
}

impl Page {
    fn new() -> Self {
        Self { shift: 2, cells: vec![Cell::default(); PAGE_BYTES >> 2] }
    }

    /// Cells small enough for an access that begins at `start` and covers `bytes`.
    fn refine(&mut self, start: usize, bytes: usize) {
        let needed = (start | bytes).trailing_zeros().min(2);
        while self.shift > needed {
            self.cells = self.cells.iter().flat_map(|cell| [*cell, *cell]).collect();
            self.shift -= 1;
        }
    }
}

/// The shadow of one buffer.
#[derive(Default)]
pub(crate) struct Shadow {
    written: Vec<u8>,
    /// Made when they are first touched.
    pages: Vec<Option<Box<Page>>>,
}

impl Shadow {
    /// Of a buffer in which nothing is written yet.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { written: vec![0; bytes], pages: Vec::new() }
    }

    /// Forgets what was written, and makes room for this many bytes.
    pub(crate) fn clear(&mut self, bytes: usize) {
        self.written.clear();
        self.written.resize(bytes, 0);
    }

    /// Whether all bytes were written.
    pub(crate) fn is_written(&self, start: usize, bytes: usize) -> bool {
        // Slices of one length are compared a word at a time.
        self.written[start..start + bytes] == ALL_WRITTEN[..bytes]
    }

    /// Notes that bytes were written, or that a copy to them was begun which is not complete.
    pub(crate) fn set_written(&mut self, start: usize, bytes: usize, written: bool) {
        self.written[start..start + bytes].fill(if written { WRITTEN } else { UNDER_WAY });
    }

    /// Whether a copy to any of these bytes was begun and is not complete.
    pub(crate) fn is_under_way(&self, start: usize, bytes: usize) -> bool {
        self.written[start..start + bytes].contains(&UNDER_WAY)
    }

    /// Which of these bytes were written.
    pub(crate) fn written(&self, start: usize, bytes: usize) -> &[u8] {
        &self.written[start..start + bytes]
    }

    /// Takes over which bytes were written from where they were copied from.
    pub(crate) fn copy_written(&mut self, start: usize, written: &[u8]) {
        self.written[start..start + written.len()].copy_from_slice(written);
    }

    fn page(&mut self, index: usize) -> &mut Page {
        if index >= self.pages.len() {
            let n_pages = self.written.len().div_ceil(PAGE_BYTES).max(index + 1);
            self.pages.resize_with(n_pages, || None);
        }
        self.pages[index].get_or_insert_with(|| Box::new(Page::new()))
    }

    /// Notes an access and gives the one it races with.
    pub(crate) fn touch(
        &mut self,
        start: usize,
        bytes: usize,
        who: &Accessor,
        access: Access,
    ) -> Option<Conflict> {
        let mut conflict = None;
        let (mut at, end) = (start, start + bytes);
        while at < end {
            let page_end = (at / PAGE_BYTES + 1) * PAGE_BYTES;
            let here = end.min(page_end);
            let page = self.page(at / PAGE_BYTES);
            page.refine(at, here - at);
            let first = (at % PAGE_BYTES) >> page.shift;
            let count = (here - at) >> page.shift;
            for cell in &mut page.cells[first..first + count] {
                conflict = cell.touch(who, access).or(conflict);
            }
            at = here;
        }
        conflict
    }
}
