//! One card: its context, its stream, its compiled kernels and its products.

use super::compiler::{Compiler, Source, Target};
use super::graph::Captures;
use super::launch::Kernel;
use super::memory::Pool;
use super::products::{Products, Refused};
use super::staging::upload_in_pieces;
use super::{Buffer, Fault, Real, Scratch, View, ViewMut};

use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaStream, DevicePtr, DeviceRepr, ValidAsZeroBits,
};
use cudarc::nvrtc::Ptx;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A card that has been opened.
#[derive(Debug)]
pub struct Device {
    stream: Arc<CudaStream>,
    captures: Captures,
    compiler: Compiler,
    target: Target,
    loaded: Mutex<Loaded>,
    products: Products,
    /// None where scratch memory is watched.
    pool: Option<Pool>,
    pub(super) observer: Option<Observer>,
}

/// Is told of a stretch of memory that is handed out: its address, its bytes, what it is.
pub type Observer = fn(u64, usize, &str);

impl Drop for Device {
    fn drop(&mut self) {
        let pools = self.pool.iter().chain([&self.captures.pool]);
        pools.for_each(|pool| pool.shrink_to(&[], &self.stream));
    }
}

/// Modules by source file and stored number, kernels by name and stored number.
#[derive(Debug, Default)]
struct Loaded {
    modules: HashMap<(&'static str, &'static str), Arc<CudaModule>>,
    kernels: HashMap<(&'static str, &'static str), CudaFunction>,
}

impl Device {
    /// Opens a card by its number, from 0, and keeps compiled kernels in `cache` if there is one. No library of CUDA's is
    /// touched before this.
    ///
    /// # Errors
    /// A [`Fault`] that names what is missing: driver, card, compiler, cuBLASLt.
    pub fn open(ordinal: usize, cache: Option<&Path>) -> Result<Self, Fault> {
        // SAFETY: looks for a library by its names and loads it.
        if !unsafe { sys::is_culib_present() } {
            return Err(Fault::NoDriver);
        }
        let context =
            CudaContext::new(ordinal).map_err(|error| Fault::of_opening(ordinal, error))?;
        let compiler = Compiler::load(cache)?;
        let driver = driver_version()?;
        if driver < compiler.version() {
            return Err(Fault::OldDriver { driver, compiler: compiler.version() });
        }
        let (major, minor) =
            context.compute_capability().map_err(Fault::in_call("cuDeviceGetAttribute"))?;
        let Some(target) = Target::of(major) else {
            let name = context.name().map_err(Fault::in_call("cuDeviceGetName"))?;
            return Err(Fault::OldDevice { name, major, minor });
        };
        // SAFETY: work is carried out by one stream, on which memory is allocated, used and freed in the order of the calls. The
        // other one only captures.
        unsafe { context.disable_event_tracking() };
        let new_stream = || context.new_stream().map_err(Fault::in_call("cuStreamCreate"));
        let (stream, captures) = (new_stream()?, Captures::new(new_stream()?));
        let products = Products::new(&stream, major)?;
        Ok(Self {
            stream,
            captures,
            compiler,
            target,
            loaded: Mutex::default(),
            products,
            pool: Some(Pool::default()),
            observer: None,
        })
    }

    /// The same, for who watches memory: each piece of scratch memory comes from the driver with bounds of its own, and goes
    /// back there. Nothing is captured. Slower.
    pub fn watched(mut self) -> Self {
        self.pool = None;
        self
    }

    /// Tells an observer of each stretch of memory, before anything is written there: a new one, a piece of an arena, or one that
    /// comes from the pool again.
    pub fn observed_by(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    pub(super) fn is_watched(&self) -> bool {
        self.pool.is_none()
    }

    /// The card's name.
    ///
    /// # Errors
    /// [`Fault::Driver`].
    pub fn name(&self) -> Result<String, Fault> {
        self.stream.context().name().map_err(Fault::in_call("cuDeviceGetName"))
    }

    /// Copies numbers to the device, at least one.
    ///
    /// # Errors
    /// [`Fault::OutOfMemory`], or an earlier kernel's error.
    pub fn upload<T: DeviceRepr>(&self, values: &[T]) -> Result<Buffer<T>, Fault> {
        let mut buffer = self.allocate(values.len(), "a copy of the host's numbers")?;
        self.copy_in(&mut buffer.as_view_mut(), values)?;
        Ok(buffer)
    }

    /// Copies many numbers to the device, at least one, through pinned memory of a fixed size.
    ///
    /// # Errors
    /// As [`Self::upload`].
    pub fn upload_many<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        values: impl ExactSizeIterator<Item = T>,
    ) -> Result<Buffer<T>, Fault> {
        let mut buffer = self.allocate(values.len(), "a copy of the host's numbers")?;
        self.copy_in_many(&mut buffer.as_view_mut(), values)?;
        Ok(buffer)
    }

    /// Copies many numbers over what is there, the same way.
    ///
    /// # Errors
    /// [`Fault::Driver`].
    pub fn copy_in_many<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        to: &mut ViewMut<T>,
        values: impl ExactSizeIterator<Item = T>,
    ) -> Result<(), Fault> {
        upload_in_pieces(self, to, values)
    }

    /// Copies numbers over what is there.
    ///
    /// # Errors
    /// [`Fault::Driver`].
    pub fn copy_in<T: DeviceRepr>(&self, to: &mut ViewMut<T>, values: &[T]) -> Result<(), Fault> {
        assert_eq!(to.len(), values.len(), "the numbers and their place differ in length");
        self.stream.memcpy_htod(values, to).map_err(Fault::in_call("cuMemcpyHtoDAsync"))
    }

    /// Copies numbers from one place on the device to another.
    ///
    /// # Errors
    /// [`Fault::Driver`].
    pub fn copy<T: DeviceRepr>(&self, to: &mut ViewMut<T>, from: &View<T>) -> Result<(), Fault> {
        assert_eq!(to.len(), from.len(), "the numbers and their place differ in length");
        self.stream().memcpy_dtod(from, to).map_err(Fault::in_call("cuMemcpyDtoDAsync"))
    }

    /// Writes zeros.
    ///
    /// # Errors
    /// [`Fault::Driver`].
    pub fn clear<T: DeviceRepr + ValidAsZeroBits>(&self, to: &mut ViewMut<T>) -> Result<(), Fault> {
        self.stream().memset_zeros(to).map_err(Fault::in_call("cuMemsetD8Async"))
    }

    /// `len` zeros, at least one.
    ///
    /// # Errors
    /// As [`Self::upload`].
    pub fn zeros<T: DeviceRepr + ValidAsZeroBits>(&self, len: usize) -> Result<Buffer<T>, Fault> {
        let mut buffer = self.allocate(len, "numbers that begin as zero")?;
        self.clear(&mut buffer.as_view_mut())?;
        Ok(buffer)
    }

    /// Memory that a kernel writes before anybody reads it; it goes back to a pool. It is for what comes next in the stream, not
    /// to be kept: captured work has it again whenever it is replayed.
    ///
    /// # Errors
    /// [`Fault::OutOfMemory`].
    pub fn scratch<T: DeviceRepr>(&self, len: usize) -> Result<Scratch<T>, Fault> {
        let pool = if self.is_capturing() { Some(&self.captures.pool) } else { self.pool.as_ref() };
        Scratch::new(self, pool, len)
    }

    /// Memory that is written before anybody reads it. Where there is none left, what the pool keeps goes back first.
    pub(super) fn allocate<T: DeviceRepr>(
        &self,
        len: usize,
        what: &str,
    ) -> Result<Buffer<T>, Fault> {
        // SAFETY: whoever asks for it writes it, or hands it to a kernel that does, before it is read.
        let take = || unsafe { self.stream.alloc(len) };
        let taken = take().or_else(|error| match &self.pool {
            Some(pool) if error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                pool.shrink_to(&[], &self.stream);
                // What is freed in the stream's order is free by then.
                self.stream.synchronize()?;
                take()
            }
            _ => Err(error),
        });
        let (context, bytes) = (self.stream.context(), len * size_of::<T>());
        let taken = taken.map_err(|error| Fault::of_allocation(context, error, bytes, what))?;
        if let Some(observer) = self.observer {
            observer(taken.device_ptr(&self.stream).0, bytes, what);
        }
        Ok(taken)
    }

    /// Waits for all work and copies numbers back.
    ///
    /// # Errors
    /// [`Fault::Driver`], which may be the error of an earlier kernel.
    pub fn download<T: DeviceRepr>(&self, values: &View<T>) -> Result<Vec<T>, Fault> {
        let copy = self.stream.clone_dtoh(values).map_err(Fault::in_call("cuMemcpyDtoHAsync"))?;
        self.synchronize()?;
        Ok(copy)
    }

    /// The same as `f32`.
    ///
    /// # Errors
    /// As [`Self::download`].
    pub fn download_reals<R: Real>(&self, values: &View<R>) -> Result<Vec<f32>, Fault> {
        Ok(self.download(values)?.into_iter().map(Into::into).collect())
    }

    /// Mean seconds of one of `n` runs of `work`, after one that does not count, until the device has done them all.
    ///
    /// # Errors
    /// Those of the work, and [`Fault::Driver`].
    pub fn time(
        &self,
        n: usize,
        mut work: impl FnMut() -> Result<(), Fault>,
    ) -> Result<f64, Fault> {
        // By the host's clock: what reads the device's is another function in drivers before CUDA 12.8.
        work()?;
        self.synchronize()?;
        let start = Instant::now();
        (0..n).try_for_each(|_| work())?;
        self.synchronize()?;
        Ok(start.elapsed().as_secs_f64() / n as f64)
    }

    /// Free bytes and all bytes of the device's memory.
    ///
    /// # Errors
    /// [`Fault::Driver`].
    pub fn memory(&self) -> Result<(usize, usize), Fault> {
        self.stream.context().mem_get_info().map_err(Fault::in_call("cuMemGetInfo"))
    }

    /// Products so far whose epilogue kernels do instead of cuBLASLt.
    pub fn refused_epilogues(&self) -> Vec<Refused> {
        self.products.refused()
    }

    /// Waits for all work.
    ///
    /// # Errors
    /// [`Fault::Driver`], which may be the error of an earlier kernel.
    pub fn synchronize(&self) -> Result<(), Fault> {
        self.stream.synchronize().map_err(Fault::in_call("cuStreamSynchronize"))
    }

    /// Where work goes: what is being captured does not go where the rest does.
    pub(crate) fn stream(&self) -> &Arc<CudaStream> {
        if self.is_capturing() { &self.captures.stream } else { &self.stream }
    }

    pub(super) fn captures(&self) -> &Captures {
        &self.captures
    }

    pub(crate) fn products(&self) -> &Products {
        &self.products
    }

    /// A kernel, compiled and loaded when it is first asked for.
    pub(crate) fn kernel<R: Real>(
        &self,
        source: &Source,
        name: &'static str,
    ) -> Result<Kernel, Fault> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = loaded.kernels.get(&(name, R::NAME)) {
            return Ok(Kernel { function: function.clone(), name, real: R::NAME });
        }
        let module = match loaded.modules.get(&(source.file, R::NAME)) {
            Some(module) => module.clone(),
            None => {
                let ptx = Ptx::from_src(self.compiler.ptx::<R>(source, self.target)?);
                let module = self.stream.context().load_module(ptx);
                let (file, target, real) = (source.file, self.target.name(), R::NAME);
                let module = module.map_err(|error| Fault::Load { file, target, real, error })?;
                loaded.modules.insert((source.file, R::NAME), module.clone());
                module
            }
        };
        let function = module.load_function(name).map_err(Fault::in_call("cuModuleGetFunction"))?;
        loaded.kernels.insert((name, R::NAME), function.clone());
        Ok(Kernel { function, name, real: R::NAME })
    }
}

/// The newest CUDA version that the driver supports, major and minor.
fn driver_version() -> Result<(i32, i32), Fault> {
    let mut version = 0;
    // SAFETY: the pointer is to a live integer.
    let status = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    status.result().map_err(Fault::in_call("cuDriverGetVersion"))?;
    Ok((version / 1000, version % 1000 / 10))
}
