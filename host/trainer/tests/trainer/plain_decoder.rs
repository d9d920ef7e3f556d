//! The decoder as plain loops in `f64`, with all its variations: what its formulas say, for one sequence at a time.
//!
//! It reads the library's description of a decoder and shares none of its arithmetic: no packing, no shared prompt, no
//! kernels. Held against transformers in `family_parity`; its differences are what `central_differences` holds gradients
//! against. Slow, and forward only.

use kernels::activation::Activation;
use trainer::model::{DecoderConfig, Layout, LinearSlots, NormKind, NormSlots, Slot};

/// A decoder with weights in the order of its layout.
pub(crate) struct PlainDecoder<'a> {
    pub(crate) config: &'a DecoderConfig,
    pub(crate) layout: &'a Layout,
    pub(crate) weights: &'a [f64],
}

/// Rows of one sequence.
type Rows = Vec<Vec<f64>>;

impl PlainDecoder<'_> {
    /// The log-prob of each token of a completion.
    pub(crate) fn token_logps(&self, prompt: &[u32], completion: &[u32]) -> Vec<f64> {
        let tokens = [prompt, &completion[..completion.len() - 1]].concat();
        let mut stream = self.embedded(&tokens);
        for layer in 0..self.config.n_layers() {
            self.block(&mut stream, layer);
        }
        let predicting = &stream[prompt.len() - 1..];
        let logp = |(row, target): (&Vec<f64>, &u32)| {
            let mut logits =
                self.product(self.layout.head, &self.norm(self.layout.final_norm, row));
            cap(&mut logits, self.config.logits_softcap);
            logits[*target as usize] - log_sum_exp(&logits)
        };
        predicting.iter().zip(completion).map(logp).collect()
    }

    fn of(&self, slot: Slot) -> &[f64] {
        &self.weights[slot.range()]
    }

    fn row(&self, table: Slot, index: usize) -> &[f64] {
        &self.of(table)[index * self.config.width..][..self.config.width]
    }

    fn embedded(&self, tokens: &[u32]) -> Rows {
        let scale = self.config.embedding_scale.map_or(1.0, f64::from);
        let row = |(position, token): (usize, &u32)| {
            let mut row: Vec<f64> = self.row(self.layout.embedding, *token as usize).to_vec();
            row.iter_mut().for_each(|x| *x *= scale);
            if let Some(table) = self.layout.positions {
                add(&mut row, self.row(table, position));
            }
            row
        };
        tokens.iter().enumerate().map(row).collect()
    }

    fn block(&self, stream: &mut Rows, layer: usize) {
        let (config, slots) = (self.config, &self.layout.layers[layer]);
        let each = |stream: &Rows, f: &dyn Fn(&[f64]) -> Vec<f64>| -> Rows {
            stream.iter().map(|row| f(row)).collect()
        };
        let project = |stream: &Rows, linear: LinearSlots, norm: Option<NormSlots>| {
            each(stream, &|row| {
                let row = self.linear(linear, &self.norm(slots.attention_norm, row));
                let heads = row.chunks_exact(config.head_width);
                match norm {
                    None => row,
                    Some(norm) => heads.flat_map(|head| self.norm(norm, head)).collect(),
                }
            })
        };
        let (mut q, mut k) =
            (project(stream, slots.q, slots.q_norm), project(stream, slots.k, slots.k_norm));
        let v = project(stream, slots.v, None);
        self.rotate(&mut q, layer);
        self.rotate(&mut k, layer);
        for (i, row) in stream.iter_mut().enumerate() {
            let first =
                config.layers[layer].window.map_or(0, |window| (i + 1).saturating_sub(window));
            let attended = self.attended(&q[i], &k[first..=i], &v[first..=i]);
            let output = self.linear(slots.o, &attended);
            add(row, &self.maybe_norm(slots.attention_output_norm, output));

            let normed = self.norm(slots.mlp_norm, row);
            let mut inner = self.linear(slots.up, &normed);
            match slots.gate {
                None => inner.iter_mut().for_each(|x| *x = activation(config.activation, *x)),
                Some(gate) => {
                    for (x, gate) in inner.iter_mut().zip(self.linear(gate, &normed)) {
                        *x *= activation(config.activation, gate);
                    }
                }
            }
            let output = self.linear(slots.down, &inner);
            add(row, &self.maybe_norm(slots.mlp_output_norm, output));
        }
    }

    /// One row's heads over the rows that it sees.
    fn attended(&self, q: &[f64], k: &[Vec<f64>], v: &[Vec<f64>]) -> Vec<f64> {
        let config = self.config;
        let (width, group) = (config.head_width, config.n_heads / config.n_kv_heads);
        let head = |(head, q): (usize, &[f64])| {
            let place = head / group * width..(head / group + 1) * width;
            let score =
                |k: &Vec<f64>| f64::from(config.attention_scale) * dot(q, &k[place.clone()]);
            let mut scores: Vec<f64> = k.iter().map(score).collect();
            cap(&mut scores, config.attention_softcap);
            let total = log_sum_exp(&scores);
            let mut y = vec![0.0; width];
            for (score, v) in scores.iter().zip(v) {
                let p = (score - total).exp();
                y.iter_mut().zip(&v[place.clone()]).for_each(|(y, v)| *y += p * v);
            }
            y
        };
        q.chunks_exact(width).enumerate().flat_map(head).collect()
    }

    /// Each head's pair (x, y) of its two halves turns by the position times the pair's frequency.
    fn rotate(&self, rows: &mut Rows, layer: usize) {
        let Some(rope) = &self.config.layers[layer].rope else { return };
        let (width, magnitude) = (self.config.head_width, rope.magnitude());
        let frequencies = rope.frequencies(width);
        for (position, row) in rows.iter_mut().enumerate() {
            let turns: Vec<(f64, f64)> =
                frequencies.iter().map(|f| (position as f64 * f).sin_cos()).collect();
            for head in row.chunks_exact_mut(width) {
                let (low, high) = head.split_at_mut(width / 2);
                for ((x, y), (sin, cos)) in low.iter_mut().zip(high).zip(&turns) {
                    let turned = (*x * cos - *y * sin, *y * cos + *x * sin);
                    (*x, *y) = (magnitude * turned.0, magnitude * turned.1);
                }
            }
        }
    }

    fn product(&self, weight: Slot, x: &[f64]) -> Vec<f64> {
        self.of(weight).chunks_exact(x.len()).map(|row| dot(row, x)).collect()
    }

    fn linear(&self, slots: LinearSlots, x: &[f64]) -> Vec<f64> {
        let mut y = self.product(slots.weight, x);
        if let Some(bias) = slots.bias {
            add(&mut y, self.of(bias));
        }
        y
    }

    fn maybe_norm(&self, slots: Option<NormSlots>, x: Vec<f64>) -> Vec<f64> {
        match slots {
            None => x,
            Some(slots) => self.norm(slots, &x),
        }
    }

    fn norm(&self, slots: NormSlots, x: &[f64]) -> Vec<f64> {
        let (epsilon, weight) = (f64::from(self.config.norm_epsilon), self.of(slots.weight));
        let (mean, offset) = match self.config.norm {
            NormKind::Layer => (x.iter().sum::<f64>() / x.len() as f64, 0.0),
            NormKind::Rms { offset } => (0.0, f64::from(offset)),
        };
        let square = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        let rstd = 1.0 / (square + epsilon).sqrt();
        let scaled = x.iter().zip(weight).map(|(x, w)| (x - mean) * rstd * (offset + w));
        let mut y: Vec<f64> = scaled.collect();
        if let Some(bias) = slots.bias {
            add(&mut y, self.of(bias));
        }
        y
    }
}

fn add(to: &mut [f64], terms: &[f64]) {
    to.iter_mut().zip(terms).for_each(|(to, term)| *to += term);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

fn cap(values: &mut [f64], cap: Option<f32>) {
    if let Some(cap) = cap.map(f64::from) {
        values.iter_mut().for_each(|value| *value = cap * (*value / cap).tanh());
    }
}

fn activation(kind: Activation, x: f64) -> f64 {
    use std::f64::consts::{FRAC_1_SQRT_2, PI};
    match kind {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu => x / 2.0 * (1.0 + libm::erf(x * FRAC_1_SQRT_2)),
        Activation::GeluTanh => {
            x / 2.0 * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh())
        }
        Activation::Relu => x.max(0.0),
    }
}
