//! One warp: its registers, and its lanes' places in the code.
//!
//! Lanes that are at the same place go together. After a divergent branch the group that is furthest behind runs first, so
//! that groups meet again at the first place that both reach: compilers put the join behind both branches.

use super::shadow::Shadow;
use crate::lanes::{Lanes, Mask, WARP};
use crate::ptx::Reg;

/// Lanes at one place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    pub(crate) pc: usize,
    pub(crate) lanes: Mask,
    /// Waits for other lanes at this place.
    pub(crate) waits: bool,
}

/// A copy that a lane has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingCopy {
    pub(crate) lane: usize,
    /// The lane's count of groups when it was begun.
    pub(crate) group: u32,
    pub(crate) to: u64,
    pub(crate) from: u64,
    pub(crate) bytes: usize,
    pub(crate) source_bytes: usize,
}

/// A warp of a block.
pub(crate) struct Warp {
    /// Its place among the block's warps.
    pub(crate) index: usize,
    pub(crate) registers: Vec<Lanes>,
    /// Lanes that have not ended.
    pub(crate) live: Mask,
    /// All lanes that the warp began with.
    pub(crate) all: Mask,
    pub(crate) groups: Vec<Group>,
    pub(crate) local: Vec<u8>,
    pub(crate) local_shadow: Shadow,
    pub(crate) copies: Vec<PendingCopy>,
    pub(crate) committed: [u32; WARP],
    /// The barrier at which it waits, and for how many threads.
    pub(crate) at_barrier: Option<(u32, Option<u32>)>,
}

impl Warp {
    /// A warp with room for a kernel's registers.
    pub(crate) fn new(index: usize, n_registers: usize) -> Self {
        Self {
            index,
            registers: vec![[0; WARP]; n_registers],
            live: 0,
            all: 0,
            groups: Vec::new(),
            local: Vec::new(),
            local_shadow: Shadow::default(),
            copies: Vec::new(),
            committed: [0; WARP],
            at_barrier: None,
        }
    }

    /// The value of a source in all lanes.
    pub(crate) fn value<'a>(&'a self, source: Reg, constants: &'a [Lanes]) -> &'a Lanes {
        match source.constant() {
            Some(index) => &constants[index],
            None => &self.registers[source.index()],
        }
    }

    /// Writes the lanes of a mask.
    pub(crate) fn set(&mut self, destination: Reg, lanes: Mask, values: &Lanes) {
        let register = &mut self.registers[destination.index()];
        if lanes == Mask::MAX {
            *register = *values;
            return;
        }
        for lane in 0..WARP {
            if lanes >> lane & 1 == 1 {
                register[lane] = values[lane];
            }
        }
    }

    /// Takes the next group to run out of the list: the one furthest behind of those that do not wait.
    pub(crate) fn take_next(&mut self) -> Option<Group> {
        self.merge();
        let ready = self.groups.iter().enumerate().filter(|(_, group)| !group.waits);
        let (place, _) = ready.min_by_key(|(_, group)| group.pc)?;
        Some(self.groups.swap_remove(place))
    }

    /// Joins groups at the same place; a group that grew tries again.
    pub(crate) fn merge(&mut self) {
        self.groups.retain(|group| group.lanes != 0);
        self.groups.sort_by_key(|group| group.pc);
        self.groups.dedup_by(|later, kept| {
            let same = later.pc == kept.pc;
            if same {
                kept.lanes |= later.lanes;
                kept.waits = false;
            }
            same
        });
    }

    /// Whether a running group should give way: another is at the same place or further behind.
    pub(crate) fn gives_way(&self, pc: usize) -> bool {
        self.groups.iter().any(|other| other.pc == pc || !other.waits && other.pc < pc)
    }

    /// Ends lanes.
    pub(crate) fn exit(&mut self, lanes: Mask) {
        self.live &= !lanes;
    }

    /// Lets the groups that wait at a barrier go on behind it.
    pub(crate) fn pass_barrier(&mut self) {
        self.at_barrier = None;
        for group in &mut self.groups {
            group.pc += 1;
            group.waits = false;
        }
    }

    /// Lets waiting groups look again: lanes that they waited for have ended.
    pub(crate) fn wake(&mut self) {
        self.groups.iter_mut().for_each(|group| group.waits = false);
    }
}
