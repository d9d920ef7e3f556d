//! The host's memory in asynchronous copies. Memory that is not pinned is read, or waited for, within the call, as a card's
//! driver does. Pinned memory belongs to the copy until that is waited for: it is read and written late, the destination holds
//! bytes without meaning meanwhile, and whoever changes or frees it in between is reported.

use std::collections::BTreeMap;
use std::ops::Range;

use super::state::{Driver, Work, host_report};
use super::{get_bytes, put_bytes};
use crate::report::ReportKind;

/// What a destination holds until its copy is done: NaN as f32 and f64, and no sensible number as anything else.
const MEANINGLESS: u8 = 0xff;

/// Pinned memory of the host.
#[derive(Default)]
pub(crate) struct Pinned {
    blocks: BTreeMap<usize, Block>,
    /// Pending copies: the memory, and what it must hold until then.
    pending: Vec<(usize, Vec<u8>)>,
}

/// Pinned memory by its start.
struct Block {
    bytes: usize,
    /// None where the program registered memory of its own.
    own: Option<Box<[u128]>>,
}

fn range(start: usize, bytes: usize) -> Range<usize> {
    start..start.saturating_add(bytes)
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

impl Pinned {
    /// A new block, zero.
    pub(crate) fn allocate(&mut self, bytes: usize) -> usize {
        let block = vec![0_u128; bytes.div_ceil(16).max(1)].into_boxed_slice();
        let address = block.as_ptr() as usize;
        self.blocks.insert(address, Block { bytes: bytes.max(1), own: Some(block) });
        address
    }

    /// Memory of the program's own; false where some of it is pinned already.
    pub(crate) fn register(&mut self, start: usize, bytes: usize) -> bool {
        let new = range(start, bytes);
        let is_free =
            !self.blocks.iter().any(|(start, block)| overlap(&range(*start, block.bytes), &new));
        if is_free {
            self.blocks.insert(start, Block { bytes, own: None });
        }
        is_free
    }

    /// Ends a block (`is_own`) or a registration.
    pub(crate) fn remove(&mut self, start: usize, is_own: bool) -> bool {
        let fits = self.blocks.get(&start).is_some_and(|block| block.own.is_some() == is_own);
        fits && self.blocks.remove(&start).is_some()
    }

    /// Whether all of these bytes are pinned.
    pub(crate) fn holds(&self, start: usize, bytes: usize) -> bool {
        let before = self.blocks.range(..=start).next_back();
        before.is_some_and(|(first, block)| start.saturating_add(bytes) <= first + block.bytes)
    }

    fn is_pending(&self, of: &Range<usize>) -> bool {
        self.pending.iter().any(|(start, held)| overlap(&range(*start, held.len()), of))
    }

    /// The block of a start, as a range.
    fn block(&self, start: usize) -> Option<Range<usize>> {
        self.blocks.get(&start).map(|block| range(start, block.bytes))
    }
}

impl Driver {
    /// What a copy needs of the host's memory at once. True: the call waits for the copy.
    pub(crate) fn take_host_memory(&mut self, work: Work) -> (Work, bool) {
        match work {
            Work::HostToDevice { to, from, bytes } if !self.pinned.holds(from, bytes) => {
                let data = get_bytes(from as *const u8, bytes);
                (Work::Write { to, data }, false)
            }
            Work::DeviceToHost { to, bytes, .. } if !self.pinned.holds(to, bytes) => (work, true),
            Work::HostToDevice { from: start, bytes, .. }
            | Work::DeviceToHost { to: start, bytes, .. } => {
                // A copy into memory that another one has yet to read comes after it by the program's own order.
                if self.pinned.is_pending(&range(start, bytes)) {
                    self.drain_all();
                }
                if matches!(work, Work::DeviceToHost { .. }) {
                    put_bytes(start as *mut u8, &vec![MEANINGLESS; bytes]);
                }
                self.pinned.pending.push((start, get_bytes(start as *const u8, bytes)));
                (work, false)
            }
            _ => (work, false),
        }
    }

    /// Ends the watch over a pending copy's memory, and reports it where somebody changed that meanwhile.
    pub(crate) fn end_pending(&mut self, call: &str, start: usize, bytes: usize) {
        let this = |(other, held): &(usize, Vec<u8>)| (*other, held.len()) == (start, bytes);
        let Some(place) = self.pinned.pending.iter().position(this) else {
            return;
        };
        let (_, held) = self.pinned.pending.remove(place);
        let now = get_bytes(start as *const u8, bytes);
        if let Some(offset) = (0..bytes).find(|at| held[*at] != now[*at]) {
            let detail = "the host changed pinned memory before the copy was waited for".to_owned();
            let report = host_report(
                ReportKind::HostRace,
                call,
                format!("host memory {start:#x}"),
                offset as i64,
                detail,
            );
            self.note(vec![report]);
        }
    }

    /// A function of the program's ran in a stream's turn: what it wrote is what the copies after it are to find.
    pub(crate) fn renew_pending(&mut self) {
        for (start, held) in &mut self.pinned.pending {
            *held = get_bytes(*start as *const u8, held.len());
        }
    }

    /// Ends pinned memory, after the copies that still use it: those are reported.
    pub(crate) fn unpin(&mut self, start: usize, is_own: bool) -> bool {
        if let Some(block) = self.pinned.block(start)
            && self.pinned.is_pending(&block)
        {
            self.drain_all();
            let call = if is_own { "cuMemFreeHost" } else { "cuMemHostUnregister" };
            let detail =
                "pinned memory is freed before a copy that uses it was waited for".to_owned();
            let report = host_report(
                ReportKind::HostRace,
                call,
                format!("host memory {start:#x}"),
                0,
                detail,
            );
            self.note(vec![report]);
            self.pinned
                .pending
                .retain(|(start, held)| !overlap(&range(*start, held.len()), &block));
        }
        self.pinned.remove(start, is_own)
    }

    /// Forgets pending copies; none is left once everything was carried out.
    pub(crate) fn forget_pending(&mut self) {
        self.pinned.pending.clear();
    }
}
