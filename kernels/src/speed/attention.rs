//! Attention over whole sequences, in each of its versions.

use super::{Bench, Sizes, numbers};
use crate::attention::{self, Segment};
use crate::cuda::Fault;

impl Bench<'_> {
    /// Heads of 64 and of 128 have kernels on tensor cores, others the exact version.
    pub(super) fn attention(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let Sizes { heads, .. } = *sizes;
        self.heads(sizes, heads, ["attention forward", "attention backward"])?;
        let names = ["attention forward, heads of 128", "attention backward, heads of 128"];
        self.heads(sizes, heads / 2, names)?;
        self.heads(sizes, 2 * heads, ["attention forward, exact", "attention backward, exact"])
    }

    fn heads(
        &mut self,
        sizes: &Sizes,
        heads: usize,
        [forward, backward]: [&'static str; 2],
    ) -> Result<(), Fault> {
        let (device, n) = (self.device, sizes.rows * sizes.width);
        let segments: Vec<Segment> = (0..sizes.rows / sizes.sequence)
            .map(|i| Segment {
                start: i * sizes.sequence,
                len: sizes.sequence,
                prefix_start: 0,
                prefix_len: 0,
            })
            .collect();
        let segments = attention::cuda::Segments::upload(device, &segments)?;
        let shape = attention::Shape {
            heads,
            kv_heads: heads,
            head_dim: sizes.width / heads,
            scale: 0.125,
            softcap: None,
            window: None,
        };
        let [q, k, v, dy] =
            [numbers(device, n)?, numbers(device, n)?, numbers(device, n)?, numbers(device, n)?];
        let [mut y, mut dq, mut dk, mut dv] =
            [numbers(device, n)?, numbers(device, n)?, numbers(device, n)?, numbers(device, n)?];
        let mut lse = device.zeros::<f32>(sizes.rows * heads)?;
        let qkv = [&q.as_view(), &k.as_view(), &v.as_view()];
        let inputs = attention::cuda::Inputs { q: qkv[0], k: qkv[1], v: qkv[2] };
        // Half of all pairs of tokens see each other.
        let flop = 2 * n * sizes.sequence;
        self.add(forward, [8 * n + 4 * lse.len(), flop], || {
            let (y, lse) = (&mut y.as_view_mut(), &mut lse.as_view_mut());
            attention::cuda::forward(device, y, lse, inputs, &segments, &shape)
        })?;
        self.add(backward, [16 * n + 4 * lse.len(), flop * 5 / 2], || {
            let (dq, dk, dv) =
                (&mut dq.as_view_mut(), &mut dk.as_view_mut(), &mut dv.as_view_mut());
            let gradients = attention::cuda::Gradients { dq, dk, dv };
            let outputs = attention::cuda::Outputs { y: &y.as_view(), lse: &lse.as_view() };
            let dy = &dy.as_view();
            attention::cuda::backward(device, gradients, dy, outputs, inputs, &segments, &shape)
        })
    }
}
