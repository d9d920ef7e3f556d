//! Global memory: allocations at addresses that are never used twice, with names for reports.
//!
//! Between allocations lies a wide gap, so that a step beyond the end of one does not land in another. An arena is one
//! allocation to the driver; [`GlobalMemory::name`] cuts it into regions, and what lies between them is then nobody's.

use std::ops::Range;

use super::shadow::Shadow;

/// Distance between two allocations, in bytes.
const GAP: u64 = 1 << 24;

/// How many freed buffers' names are kept, to tell of a use after the end.
const FREED_MAX: usize = 1024;

struct Allocation {
    range: Range<u64>,
    bytes: Vec<u8>,
    shadow: Shadow,
    name: String,
    regions: Vec<(Range<u64>, String)>,
}

/// Everything that a kernel can reach by a global address.
pub(crate) struct GlobalMemory {
    allocations: Vec<Allocation>,
    freed: Vec<(Range<u64>, String)>,
    next: u64,
    n_allocations: u64,
    last: usize,
    /// Bytes in use.
    pub(crate) used_bytes: u64,
}

/// A place in an allocation that an access may use.
pub(crate) struct Place<'a> {
    pub(crate) bytes: &'a mut [u8],
    pub(crate) shadow: &'a mut Shadow,
    /// From the allocation's start.
    pub(crate) start: usize,
}

impl GlobalMemory {
    /// Without allocations.
    pub(crate) fn new() -> Self {
        Self {
            allocations: Vec::new(),
            freed: Vec::new(),
            next: 0x10_0000_0000,
            n_allocations: 0,
            last: 0,
            used_bytes: 0,
        }
    }

    /// A new buffer, unwritten. Its address is a multiple of 512.
    pub(crate) fn allocate(&mut self, bytes: usize, name: Option<String>) -> u64 {
        let start = self.reserve(bytes);
        self.n_allocations += 1;
        let name = name.unwrap_or_else(|| format!("allocation #{}", self.n_allocations));
        self.insert(start, bytes, name);
        start
    }

    /// Addresses for a buffer that is made later, by [`Self::allocate_at`].
    pub(crate) fn reserve(&mut self, bytes: usize) -> u64 {
        let start = self.next;
        self.next += (bytes as u64 + GAP).next_multiple_of(GAP);
        start
    }

    /// Makes a reserved buffer, unwritten; false where it is there already.
    pub(crate) fn allocate_at(&mut self, address: u64, bytes: usize) -> bool {
        if self.is_allocated(address) {
            return false;
        }
        self.insert(address, bytes, format!("a graph's allocation at {address:#x}"));
        true
    }

    fn insert(&mut self, start: u64, bytes: usize, name: String) {
        self.used_bytes += bytes as u64;
        let after = self.allocations.partition_point(|other| other.range.start < start);
        self.allocations.insert(
            after,
            Allocation {
                range: start..start + bytes as u64,
                bytes: vec![0; bytes],
                shadow: Shadow::new(bytes),
                name,
                regions: Vec::new(),
            },
        );
        self.last = 0;
    }

    /// Whether a buffer begins at an address.
    pub(crate) fn is_allocated(&self, address: u64) -> bool {
        self.allocations.binary_search_by_key(&address, |allocation| allocation.range.start).is_ok()
    }

    /// The buffer that an address lies in.
    pub(crate) fn range(&mut self, address: u64) -> Option<Range<u64>> {
        self.index(address).map(|index| self.allocations[index].range.clone())
    }

    /// Ends a buffer; false where none begins there.
    pub(crate) fn free(&mut self, address: u64) -> bool {
        let found =
            self.allocations.iter().position(|allocation| allocation.range.start == address);
        let Some(place) = found else { return false };
        let allocation = self.allocations.remove(place);
        self.used_bytes -= allocation.bytes.len() as u64;
        if self.freed.len() == FREED_MAX {
            self.freed.remove(0);
        }
        self.freed.push((allocation.range, allocation.name));
        self.last = 0;
        true
    }

    /// Names a whole buffer, or a region of one; false where no buffer covers it.
    pub(crate) fn name(&mut self, address: u64, bytes: u64, name: &str) -> bool {
        let Some(index) = self.index(address) else {
            return false;
        };
        let allocation = &mut self.allocations[index];
        let range = address..address + bytes;
        if range.end > allocation.range.end {
            return false;
        }
        if range == allocation.range {
            allocation.name = name.to_owned();
            allocation.regions.clear();
            return true;
        }
        let overlaps = |known: &Range<u64>| known.start < range.end && range.start < known.end;
        allocation.regions.retain(|(known, _)| !overlaps(known));
        allocation.regions.push((range, name.to_owned()));
        allocation.regions.sort_by_key(|(range, _)| range.start);
        true
    }

    /// Names them like [`Self::name`], and forgets what was written there: an arena hands the region out anew.
    pub(crate) fn renew(&mut self, address: u64, bytes: u64, name: &str) -> bool {
        if !self.name(address, bytes, name) {
            return false;
        }
        let known = self.index(address).map(|index| &mut self.allocations[index]);
        known.is_some_and(|allocation| {
            let start = (address - allocation.range.start) as usize;
            allocation.shadow.copy_written(start, &vec![0; bytes as usize]);
            true
        })
    }

    fn index(&mut self, address: u64) -> Option<usize> {
        let here = |allocation: &Allocation| allocation.range.contains(&address);
        if self.allocations.get(self.last).is_some_and(here) {
            return Some(self.last);
        }
        // The allocations are sorted.
        let after =
            self.allocations.partition_point(|allocation| allocation.range.start <= address);
        let index = after.checked_sub(1)?;
        self.last = index;
        here(&self.allocations[index]).then_some(index)
    }

    /// The bytes at an address, or in words why they are nobody's: buffer, offset from its start, reason.
    pub(crate) fn place(
        &mut self,
        address: u64,
        bytes: usize,
    ) -> Result<Place<'_>, (String, i64, String)> {
        let Some(index) = self.index(address) else {
            return Err(self.nobody(address));
        };
        let allocation = &self.allocations[index];
        let end = address.saturating_add(bytes as u64);
        let inside = match allocation.regions.as_slice() {
            [] => end <= allocation.range.end,
            regions => {
                let after = regions.partition_point(|(range, _)| range.start <= address);
                after.checked_sub(1).is_some_and(|region| end <= regions[region].0.end)
            }
        };
        if !inside {
            return Err(self.nobody(address));
        }
        let allocation = &mut self.allocations[index];
        let start = (address - allocation.range.start) as usize;
        Ok(Place { bytes: &mut allocation.bytes, shadow: &mut allocation.shadow, start })
    }

    /// What an address outside of all buffers is nearest to.
    fn nobody(&self, address: u64) -> (String, i64, String) {
        let freed = self.freed.iter().find(|(range, _)| range.contains(&address));
        if let Some((range, name)) = freed {
            let offset = (address - range.start) as i64;
            return (name.clone(), offset, "the buffer was freed".to_owned());
        }
        let named = self.allocations.iter().flat_map(Allocation::parts);
        let nearest = named.min_by_key(|(range, _)| {
            let below = range.start.saturating_sub(address);
            below.max(address.saturating_sub(range.end.saturating_sub(1)))
        });
        match nearest {
            Some((range, name))
                if address.abs_diff(range.start) < GAP || range.contains(&address) =>
            {
                let offset = address.wrapping_sub(range.start) as i64;
                let size = range.end - range.start;
                (name.to_owned(), offset, format!("the buffer has {size} bytes"))
            }
            _ => (String::new(), 0, format!("no buffer is near address {address:#x}")),
        }
    }

    /// Buffer and offset of an address inside of one.
    pub(crate) fn describe(&mut self, address: u64) -> (String, i64) {
        let Some(index) = self.index(address) else {
            return (String::new(), 0);
        };
        let parts = self.allocations[index].parts();
        let within = parts.into_iter().find(|(range, _)| range.contains(&address));
        within.map_or_else(Default::default, |(range, name)| {
            (name.to_owned(), (address - range.start) as i64)
        })
    }
}

impl Allocation {
    /// Its regions, or itself where it has none.
    fn parts(&self) -> Vec<(Range<u64>, &str)> {
        match self.regions.is_empty() {
            true => vec![(self.range.clone(), self.name.as_str())],
            false => {
                self.regions.iter().map(|(range, name)| (range.clone(), name.as_str())).collect()
            }
        }
    }
}
