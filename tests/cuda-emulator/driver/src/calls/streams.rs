//! Streams and events.

use super::queue::{Stream, stream_of};
use super::state::{Event, Work, with};
use super::{
    CAPTURE_UNSUPPORTED, CAPTURED_EVENT, Handle, INVALID_HANDLE, INVALID_VALUE, NOT_READY, SUCCESS,
    calls, put,
};

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;

fn create(to: *mut u64, flags: u32) -> i32 {
    with(|driver| {
        let handle = driver.handle();
        driver.streams.insert(handle, Stream::new(flags & NON_BLOCKING == 0));
        put(to, handle)
    })
}

fn elapsed(to: *mut f32, start: u64, end: u64) -> i32 {
    with(|driver| {
        let known = |event| driver.events.get(&event).filter(|event| event.position.is_some());
        let (Some(start), Some(end)) = (known(start), known(end)) else {
            return INVALID_HANDLE;
        };
        match (start.recorded, end.recorded) {
            (Some(start), Some(end)) => {
                put(to, end.saturating_duration_since(start).as_secs_f32() * 1e3)
            }
            _ => NOT_READY,
        }
    })
}

/// Whether a stream has done its work; with `waits`, after it has.
fn look_at_stream(stream: Handle, waits: bool) -> i32 {
    let stream = stream_of(stream);
    with(|driver| {
        let Some(end) = driver.end_of(stream) else {
            return INVALID_HANDLE;
        };
        if let Some(capture) = driver.streams.get(&stream).and_then(|stream| stream.capture) {
            return driver.spoil(capture, CAPTURE_UNSUPPORTED);
        }
        if let Some(error) = driver.is_forbidden() {
            return error;
        }
        if !waits {
            return driver.query(end);
        }
        driver.run_until(end);
        driver.error
    })
}

/// Whether an event has come; with `waits`, after it has.
fn look_at_event(event: u64, waits: bool) -> i32 {
    with(|driver| {
        let Some(Event { position, captured, .. }) = driver.events.get(&event).cloned() else {
            return INVALID_HANDLE;
        };
        if let Some((capture, _)) = captured {
            return driver.spoil(capture, CAPTURED_EVENT);
        }
        if let Some(error) = driver.is_forbidden() {
            return error;
        }
        match position {
            None => driver.error,
            Some(position) if !waits => driver.query(position),
            Some(position) => {
                driver.run_until(position);
                driver.error
            }
        }
    })
}

calls! {
    fn cuStreamCreate(stream: *mut u64, flags: u32) { create(stream, flags) }
    fn cuStreamCreateWithPriority(stream: *mut u64, flags: u32, _priority: i32) { create(stream, flags) }
    fn cuStreamDestroy_v2(stream: Handle) {
        let stream = stream_of(stream);
        with(|driver| {
            // What it was given is still done.
            driver.drain(stream);
            match stream > super::queue::PER_THREAD && driver.streams.remove(&stream).is_some() {
                true => SUCCESS,
                false => INVALID_HANDLE,
            }
        })
    }
    fn cuStreamSynchronize(stream: Handle) { look_at_stream(stream, true) }
    fn cuStreamQuery(stream: Handle) { look_at_stream(stream, false) }
    fn cuStreamWaitEvent(stream: Handle, event: u64, _flags: u32) {
        let stream = stream_of(stream);
        with(|driver| {
            let Some(known) = driver.streams.get(&stream) else { return INVALID_HANDLE };
            let is_captured = known.capture.is_some();
            match driver.events.get(&event) {
                None => return INVALID_HANDLE,
                Some(Event { position: Some(position), captured: None, .. }) if !is_captured => {
                    let position = *position;
                    driver.wait_for(stream, position);
                    return SUCCESS;
                }
                Some(_) => {}
            }
            driver.wait_captured(stream, event)
        })
    }
    fn cuStreamAttachMemAsync(_stream: Handle, _address: u64, _bytes: usize, _flags: u32) { SUCCESS }
    fn cuLaunchHostFunc(stream: Handle, function: Option<extern "C" fn(Handle)>, data: usize) {
        let Some(function) = function else { return INVALID_VALUE };
        with(|driver| driver.submit(stream_of(stream), Work::HostCall { function, data }))
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
    fn cuEventRecord(event: u64, stream: Handle) {
        let stream = stream_of(stream);
        with(|driver| {
            if !driver.events.contains_key(&event) {
                return INVALID_HANDLE;
            }
            let Some(known) = driver.streams.get(&stream) else { return INVALID_HANDLE };
            if let Some(capture) = known.capture {
                return driver.record_captured(capture, stream, event);
            }
            let position = driver.record(stream, event);
            // It may have been carried out at once.
            let recorded = position.filter(|position| !driver.is_pending(*position)).map(|_| std::time::Instant::now());
            driver.events.insert(event, Event { position, recorded, captured: None });
            SUCCESS
        })
    }
    fn cuEventSynchronize(event: u64) { look_at_event(event, true) }
    fn cuEventQuery(event: u64) { look_at_event(event, false) }
    fn cuEventElapsedTime(milliseconds: *mut f32, start: u64, end: u64) { elapsed(milliseconds, start, end) }
    fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: u64, end: u64) { elapsed(milliseconds, start, end) }
}
