//! Memory that is taken from the driver once and handed out again and again.
//!
//! An [`Arena`] holds what a pass over a batch writes and reads again: its plan is made first, so that a step that is no
//! larger than one before it takes nothing from the driver. [`Scratch`] is what one launcher needs between two of its
//! kernels; it goes back to the device's pool at the end. One stream in the order of the calls makes both sound: whoever gets
//! a piece next writes it after all that used it before.

use super::{Buffer, Device, Fault, Observer};

use cudarc::driver::{CudaStream, DevicePtr, DeviceRepr};
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Every piece begins at a multiple of this, as cuBLASLt likes it best.
pub(super) const ALIGNMENT: usize = 256;

/// One stretch of a device's memory, handed out piece by piece.
#[derive(Debug)]
pub struct Arena {
    stream: Arc<CudaStream>,
    /// None while a plan is made.
    memory: Option<Arc<Buffer<u8>>>,
    taken: usize,
    n_pieces: usize,
    what: String,
    observer: Option<Observer>,
}

impl Arena {
    /// An arena that only counts what would be taken, and hands out empty pieces.
    pub fn plan(device: &Device) -> Self {
        let stream = device.stream().clone();
        Self { stream, memory: None, taken: 0, n_pieces: 0, what: String::new(), observer: None }
    }

    /// An arena of this size. `what` it is for stands in the message where there is no room.
    ///
    /// # Errors
    /// [`Fault::OutOfMemory`].
    pub fn new(device: &Device, bytes: usize, what: &str) -> Result<Self, Fault> {
        let memory = Some(Arc::new(device.allocate::<u8>(bytes.max(1), what)?));
        let (what, observer) = (what.to_owned(), device.observer);
        Ok(Self { memory, what, observer, ..Self::plan(device) })
    }

    /// Its pieces are not told of one by one: a copy fills them all at once.
    pub(super) fn unobserved(self) -> Self {
        Self { observer: None, ..self }
    }

    /// Bytes that have been taken.
    pub fn taken_bytes(&self) -> usize {
        self.taken
    }

    /// Bytes that there are.
    pub fn bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.len())
    }

    /// Where it begins on the device; 0 of a plan.
    pub fn address(&self) -> u64 {
        self.memory.as_ref().map_or(0, |memory| memory.device_ptr(&self.stream).0)
    }

    /// The first bytes, whoever has taken them: for a copy that fills all pieces at once. None of nothing.
    pub(super) fn front(&self, bytes: usize) -> Option<Piece<u8>> {
        let memory = self.memory.as_ref().filter(|memory| 0 < bytes && bytes <= memory.len())?;
        // SAFETY: the memory is this long and lives as long as the piece does.
        let slice = unsafe { self.stream.upgrade_device_ptr(self.address(), bytes) };
        Some(Piece { slice: ManuallyDrop::new(slice), _memory: Some(memory.clone()) })
    }

    /// Starts over. Pieces that are still held would be written by two owners, which is a programming error and panics.
    pub fn reset(&mut self) {
        let held = self.memory.as_ref().map_or(1, Arc::strong_count);
        assert_eq!(held, 1, "{} pieces of the arena are still held", held - 1);
        (self.taken, self.n_pieces) = (0, 0);
    }

    /// The next `len` numbers; what they hold is for the next kernel to overwrite. More than the plan has room for is a
    /// programming error and panics.
    pub fn take<T: DeviceRepr>(&mut self, len: usize) -> Piece<T> {
        let start = self.taken;
        self.taken = (start + len * size_of::<T>()).next_multiple_of(ALIGNMENT);
        self.n_pieces += 1;
        let (address, len) = match &self.memory {
            None => (0, 0),
            Some(memory) => {
                let bytes = memory.len();
                assert!(start + len * size_of::<T>() <= bytes, "{len} at {start} of {bytes} bytes");
                (memory.device_ptr(&self.stream).0 + start as u64, len)
            }
        };
        if let Some(observer) = self.observer.filter(|_| len > 0) {
            let piece = format!("{}, piece {}", self.what, self.n_pieces);
            observer(address, len * size_of::<T>(), &piece);
        }
        // SAFETY: the memory is this long, aligned, and lives as long as the piece does.
        let slice = unsafe { self.stream.upgrade_device_ptr(address, len) };
        Piece { slice: ManuallyDrop::new(slice), _memory: self.memory.clone() }
    }

    /// The next `len` numbers if they are wanted, else none.
    pub fn take_if<T: DeviceRepr>(&mut self, wanted: bool, len: usize) -> Piece<T> {
        self.take(if wanted { len } else { 0 })
    }
}

/// A part of an [`Arena`].
#[derive(Debug)]
pub struct Piece<T> {
    slice: ManuallyDrop<Buffer<T>>,
    _memory: Option<Arc<Buffer<u8>>>,
}

impl<T> Deref for Piece<T> {
    type Target = Buffer<T>;

    fn deref(&self) -> &Buffer<T> {
        &self.slice
    }
}

impl<T> DerefMut for Piece<T> {
    fn deref_mut(&mut self) -> &mut Buffer<T> {
        &mut self.slice
    }
}

impl<T> Drop for Piece<T> {
    fn drop(&mut self) {
        // SAFETY: taken once, here. The address is the arena's to free.
        unsafe { ManuallyDrop::take(&mut self.slice) }.leak();
    }
}

/// Blocks that nobody holds, with their sizes in bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<(u64, usize)>>>);

impl Pool {
    /// The smallest free block that has room.
    fn take(&self, bytes: usize) -> Option<(u64, usize)> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = free.iter().enumerate().filter(|(_, (_, size))| *size >= bytes);
        let (best, _) = fitting.min_by_key(|(_, (_, size))| *size)?;
        Some(free.swap_remove(best))
    }

    fn give_back(&self, block: (u64, usize)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(block);
    }

    /// The blocks that nobody holds, with their sizes in bytes.
    pub(super) fn blocks(&self) -> Vec<(u64, usize)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Frees all blocks that nobody holds but these.
    pub(super) fn shrink_to(&self, kept: &[(u64, usize)], stream: &Arc<CudaStream>) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, bytes) in free.extract_if(.., |block| !kept.contains(block)) {
            // SAFETY: the block was leaked when it came here, and is freed as the buffer is dropped.
            drop(unsafe { stream.upgrade_device_ptr::<u8>(address, bytes) });
        }
    }
}

/// Memory of the device's pool.
#[derive(Debug)]
pub struct Scratch<T> {
    slice: ManuallyDrop<Buffer<T>>,
    block: (u64, usize),
    /// None where it goes back to the driver.
    pool: Option<Pool>,
}

impl<T: DeviceRepr> Scratch<T> {
    pub(super) fn new(device: &Device, pool: Option<&Pool>, len: usize) -> Result<Self, Fault> {
        const WHAT: &str = "a kernel's scratch memory";
        let Some(pool) = pool else {
            let slice = ManuallyDrop::new(device.allocate(len, WHAT)?);
            return Ok(Self { slice, block: (0, 0), pool: None });
        };
        let bytes = (len * size_of::<T>()).next_multiple_of(ALIGNMENT).max(ALIGNMENT);
        let block = match pool.take(bytes) {
            Some(block) => block,
            None => (device.allocate::<u8>(bytes, WHAT)?.leak(), bytes),
        };
        // What is captured is written in the graph's own time, and others' graphs use the block as well.
        if let Some(observer) = device.observer.filter(|_| !device.is_capturing()) {
            observer(block.0, len * size_of::<T>(), WHAT);
        }
        // SAFETY: the block has room for `len` of T, aligned, and nobody else has it.
        let slice = unsafe { device.stream().upgrade_device_ptr(block.0, len) };
        Ok(Self { slice: ManuallyDrop::new(slice), block, pool: Some(pool.clone()) })
    }
}

impl<T> Deref for Scratch<T> {
    type Target = Buffer<T>;

    fn deref(&self) -> &Buffer<T> {
        &self.slice
    }
}

impl<T> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut Buffer<T> {
        &mut self.slice
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let slice = unsafe { ManuallyDrop::take(&mut self.slice) };
        match &self.pool {
            None => drop(slice),
            Some(pool) => {
                slice.leak();
                pool.give_back(self.block);
            }
        }
    }
}
