//! What the checkers say: data, not text, so that a test can ask for the kind, the line and the thread.

use serde::{Deserialize, Serialize};

/// One finding about a kernel, a copy or a matrix product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What kind of mistake.
    pub kind: ReportKind,
    /// The kernel, or the call of the host.
    pub kernel: String,
    /// The line of the module's PTX, counted from 1; zero where there is none.
    pub line: u32,
    /// The PTX statement.
    pub instruction: String,
    /// The block's place in the grid.
    pub block: [u32; 3],
    /// The thread's place in its block.
    pub thread: [u32; 3],
    /// The buffer's or shared variable's name; empty where no memory is concerned.
    pub buffer: String,
    /// Bytes from the buffer's start.
    pub offset: i64,
    /// In words: the other thread of a race, the size of the buffer, the reason.
    pub detail: String,
}

/// Kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportKind {
    /// An address that no buffer of the space covers.
    OutOfBounds,
    /// An address that is not a multiple of the access's size.
    Misaligned,
    /// Bytes that nothing has written.
    UninitialisedRead,
    /// Two accesses, one of them a write, that no barrier orders.
    Race,
    /// Threads of a block wait at different barriers, or some have ended while others wait.
    DivergentBarrier,
    /// A warp instruction whose named lanes do not all arrive.
    DivergentWarp,
    /// `trap`, a parameter out of range, or a launch that did not end.
    Trap,
    /// The host changed or freed memory that an asynchronous copy still used.
    HostRace,
    /// An instruction or a call that is not emulated.
    Unsupported,
}

impl ReportKind {
    /// Whether the launch ends here: what comes next would be meaningless.
    pub(crate) fn is_fatal(self) -> bool {
        !matches!(self, Self::UninitialisedRead | Self::Race)
    }

    /// The error that a card would give, or the nearest to it: `CUDA_ERROR_…` of the driver's interface.
    pub(crate) fn error(self) -> i32 {
        match self {
            Self::OutOfBounds | Self::UninitialisedRead => 700,
            Self::Misaligned => 716,
            Self::Race | Self::DivergentBarrier | Self::DivergentWarp => 719,
            Self::Trap | Self::HostRace => 719,
            Self::Unsupported => 801,
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, kernel, line, instruction, block, thread, buffer, offset, detail } = self;
        write!(
            f,
            "{kind:?} in {kernel}, PTX line {line} `{instruction}`, block {block:?}, thread {thread:?}"
        )?;
        if !buffer.is_empty() {
            write!(f, ", {buffer} at byte {offset}")?;
        }
        write!(f, ": {detail}")
    }
}
