//! Graphs: work that captured streams were given, carried out later as often as asked.

use super::capture::exchange_mode;
use super::queue::stream_of;
use super::state::{Driver, Work, with};
use super::{Handle, INVALID_HANDLE, INVALID_VALUE, SUCCESS, UPDATE_FAILURE, calls, get, put};

/// Work with the nodes that it comes after.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) work: Work,
    pub(crate) after: Vec<usize>,
}

/// A graph that can be launched.
pub(crate) struct Executable {
    nodes: Vec<Node>,
    /// A launch frees what the one before left allocated.
    frees_on_launch: bool,
}

/// `CU_GRAPH_INSTANTIATE_FLAG_…`.
const AUTO_FREE_ON_LAUNCH: u64 = 1;
const DEVICE_LAUNCH: u64 = 4;

/// `CUgraphExecUpdateResult`.
const TOPOLOGY_CHANGED: u32 = 2;
const NODE_TYPE_CHANGED: u32 = 3;
const UPDATE_NOT_SUPPORTED: u32 = 6;

/// `CUgraphExecUpdateResultInfo`.
#[repr(C)]
struct UpdateInfo {
    result: u32,
    node: usize,
    from: usize,
}

impl Executable {
    /// An order that the edges allow: of the nodes that could be next, the one that was given last. Branches that nothing
    /// orders thus run the other way round than they were written.
    fn order(&self) -> Vec<usize> {
        let mut done = vec![false; self.nodes.len()];
        let mut order = Vec::with_capacity(done.len());
        while order.len() < done.len() {
            let ready = |index: &usize| {
                !done[*index] && self.nodes[*index].after.iter().all(|before| done[*before])
            };
            let Some(next) = (0..done.len()).rev().find(ready) else {
                break;
            };
            done[next] = true;
            order.push(next);
        }
        order
    }

    /// Memory that the graph allocates, with whether it frees it too.
    fn allocations(&self) -> impl Iterator<Item = u64> {
        self.nodes.iter().filter_map(|node| match node.work {
            Work::Allocate { address, .. } => Some(address),
            _ => None,
        })
    }
}

impl Driver {
    fn launch_graph(&mut self, executable: u64, stream: u64) -> i32 {
        let Some(known) = self.executables.get(&executable) else {
            return INVALID_HANDLE;
        };
        let frees = known.frees_on_launch;
        let allocations: Vec<u64> = known.allocations().collect();
        let work: Vec<Work> =
            known.order().into_iter().map(|index| known.nodes[index].work.clone()).collect();
        if !allocations.is_empty() {
            // What the launch before has left decides, so that has to be known.
            self.drain(stream);
            for address in allocations {
                if !self.memory.is_allocated(address) {
                    continue;
                }
                if !frees {
                    return INVALID_VALUE;
                }
                self.memory.free(address);
            }
        }
        self.n_graph_launches += 1;
        for work in work {
            match self.submit_unchecked(stream, work) {
                SUCCESS => {}
                error => return error,
            }
        }
        SUCCESS
    }

    /// Gives an executable the work of another graph of the same form.
    fn update_graph(&mut self, executable: u64, graph: u64) -> Result<u32, i32> {
        let nodes = self.graphs.get(&graph).cloned().ok_or(INVALID_HANDLE)?;
        let known = self.executables.get_mut(&executable).ok_or(INVALID_HANDLE)?;
        let same_edges = |(new, old): (&Node, &Node)| new.after == old.after;
        let same_kind = |(new, old): (&Node, &Node)| {
            std::mem::discriminant(&new.work) == std::mem::discriminant(&old.work)
        };
        let is_memory =
            |node: &Node| matches!(node.work, Work::Allocate { .. } | Work::Free { .. });
        if nodes.len() != known.nodes.len() || !nodes.iter().zip(&known.nodes).all(same_edges) {
            return Ok(TOPOLOGY_CHANGED);
        }
        if !nodes.iter().zip(&known.nodes).all(same_kind) {
            return Ok(NODE_TYPE_CHANGED);
        }
        if nodes.iter().any(is_memory) {
            return Ok(UPDATE_NOT_SUPPORTED);
        }
        known.nodes = nodes;
        Ok(0)
    }

    fn instantiate(&mut self, to: *mut u64, graph: u64, flags: u64) -> i32 {
        if flags & DEVICE_LAUNCH != 0 {
            return INVALID_VALUE;
        }
        let Some(nodes) = self.graphs.get(&graph).cloned() else {
            return INVALID_HANDLE;
        };
        let handle = self.handle();
        let frees_on_launch = flags & AUTO_FREE_ON_LAUNCH != 0;
        self.executables.insert(handle, Executable { nodes, frees_on_launch });
        put(to, handle)
    }
}

calls! {
    fn cuStreamBeginCapture_v2(stream: Handle, mode: u32) {
        with(|driver| driver.begin_capture(stream_of(stream), mode))
    }
    fn cuStreamEndCapture(stream: Handle, graph: *mut u64) {
        match with(|driver| driver.end_capture(stream_of(stream))) {
            Ok(handle) => put(graph, handle),
            Err(error) => {
                put(graph, 0);
                error
            }
        }
    }
    fn cuStreamIsCapturing(stream: Handle, status: *mut u32) {
        with(|driver| {
            let Some(known) = driver.streams.get(&stream_of(stream)) else { return INVALID_HANDLE };
            let capture = known.capture.and_then(|handle| driver.captures.get(&handle));
            // None, active, invalidated.
            put(status, capture.map_or(0, |capture| 1 + u32::from(capture.is_invalid)))
        })
    }
    fn cuThreadExchangeStreamCaptureMode(mode: *mut u32) {
        match get(mode) {
            Some(new) if new <= 2 => put(mode, exchange_mode(new)),
            _ => INVALID_VALUE,
        }
    }
    fn cuGraphInstantiateWithFlags(executable: *mut u64, graph: u64, flags: u64) {
        with(|driver| driver.instantiate(executable, graph, flags))
    }
    fn cuGraphGetNodes(graph: u64, nodes: *mut u64, count: *mut usize) {
        with(|driver| {
            let Some(known) = driver.graphs.get(&graph) else { return INVALID_HANDLE };
            let room = if nodes.is_null() { 0 } else { get(count).unwrap_or(0) };
            for index in 0..room.min(known.len()) {
                put(nodes.wrapping_add(index), index as u64 + 1);
            }
            put(count, known.len())
        })
    }
    fn cuGraphUpload(executable: u64, _stream: Handle) {
        with(|driver| if driver.executables.contains_key(&executable) { SUCCESS } else { INVALID_HANDLE })
    }
    fn cuGraphLaunch(executable: u64, stream: Handle) {
        with(|driver| driver.launch_graph(executable, stream_of(stream)))
    }
    fn cuGraphExecUpdate_v2(executable: u64, graph: u64, info: Handle) {
        match with(|driver| driver.update_graph(executable, graph)) {
            Err(error) => error,
            Ok(result) => {
                put(info.cast(), UpdateInfo { result, node: 0, from: 0 });
                if result == 0 { SUCCESS } else { UPDATE_FAILURE }
            }
        }
    }
    fn cuGraphExecDestroy(executable: u64) {
        with(|driver| if driver.executables.remove(&executable).is_some() { SUCCESS } else { INVALID_HANDLE })
    }
    fn cuGraphDestroy(graph: u64) {
        with(|driver| if driver.graphs.remove(&graph).is_some() { SUCCESS } else { INVALID_HANDLE })
    }
}
