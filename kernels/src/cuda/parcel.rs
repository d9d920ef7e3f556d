//! What a batch says of itself, on its way to the device: many short arrays, packed one behind the other in pinned memory and
//! sent in one copy.

use super::memory::ALIGNMENT;
use super::{Arena, Device, Fault, Piece, Staged};

use cudarc::driver::DeviceRepr;

/// Memory for arrays that travel together, on both sides. It grows and never shrinks: arrays of the same lengths lie at the
/// same addresses each time, unless it grew in between.
#[derive(Debug, Default)]
pub struct Parcel {
    host: Staged<u8>,
    there: Option<Arena>,
}

impl Parcel {
    /// Packs and sends. `pack` may be called twice, the second time with the room that it turned out to need. Pieces of what was
    /// sent before are no longer held, otherwise it panics.
    ///
    /// # Errors
    /// Those of `pack`, [`Fault::OutOfMemory`] and [`Fault::Driver`].
    pub fn send<B>(
        &mut self,
        device: &Device,
        mut pack: impl FnMut(&mut Packer) -> Result<B, Fault>,
    ) -> Result<B, Fault> {
        loop {
            let there = self.there.get_or_insert_with(|| Arena::plan(device));
            there.reset();
            let room = there.bytes();
            let host = self.host.room(device, room)?;
            let mut packer = Packer { device, there, host, bytes: 0, lens: Vec::new() };
            let packed = pack(&mut packer)?;
            let bytes = packer.bytes;
            if bytes <= room {
                if let Some(mut to) = there.front(bytes) {
                    self.host.send(device, &mut to.as_view_mut())?;
                }
                return Ok(packed);
            }
            drop(packed);
            // Before the new one is taken.
            self.there = None;
            let bytes = bytes.next_power_of_two();
            let there = Arena::new(device, bytes, "what a batch says of itself")?;
            self.there = Some(there.unobserved());
        }
    }

    /// The same with memory of its own, which lives as long as what was packed.
    ///
    /// # Errors
    /// The same.
    pub fn alone<B>(
        device: &Device,
        pack: impl FnMut(&mut Packer) -> Result<B, Fault>,
    ) -> Result<B, Fault> {
        Self::default().send(device, pack)
    }

    /// Where the first array lies on the device; 0 before there is one.
    pub fn address(&self) -> u64 {
        self.there.as_ref().map_or(0, Arena::address)
    }
}

/// A parcel that is being packed.
#[derive(Debug)]
pub struct Packer<'a> {
    device: &'a Device,
    there: &'a mut Arena,
    host: &'a mut [u8],
    bytes: usize,
    lens: Vec<usize>,
}

impl Packer<'_> {
    /// Adds an array, and says where it will be on the device. Where there is no room yet the array is empty.
    ///
    /// On a device whose memory is watched each array has memory with bounds of its own.
    ///
    /// # Errors
    /// On such a device, those of memory and the copy.
    pub fn put<T: DeviceRepr>(&mut self, values: &[T]) -> Result<Piece<T>, Fault> {
        self.lens.push(values.len());
        let len_bytes = size_of_val(values);
        if self.device.is_watched() {
            let mut piece =
                Arena::new(self.device, len_bytes, "an array of a batch")?.take(values.len());
            self.device.copy_in(&mut piece.as_view_mut(), values)?;
            return Ok(piece);
        }
        let start = self.bytes;
        self.bytes = (start + len_bytes).next_multiple_of(ALIGNMENT);
        let Some(room) = self.host.get_mut(start..self.bytes) else {
            return Ok(Arena::plan(self.device).take(0));
        };
        // SAFETY: the room holds as many bytes, and nobody but this packer has it.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr().cast(), room.as_mut_ptr(), len_bytes)
        };
        Ok(self.there.take(values.len()))
    }

    /// The lengths of all arrays so far: two parcels that agree in them lie alike.
    pub fn lens(&self) -> &[usize] {
        &self.lens
    }
}
