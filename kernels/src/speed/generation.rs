//! The operations of generation: one token per sequence against what came before it, and what is drawn from its logits.

use super::{Bench, Sizes, numbers};
use crate::cuda::{Fault, Ids};
use crate::{attention, decode, logprob, sample};

impl Bench<'_> {
    /// The last token of full caches.
    pub(super) fn decoding(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, Sizes { width, heads, sequence, .. }) = (self.device, *sizes);
        let sequences = (sizes.rows / 64).max(1);
        let (n, cached) = (sequences * width, sequences * sequence * width);
        let (q, mut y) = (numbers(device, n)?, numbers(device, n)?);
        let (mut k, v) = (numbers(device, cached)?, numbers(device, cached)?);
        let filled = vec![sequence as u32; sequences];
        let positions: Vec<u32> = filled.iter().map(|length| length - 1).collect();
        let positions = Ids::upload(device, &positions, sequence)?;
        let lengths = Ids::upload(device, &filled, sequence + 1)?;
        self.add("decode append", [4 * n, 0], || {
            decode::cuda::append(device, &mut k.as_view_mut(), &q.as_view(), &positions, sequence)
        })?;
        let shape = attention::Shape {
            heads,
            kv_heads: heads,
            head_dim: width / heads,
            scale: 0.125,
            softcap: None,
            window: None,
        };
        self.add("decode forward", [4 * cached + 4 * n, 4 * cached], || {
            let (k, v) = (&k.as_view(), &v.as_view());
            let cache = decode::cuda::Cache { k, v, capacity: sequence };
            let (y, q) = (&mut y.as_view_mut(), &q.as_view());
            decode::cuda::forward(device, y, q, cache, &lengths, &shape)
        })
    }

    /// From logits to tokens.
    pub(super) fn drawing(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, vocabulary) = (self.device, sizes.vocabulary);
        let rows = (sizes.rows / 16).max(1);
        let n = rows * vocabulary;
        let mut logits = device.zeros::<f32>(n)?;
        let uniforms = device.zeros::<f64>(rows)?;
        let (mut ids, mut logp) = (device.zeros::<u32>(rows)?, device.zeros::<f32>(rows)?);
        self.add("logits, capped", [8 * n, 3 * n], || {
            logprob::cuda::cap(device, &mut logits.as_view_mut(), 30.0)
        })?;
        self.add("sample divide", [8 * n, n], || {
            sample::cuda::divide(device, &mut logits.as_view_mut(), 0.7)
        })?;
        self.add("sample likeliest", [4 * n, 0], || {
            let (ids, logits) = (&mut ids.as_view_mut(), &logits.as_view());
            sample::cuda::likeliest(device, ids, logits, vocabulary)
        })?;
        self.add("sample categorical", [4 * n, 5 * n], || {
            let (ids, logp) = (&mut ids.as_view_mut(), &mut logp.as_view_mut());
            let logits = &logits.as_view();
            sample::cuda::categorical(device, ids, logp, logits, &uniforms, vocabulary)
        })
    }
}
