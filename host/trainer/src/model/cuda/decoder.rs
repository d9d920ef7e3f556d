//! From a batch to the log-probs of its completions, and the way back to the gradients of all weights, on a device.
//!
//! Everything is put into the device's stream; nothing waits but what brings numbers to the host. A pass over a batch of a form
//! that has come before is replayed (`replays`), but for the gradients of the embeddings, whose launches follow the tokens.
//! Shapes are in `activations`.

use kernels::Write::{Accumulate, Overwrite};
use kernels::cuda::{Arena, Device, Fault, Ids, Parcel, Piece, Real, Staged, View, ViewMut};
use kernels::rope::{self, cuda::Table};
use kernels::{completion, embedding, logprob};

use super::activations::{Activations, Gradients as GradientBuffers, Layer};
use super::batch::{Batch, BatchGroups, Targets, longest};
use super::parts::Context;
use super::replays::Replays;
use super::weights::{Gradients, Weights};
use crate::batch::Packed;
use crate::model::decoder::Decoder;
use crate::model::{Keep, TokenStatistics};

/// A decoder with its weights on a device: what a pass reads and does not change.
#[derive(Debug)]
pub(crate) struct Pass<'a, R> {
    pub device: &'a Device,
    pub decoder: &'a Decoder,
    pub weights: &'a Weights<R>,
}

/// The memory of passes, kept from one to the next. It serves one set of weights and gradients, at one place.
#[derive(Debug)]
pub(crate) struct Memory<R> {
    keep: Keep,
    /// None where nobody asks for them.
    statistics: Option<Statistics>,
    parcel: Parcel,
    arena: Option<Arena>,
    rotations: Rotations,
    derivatives: Staged<f32>,
    replays: Replays,
    /// What the last forward pass left.
    held: Option<Held<R>>,
}

/// What there is to say of completion tokens, on its way to the host.
#[derive(Debug, Default)]
struct Statistics {
    entropy: Staged<f32>,
    mean_logit: Staged<f32>,
    is_likeliest: Staged<u32>,
}

/// A batch and what was computed of it.
#[derive(Debug)]
struct Held<R> {
    batch: Batch,
    activations: Activations<R>,
    /// What the launches of the pass follow from: where memory lies, and how long the batch's arrays are.
    form: Vec<u64>,
}

/// Cosines and sines on the device, of the positions that have occurred so far.
#[derive(Debug, Default)]
pub(super) struct Rotations {
    pub tables: Vec<Table>,
    n_positions: usize,
}

impl Rotations {
    /// Makes the tables cover `n_positions`.
    pub(crate) fn fit(
        &mut self,
        device: &Device,
        decoder: &Decoder,
        n_positions: usize,
    ) -> Result<(), Fault> {
        if n_positions <= self.n_positions {
            return Ok(());
        }
        let covered = n_positions.next_power_of_two();
        let tables = decoder.rotations.iter().map(|kind| {
            let table = rope::Table::scaled(covered, &kind.frequencies, kind.magnitude);
            Table::upload(device, &table)
        });
        self.tables = tables.collect::<Result<_, _>>()?;
        self.n_positions = covered;
        Ok(())
    }
}

impl<R: Real> Memory<R> {
    /// Memory that keeps what `keep` says, and statistics of tokens if they are asked for.
    pub(crate) fn new(keep: Keep, statistics: bool) -> Self {
        Self {
            keep,
            statistics: statistics.then(Statistics::default),
            parcel: Parcel::default(),
            arena: None,
            rotations: Rotations::default(),
            derivatives: Staged::default(),
            replays: Replays::default(),
            held: None,
        }
    }

    /// Room for a batch, in one arena.
    fn fit(&mut self, pass: &Pass<R>, packed: &Packed) -> Result<(), Fault> {
        let (device, config) = (pass.device, pass.decoder.config());
        self.rotations.fit(device, pass.decoder, longest(packed))?;
        self.held = None;
        let backward = self.keep != Keep::Nothing;
        let learned = pass.decoder.layout().positions.is_some();
        let batch = self
            .parcel
            .send(device, |packer| Batch::pack(packer, packed, config, learned, backward))?;
        let take = |arena: &mut Arena| {
            Activations::take(arena, config, batch.sizes, self.keep, self.statistics.is_some())
        };
        let mut plan = Arena::plan(device);
        take(&mut plan);
        if self.arena.as_ref().is_none_or(|arena| arena.bytes() < plan.taken_bytes()) {
            // Before the new one is taken.
            self.arena = None;
            let what = format!("the activations of {} rows", batch.sizes.rows);
            self.arena = Some(Arena::new(device, plan.taken_bytes(), &what)?);
        }
        let arena = self.arena.as_mut().expect("made above");
        arena.reset();
        let activations = take(arena);
        let places = [arena.address(), self.parcel.address(), self.rotations.n_positions as u64];
        let form = places.into_iter().chain(batch.form.iter().map(|len| *len as u64)).collect();
        self.held = Some(Held { batch, activations, form });
        Ok(())
    }

    /// The log-probs of all completion tokens and their sums over completions; their statistics are on their way to the host.
    pub(crate) fn forward(&mut self, pass: &Pass<R>, packed: &Packed) -> Result<(), Fault> {
        self.fit(pass, packed)?;
        let Self { keep, rotations, replays, held, statistics, .. } = self;
        let Held { batch, activations, form } = held.as_mut().expect("made above");
        replays.of(form).forward.run(pass.device, || {
            pass.launch_blocks(batch, activations, rotations, *keep, |_, _| Ok(()))?;
            pass.launch_head(batch, activations)
        })?;
        if let (Some(here), Some(there)) = (statistics, &activations.statistics) {
            here.entropy.download(pass.device, &there.entropy.as_view())?;
            here.mean_logit.download(pass.device, &there.mean_logit.as_view())?;
            here.is_likeliest.download(pass.device, &there.is_likeliest.as_view())?;
        }
        Ok(())
    }

    /// The normalised stream after the last block. `after_block` sees what each block computed.
    pub(super) fn hidden(
        &mut self,
        pass: &Pass<R>,
        packed: &Packed,
        after_block: impl FnMut(usize, &Layer<R>) -> Result<(), Fault>,
    ) -> Result<&Piece<R>, Fault> {
        self.fit(pass, packed)?;
        let Held { batch, activations, .. } = self.held.as_mut().expect("made above");
        pass.launch_blocks(batch, activations, &self.rotations, self.keep, after_block)?;
        Ok(&activations.hidden)
    }

    /// The log-prob of each completion, on the device.
    pub(crate) fn completion_logps(&self) -> View<'_, f64> {
        self.activations().sums.as_view()
    }

    /// The log-prob of each completion token, brought to the host.
    pub(crate) fn token_logps(&self, device: &Device) -> Result<Vec<f32>, Fault> {
        device.download(&self.activations().token_logps.as_view())
    }

    /// What holds of the distribution of each completion token; none unless asked for.
    pub(crate) fn token_statistics(&self) -> Result<Option<Vec<TokenStatistics>>, Fault> {
        let Some(here) = &self.statistics else { return Ok(None) };
        let likeliest = here.is_likeliest.values()?;
        let tokens = here.entropy.values()?.iter().zip(here.mean_logit.values()?).zip(likeliest);
        let token = |((&entropy, &mean_logit), &is_likeliest)| TokenStatistics {
            entropy,
            mean_logit,
            is_likeliest: is_likeliest != 0,
        };
        Ok(Some(tokens.map(token).collect()))
    }

    fn activations(&self) -> &Activations<R> {
        &self.held.as_ref().expect("a forward pass comes first").activations
    }

    /// d(Σ derivatives·logps of completions)/d(weights), added to `gradients`, for what forward left. One derivative per
    /// completion.
    pub(crate) fn backward(
        &mut self,
        pass: &Pass<R>,
        gradients: &mut Gradients,
        derivatives: &[f32],
    ) -> Result<(), Fault> {
        let Self { keep, rotations, replays, held, derivatives: staged, .. } = self;
        let Held { batch, activations: a, form } =
            held.as_mut().expect("a forward pass comes first");
        let d = a.gradients.as_mut().expect("nothing was kept for a backward pass");
        let there = &mut d.derivatives.as_view_mut();
        staged.upload(pass.device, there, derivatives.iter().copied())?;
        replays.of(form).backward.run(pass.device, || {
            pass.launch_head_backward(gradients, batch, a)?;
            pass.launch_blocks_backward(gradients, batch, a, rotations, *keep)
        })?;
        let groups = batch.groups.as_ref().expect("made where something is kept");
        let d = a.gradients.as_mut().expect("seen above");
        pass.embed_backward(gradients, d, groups)
    }
}

impl<R: Real> Pass<'_, R> {
    /// From the tokens to the normalised stream after the last block.
    fn launch_blocks(
        &self,
        batch: &Batch,
        a: &mut Activations<R>,
        rotations: &Rotations,
        keep: Keep,
        mut after_block: impl FnMut(usize, &Layer<R>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let on = self.context();
        self.embed(&mut a.streams[0].as_view_mut(), &batch.tokens, &batch.positions)?;
        for (index, block) in self.decoder.blocks.iter().enumerate() {
            let [input, output] = around(&mut a.streams, index, keep);
            let layer = of_block(&mut a.layers, index);
            block.launch_forward(on, output, input, layer, batch, &rotations.tables)?;
            after_block(index, layer)?;
        }
        let last = &a.streams[place(self.decoder.blocks.len(), keep)];
        let norm = self.decoder.final_norm;
        norm.launch_forward(on, &mut a.hidden, &mut a.final_stats, last)
    }

    /// From there to the sums of the completions.
    fn launch_head(&self, batch: &Batch, a: &mut Activations<R>) -> Result<(), Fault> {
        let (device, width) = (self.device, self.decoder.config().width);
        let targets = batch.targets.as_ref().expect("a batch of completions has targets");
        let Targets { predicting_rows, tokens, completions } = targets;
        let (to, from) = (&mut a.predicting.as_view_mut(), &a.hidden.as_view());
        embedding::cuda::forward(device, to, from, predicting_rows, width, Overwrite)?;
        let head = self.weights.of(self.decoder.layout().head);
        let hidden = a.predicting.as_view();
        let inputs = head_inputs(&hidden, &head, tokens);
        let (logp, lse) = (&mut a.token_logps.as_view_mut(), &mut a.logits_lse.as_view_mut());
        let shape = self.decoder.head_shape(tokens.n_ids());
        match &mut a.statistics {
            None => logprob::cuda::forward(device, logp, lse, None, inputs, shape)?,
            Some(statistics) => {
                let asked = logprob::cuda::StatisticsMut {
                    entropy: &mut statistics.entropy.as_view_mut(),
                    mean_logit: &mut statistics.mean_logit.as_view_mut(),
                    is_likeliest: &mut statistics.is_likeliest.as_view_mut(),
                };
                logprob::cuda::forward(device, logp, lse, Some(asked), inputs, shape)?;
            }
        }
        let (sums, logps) = (&mut a.sums.as_view_mut(), &a.token_logps.as_view());
        completion::cuda::forward(device, sums, logps, completions)
    }

    /// From the completions' derivatives to the gradient of the normalised stream.
    fn launch_head_backward(
        &self,
        gradients: &mut Gradients,
        batch: &Batch,
        a: &mut Activations<R>,
    ) -> Result<(), Fault> {
        let (device, decoder) = (self.device, self.decoder);
        let d = a.gradients.as_mut().expect("nothing was kept for a backward pass");
        let targets = batch.targets.as_ref().expect("a batch of completions has targets");
        let (dlogps, derivatives) = (&mut d.token_logps.as_view_mut(), &d.derivatives.as_view());
        completion::cuda::backward(device, dlogps, derivatives, &targets.completions)?;

        let groups = batch.groups.as_ref().expect("made where something is kept");
        let head = self.weights.of(decoder.layout().head);
        let hidden = a.predicting.as_view();
        let inputs = head_inputs(&hidden, &head, &targets.tokens);
        let (dhidden, dhead) =
            (&mut d.predicting.as_view_mut(), &mut gradients.of(decoder.layout().head));
        let (dlogp, lse) = (&d.token_logps.as_view(), &a.logits_lse.as_view());
        let shape = decoder.head_shape(targets.tokens.n_ids());
        logprob::cuda::backward(device, dhidden, dhead, dlogp, lse, inputs, shape)?;
        let (dx, dy) = (&mut d.hidden.as_view_mut(), &d.predicting.as_view());
        let width = decoder.config().width;
        embedding::cuda::backward_rows(device, dx, dy, &groups.predicting_rows, width)
    }

    /// From there to the gradient of the stream before the first block.
    fn launch_blocks_backward(
        &self,
        gradients: &mut Gradients,
        batch: &Batch,
        a: &mut Activations<R>,
        rotations: &Rotations,
        keep: Keep,
    ) -> Result<(), Fault> {
        let (on, decoder) = (self.context(), self.decoder);
        let d = a.gradients.as_mut().expect("nothing was kept for a backward pass");
        let last = &a.streams[place(decoder.blocks.len(), keep)];
        let (norm, stats) = (decoder.final_norm, &a.final_stats);
        norm.launch_backward(on, &mut d.stream, gradients, &d.hidden, last, stats, Overwrite)?;
        for (index, block) in decoder.blocks.iter().enumerate().rev() {
            let [input, output] = around(&mut a.streams, index, keep);
            let layer = of_block(&mut a.layers, index);
            if keep == Keep::Streams {
                block.launch_forward(on, output, input, layer, batch, &rotations.tables)?;
            }
            block.launch_backward(on, gradients, d, input, layer, batch, &rotations.tables)?;
        }
        Ok(())
    }

    pub(super) fn context(&self) -> Context<'_, R> {
        Context { device: self.device, weights: self.weights }
    }

    /// The stream before the first block. Shapes: stream \[R, D\], tokens and positions \[R\].
    pub(super) fn embed(
        &self,
        stream: &mut ViewMut<R>,
        tokens: &Ids,
        positions: &Ids,
    ) -> Result<(), Fault> {
        let (layout, config) = (self.decoder.layout(), self.decoder.config());
        let (table, width) = (self.weights.of(layout.embedding), config.width);
        embedding::cuda::forward(self.device, stream, &table, tokens, width, Overwrite)?;
        if let Some(scale) = config.embedding_scale {
            embedding::cuda::scale(self.device, stream, scale)?;
        }
        if let Some(slot) = layout.positions {
            let table = self.weights.of(slot);
            embedding::cuda::forward(self.device, stream, &table, positions, width, Accumulate)?;
        }
        Ok(())
    }

    fn embed_backward(
        &self,
        g: &mut Gradients,
        d: &mut GradientBuffers<R>,
        groups: &BatchGroups,
    ) -> Result<(), Fault> {
        let (layout, config) = (self.decoder.layout(), self.decoder.config());
        let (device, width) = (self.device, config.width);
        if let Some((slot, groups)) = layout.positions.zip(groups.positions.as_ref()) {
            let dtable = &mut g.of(slot);
            embedding::cuda::backward(device, dtable, &d.stream.as_view(), groups, width)?;
        }
        if let Some(scale) = config.embedding_scale {
            embedding::cuda::scale(device, &mut d.stream.as_view_mut(), scale)?;
        }
        let dtable = &mut g.of(layout.embedding);
        embedding::cuda::backward(device, dtable, &d.stream.as_view(), &groups.tokens, width)
    }
}

fn head_inputs<'a, 'b, R>(
    hidden: &'a View<'b, R>,
    head: &'a View<'b, R>,
    targets: &'a Ids,
) -> logprob::cuda::Inputs<'a, 'b, R> {
    let logits_bytes_max = logprob::LOGITS_BYTES_MAX;
    logprob::cuda::Inputs { hidden, head, targets, logits_bytes_max }
}

/// Where the stream before block `index` lies.
fn place(index: usize, keep: Keep) -> usize {
    if keep == Keep::Nothing { index % 2 } else { index }
}

/// The stream before and after a block.
fn around<R>(streams: &mut [Piece<R>], index: usize, keep: Keep) -> [&mut Piece<R>; 2] {
    let both = [place(index, keep), place(index + 1, keep)];
    streams.get_disjoint_mut(both).expect("neighbouring streams do not overlap")
}

/// What belongs to a block; where one is kept, all blocks share it.
fn of_block<R>(layers: &mut [Layer<R>], index: usize) -> &mut Layer<R> {
    let last = layers.len() - 1;
    &mut layers[index.min(last)]
}
