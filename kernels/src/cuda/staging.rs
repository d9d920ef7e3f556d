//! Numbers on their way to the host: pinned memory, so that the copy runs beside everything else.

use super::{Device, Fault, View};

use cudarc::driver::{CudaEvent, DevicePtr, DeviceRepr, PinnedHostSlice, ValidAsZeroBits, result};

/// A place on the host that a device writes into. It grows and never shrinks.
#[derive(Debug)]
pub struct Staged<T> {
    place: Option<Place<T>>,
    len: usize,
}

/// Pinned memory, and what says that the copy to it is done: the driver's own event of pinned memory is not recorded where
/// there is one stream.
#[derive(Debug)]
struct Place<T> {
    host: PinnedHostSlice<T>,
    copied: CudaEvent,
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        // A copy that is still on its way would write where somebody else's memory is. There is nobody to tell of an error.
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
        self.len = from.len();
        let place = match self.place.take() {
            Some(place) if place.host.len() >= self.len => place,
            _ => {
                let (context, len) = (stream.context(), self.len.next_power_of_two());
                // SAFETY: only what a copy has written is read.
                let host = unsafe { context.alloc_pinned_with_flags::<T>(len, 0) };
                let copied = context.new_event(None).map_err(Fault::in_call("cuEventCreate"))?;
                Place { host: host.map_err(Fault::in_call("cuMemHostAlloc"))?, copied }
            }
        };
        let Place { host, copied } = self.place.insert(place);
        copied.synchronize().map_err(Fault::in_call("cuEventSynchronize"))?;
        let to = host.as_mut_slice().map_err(Fault::in_call("cuEventSynchronize"))?;
        let (from, _used) = from.device_ptr(stream);
        // SAFETY: both hold `len` numbers, and the place is neither read nor freed before the event below.
        let copy =
            unsafe { result::memcpy_dtoh_async(&mut to[..self.len], from, stream.cu_stream()) };
        copy.map_err(Fault::in_call("cuMemcpyDtoHAsync"))?;
        copied.record(stream).map_err(Fault::in_call("cuEventRecord"))
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
}
