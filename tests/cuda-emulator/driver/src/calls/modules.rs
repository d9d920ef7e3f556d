//! Modules, functions and launches.

use std::ffi::c_char;
use std::sync::Arc;

use super::context::{SHARED_BYTES, SHARED_BYTES_MAX};
use super::queue::stream_of;
use super::state::{Function, Tampering, Work, host_report, with};
use super::{
    Handle, INVALID_HANDLE, INVALID_PTX, INVALID_VALUE, NOT_FOUND, NOT_SUPPORTED, OUT_OF_RESOURCES,
    SUCCESS, calls, get, get_bytes, get_text, put,
};
use crate::machine::Grid;
use crate::ptx::{Module, PtxError};
use crate::report::{Report, ReportKind};

fn load(to: *mut u64, source: &str) -> i32 {
    with(|driver| {
        if let Some(error) = driver.is_forbidden() {
            return error;
        }
        let substitute = driver.substitutes.get(source).cloned();
        let source = substitute.as_deref().unwrap_or(source);
        let memory = &mut driver.memory;
        let mut place = |variable: &crate::ptx::Variable| {
            let n = variable.bytes.len();
            let address = memory.allocate(n, Some(variable.name.clone()));
            if let Ok(place) = memory.place(address, n) {
                place.bytes.copy_from_slice(&variable.bytes);
                place.shadow.set_written(0, n, true);
            }
            address
        };
        match Module::parse(source, &mut place) {
            Ok(module) => {
                if let Some(report) = too_much_shared(&module) {
                    for (_, address) in &module.variables {
                        driver.memory.free(*address);
                    }
                    driver.reports.push(report);
                    return INVALID_PTX;
                }
                let handle = driver.handle();
                driver.modules.insert(handle, Arc::new(module));
                put(to, handle)
            }
            Err(error) => {
                driver.reports.push(unsupported("cuModuleLoadData", &error));
                INVALID_PTX
            }
        }
    })
}

/// What the assembler says of a kernel that declares more shared memory than there is without asking: then no kernel of the
/// module can be used.
fn too_much_shared(module: &Module) -> Option<Report> {
    let kernels = module
        .kernels
        .iter()
        .filter_map(|(name, kernel)| Some((kernel.as_ref().ok()?.shared_static_bytes, name)));
    let (bytes, name) = kernels.max()?;
    let detail = format!(
        "{bytes} bytes of shared memory are declared, ptxas allows {SHARED_BYTES}; a launch can ask for more"
    );
    (bytes > u64::from(SHARED_BYTES))
        .then(|| host_report(ReportKind::Unsupported, name, String::new(), 0, detail))
}

fn unsupported(call: &str, error: &PtxError) -> Report {
    let report = host_report(ReportKind::Unsupported, call, String::new(), 0, error.what.clone());
    Report { line: error.line, ..report }
}

fn find(to: *mut u64, module: u64, name: &str) -> i32 {
    with(|driver| {
        let Some(module) = driver.modules.get(&module) else {
            return INVALID_HANDLE;
        };
        match module.kernels.get(name) {
            None => NOT_FOUND,
            Some(Err(error)) => {
                let report = unsupported(name, error);
                driver.reports.push(report);
                NOT_SUPPORTED
            }
            Some(Ok(kernel)) => {
                let dynamic_shared_max =
                    SHARED_BYTES.saturating_sub(kernel.shared_static_bytes as u32);
                let function =
                    Function { module: module.clone(), name: name.to_owned(), dynamic_shared_max };
                let handle = driver.handle();
                driver.functions.insert(handle, function);
                put(to, handle)
            }
        }
    })
}

fn launch(function: u64, grid: Grid, stream: Handle, arguments: *const *const u8) -> i32 {
    with(|driver| {
        let Some(function) = driver.functions.get(&function).cloned() else {
            return INVALID_HANDLE;
        };
        let Some(kernel) = function.kernel() else {
            return INVALID_HANDLE;
        };
        let n_threads: u64 = grid.threads.iter().map(|n| u64::from(*n)).product();
        let [_, y, z] = grid.blocks;
        let empty = grid.blocks.contains(&0) || n_threads == 0;
        if empty || y > 65535 || z > 65535 || n_threads > 1024 || grid.threads[2] > 64 {
            return INVALID_VALUE;
        }
        if grid.shared_bytes > function.dynamic_shared_max {
            return INVALID_VALUE;
        }
        if n_threads > u64::from(kernel.n_threads_max) {
            return OUT_OF_RESOURCES;
        }
        let mut values = Vec::new();
        for (place, parameter) in kernel.parameters.iter().enumerate() {
            let Some(argument) = get(arguments.wrapping_add(place)) else {
                return INVALID_VALUE;
            };
            values.push(get_bytes(argument, parameter.bytes));
        }
        let (mut grid, mut values) = (grid, values);
        if let Some((name, tampering)) = &driver.tampering
            && *name == function.name
            && !tamper(*tampering, &mut grid, &mut values)
        {
            return SUCCESS;
        }
        driver.launched.insert(function.name.clone());
        driver.submit(stream_of(stream), Work::Launch { function, grid, arguments: values })
    })
}

/// Spoils a launch; false where nothing is left of it.
fn tamper(tampering: Tampering, grid: &mut Grid, arguments: &mut [Vec<u8>]) -> bool {
    match tampering {
        Tampering::SwapArguments(one, other) => arguments.swap(one, other),
        Tampering::AddBlocks(axis, n) => {
            grid.blocks[axis] = grid.blocks[axis].saturating_add_signed(n);
        }
        Tampering::DropWarp => grid.threads[0] = grid.threads[0].saturating_sub(32),
        Tampering::DropShared => grid.shared_bytes = grid.shared_bytes.saturating_sub(4),
    }
    !grid.blocks.contains(&0) && grid.threads[0] > 0
}

calls! {
    fn cuModuleLoadData(module: *mut u64, image: *const c_char) {
        match get_text(image) {
            Some(source) => load(module, &source),
            None => INVALID_VALUE,
        }
    }
    fn cuModuleLoad(module: *mut u64, path: *const c_char) {
        match get_text(path).and_then(|path| std::fs::read_to_string(path).ok()) {
            Some(source) => load(module, &source),
            None => NOT_FOUND,
        }
    }
    fn cuModuleLoadDataEx(module: *mut u64, image: *const c_char, _n: u32, _options: Handle, _values: Handle) {
        cuModuleLoadData(module, image)
    }
    fn cuModuleUnload(module: u64) {
        with(|driver| {
            if let Some(error) = driver.is_forbidden() {
                return error;
            }
            driver.drain_all();
            let Some(module) = driver.modules.remove(&module) else { return INVALID_HANDLE };
            for (_, address) in &module.variables {
                driver.memory.free(*address);
            }
            SUCCESS
        })
    }
    fn cuModuleGetFunction(function: *mut u64, module: u64, name: *const c_char) {
        match get_text(name) {
            Some(name) => find(function, module, &name),
            None => INVALID_VALUE,
        }
    }
    fn cuModuleGetGlobal_v2(address: *mut u64, bytes: *mut usize, module: u64, name: *const c_char) {
        let name = get_text(name).unwrap_or_default();
        let found = with(|driver| {
            let module = driver.modules.get(&module)?;
            let (variable, address) = module.variables.iter().find(|(variable, _)| variable.name == name)?;
            Some((*address, variable.bytes.len()))
        });
        let Some((start, n)) = found else { return NOT_FOUND };
        if !bytes.is_null() {
            put(bytes, n);
        }
        if address.is_null() { SUCCESS } else { put(address, start) }
    }
    fn cuFuncGetAttribute(value: *mut i32, attribute: i32, function: u64) {
        with(|driver| {
            let Some(function) = driver.functions.get(&function) else { return INVALID_HANDLE };
            let Some(kernel) = function.kernel() else { return INVALID_HANDLE };
            put(value, match attribute {
                0 => kernel.n_threads_max as i32,
                1 => kernel.shared_static_bytes as i32,
                3 => kernel.local_bytes as i32,
                8 => function.dynamic_shared_max as i32,
                _ => 0,
            })
        })
    }
    fn cuFuncSetAttribute(function: u64, attribute: i32, value: i32) {
        with(|driver| {
            let Some(function) = driver.functions.get_mut(&function) else { return INVALID_HANDLE };
            if attribute != 8 {
                return SUCCESS;
            }
            let fixed = function.kernel().map_or(0, |kernel| kernel.shared_static_bytes as u32);
            let value = u32::try_from(value).unwrap_or(u32::MAX);
            if value > SHARED_BYTES_MAX.saturating_sub(fixed) {
                return INVALID_VALUE;
            }
            function.dynamic_shared_max = value;
            SUCCESS
        })
    }
    fn cuFuncSetCacheConfig(_function: u64, _config: u32) { SUCCESS }
    fn cuLaunchKernel(
        function: u64, gx: u32, gy: u32, gz: u32, bx: u32, by: u32, bz: u32, shared_bytes: u32, stream: Handle,
        arguments: *const *const u8, extra: Handle,
    ) {
        if !extra.is_null() {
            return NOT_SUPPORTED;
        }
        let grid = Grid { blocks: [gx, gy, gz], threads: [bx, by, bz], shared_bytes };
        launch(function, grid, stream, arguments)
    }
    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(count: *mut i32, _function: u64, threads: i32, _shared: usize) {
        put(count, (2048 / threads.max(1)).min(32))
    }
    fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        count: *mut i32, _function: u64, threads: i32, _shared: usize, _flags: u32,
    ) {
        put(count, (2048 / threads.max(1)).min(32))
    }
}
