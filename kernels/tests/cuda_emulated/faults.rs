//! What a person is told when something is missing, too old, too small or broken: each fault is caused on the stand-ins, and
//! says what happened with its numbers and what to do about it.

use crate::device::device;
use crate::support::skipped;
use cuda_emulator::{Emulator, LIBRARIES, Tampering, library_path};
use kernels::attention::cuda::{HEAD_DIM_MAX, Inputs, Segments};
use kernels::attention::{self, Segment, Shape};
use kernels::cuda::{Device, Fault};
use kernels::residual;
use lossbox_kernels as kernels;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The fault's words hold all of these.
#[track_caller]
fn says(fault: &str, parts: &[&str]) {
    for part in parts {
        assert!(fault.contains(part), "\"{part}\" is not in: {fault}");
    }
}

/// What opening a device says, in a process of its own that finds CUDA's libraries in these folders alone.
fn opened_with(folders: &[&Path]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "faults::opens_a_device", "--nocapture"])
        .env("LD_LIBRARY_PATH", std::env::join_paths(folders).unwrap())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "run by the tests below, each time in a process of its own"]
fn opens_a_device() {
    match Device::open(0, None) {
        Ok(_) => println!("opened"),
        Err(fault) => println!("fault: {fault}"),
    }
}

/// A folder with the stand-ins of these numbers in [`LIBRARIES`], under the names that cudarc asks for.
fn stand_ins(which: &[usize]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for &index in which {
        let (file, name) = LIBRARIES[index];
        symlink(library_path(file).unwrap(), folder.path().join(name)).unwrap();
    }
    folder
}

/// The folder of NVRTC among those that the linker was told of.
fn nvrtc() -> Option<PathBuf> {
    let folders = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let holds = |folder: &PathBuf| {
        let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.any(|file| file.file_name().to_string_lossy().starts_with("libnvrtc.so"))
    };
    std::env::split_paths(&folders).find(holds)
}

#[test]
fn a_library_that_is_not_there_is_named() {
    let what = "a_library_that_is_not_there_is_named";
    let Some(nvrtc) = nvrtc() else {
        return skipped(what, "no folder in LD_LIBRARY_PATH has libnvrtc");
    };
    let (both, driver_alone) = (stand_ins(&[0, 1]), stand_ins(&[0]));
    says(&opened_with(&[&nvrtc, both.path()]), &["opened"]);
    for (folders, parts) in [
        (vec![nvrtc.as_path()], ["libcuda is missing", "install NVIDIA's driver"]),
        (vec![both.path()], ["NVRTC is missing (libnvrtc.so)", "pip install nvidia-cuda-nvrtc"]),
        (
            vec![nvrtc.as_path(), driver_alone.path()],
            ["cuBLASLt is missing (libcublasLt.so)", "pip install nvidia-cublas"],
        ),
    ] {
        let fault = opened_with(&folders);
        if fault.contains("opened") || fault.contains("sees no device") {
            skipped(what, &format!("the machine has what should be missing: {}", parts[0]));
            continue;
        }
        says(&fault, &parts);
    }
}

/// What opening another device says while the emulator pretends something.
fn fault_of_opening(emulator: Emulator, pretend: impl Fn(), stop: impl Fn()) -> String {
    pretend();
    let fault = Device::open(0, None).err();
    stop();
    assert_eq!(emulator.take_reports(), []);
    fault.expect("something is wrong with it").to_string()
}

#[test]
fn what_is_too_old_is_named_with_its_version() {
    let Some(session) = device("what_is_too_old_is_named_with_its_version") else { return };
    let emulator = session.emulator();
    let driver = fault_of_opening(
        emulator,
        || emulator.set_driver_version(12, 4),
        || emulator.set_driver_version(13, 0),
    );
    says(&driver, &["supports CUDA 12.4", "NVRTC writes for", "hint: update the driver"]);
    let card = fault_of_opening(
        emulator,
        || emulator.set_capability(7, 5),
        || emulator.set_capability(9, 0),
    );
    says(&card, &["PTX emulator (CPU)", "7.5", "expected 8.0 or more", "hint: an Ampere card"]);
}

/// What is there and does not start is not said to be missing.
#[test]
fn what_does_not_start_is_told_from_what_is_missing() {
    let Some(session) = device("what_does_not_start_is_told_from_what_is_missing") else { return };
    let emulator = session.emulator();
    const DEVICE_UNAVAILABLE: i32 = 46;
    const NOT_INITIALIZED: i32 = 1;
    const NO_BINARY_FOR_GPU: i32 = 209;
    let context = "cuDevicePrimaryCtxRetain";
    let fault = fault_of_opening(emulator, || emulator.fail(context, DEVICE_UNAVAILABLE), || ());
    says(&fault, &["opening the device failed", "`nvidia-smi` names it"]);
    let fault =
        fault_of_opening(emulator, || emulator.fail("cublasLtCreate", NOT_INITIALIZED), || ());
    says(&fault, &["cuBLASLt does not start", "NOT_INITIALIZED", "a newer driver"]);
    let own = Device::open(0, None).unwrap();
    let (mut x, y) = (own.zeros::<f32>(4).unwrap(), own.zeros::<f32>(4).unwrap());
    emulator.fail("cuModuleLoadData", NO_BINARY_FOR_GPU);
    let loaded = residual::cuda::add(&own, &mut x.as_view_mut(), &y.as_view());
    let fault = loaded.expect_err("the module was not loaded").to_string();
    says(
        &fault,
        &[
            "does not load residual.cu, compiled for sm_90a (f32)",
            "NO_BINARY_FOR_GPU",
            "update the driver",
        ],
    );
}

#[test]
fn a_head_that_is_too_wide_is_refused() {
    let Some(session) = device("a_head_that_is_too_wide_is_refused") else { return };
    let head_dim = HEAD_DIM_MAX + 1;
    let shape = Shape { heads: 1, kv_heads: 1, head_dim, scale: 1.0, softcap: None, window: None };
    let segment = Segment { start: 0, len: 1, prefix_start: 0, prefix_len: 0 };
    let segments = Segments::upload(&session, &[segment]).unwrap();
    let x = session.zeros::<f32>(head_dim).unwrap();
    let (mut y, mut lse) =
        (session.zeros::<f32>(head_dim).unwrap(), session.zeros::<f32>(1).unwrap());
    let inputs = Inputs { q: &x.as_view(), k: &x.as_view(), v: &x.as_view() };
    let (y, lse) = (&mut y.as_view_mut(), &mut lse.as_view_mut());
    let refused = attention::cuda::forward(&session, y, lse, inputs, &segments, &shape);
    let fault = refused.expect_err("no kernel is that wide").to_string();
    says(&fault, &["heads of 257 numbers are wider than the 256", "compute on the CPU"]);
}

#[test]
fn memory_that_runs_out_is_told_with_what_was_needed() {
    let Some(session) = device("memory_that_runs_out_is_told_with_what_was_needed") else { return };
    let (emulator, total) = (session.emulator(), 16 << 30);
    // The products' workspace, when a device is opened.
    let fault = fault_of_opening(
        emulator,
        || emulator.set_memory_bytes(1 << 20),
        || emulator.set_memory_bytes(total),
    );
    says(
        &fault,
        &[
            "no room for cuBLASLt's workspace, 33554432 bytes: 0 of 1048576 are free",
            "hint: smaller batches",
        ],
    );
    let own = Device::open(0, None).unwrap();
    emulator.set_memory_bytes(80 << 20);
    let fault = own.zeros::<f32>(30 << 20).expect_err("120 MiB do not fit into 80");
    let Fault::OutOfMemory { needed_bytes, free_bytes, total_bytes, .. } = &fault else {
        panic!("{fault}");
    };
    assert_eq!((*needed_bytes, *total_bytes), (120 << 20, 80 << 20));
    assert!(*free_bytes < 80 << 20);
    // What fits still does.
    let small = own.upload(&[1.0_f32, 2.0]);
    emulator.set_memory_bytes(total);
    assert_eq!(own.download(&small.unwrap().as_view()).unwrap(), [1.0, 2.0]);
}

#[test]
fn a_launch_that_is_refused_names_kernel_and_shape() {
    let Some(session) = device("a_launch_that_is_refused_names_kernel_and_shape") else { return };
    let mut x = session.zeros::<f32>(4).unwrap();
    let y = session.zeros::<f32>(4).unwrap();
    // A grid without blocks.
    let refused = residual::cuda::add(&session, &mut x.slice_mut(0..0), &y.slice(0..0));
    let fault = refused.expect_err("nothing cannot be launched").to_string();
    says(&fault, &["kernel residual_add (f32) with (0, 1) blocks of 256 threads", "not launched"]);
}

#[test]
fn a_kernel_that_leaves_its_memory_is_told_at_the_next_wait() {
    let what = "a_kernel_that_leaves_its_memory_is_told_at_the_next_wait";
    let Some(session) = device(what) else { return };
    let emulator = session.emulator();
    let own = Device::open(0, None).unwrap();
    let (mut x, y) = (own.zeros::<f32>(400).unwrap(), own.zeros::<f32>(400).unwrap());
    // Its number of elements where its pointer should be.
    emulator.tamper(Some(("residual_add", Tampering::SwapArguments(0, 2))));
    residual::cuda::add(&own, &mut x.as_view_mut(), &y.as_view()).unwrap();
    emulator.tamper(None);
    let fault = own.synchronize().expect_err("the kernel wrote to address 400").to_string();
    says(&fault, &["cuStreamSynchronize failed", "compute-sanitizer", "ILLEGAL_ADDRESS"]);
    assert_eq!(emulator.take_reports().len(), 1);
}
