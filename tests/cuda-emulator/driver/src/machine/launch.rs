//! One launch: a grid of blocks, one after another.

use super::block::Block;
use super::global::GlobalMemory;
use crate::lanes::{Lanes, WARP};
use crate::ptx::{Kernel, Parameter};
use crate::report::Report;

/// Sizes of a launch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) blocks: [u32; 3],
    pub(crate) threads: [u32; 3],
    /// Dynamic shared memory of each block.
    pub(crate) shared_bytes: u32,
}

/// Reports that one launch collects before it ends early.
const REPORTS_MAX: usize = 64;

/// What all blocks of a launch share.
pub(crate) struct Launch<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) grid: Grid,
    pub(crate) parameters: Vec<u8>,
    pub(crate) constants: Vec<Lanes>,
    pub(crate) memory: &'a mut GlobalMemory,
    pub(crate) reports: Vec<Report>,
    pub(crate) first_instance: u32,
    /// Thread instructions carried out.
    pub(crate) n_instructions: u64,
    /// Warp instructions after which a block is taken not to end.
    pub(crate) steps_max: u64,
}

/// A launch that cannot go on; what is wrong is among its reports.
pub(crate) struct Stop;

impl Launch<'_> {
    /// Notes a finding, each place once for each kind; stops where it is fatal or the last that is wanted.
    pub(crate) fn report(&mut self, report: Report) -> Result<(), Stop> {
        let fatal = report.kind.is_fatal();
        let known = self.reports.iter().any(|known| {
            let place = |report: &Report| (report.kind, report.line);
            place(known) == place(&report)
                && known.instruction == report.instruction
                && known.buffer == report.buffer
        });
        if !known {
            self.reports.push(report);
        }
        match fatal || self.reports.len() >= REPORTS_MAX {
            true => Err(Stop),
            false => Ok(()),
        }
    }
}

/// The bytes of the parameters, each given by its own.
pub(crate) fn parameter_bytes(parameters: &[Parameter], arguments: &[Vec<u8>]) -> Vec<u8> {
    let end = parameters.last().map_or(0, |last| last.offset + last.bytes);
    let mut bytes = vec![0; end];
    for (parameter, argument) in parameters.iter().zip(arguments) {
        bytes[parameter.offset..parameter.offset + parameter.bytes].copy_from_slice(argument);
    }
    bytes
}

/// Runs a kernel. `instance` counts blocks over all launches. Gives the reports and the number of thread instructions.
pub(crate) fn launch(
    kernel: &Kernel,
    grid: Grid,
    arguments: &[Vec<u8>],
    memory: &mut GlobalMemory,
    instance: &mut u32,
    steps_max: u64,
) -> (Vec<Report>, u64) {
    let mut launch = Launch {
        kernel,
        grid,
        parameters: parameter_bytes(&kernel.parameters, arguments),
        constants: kernel.constants.iter().map(|value| [*value; WARP]).collect(),
        memory,
        reports: Vec::new(),
        first_instance: *instance + 1,
        n_instructions: 0,
        steps_max,
    };
    let mut block = Block::new(kernel, grid);
    let [nx, ny, nz] = grid.blocks;
    let places = (0..nz).flat_map(|z| (0..ny).flat_map(move |y| (0..nx).map(move |x| [x, y, z])));
    for place in places {
        *instance += 1;
        if block.run(place, *instance, &mut launch).is_err() {
            break;
        }
    }
    (launch.reports, launch.n_instructions)
}
