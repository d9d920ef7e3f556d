//! Graphs: work that a captured stream was given, carried out later in the order in which it was given.

use super::state::{Event, with};
use super::{
    CAPTURE_UNMATCHED, CAPTURE_UNSUPPORTED, INVALID_HANDLE, INVALID_VALUE, SUCCESS, calls, put,
};

calls! {
    fn cuStreamBeginCapture_v2(stream: u64, _mode: u32) {
        with(|driver| {
            let graph = driver.handle();
            // The default stream cannot be captured.
            let Some(stream) = driver.streams.get_mut(&stream) else { return CAPTURE_UNSUPPORTED };
            if stream.capture.is_some() {
                return INVALID_VALUE;
            }
            stream.capture = Some((graph, true));
            driver.graphs.insert(graph, Vec::new());
            SUCCESS
        })
    }
    fn cuStreamEndCapture(stream: u64, graph: *mut u64) {
        with(|driver| {
            let Some(known) = driver.streams.get(&stream) else { return INVALID_HANDLE };
            let Some((captured, true)) = known.capture else { return CAPTURE_UNMATCHED };
            for stream in driver.streams.values_mut() {
                stream.capture = stream.capture.filter(|(other, _)| *other != captured);
            }
            for event in driver.events.values_mut() {
                if event.capture == Some(captured) {
                    *event = Event::default();
                }
            }
            put(graph, captured)
        })
    }
    fn cuStreamIsCapturing(stream: u64, status: *mut u32) {
        let capturing = with(|driver| driver.streams.get(&stream).is_some_and(|stream| stream.capture.is_some()));
        put(status, u32::from(capturing))
    }
    fn cuGraphInstantiateWithFlags(executable: *mut u64, graph: u64, flags: u64) {
        with(|driver| {
            // Bit 2 asks for a launch from the device.
            if flags & 4 != 0 {
                return INVALID_VALUE;
            }
            let Some(work) = driver.graphs.get(&graph).cloned() else { return INVALID_HANDLE };
            let handle = driver.handle();
            driver.executables.insert(handle, work);
            put(executable, handle)
        })
    }
    fn cuGraphUpload(_executable: u64, _stream: u64) { SUCCESS }
    fn cuGraphLaunch(executable: u64, stream: u64) {
        with(|driver| {
            let Some(work) = driver.executables.get(&executable).cloned() else { return INVALID_HANDLE };
            for work in work {
                match driver.submit(stream, work) {
                    SUCCESS => {}
                    error => return error,
                }
            }
            SUCCESS
        })
    }
    fn cuGraphExecDestroy(executable: u64) {
        with(|driver| if driver.executables.remove(&executable).is_some() { SUCCESS } else { INVALID_HANDLE })
    }
    fn cuGraphDestroy(graph: u64) {
        with(|driver| if driver.graphs.remove(&graph).is_some() { SUCCESS } else { INVALID_HANDLE })
    }
}
