//! Many sequences continued token by token on a device: `model::cache` with launches for calls.

use kernels::Write::Overwrite;
use kernels::cuda::{Arena, Buffer, Device, Fault, Ids, Parcel, Piece, Real, View};
use kernels::{decode, embedding, logprob};

use super::activations::{Layer, Statistics};
use super::block::Places;
use super::decoder::{Memory, Pass, Rotations};
use crate::batch::Packed;
use crate::model::Keep;

/// Sequences in the making. S sequences: all samples of the first prompt, then all of the second, …
#[derive(Debug)]
pub(crate) struct Continuation<R> {
    prompts: Memory<R>,
    rotations: Rotations,
    layers: Vec<LayerCache<R>>,
    capacity: usize,
    /// Tokens in the cache, \[S\].
    lengths: Vec<u32>,
    /// What goes there for each token.
    parcel: Parcel,
    rows: Option<Rows<R>>,
}

/// Keys and values of one block, \[S, capacity, K\] each.
#[derive(Debug)]
struct LayerCache<R> {
    k: Buffer<R>,
    v: Buffer<R>,
}

/// One row per sequence.
#[derive(Debug)]
struct Rows<R> {
    /// The stream before and after a block, \[S, D\] each.
    streams: [Piece<R>; 2],
    /// \[S\]
    final_stats: Statistics,
    /// \[S, D\]
    hidden: Piece<R>,
    layer: Layer<R>,
    /// \[S, V\]
    logits: Piece<f32>,
}

impl<R: Real> Rows<R> {
    fn take(arena: &mut Arena, pass: &Pass<R>, n_sequences: usize) -> Self {
        let config = pass.decoder.config();
        let d = n_sequences * config.width;
        Self {
            streams: [arena.take(d), arena.take(d)],
            final_stats: Statistics::take(arena, config, n_sequences),
            hidden: arena.take(d),
            layer: Layer::take(arena, config, n_sequences),
            logits: arena.take(n_sequences * config.vocabulary),
        }
    }
}

impl<R: Real> Default for Continuation<R> {
    fn default() -> Self {
        Self {
            prompts: Memory::new(Keep::Nothing, false),
            rotations: Rotations::default(),
            layers: Vec::new(),
            capacity: 0,
            lengths: Vec::new(),
            parcel: Parcel::default(),
            rows: None,
        }
    }
}

impl<R: Real> Continuation<R> {
    /// Logits of the token that comes next, \[S, V\].
    pub(crate) fn logits(&mut self) -> &mut Piece<f32> {
        &mut self.rows.as_mut().expect("a continuation has begun").logits
    }

    /// Begins `n_samples` sequences from each prompt, each with room for `max_tokens` more.
    pub(crate) fn begin(
        &mut self,
        pass: &Pass<R>,
        prompts: &[Vec<u32>],
        n_samples: usize,
        max_tokens: usize,
    ) -> Result<(), Fault> {
        let (device, config) = (pass.device, pass.decoder.config());
        let mut packed = Packed::default();
        prompts.iter().for_each(|prompt| packed.push(prompt, &[]));
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        self.capacity = longest + max_tokens;
        assert!(
            self.capacity <= config.context,
            "a prompt of {longest} tokens and {max_tokens} more exceed the context of {}",
            config.context
        );
        let samples_of = |prompt| std::iter::repeat_n(prompt, n_samples);
        self.lengths.clear();
        self.lengths.extend(prompts.iter().flat_map(|prompt| samples_of(prompt.len() as u32)));
        self.rotations.fit(device, pass.decoder, self.capacity)?;

        let n_sequences = self.lengths.len();
        self.rows = None;
        let mut plan = Arena::plan(device);
        Rows::take(&mut plan, pass, n_sequences);
        let what = format!("the logits of {n_sequences} sequences");
        let mut arena = Arena::new(device, plan.taken_bytes(), &what)?;
        let mut rows = Rows::take(&mut arena, pass, n_sequences);

        let width = config.kv_width();
        let (each, n_layers) = (self.capacity * width, config.n_layers());
        let cache = || device.zeros(n_sequences * each).map_err(Fault::naming("keys and values"));
        self.layers.clear();
        for _ in 0..n_layers {
            let (k, v) = (cache()?, cache()?);
            self.layers.push(LayerCache { k, v });
        }
        let (layers, segments) = (&mut self.layers, &packed.segments);
        let hidden = self.prompts.hidden(pass, &packed, |index, computed| {
            let LayerCache { k, v } = &mut layers[index];
            for (cache, computed) in [(k, &computed.k), (v, &computed.v)] {
                for (number, segment) in segments.iter().enumerate() {
                    let start = segment.start * width;
                    let prompt = computed.slice(start..start + segment.len * width);
                    for sample in 0..n_samples {
                        let first = (number * n_samples + sample) * each;
                        let place = first..first + segment.len * width;
                        device.copy(&mut cache.slice_mut(place), &prompt)?;
                    }
                }
            }
            Ok(())
        })?;

        let ends = segments.iter().map(|segment| (segment.start + segment.len - 1) as u32);
        let last_rows: Vec<u32> = ends.flat_map(samples_of).collect();
        let last_rows = Ids::upload(device, &last_rows, packed.rows())?;
        let (to, from) = (&mut rows.hidden.as_view_mut(), &hidden.as_view());
        embedding::cuda::forward(device, to, from, &last_rows, config.width, Overwrite)?;
        rows.head(pass)?;
        self.rows = Some(rows);
        Ok(())
    }

    /// Appends one token to every sequence and computes the logits of the next.
    pub(crate) fn advance(&mut self, pass: &Pass<R>, tokens: &[u32]) -> Result<(), Fault> {
        let (device, on, capacity) = (pass.device, pass.context(), self.capacity);
        let longer: Vec<u32> = self.lengths.iter().map(|length| length + 1).collect();
        let (tokens, positions, lengths) = self.parcel.send(device, |packer| {
            let tokens = Ids::pack(packer, tokens, pass.decoder.config().vocabulary)?;
            let positions = Ids::pack(packer, &self.lengths, capacity)?;
            Ok((tokens, positions, Ids::pack(packer, &longer, capacity + 1)?))
        })?;
        self.lengths = longer;
        let rows = self.rows.as_mut().expect("a continuation has begun");
        let [input, output] = &mut rows.streams;
        let (mut input, mut output) = (input, output);
        pass.embed(&mut input.as_view_mut(), &tokens, &positions)?;
        for (block, cache) in pass.decoder.blocks.iter().zip(&mut self.layers) {
            let a = &mut rows.layer;
            let places = Places { positions: &positions, rotations: &self.rotations.tables };
            block.launch_projections(on, input, a, places)?;
            append(device, &mut cache.k, &a.k, &positions, capacity)?;
            append(device, &mut cache.v, &a.v, &positions, capacity)?;
            let (k, v): (&View<R>, &View<R>) = (&cache.k.as_view(), &cache.v.as_view());
            let cache = decode::cuda::Cache { k, v, capacity };
            let (y, q) = (&mut a.attended.as_view_mut(), &a.q.as_view());
            decode::cuda::forward(device, y, q, cache, &lengths, &block.heads)?;
            block.launch_rest(on, output, input, a)?;
            std::mem::swap(&mut input, &mut output);
        }
        let norm = pass.decoder.final_norm;
        norm.launch_forward(on, &mut rows.hidden, &mut rows.final_stats, input)?;
        rows.head(pass)
    }
}

impl<R: Real> Rows<R> {
    /// logits \[S, V\] from the normalised stream \[S, D\].
    fn head(&mut self, pass: &Pass<R>) -> Result<(), Fault> {
        let logits = &mut self.logits.as_view_mut();
        pass.decoder.head.launch_product(pass.context(), logits, &self.hidden.as_view())?;
        match pass.decoder.config().logits_softcap {
            None => Ok(()),
            Some(cap) => logprob::cuda::cap(pass.device, logits, cap),
        }
    }
}

fn append<R: Real>(
    device: &Device,
    cache: &mut Buffer<R>,
    rows: &Piece<R>,
    positions: &Ids,
    capacity: usize,
) -> Result<(), Fault> {
    decode::cuda::append(device, &mut cache.as_view_mut(), &rows.as_view(), positions, capacity)
}
