//! Streams and events.

use std::time::Instant;

use super::state::{Event, Stream, Work, with};
use super::{CAPTURE_ISOLATION, CAPTURE_UNSUPPORTED, Handle, INVALID_HANDLE, SUCCESS, calls, put};

fn create(to: *mut u64) -> i32 {
    with(|driver| {
        let handle = driver.handle();
        driver.streams.insert(handle, Stream::default());
        put(to, handle)
    })
}

fn elapsed(to: *mut f32, start: u64, end: u64) -> i32 {
    with(|driver| {
        let time = |event| driver.events.get(&event).and_then(|event| event.recorded);
        match (time(start), time(end)) {
            (Some(start), Some(end)) => {
                put(to, end.saturating_duration_since(start).as_secs_f32() * 1e3)
            }
            _ => INVALID_HANDLE,
        }
    })
}

calls! {
    fn cuStreamCreate(stream: *mut u64, _flags: u32) { create(stream) }
    fn cuStreamCreateWithPriority(stream: *mut u64, _flags: u32, _priority: i32) { create(stream) }
    fn cuStreamDestroy_v2(stream: u64) {
        with(|driver| if driver.streams.remove(&stream).is_some() { SUCCESS } else { INVALID_HANDLE })
    }
    fn cuStreamSynchronize(stream: u64) {
        with(|driver| match driver.streams.get(&stream) {
            Some(Stream { capture: Some(_) }) => CAPTURE_UNSUPPORTED,
            _ => driver.error,
        })
    }
    fn cuStreamQuery(stream: u64) { cuStreamSynchronize(stream) }
    fn cuStreamWaitEvent(stream: u64, event: u64, _flags: u32) {
        with(|driver| {
            let Some(event) = driver.events.get(&event).copied() else { return INVALID_HANDLE };
            let captured = driver.streams.get(&stream).and_then(|stream| stream.capture);
            match (captured, event.capture) {
                // A stream that waits for captured work is captured too.
                (None, Some(graph)) => {
                    driver.streams.entry(stream).or_default().capture = Some((graph, false));
                    SUCCESS
                }
                (Some((graph, _)), Some(other)) if graph != other => CAPTURE_ISOLATION,
                (Some(_), None) if event.recorded.is_some() => CAPTURE_ISOLATION,
                _ => SUCCESS,
            }
        })
    }
    fn cuStreamAttachMemAsync(_stream: Handle, _address: u64, _bytes: usize, _flags: u32) { SUCCESS }
    fn cuLaunchHostFunc(stream: u64, function: Option<extern "C" fn(Handle)>, data: usize) {
        let Some(function) = function else { return super::INVALID_VALUE };
        // Called without the lock: it may call the driver.
        let capturing = with(|driver| driver.streams.get(&stream).is_some_and(|stream| stream.capture.is_some()));
        if capturing {
            return with(|driver| driver.submit(stream, Work::HostCall { function, data }));
        }
        function(data as Handle);
        SUCCESS
    }
    fn cuEventCreate(event: *mut u64, _flags: u32) {
        with(|driver| {
            let handle = driver.handle();
            driver.events.insert(handle, Event::default());
            put(event, handle)
        })
    }
    fn cuEventDestroy_v2(event: u64) {
        with(|driver| if driver.events.remove(&event).is_some() { SUCCESS } else { INVALID_HANDLE })
    }
    fn cuEventRecord(event: u64, stream: u64) {
        with(|driver| {
            let capture = driver.streams.get(&stream).and_then(|stream| stream.capture);
            let Some(event) = driver.events.get_mut(&event) else { return INVALID_HANDLE };
            event.capture = capture.map(|(graph, _)| graph);
            event.recorded = capture.is_none().then(Instant::now);
            SUCCESS
        })
    }
    fn cuEventSynchronize(event: u64) {
        with(|driver| match driver.events.get(&event) {
            None => INVALID_HANDLE,
            Some(Event { capture: Some(_), .. }) => CAPTURE_UNSUPPORTED,
            Some(_) => driver.error,
        })
    }
    fn cuEventQuery(event: u64) { cuEventSynchronize(event) }
    fn cuEventElapsedTime(milliseconds: *mut f32, start: u64, end: u64) { elapsed(milliseconds, start, end) }
    fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: u64, end: u64) { elapsed(milliseconds, start, end) }
}
