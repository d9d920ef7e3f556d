//! Numbers on their way between host and device: pinned memory, so that copies run beside everything else.

use super::{Device, Fault, View, ViewMut};

use cudarc::driver::{
    CudaEvent, DevicePtr, DevicePtrMut, DeviceRepr, PinnedHostSlice, ValidAsZeroBits, result,
};

/// Bytes of a piece of a long array.
const PIECE_BYTES: usize = 4 << 20;

/// Copies a long array to the device in pieces, through two places in turn: one is filled while the other is copied.
pub(super) fn upload_in_pieces<T: DeviceRepr + ValidAsZeroBits>(
    device: &Device,
    to: &mut ViewMut<T>,
    mut values: impl ExactSizeIterator<Item = T>,
) -> Result<(), Fault> {
    assert_eq!(values.len(), to.len(), "the numbers and their place differ in length");
    let (len, piece) = (to.len(), PIECE_BYTES / size_of::<T>());
    let [mut place, mut other] = [Staged::default(), Staged::default()];
    for start in (0..len).step_by(piece) {
        let end = len.min(start + piece);
        let values = values.by_ref().take(end - start);
        place.upload(device, &mut to.slice_mut(start..end), values)?;
        std::mem::swap(&mut place, &mut other);
    }
    Ok(())
}

/// A place on the host that copies lead to, or from. It grows and never shrinks.
#[derive(Debug)]
pub struct Staged<T> {
    place: Option<Place<T>>,
    len: usize,
}

/// Pinned memory, and what says that the last copy is done: the driver's own event of pinned memory is not recorded where
/// there is one stream.
#[derive(Debug)]
struct Place<T> {
    host: PinnedHostSlice<T>,
    copied: CudaEvent,
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        // A copy that is still on its way would use what is somebody else's memory by then. There is nobody to tell of an error.
        let _ = self.copied.synchronize();
    }
}

impl<T> Default for Staged<T> {
    fn default() -> Self {
        Self { place: None, len: 0 }
    }
}

impl<T: DeviceRepr + ValidAsZeroBits> Staged<T> {
    /// Puts a copy to the host into the stream, and does not wait for it.
    ///
    /// # Errors
    /// [`Fault::Driver`].
    pub fn download(&mut self, device: &Device, from: &View<T>) -> Result<(), Fault> {
        let stream = device.stream();
        let to = self.room(device, from.len())?;
        let (from, _used) = from.device_ptr(stream);
        // SAFETY: both hold as many numbers, and the place is neither read nor freed before the event below.
        let copy = unsafe { result::memcpy_dtoh_async(to, from, stream.cu_stream()) };
        copy.map_err(Fault::in_call("cuMemcpyDtoHAsync"))?;
        self.record(device)
    }

    /// Waits for the copy, and for nothing that was put into the stream after it.
    ///
    /// # Errors
    /// [`Fault::Driver`], which may be the error of an earlier kernel.
    pub fn values(&self) -> Result<&[T], Fault> {
        let Some(Place { host, copied }) = &self.place else { return Ok(&[]) };
        copied.synchronize().map_err(Fault::in_call("cuEventSynchronize"))?;
        let values = host.as_slice().map_err(Fault::in_call("cuEventSynchronize"))?;
        Ok(&values[..self.len])
    }

    /// Puts a copy to the device into the stream, and does not wait for it.
    ///
    /// # Errors
    /// [`Fault::Driver`].
    pub fn upload(
        &mut self,
        device: &Device,
        to: &mut ViewMut<T>,
        values: impl ExactSizeIterator<Item = T>,
    ) -> Result<(), Fault> {
        for (place, value) in self.room(device, values.len())?.iter_mut().zip(values) {
            *place = value;
        }
        self.send(device, to)
    }

    /// Room for `len` numbers, once the last copy is done.
    pub(super) fn room(&mut self, device: &Device, len: usize) -> Result<&mut [T], Fault> {
        self.len = len;
        let place = match self.place.take() {
            Some(place) if place.host.len() >= len => place,
            _ => {
                let (context, len) = (device.stream().context(), len.next_power_of_two());
                // SAFETY: only what a copy or a caller has written is read.
                let host = unsafe { context.alloc_pinned_with_flags::<T>(len, 0) };
                let copied = context.new_event(None).map_err(Fault::in_call("cuEventCreate"))?;
                Place { host: host.map_err(Fault::in_call("cuMemHostAlloc"))?, copied }
            }
        };
        let Place { host, copied } = self.place.insert(place);
        copied.synchronize().map_err(Fault::in_call("cuEventSynchronize"))?;
        let all = host.as_mut_slice().map_err(Fault::in_call("cuEventSynchronize"))?;
        Ok(&mut all[..len])
    }

    /// Puts a copy of what was written to the room into the stream, as far as the place there goes.
    pub(super) fn send(&mut self, device: &Device, to: &mut ViewMut<T>) -> Result<(), Fault> {
        let stream = device.stream();
        let place = self.place.as_ref().expect("there is room before something is sent");
        let values = place.host.as_slice().map_err(Fault::in_call("cuEventSynchronize"))?;
        let values = &values[..self.len.min(to.len())];
        assert_eq!(values.len(), to.len(), "the numbers and their place differ in length");
        let (to, _used) = to.device_ptr_mut(stream);
        // SAFETY: the place holds as many numbers, and these are neither changed nor freed before the event below.
        let copy = unsafe { result::memcpy_htod_async(to, values, stream.cu_stream()) };
        copy.map_err(Fault::in_call("cuMemcpyHtoDAsync"))?;
        self.record(device)
    }

    fn record(&self, device: &Device) -> Result<(), Fault> {
        let place = self.place.as_ref().expect("a copy has a place");
        place.copied.record(device.stream()).map_err(Fault::in_call("cuEventRecord"))
    }
}
