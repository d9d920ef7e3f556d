//! How work is cut into blocks and threads, and the launch itself.

use super::{Buffer, Device, Fault, Real, Source, ViewMut};
use cudarc::driver::{CudaFunction, LaunchArgs, LaunchConfig, PushKernelArg};

/// Threads of a warp.
const WARP: usize = 32;
/// Threads of a block, where a row or an array has that many elements. `sample.cu` counts on it.
const THREADS: usize = 256;
/// Threads of a block that gives each of its 8 warps the same columns, a lane each: `column_sum` in `common.cuh`.
const COLUMN_THREADS: usize = 8 * WARP;
/// Blocks that share the rows of a reduction over rows: about four per multiprocessor of a large card, since a block that
/// takes 16 bytes per thread has few warps. It is the same on every card, so that sums are too.
pub(crate) const ROW_BLOCKS: usize = 512;

/// A kernel with its name, for messages.
pub(crate) struct Kernel {
    pub(super) function: CudaFunction,
    pub(super) name: &'static str,
    pub(super) real: &'static str,
}

impl Kernel {
    /// The list that the kernel's arguments are put into, in its own order.
    pub(crate) fn arguments<'a>(&'a self, device: &'a Device) -> LaunchArgs<'a> {
        device.stream().launch_builder(&self.function)
    }

    /// Puts the kernel into the device's stream.
    ///
    /// # Safety
    /// The arguments are the kernel's, in its order, and no thread of the launch leaves their memory.
    pub(crate) unsafe fn launch(
        &self,
        arguments: &mut LaunchArgs,
        launch: Launch,
    ) -> Result<(), Fault> {
        let Launch { blocks, threads, shared_bytes } = launch;
        let config = LaunchConfig {
            grid_dim: (blocks.0, blocks.1, 1),
            block_dim: (threads, 1, 1),
            shared_mem_bytes: shared_bytes,
        };
        // SAFETY: the caller's promise.
        match unsafe { arguments.launch(config) } {
            Ok(_) => Ok(()),
            Err(error) => {
                let (kernel, real) = (self.name, self.real);
                Err(Fault::Launch { kernel, real, blocks, threads, shared_bytes, error })
            }
        }
    }
}

/// Blocks, threads per block and dynamic shared memory per block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Launch {
    pub(crate) blocks: (u32, u32),
    pub(crate) threads: u32,
    pub(crate) shared_bytes: u32,
}

impl Launch {
    /// One block per row, a thread per element as far as they go.
    pub(crate) fn rows(rows: usize, width: usize) -> Self {
        let threads = width.next_multiple_of(WARP).clamp(WARP, THREADS);
        Self { blocks: (count(rows), 1), threads: count(threads), shared_bytes: 0 }
    }

    /// One block per row, a thread per 16 bytes of it if rows are [`aligned_rows`], else per element.
    pub(crate) fn rows_in_sixteens<R: Real>(rows: usize, width: usize, aligned: u32) -> Self {
        let per_thread = if aligned == 1 { 16 / size_of::<R>() } else { 1 };
        Self::rows(rows, width.div_ceil(per_thread))
    }

    /// A block per 32 columns, and per stretch of rows, for `column_sum`.
    pub(crate) fn columns(stretches: usize, width: usize) -> Self {
        let blocks = (count(width.div_ceil(WARP)), count(stretches));
        Self { blocks, threads: count(COLUMN_THREADS), shared_bytes: 0 }
    }

    /// One block of all threads per row, whatever its width.
    pub(crate) fn whole_rows(rows: usize) -> Self {
        Self::rows(rows, THREADS)
    }

    /// One thread per element.
    pub(crate) fn elements(n: usize) -> Self {
        Self::rows(n.div_ceil(THREADS), THREADS)
    }

    /// One thread per 16 bytes of numbers that are stored as R.
    pub(crate) fn sixteens<R: Real>(n: usize) -> Self {
        Self::elements(n.div_ceil(16 / size_of::<R>()))
    }

    /// One warp per task.
    pub(crate) fn warps(tasks: usize) -> Self {
        const WARPS: usize = 4;
        Self::rows(tasks.div_ceil(WARPS), WARPS * WARP)
    }

    /// With dynamic shared memory for `n` floats, where they fit into the 48 KiB that are there without asking, beside the float
    /// per warp of `block_sum`.
    pub(crate) fn with_shared_floats(self, n: usize) -> Option<Self> {
        const FLOATS_MAX: usize = 12_288 - 32;
        (n <= FLOATS_MAX).then(|| Self { shared_bytes: 4 * count(n), ..self })
    }
}

/// How a reduction over rows is cut: every block takes a stretch of rows and leaves one row of partial sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowBlocks {
    pub(crate) blocks: usize,
    pub(crate) rows_per_block: u32,
}

impl RowBlocks {
    pub(crate) fn of(rows: usize) -> Self {
        let rows_per_block = rows.div_ceil(ROW_BLOCKS).max(1);
        Self { blocks: rows.div_ceil(rows_per_block), rows_per_block: count(rows_per_block) }
    }
}

/// The activations, as a header.
pub(crate) const CURVES: &str = include_str!("curve.cuh");

pub(crate) const PARTIALS: Source = Source::new("partials.cu", include_str!("partials.cu"));

/// total[c] += Σ over blocks of partials[b, from + c], in one order. Partials are [blocks, stride].
pub(crate) fn add_partials(
    device: &Device,
    total: &mut ViewMut<f32>,
    partials: &Buffer<f32>,
    blocks: usize,
    from: usize,
) -> Result<(), Fault> {
    let (width, stride) = (total.len(), partials.len() / blocks);
    assert!(from + width <= stride, "columns {from} to {} of {stride}", from + width);
    let (from, n_blocks, n_columns, stride) =
        (count(from), count(blocks), count(width), count(stride));
    let kernel = device.kernel::<f32>(&PARTIALS, "partials_add")?;
    let mut arguments = kernel.arguments(device);
    arguments.arg(total).arg(partials).arg(&from).arg(&n_blocks).arg(&n_columns).arg(&stride);
    // SAFETY: total has `width` columns, partials `blocks` rows of `stride`, and from + width ≤ stride.
    unsafe { kernel.launch(&mut arguments, Launch::columns(1, width)) }
}

/// Whether arrays all begin at whole 16 bytes, so that several numbers can be loaded and stored at once: 1 or 0, as the kernels
/// take it.
pub(crate) fn aligned(starts: &[u64]) -> u32 {
    u32::from(starts.iter().all(|start| start % 16 == 0))
}

/// The same of every row of arrays [rows, width] that are stored as R.
pub(crate) fn aligned_rows<R: Real>(width: usize, starts: &[u64]) -> u32 {
    if (width * size_of::<R>()).is_multiple_of(16) { aligned(starts) } else { 0 }
}

/// A number of rows, columns or tokens as the kernels take it.
#[track_caller]
pub(crate) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or_else(|_| panic!("{n} does not fit into 32 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_evenly_and_completely() {
        for rows in [1, 2, 511, 512, 513, 1023, 1024, 1025, 8192, 100_003] {
            let RowBlocks { blocks, rows_per_block } = RowBlocks::of(rows);
            assert!(blocks <= ROW_BLOCKS && blocks * rows_per_block as usize >= rows);
            assert!(
                (blocks - 1) * (rows_per_block as usize) < rows,
                "an empty block for {rows} rows"
            );
        }
    }

    #[test]
    fn blocks_are_whole_warps() {
        for width in [1, 31, 32, 33, 255, 256, 257, 5000] {
            let Launch { threads, .. } = Launch::rows(3, width);
            assert!(threads % 32 == 0 && (32..=256).contains(&threads));
        }
        assert_eq!(Launch::elements(257).blocks, (2, 1));
        assert_eq!(Launch::warps(5), Launch { blocks: (2, 1), threads: 128, shared_bytes: 0 });
    }

    #[test]
    fn shared_memory_has_its_limit() {
        let launch = Launch::rows(1, 1);
        let shared_bytes = |n| launch.with_shared_floats(n).map(|launch| launch.shared_bytes);
        assert_eq!([12_256, 12_257].map(shared_bytes), [Some((48 << 10) - 128), None]);
    }
}
