//! Device memory, pinned host memory, copies and fills.

use super::queue::stream_of;
use super::state::{Driver, Work, with};
use super::{Handle, INVALID_VALUE, OUT_OF_MEMORY, SUCCESS, calls, put};

impl Driver {
    /// Whether so many bytes more fit, if need be once the streams have freed what they will.
    fn has_room(&mut self, bytes: usize) -> bool {
        let fits = |driver: &Self| {
            driver.memory.used_bytes.saturating_add(bytes as u64) <= driver.memory_bytes as u64
        };
        if !fits(self) {
            self.drain_all();
        }
        fits(self)
    }
}

fn allocate(to: *mut u64, bytes: usize) -> i32 {
    if bytes == 0 {
        return INVALID_VALUE;
    }
    with(|driver| match driver.has_room(bytes) {
        true => put(to, driver.memory.allocate(bytes, None)),
        false => OUT_OF_MEMORY,
    })
}

/// Unlike the synchronous call, this one allows an empty allocation. While its stream is captured the memory is the graph's.
fn allocate_in(to: *mut u64, bytes: usize, stream: u64) -> i32 {
    let is_captured =
        with(|driver| driver.streams.get(&stream).is_some_and(|stream| stream.capture.is_some()));
    match bytes {
        0 => put(to, 0),
        _ if !is_captured => allocate(to, bytes),
        _ => with(|driver| {
            let address = driver.memory.reserve(bytes);
            match driver.submit(stream, Work::Allocate { address, bytes }) {
                SUCCESS => put(to, address),
                error => error,
            }
        }),
    }
}

fn free_in(address: u64, stream: u64) -> i32 {
    with(|driver| {
        let is_captured =
            driver.streams.get(&stream).is_some_and(|stream| stream.capture.is_some());
        if address == 0 {
            return SUCCESS;
        }
        if is_captured {
            return driver.submit(stream, Work::Free { address });
        }
        if !driver.memory.is_allocated(address) || !driver.freeing.insert(address) {
            return INVALID_VALUE;
        }
        match driver.error {
            SUCCESS => driver.submit(stream, Work::Free { address }),
            // Streams stand still then, and there is nothing that could come before.
            _ => driver.carry_out(&Work::Free { address }),
        }
    })
}

fn submit(stream: Handle, work: Work) -> i32 {
    with(|driver| driver.submit(stream_of(stream), work))
}

/// A copy that the host waits for, in the default stream.
fn copy_now(work: Work) -> i32 {
    with(|driver| {
        if let Some(error) = driver.is_forbidden() {
            return error;
        }
        match driver.submit(super::queue::LEGACY, work) {
            SUCCESS => {
                driver.drain(super::queue::LEGACY);
                driver.error
            }
            error => error,
        }
    })
}

fn fill(to: u64, value: &[u8], count: usize, stream: Handle) -> i32 {
    submit(stream, Work::Fill { to, value: value.to_vec(), count })
}

/// Does what a capture may forbid.
fn unless_forbidden(f: impl FnOnce(&mut Driver) -> i32) -> i32 {
    with(|driver| match driver.is_forbidden() {
        Some(error) => error,
        None => f(driver),
    })
}

calls! {
    fn cuMemAlloc_v2(to: *mut u64, bytes: usize) {
        match unless_forbidden(|_| SUCCESS) {
            SUCCESS => allocate(to, bytes),
            error => error,
        }
    }
    fn cuMemAllocManaged(_to: *mut u64, _bytes: usize, _flags: u32) { super::NOT_SUPPORTED }
    fn cuMemAllocAsync(to: *mut u64, bytes: usize, stream: Handle) { allocate_in(to, bytes, stream_of(stream)) }
    fn cuMemAllocFromPoolAsync(to: *mut u64, bytes: usize, _pool: Handle, stream: Handle) {
        allocate_in(to, bytes, stream_of(stream))
    }
    fn cuMemFree_v2(address: u64) {
        unless_forbidden(|driver| {
            // As on a card, everything that may still use the buffer comes first.
            driver.drain_all();
            if address == 0 || driver.memory.free(address) { SUCCESS } else { INVALID_VALUE }
        })
    }
    fn cuMemFreeAsync(address: u64, stream: Handle) { free_in(address, stream_of(stream)) }
    fn cuMemGetInfo_v2(available: *mut usize, total: *mut usize) {
        let (used, memory_bytes) = with(|driver| (driver.memory.used_bytes as usize, driver.memory_bytes));
        put(available, memory_bytes.saturating_sub(used));
        put(total, memory_bytes)
    }
    fn cuMemGetAddressRange_v2(start: *mut u64, bytes: *mut usize, address: u64) {
        let Some(range) = with(|driver| driver.memory.range(address)) else { return INVALID_VALUE };
        if !start.is_null() {
            put(start, range.start);
        }
        if !bytes.is_null() {
            put(bytes, (range.end - range.start) as usize);
        }
        SUCCESS
    }
    fn cuDeviceGetDefaultMemPool(pool: *mut usize, _device: i32) { put(pool, 1) }
    fn cuDeviceGetMemPool(pool: *mut usize, _device: i32) { put(pool, 1) }
    fn cuDeviceSetMemPool(_device: i32, _pool: Handle) { SUCCESS }
    fn cuMemPoolSetAttribute(_pool: Handle, _attribute: i32, _value: Handle) { SUCCESS }
    fn cuMemPoolTrimTo(_pool: Handle, _bytes: usize) { SUCCESS }
    fn cuMemHostAlloc(to: *mut usize, bytes: usize, _flags: u32) {
        unless_forbidden(|driver| put(to, driver.pinned.allocate(bytes)))
    }
    fn cuMemFreeHost(address: usize) {
        unless_forbidden(|driver| if driver.unpin(address, true) { SUCCESS } else { INVALID_VALUE })
    }
    fn cuMemHostRegister_v2(address: usize, bytes: usize, _flags: u32) {
        const ALREADY_REGISTERED: i32 = 712;
        unless_forbidden(|driver| if driver.pinned.register(address, bytes) { SUCCESS } else { ALREADY_REGISTERED })
    }
    fn cuMemHostUnregister(address: usize) {
        const NOT_REGISTERED: i32 = 713;
        unless_forbidden(|driver| if driver.unpin(address, false) { SUCCESS } else { NOT_REGISTERED })
    }
    fn cuMemcpyHtoD_v2(to: u64, from: usize, bytes: usize) { copy_now(Work::HostToDevice { to, from, bytes }) }
    fn cuMemcpyHtoDAsync_v2(to: u64, from: usize, bytes: usize, stream: Handle) {
        submit(stream, Work::HostToDevice { to, from, bytes })
    }
    fn cuMemcpyDtoH_v2(to: usize, from: u64, bytes: usize) { copy_now(Work::DeviceToHost { to, from, bytes }) }
    fn cuMemcpyDtoHAsync_v2(to: usize, from: u64, bytes: usize, stream: Handle) {
        submit(stream, Work::DeviceToHost { to, from, bytes })
    }
    fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) { copy_now(Work::DeviceToDevice { to, from, bytes }) }
    fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) {
        submit(stream, Work::DeviceToDevice { to, from, bytes })
    }
    fn cuMemcpyPeerAsync(to: u64, _to_context: Handle, from: u64, _from_context: Handle, bytes: usize, stream: Handle) {
        submit(stream, Work::DeviceToDevice { to, from, bytes })
    }
    fn cuMemsetD8_v2(to: u64, value: u8, count: usize) { fill(to, &[value], count, std::ptr::null_mut()) }
    fn cuMemsetD8Async(to: u64, value: u8, count: usize, stream: Handle) { fill(to, &[value], count, stream) }
    fn cuMemsetD16Async(to: u64, value: u16, count: usize, stream: Handle) {
        fill(to, &value.to_le_bytes(), count, stream)
    }
    fn cuMemsetD32Async(to: u64, value: u32, count: usize, stream: Handle) {
        fill(to, &value.to_le_bytes(), count, stream)
    }
}
