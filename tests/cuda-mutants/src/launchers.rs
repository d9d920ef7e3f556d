//! The mistakes that are made in launches: two arguments of one type change places, a block or a warp is missing, a number of
//! shared memory.

use crate::source::{Function, Text};
use crate::{Change, Mutant};
use cuda_emulator::Tampering;
use lossbox_kernels::cuda::Source;
use std::ops::Range;

/// All mistakes in the launches of a source's kernels.
pub fn mutants(source: &Source) -> Vec<Mutant> {
    let parts = source.parts();
    let Some((file, text)) = parts.last().copied() else {
        return Vec::new();
    };
    let parsed = Text::parse(text);
    let whole = source.whole();
    let mut mutants = Vec::new();
    let body_of = |function: &Function| {
        let Range { start, end } = function.body;
        &text[parsed.tokens[start].start..parsed.tokens[end].start]
    };
    let (kernels, helpers): (Vec<_>, Vec<_>) =
        parsed.functions().into_iter().partition(|function| function.is_kernel);
    for kernel in kernels {
        let body = body_of(&kernel);
        let called = helpers.iter().filter(|helper| body.contains(&helper.name)).map(body_of);
        let mut push = |before: &str, after: String, tampering| {
            mutants.push(Mutant {
                file,
                function: kernel.name.clone(),
                nth: 1,
                before: format!("launch: {before}"),
                after: format!("launch: {after}"),
                change: Change::Launch(tampering),
            });
        };
        let parameters = &kernel.parameters;
        for (one, (ty, name)) in parameters.iter().enumerate() {
            let others = parameters.iter().enumerate().skip(one + 1);
            if let Some((other, (_, second))) = others.clone().find(|(_, (other, _))| other == ty) {
                let tampering = Tampering::SwapArguments(one, other);
                push(&format!("{name}, {second}"), format!("{second}, {name}"), tampering);
            }
        }
        push("blocks.x", "blocks.x - 1".to_owned(), Tampering::AddBlocks(0, -1));
        if body.contains("blockIdx.y") || whole.contains("blockIdx.y") && file.starts_with("tensor")
        {
            push("blocks.y", "blocks.y - 1".to_owned(), Tampering::AddBlocks(1, -1));
        }
        // Loops that go on by the block's width do the same work with fewer threads.
        if !called.chain([body]).any(|body| body.contains("blockDim.x)")) {
            push("threads", "threads - 32".to_owned(), Tampering::DropWarp);
        }
        if body.contains("extern __shared__") {
            push("shared bytes", "shared bytes - 4".to_owned(), Tampering::DropShared);
        }
    }
    mutants
}
