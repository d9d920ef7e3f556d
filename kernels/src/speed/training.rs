//! The operations of a training step beside attention.

use super::{Bench, Sizes, numbers};
use crate::Write::Overwrite;
use crate::activation::Activation;
use crate::cuda::{Buffer, Fault, Ids, ROW_BLOCKS, Scratch};
use crate::{
    activation, adamw, bias, clip, completion, embedding, gated, layernorm, logprob, matmul,
    residual, rmsnorm, rope,
};

impl Bench<'_> {
    pub(super) fn norms(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, n) = (self.device, sizes.rows * sizes.width);
        let (x, dy, mut y) = (numbers(device, n)?, numbers(device, n)?, numbers(device, n)?);
        let (w, b) = (numbers(device, sizes.width)?, numbers(device, sizes.width)?);
        let (mut mean, mut rstd): (Buffer<f32>, Buffer<f32>) =
            (device.zeros(sizes.rows)?, device.zeros(sizes.rows)?);
        let (mut dw, mut db): (Buffer<f32>, Buffer<f32>) =
            (device.zeros(sizes.width)?, device.zeros(sizes.width)?);
        let (epsilon, offset) = (1e-5, 0.0);
        self.add("layernorm forward", [4 * n + 8 * sizes.rows, 8 * n], || {
            let (mean, rstd) = (&mut mean.as_view_mut(), &mut rstd.as_view_mut());
            let statistics = layernorm::cuda::Statistics { mean, rstd };
            let (y, w, b) = (&mut y.as_view_mut(), &w.as_view(), &b.as_view());
            layernorm::cuda::forward(device, y, statistics, &x.as_view(), w, b, epsilon)
        })?;
        // Few rows need no sums of several in shared memory, and have a kernel of their own.
        let few = sizes.rows.min(ROW_BLOCKS);
        for (name, rows) in
            [("layernorm backward", sizes.rows), ("layernorm backward, few rows", few)]
        {
            let n = rows * sizes.width;
            self.add(name, [6 * n + 8 * rows, 14 * n], || {
                let (dw, db) = (&mut dw.as_view_mut(), &mut db.as_view_mut());
                let (mean, rstd) = (&mean.slice(0..rows), &rstd.slice(0..rows));
                let (dx, dy) = (&mut y.slice_mut(0..n), &dy.slice(0..n));
                let (x, w) = (&x.slice(0..n), &w.as_view());
                layernorm::cuda::backward(device, dx, dw, db, dy, x, mean, rstd, w, Overwrite)
            })?;
        }
        let settings = rmsnorm::cuda::Settings { epsilon, offset };
        self.add("rmsnorm forward", [4 * n + 4 * sizes.rows, 5 * n], || {
            let (y, rstd) = (&mut y.as_view_mut(), &mut rstd.as_view_mut());
            rmsnorm::cuda::forward(device, y, rstd, &x.as_view(), &w.as_view(), settings)
        })?;
        for (name, rows) in [("rmsnorm backward", sizes.rows), ("rmsnorm backward, few rows", few)]
        {
            let n = rows * sizes.width;
            self.add(name, [6 * n + 4 * rows, 10 * n], || {
                let (dx, dw) = (&mut y.slice_mut(0..n), &mut dw.as_view_mut());
                let (dy, x) = (&dy.slice(0..n), &x.slice(0..n));
                let (w, rstd) = (&w.as_view(), &rstd.slice(0..rows));
                rmsnorm::cuda::backward(device, dx, dw, dy, x, w, rstd, offset, Overwrite)
            })?;
        }
        Ok(())
    }

    pub(super) fn element_wise(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, n) = (self.device, sizes.rows * sizes.feed_forward);
        let (gate, up) = (numbers(device, n)?, numbers(device, n)?);
        let (dy, mut y, mut other) =
            (numbers(device, n)?, numbers(device, n)?, numbers(device, n)?);
        let curve = Activation::GeluTanh;
        self.add("activation forward", [4 * n, 10 * n], || {
            activation::cuda::forward(device, &mut y.as_view_mut(), &up.as_view(), curve)
        })?;
        self.add("activation backward", [6 * n, 20 * n], || {
            let (dx, x) = (&mut y.as_view_mut(), &up.as_view());
            activation::cuda::backward(device, dx, &gate.as_view(), x, curve)
        })?;
        self.add("gated forward", [6 * n, 6 * n], || {
            let (gate, up) = (&gate.as_view(), &up.as_view());
            gated::cuda::forward(device, &mut y.as_view_mut(), gate, up, Activation::Silu)
        })?;
        self.add("gated backward", [10 * n, 12 * n], || {
            let (dgate, dup) = (&mut y.as_view_mut(), &mut other.as_view_mut());
            let (gate, up) = (&gate.as_view(), &up.as_view());
            gated::cuda::backward(device, dgate, dup, &dy.as_view(), gate, up, Activation::Silu)
        })?;
        self.add("residual", [6 * n, n], || {
            residual::cuda::add(device, &mut y.as_view_mut(), &up.as_view())
        })?;
        let b = numbers(device, sizes.feed_forward)?;
        self.add("bias forward", [4 * n, n], || {
            bias::cuda::forward(device, &mut y.as_view_mut(), &b.as_view())
        })?;
        let mut db = device.zeros::<f32>(sizes.feed_forward)?;
        self.add("bias backward", [2 * n, n], || {
            bias::cuda::backward(device, &mut db.as_view_mut(), &up.as_view())
        })?;
        let (head, n) = (sizes.width / sizes.heads, sizes.rows * sizes.width);
        let frequencies = vec![1e-3; head / 2];
        let table = rope::Table::scaled(sizes.sequence, &frequencies, 1.0);
        let table = rope::cuda::Table::upload(device, &table)?;
        let positions: Vec<u32> =
            (0..sizes.rows).map(|row| (row % sizes.sequence) as u32).collect();
        let positions = Ids::upload(device, &positions, sizes.sequence)?;
        let mut x = numbers(device, n)?;
        self.add("rope forward", [4 * n, 3 * n], || {
            rope::cuda::forward(device, &mut x.as_view_mut(), &positions, &table)
        })?;
        self.add("rope backward", [4 * n, 3 * n], || {
            rope::cuda::backward(device, &mut x.as_view_mut(), &positions, &table)
        })
    }

    pub(super) fn products(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, rows) = (self.device, sizes.rows);
        let (inputs, outputs) = (sizes.width, sizes.feed_forward);
        let shape = matmul::Shape { rows, inputs, outputs };
        let (mut x, w) = (numbers(device, rows * inputs)?, numbers(device, inputs * outputs)?);
        let mut y = numbers(device, rows * outputs)?;
        let mut dw = device.zeros::<f32>(inputs * outputs)?;
        let activations = 2 * rows * (inputs + outputs);
        let work = [activations + 2 * inputs * outputs, 2 * rows * inputs * outputs];
        self.add("product forward", work, || {
            let y = &mut y.as_view_mut();
            matmul::cuda::forward(device, y, &x.as_view(), &w.as_view(), shape, Overwrite)
        })?;
        self.add("product backward, input", work, || {
            let dx = &mut x.as_view_mut();
            matmul::cuda::backward_input(device, dx, &y.as_view(), &w.as_view(), shape, Overwrite)
        })?;
        let work = [activations + 8 * inputs * outputs, work[1]];
        self.add("product backward, weight", work, || {
            let dw = &mut dw.as_view_mut();
            matmul::cuda::backward_weight(device, dw, None, &y.as_view(), &x.as_view(), shape)
        })
    }

    pub(super) fn vocabulary(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let Sizes { rows, width, vocabulary, .. } = *sizes;
        let (device, targets) = (self.device, rows / 2);
        let table = numbers(device, vocabulary * width)?;
        let spread =
            |n: usize| -> Vec<u32> { (0..n).map(|row| (row * 7919 % vocabulary) as u32).collect() };
        let ids = Ids::upload(device, &spread(rows), vocabulary)?;
        let groups = embedding::cuda::Groups::upload(device, &spread(rows), vocabulary, None)?;
        let mut y = numbers(device, rows * width)?;
        let mut dtable = device.zeros::<f32>(vocabulary * width)?;
        self.add("embedding forward", [4 * rows * width, 0], || {
            let (y, table) = (&mut y.as_view_mut(), &table.as_view());
            embedding::cuda::forward(device, y, table, &ids, width, Overwrite)
        })?;
        self.add("embedding scale", [4 * rows * width, rows * width], || {
            embedding::cuda::scale(device, &mut y.as_view_mut(), 1.0)
        })?;
        let distinct = rows.min(vocabulary);
        self.add(
            "embedding backward",
            [2 * rows * width + 8 * distinct * width, rows * width],
            || {
                let (dtable, dy) = (&mut dtable.as_view_mut(), &y.as_view());
                embedding::cuda::backward(device, dtable, dy, &groups, width)
            },
        )?;
        let shape = logprob::Shape { rows: targets, width, vocabulary, softcap: None };
        let (hidden, mut dhidden) =
            (numbers(device, targets * width)?, numbers(device, targets * width)?);
        let gathered: Vec<u32> = (0..targets as u32).map(|target| 2 * target).collect();
        let gathered = embedding::cuda::RowGroups::upload(device, &gathered, rows)?;
        self.add(
            "embedding backward, rows",
            [2 * width * (rows + targets), targets * width],
            || {
                let (dx, dy) = (&mut y.as_view_mut(), &hidden.as_view());
                embedding::cuda::backward_rows(device, dx, dy, &gathered, width)
            },
        )?;
        let chosen = Ids::upload(device, &spread(targets), vocabulary)?;
        let [mut logp, mut lse]: [Scratch<f32>; 2] =
            [device.scratch(targets)?, device.scratch(targets)?];
        let (hidden_view, head) = (&hidden.as_view(), &table.as_view());
        let logits_bytes_max = logprob::LOGITS_BYTES_MAX;
        let inputs =
            logprob::cuda::Inputs { hidden: hidden_view, head, targets: &chosen, logits_bytes_max };
        let product = 2 * targets * width * vocabulary;
        let tensors = 2 * width * (targets + vocabulary);
        self.add("logprob forward", [tensors, product], || {
            let (logp, lse) = (&mut logp.as_view_mut(), &mut lse.as_view_mut());
            logprob::cuda::forward(device, logp, lse, None, inputs, shape)
        })?;
        let [mut entropy, mut mean_logit]: [Scratch<f32>; 2] =
            [device.scratch(targets)?, device.scratch(targets)?];
        let mut is_likeliest = device.scratch(targets)?;
        self.add("logprob forward, statistics", [tensors, product], || {
            let statistics = logprob::cuda::StatisticsMut {
                entropy: &mut entropy.as_view_mut(),
                mean_logit: &mut mean_logit.as_view_mut(),
                is_likeliest: &mut is_likeliest.as_view_mut(),
            };
            let (logp, lse) = (&mut logp.as_view_mut(), &mut lse.as_view_mut());
            logprob::cuda::forward(device, logp, lse, Some(statistics), inputs, shape)
        })?;
        self.add("logprob backward", [2 * tensors + 8 * vocabulary * width, 3 * product], || {
            let (dx, dhead) = (&mut dhidden.as_view_mut(), &mut dtable.as_view_mut());
            let (dlogp, lse) = (&logp.as_view(), &lse.as_view());
            logprob::cuda::backward(device, dx, dhead, dlogp, lse, inputs, shape)
        })
    }

    pub(super) fn completions(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, completions) = (self.device, sizes.rows / sizes.sequence);
        let tokens = sizes.rows / 2;
        let starts: Vec<u32> =
            (0..=completions).map(|number| (number * tokens / completions) as u32).collect();
        let starts = completion::cuda::Starts::upload(device, &starts)?;
        let mut sums = device.zeros::<f64>(completions)?;
        let derivatives = device.zeros::<f32>(completions)?;
        let mut logps = device.zeros::<f32>(tokens)?;
        self.add("completion forward", [4 * tokens + 12 * completions, tokens], || {
            completion::cuda::forward(device, &mut sums.as_view_mut(), &logps.as_view(), &starts)
        })?;
        self.add("completion backward", [4 * tokens + 8 * completions, 0], || {
            let (dlogps, derivatives) = (&mut logps.as_view_mut(), &derivatives.as_view());
            completion::cuda::backward(device, dlogps, derivatives, &starts)
        })
    }

    pub(super) fn update(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, n) = (self.device, sizes.parameters);
        let [mut masters, mut first, mut second, gradients]: [Buffer<f32>; 4] =
            [device.zeros(n)?, device.zeros(n)?, device.zeros(n)?, device.zeros(n)?];
        let mut copy = numbers(device, n)?;
        let mut norm = clip::cuda::Norm::new(device)?;
        self.add("global norm", [4 * n, 2 * n], || {
            clip::cuda::global_norm(device, &mut norm, &gradients.as_view(), 1.0)
        })?;
        let settings =
            adamw::Settings { learning_rate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        let groups = [adamw::Group { range: 0..n, weight_decay: 0.1 }];
        let mut scalars = adamw::cuda::Scalars::new(device, groups.len())?;
        scalars.set(device, 1, &settings, &groups)?;
        self.add("adamw", [30 * n, 14 * n], || {
            let (first, second) = (&mut first.as_view_mut(), &mut second.as_view_mut());
            let moments = adamw::cuda::Moments { first, second };
            let (masters, copy) = (&mut masters.as_view_mut(), &mut copy.as_view_mut());
            let (copy, gradients, factor) = (Some(copy), &gradients.as_view(), norm.factor());
            adamw::cuda::step(device, masters, copy, moments, gradients, factor, &scalars, &groups)
        })
    }
}
