//! Device memory, pinned host memory, copies and fills.

use super::context::MEMORY_BYTES;
use super::state::{Work, with};
use super::{CAPTURE_UNSUPPORTED, Handle, INVALID_VALUE, OUT_OF_MEMORY, SUCCESS, calls, put};

fn allocate(to: *mut u64, bytes: usize) -> i32 {
    if bytes == 0 {
        return INVALID_VALUE;
    }
    let address = with(|driver| {
        let fits = driver.memory.used_bytes + bytes as u64 <= MEMORY_BYTES as u64;
        fits.then(|| driver.memory.allocate(bytes, None))
    });
    match address {
        Some(address) => put(to, address),
        None => OUT_OF_MEMORY,
    }
}

fn free(address: u64) -> i32 {
    match address == 0 || with(|driver| driver.memory.free(address)) {
        true => SUCCESS,
        false => INVALID_VALUE,
    }
}

fn submit(stream: Handle, work: Work) -> i32 {
    with(|driver| driver.submit(stream as u64, work))
}

fn fill(to: u64, value: &[u8], count: usize, stream: Handle) -> i32 {
    submit(
        stream,
        Work::Fill {
            to,
            value: value.to_vec(),
            count,
        },
    )
}

calls! {
    fn cuMemAlloc_v2(to: *mut u64, bytes: usize) { allocate(to, bytes) }
    fn cuMemAllocManaged(_to: *mut u64, _bytes: usize, _flags: u32) { super::NOT_SUPPORTED }
    fn cuMemAllocAsync(to: *mut u64, bytes: usize, stream: Handle) {
        let capturing = with(|driver| {
            driver.streams.get(&(stream as u64)).is_some_and(|stream| stream.capture.is_some())
        });
        match (capturing, bytes) {
            (true, _) => CAPTURE_UNSUPPORTED,
            // Unlike the synchronous call, this one allows an empty allocation.
            (false, 0) => put(to, 0),
            (false, _) => allocate(to, bytes),
        }
    }
    fn cuMemAllocFromPoolAsync(to: *mut u64, bytes: usize, _pool: Handle, stream: Handle) {
        cuMemAllocAsync(to, bytes, stream)
    }
    fn cuMemFree_v2(address: u64) { free(address) }
    fn cuMemFreeAsync(address: u64, _stream: Handle) { free(address) }
    fn cuMemGetInfo_v2(available: *mut usize, total: *mut usize) {
        let used = with(|driver| driver.memory.used_bytes) as usize;
        put(available, MEMORY_BYTES - used.min(MEMORY_BYTES));
        put(total, MEMORY_BYTES)
    }
    fn cuDeviceGetDefaultMemPool(pool: *mut usize, _device: i32) { put(pool, 1) }
    fn cuDeviceGetMemPool(pool: *mut usize, _device: i32) { put(pool, 1) }
    fn cuDeviceSetMemPool(_device: i32, _pool: Handle) { SUCCESS }
    fn cuMemPoolSetAttribute(_pool: Handle, _attribute: i32, _value: Handle) { SUCCESS }
    fn cuMemPoolTrimTo(_pool: Handle, _bytes: usize) { SUCCESS }
    fn cuMemHostAlloc(to: *mut usize, bytes: usize, _flags: u32) {
        let block = vec![0_u128; bytes.div_ceil(16).max(1)].into_boxed_slice();
        let address = block.as_ptr() as usize;
        with(|driver| driver.pinned.insert(address, block));
        put(to, address)
    }
    fn cuMemFreeHost(address: usize) {
        match with(|driver| driver.pinned.remove(&address)) {
            Some(_) => SUCCESS,
            None => INVALID_VALUE,
        }
    }
    fn cuMemHostRegister_v2(_address: usize, _bytes: usize, _flags: u32) { SUCCESS }
    fn cuMemHostUnregister(_address: usize) { SUCCESS }
    fn cuMemcpyHtoD_v2(to: u64, from: usize, bytes: usize) {
        submit(std::ptr::null_mut(), Work::HostToDevice { to, from, bytes })
    }
    fn cuMemcpyHtoDAsync_v2(to: u64, from: usize, bytes: usize, stream: Handle) {
        submit(stream, Work::HostToDevice { to, from, bytes })
    }
    fn cuMemcpyDtoH_v2(to: usize, from: u64, bytes: usize) {
        submit(std::ptr::null_mut(), Work::DeviceToHost { to, from, bytes })
    }
    fn cuMemcpyDtoHAsync_v2(to: usize, from: u64, bytes: usize, stream: Handle) {
        submit(stream, Work::DeviceToHost { to, from, bytes })
    }
    fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) {
        submit(std::ptr::null_mut(), Work::DeviceToDevice { to, from, bytes })
    }
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
