//! What a test holds: opens the stand-ins so that cudarc finds them, names buffers, takes reports.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::Report;

/// The emulator of this process.
///
/// [`Emulator::install`] opens the two stand-ins under the names `libcuda.so` and `libcublasLt.so`. The dynamic linker then
/// answers a later request for those names with what is open, so that cudarc needs no environment variable and finds the
/// stand-ins even where a real driver is installed; it must come before the first use of cudarc in the process.
#[derive(Debug, Clone, Copy)]
pub struct Emulator {
    driver: &'static libloading::Library,
}

/// A mistake in the launches of a kernel, made on purpose: whoever tests the launches should notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tampering {
    /// Two arguments change places; they must be of one size.
    SwapArguments(usize, usize),
    /// So many blocks more or fewer along an axis, from 0.
    AddBlocks(usize, i32),
    /// One warp less in each block.
    DropWarp,
    /// Four bytes less of dynamic shared memory.
    DropShared,
}

/// Why the stand-ins cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Cargo puts them beside the test's own file or one folder above.
    #[error(
        "{name} is not beside {beside}\nhint: cargo builds it for a crate that has lossbox-cuda-emulator among its dependencies"
    )]
    Missing {
        /// The file that was looked for.
        name: &'static str,
        /// Where.
        beside: PathBuf,
    },
    /// The dynamic linker refused.
    #[error("{path} cannot be opened: {source}")]
    Open {
        /// Of the stand-in.
        path: PathBuf,
        /// The linker's words.
        source: libloading::Error,
    },
    /// Something else was open first.
    #[error(
        "a driver is already open in this process\nhint: install the emulator before cudarc is first used"
    )]
    TooLate,
}

/// Files of the stand-ins, and the names by which cudarc asks for them.
pub const LIBRARIES: [(&str, &str); 2] =
    [("libcuda_stand_in.so", "libcuda.so"), ("libcublaslt_stand_in.so", "libcublasLt.so")];

/// Where cargo put a stand-in: beside this process's own file, or in the folder above or `deps` below it.
///
/// # Errors
///
/// None of these places has it.
pub fn library_path(name: &'static str) -> Result<PathBuf, InstallError> {
    let exe = std::env::current_exe().unwrap_or_default();
    let folder = exe.parent().unwrap_or(Path::new("."));
    let places = [folder.join(name), folder.join("..").join(name), folder.join("deps").join(name)];
    let found = places.into_iter().find(|path| path.is_file());
    found.ok_or(InstallError::Missing { name, beside: exe })
}

impl Emulator {
    /// Opens the stand-ins, once for a process; later calls give the same emulator.
    ///
    /// # Errors
    ///
    /// A stand-in is missing or cannot be opened, or a driver was open before.
    pub fn install() -> Result<Self, InstallError> {
        static OPEN: OnceLock<[libloading::Library; 2]> = OnceLock::new();
        if let Some([driver, _]) = OPEN.get() {
            return Ok(Self { driver });
        }
        let mut libraries = Vec::new();
        for (file, _) in LIBRARIES {
            let path = library_path(file)?;
            // SAFETY: the stand-ins run no code when they are opened.
            let opened = unsafe { libloading::Library::new(&path) };
            libraries.push(opened.map_err(|source| InstallError::Open { path, source })?);
        }
        // SAFETY: what is open under the name by now is the stand-in, or a driver that was opened before.
        let by_name = unsafe { libloading::Library::new(LIBRARIES[0].1) };
        let ours = by_name.is_ok_and(|library| {
            // SAFETY: only asks whether the name is there.
            unsafe { library.get::<*const ()>(b"cuda_emulator_name") }.is_ok()
        });
        let libraries = libraries.try_into().ok().filter(|_| ours).ok_or(InstallError::TooLate)?;
        let [driver, _] = OPEN.get_or_init(|| libraries);
        Ok(Self { driver })
    }

    fn call<T: Copy>(&self, name: &[u8]) -> T {
        // SAFETY: each caller names a function of `driver::control` together with that function's type.
        *unsafe { self.driver.get::<T>(name) }
            .expect("the stand-in is this crate's, so it has the function")
    }

    /// Names a buffer for reports, or a region of an arena. An allocation of which regions are named is checked by them:
    /// what lies between is nobody's. False where no allocation covers the bytes.
    pub fn name(&self, address: u64, bytes: usize, name: &str) -> bool {
        self.call_with_name(b"cuda_emulator_name", address, bytes, name)
    }

    /// Names a region like [`Self::name`] and forgets what was written there: for an arena or a pool that hands it out anew.
    pub fn renew(&self, address: u64, bytes: usize, name: &str) -> bool {
        self.call_with_name(b"cuda_emulator_renew", address, bytes, name)
    }

    fn call_with_name(&self, function: &[u8], address: u64, bytes: usize, name: &str) -> bool {
        type Name = extern "C" fn(u64, u64, *const std::ffi::c_char) -> i32;
        let name = CString::new(name.replace('\0', " ")).unwrap_or_default();
        self.call::<Name>(function)(address, bytes as u64, name.as_ptr()) == 0
    }

    /// All reports since the last time, and an end to the error that they caused.
    ///
    /// # Panics
    ///
    /// If the stand-in's text is not what this crate writes.
    pub fn take_reports(&self) -> Vec<Report> {
        let text = self.take(b"cuda_emulator_take_reports");
        serde_json::from_slice(&text).expect("the stand-in writes what this crate reads")
    }

    /// The names of all kernels that were launched since the last time, in alphabetical order.
    pub fn take_launched(&self) -> Vec<String> {
        let text = self.take(b"cuda_emulator_take_launched");
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// A text that the stand-in writes and then forgets.
    fn take(&self, name: &[u8]) -> Vec<u8> {
        type Take = extern "C" fn(*mut u8, usize, *mut usize) -> i32;
        let take = self.call::<Take>(name);
        let mut bytes = 0;
        take(std::ptr::null_mut(), 0, &mut bytes);
        // Another thread may add to it meanwhile.
        let mut text = vec![0; bytes + (1 << 16)];
        take(text.as_mut_ptr(), text.len(), &mut bytes);
        text.truncate(bytes);
        text
    }

    /// Thread instructions carried out since the process began.
    pub fn n_instructions(&self) -> u64 {
        type Count = extern "C" fn(*mut u64) -> i32;
        let mut count = 0;
        self.call::<Count>(b"cuda_emulator_instructions")(&mut count);
        count
    }

    /// Graphs launched since the process began.
    pub fn n_graph_launches(&self) -> u64 {
        type Count = extern "C" fn(*mut u64) -> i32;
        let mut count = 0;
        self.call::<Count>(b"cuda_emulator_graph_launches")(&mut count);
        count
    }

    /// Sets the compute capability that the device claims; 9.0 without it.
    pub fn set_capability(&self, major: i32, minor: i32) {
        type Set = extern "C" fn(i32, i32) -> i32;
        self.call::<Set>(b"cuda_emulator_set_capability")(major, minor);
    }

    /// Sets whether cuBLASLt says that it has no algorithm for products with an epilogue.
    pub fn refuse_epilogues(&self, refuses: bool) {
        type Set = extern "C" fn(i32) -> i32;
        self.call::<Set>(b"cuda_emulator_refuse_epilogues")(i32::from(refuses));
    }

    /// The next call of a function does nothing and answers with this error: `CUresult` of the driver's functions, by the
    /// names that their libraries export (`cuMemcpyHtoDAsync_v2`), `cublasStatus_t` of cuBLASLt's. Several failures of one
    /// function come one after the other.
    pub fn fail(&self, call: &str, error: i32) {
        type Fail = extern "C" fn(*const std::ffi::c_char, i32) -> i32;
        let call = CString::new(call).unwrap_or_default();
        self.call::<Fail>(b"cuda_emulator_fail")(call.as_ptr(), error);
    }

    /// Sets how much memory the device has: what exceeds it is out of memory. 16 GiB without it.
    pub fn set_memory_bytes(&self, bytes: usize) {
        type Set = extern "C" fn(usize) -> i32;
        self.call::<Set>(b"cuda_emulator_set_memory")(bytes);
    }

    /// Sets the newest CUDA version that the driver says it supports, major and minor; 13.0 without it.
    pub fn set_driver_version(&self, major: i32, minor: i32) {
        type Set = extern "C" fn(i32) -> i32;
        self.call::<Set>(b"cuda_emulator_set_version")(1000 * major + 10 * minor);
    }

    /// Sets the number of warp instructions after which a block is taken not to end; 2³² without it.
    pub fn set_steps_max(&self, steps_max: u64) {
        type Set = extern "C" fn(u64) -> i32;
        self.call::<Set>(b"cuda_emulator_set_steps")(steps_max);
    }

    /// For mutation tests: a module of the original's text is loaded as the replacement from now on, and as itself again
    /// with `None`. Modules that are loaded already stay as they are.
    pub fn substitute(&self, original: &str, replacement: Option<&str>) {
        type Substitute = extern "C" fn(*const std::ffi::c_char, *const std::ffi::c_char) -> i32;
        let text = |text: &str| CString::new(text.replace('\0', " ")).unwrap_or_default();
        let (original, replacement) = (text(original), replacement.map(text));
        let replacement = replacement.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        self.call::<Substitute>(b"cuda_emulator_substitute")(original.as_ptr(), replacement);
    }

    /// For mutation tests: every launch of a kernel goes wrong in this way from now on, and none with `None`.
    pub fn tamper(&self, mistake: Option<(&str, Tampering)>) {
        type Tamper = extern "C" fn(*const std::ffi::c_char, u32, i32, i32) -> i32;
        let tamper = self.call::<Tamper>(b"cuda_emulator_tamper");
        let Some((kernel, tampering)) = mistake else {
            tamper(std::ptr::null(), 0, 0, 0);
            return;
        };
        let kernel = CString::new(kernel).unwrap_or_default();
        let (kind, one, other) = match tampering {
            Tampering::SwapArguments(one, other) => (0, one as i32, other as i32),
            Tampering::AddBlocks(axis, n) => (1, axis as i32, n),
            Tampering::DropWarp => (2, 0, 0),
            Tampering::DropShared => (3, 0, 0),
        };
        tamper(kernel.as_ptr(), kind, one, other);
    }
}
