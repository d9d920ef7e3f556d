//! WASI 0.2 for plugins built against std: every interface is there, and nothing is behind it.
//!
//! No preopened folder, no environment, no argument, no network (its interfaces are not served at all), clocks that
//! stand at zero, random numbers from one seed, an input at its end, and an output of which the beginning is kept to
//! explain a trap. A fresh instance gets a fresh context, so the same call has the same result always and everywhere.
//!
//! Time does not pass while a plugin runs: to wait for a duration is to go on at once, and to count until a clock has
//! moved is to run out of fuel. Nothing here blocks, so nothing outlives the epoch deadline.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock, WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random, sync};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult, subscribe};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io::error;
use wasmtime_wasi_io::bytes::Bytes;

use crate::limits::{WASI_OUTPUT_BYTES_MAX, WASI_RANDOM_BYTES_MAX, WASI_RESOURCES_MAX};

/// The context of one instance.
pub(super) struct EmptyContext {
    context: WasiCtx,
    resources: ResourceTable,
    output: Output,
}

impl EmptyContext {
    pub(super) fn new() -> Self {
        let output = Output::default();
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(WASI_RESOURCES_MAX);
        let context = WasiCtx::builder()
            .wall_clock(Stopped)
            .monotonic_clock(Stopped)
            .secure_random(ChaCha8Rng::seed_from_u64(0))
            .insecure_random(ChaCha8Rng::seed_from_u64(1))
            .insecure_random_seed(2)
            .max_random_size(WASI_RANDOM_BYTES_MAX)
            .stdout(output.clone())
            .stderr(output.clone())
            .build();
        EmptyContext { context, resources, output }
    }

    /// The beginning of what the plugin wrote to both outputs.
    pub(super) fn written(&self) -> String {
        String::from_utf8_lossy(&self.output.lock()).into_owned()
    }
}

impl WasiView for EmptyContext {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.context, table: &mut self.resources }
    }
}

/// Adds every interface that the component gate lets pass: those of [`WASI`](crate::component::WASI), in any 0.2 version.
pub(super) fn link<T: WasiView + 'static>(linker: &mut Linker<T>) -> Result<()> {
    let l = linker;
    error::add_to_linker::<T, Resources>(l, |t| t.ctx().table)?;
    sync::io::poll::add_to_linker::<T, Resources>(l, |t| t.ctx().table)?;
    sync::io::streams::add_to_linker::<T, Resources>(l, |t| t.ctx().table)?;
    monotonic_clock::add_to_linker::<T, StoppedClock>(l, |t| StoppedTime(t.ctx().table))?;
    wall_clock::add_to_linker::<T, WasiClocks>(l, T::clocks)?;
    random::random::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;
    random::insecure::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;
    cli::environment::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::exit::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(l, T::filesystem)?;
    sync::filesystem::types::add_to_linker::<T, WasiFilesystem>(l, T::filesystem)
}

/// Says that an interface's functions need the table of resources and nothing else.
struct Resources;

impl HasData for Resources {
    type Data<'a> = &'a mut ResourceTable;
}

/// The clocks of a moment without duration.
struct Stopped;

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// `wasi:clocks/monotonic-clock` where whoever waits goes on at once: wasmtime-wasi would wait for the real clock.
struct StoppedClock;

impl HasData for StoppedClock {
    type Data<'a> = StoppedTime<'a>;
}

struct StoppedTime<'a>(&'a mut ResourceTable);

impl StoppedTime<'_> {
    fn over(&mut self) -> Result<Resource<DynPollable>> {
        let over = self.0.push(Over)?;
        subscribe(self.0, over)
    }
}

impl monotonic_clock::Host for StoppedTime<'_> {
    fn now(&mut self) -> Result<u64> {
        Ok(HostMonotonicClock::now(&Stopped))
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(HostMonotonicClock::resolution(&Stopped))
    }

    fn subscribe_instant(&mut self, _when: u64) -> Result<Resource<DynPollable>> {
        self.over()
    }

    fn subscribe_duration(&mut self, _duration: u64) -> Result<Resource<DynPollable>> {
        self.over()
    }
}

/// A wait that is over.
struct Over;

#[wasmtime_wasi::async_trait]
impl Pollable for Over {
    async fn ready(&mut self) {}
}

/// Both outputs in one: the beginning is kept, the rest is accepted and dropped.
#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// For WASI 0.3, which is not served.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(MemoryOutputPipe::new(0))
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut kept = self.lock();
        let room = WASI_OUTPUT_BYTES_MAX - kept.len();
        kept.extend(bytes.iter().take(room));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    /// What may be written at once: enough for a line, and no reason to allocate much.
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WASI_OUTPUT_BYTES_MAX)
    }
}

impl Pollable for Output {
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_of_the_list_is_linked() {
        let mut linker = Linker::<EmptyContext>::new(&wasmtime::Engine::default());
        link(&mut linker).expect("no interface twice");
        for interface in crate::component::WASI {
            let mut text = String::from("(component");
            text.push_str(&format!(" (import \"{interface}@0.2.0\" (instance)))"));
            let bytes = wat::parse_str(&text).expect("well formed");
            let component = wasmtime::component::Component::new(linker.engine(), bytes);
            let linked = linker.instantiate_pre(&component.expect("valid"));
            assert!(linked.is_ok(), "{interface}: {:?}", linked.err());
        }
    }

    #[test]
    fn the_beginning_of_the_output_is_kept_and_the_rest_accepted() {
        let mut output = Output::default();
        for _ in 0..3 {
            let bytes = Bytes::from(vec![b'x'; WASI_OUTPUT_BYTES_MAX / 2 + 1]);
            output.write(bytes).expect("accepted");
            assert!(output.check_write().expect("open") > 0);
        }
        assert_eq!(output.lock().len(), WASI_OUTPUT_BYTES_MAX);
    }
}
