//! Low-rank adapters (Hu et al. 2022, arXiv:2106.09685) as another way to write the weights.
//!
//! W = W₀ + (α/r)·B·A with W₀ \[outputs, inputs\] frozen, A \[r, inputs\] and B \[outputs, r\]. The decoder sees W and knows
//! nothing of adapters: W is formed after each update, and the gradient of W gives those of A and B,
//! dB = (α/r)·dW·Aᵀ and dA = (α/r)·Bᵀ·dW. Only A and B have moments. B begins as zero, so that training begins with
//! the model as it is. Not here: the file format (`peft`).

mod peft;

use kernels::{Write, matmul};
pub(crate) use peft::{WEIGHTS, apply};

use crate::fault::Fault;
use crate::model::{Decoder, Family, Slot, Tensor};
use crate::random::{Purpose, Uniforms};

/// Which projections get adapters, and of what rank.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraSettings {
    /// r
    pub rank: usize,
    /// α
    pub alpha: f64,
    /// The last part of the projections' names, such as `q_proj`. Empty: queries and values.
    pub targets: Vec<String>,
}

/// Adapters in training, with the frozen matrices that they belong to.
#[derive(Debug)]
pub struct Adapters {
    settings: LoraSettings,
    pieces: Vec<Piece>,
    /// A and B of each piece, under peft's names.
    tensors: Vec<Tensor>,
    /// W₀ of each piece, one behind the other.
    frozen: Vec<f32>,
    /// A and B of each piece, one behind the other.
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    /// Whether the files of the base model have matrices the other way round.
    fan_in_fan_out: bool,
    /// (α/r)·B of a piece.
    scaled: Vec<f32>,
}

/// One adapted matrix.
#[derive(Debug)]
pub(crate) struct Piece {
    /// W among the weights of the model.
    pub weight: Slot,
    /// W₀ among the frozen matrices.
    pub frozen: Slot,
    /// A among the parameters.
    pub a: Slot,
    /// B among the parameters.
    pub b: Slot,
    /// Of the layer that has W for its input and A for its weight.
    pub shape: matmul::Shape,
}

impl Adapters {
    /// Adapters that change nothing yet. `weights` are those of the model to adapt.
    ///
    /// # Errors
    ///
    /// A rank of 0 or beyond a matrix, and names that no projection of the model has.
    pub fn new(
        decoder: &Decoder,
        weights: &[f32],
        settings: &LoraSettings,
        seed: u64,
    ) -> Result<Self, Fault> {
        let mut settings = settings.clone();
        if settings.targets.is_empty() {
            settings.targets = default_targets(decoder);
        }
        let chosen = chosen(decoder, &settings)?;
        let mut adapters = Self {
            fan_in_fan_out: chosen.iter().any(|tensor| tensor.transposed),
            settings,
            pieces: Vec::new(),
            tensors: Vec::new(),
            frozen: Vec::new(),
            parameters: Vec::new(),
            gradients: Vec::new(),
            scaled: Vec::new(),
        };
        for tensor in chosen {
            adapters.add(tensor, weights, seed)?;
        }
        adapters.gradients = vec![0.0; adapters.parameters.len()];
        Ok(adapters)
    }

    fn add(&mut self, tensor: &Tensor, weights: &[f32], seed: u64) -> Result<(), Fault> {
        let rank = self.settings.rank;
        let (outputs, inputs) = match tensor.transposed {
            true => (tensor.shape[1], tensor.shape[0]),
            false => (tensor.shape[0], tensor.shape[1]),
        };
        let largest = outputs.min(inputs);
        if !(1..=largest).contains(&rank) {
            return Err(Fault::settings(
                format!(
                    "lora-rank: expected 1 to {largest}, the size of {}, got {rank}",
                    tensor.name
                ),
                "8 or 16 is a good place to start",
            ));
        }
        let frozen = Slot { start: self.frozen.len(), len: tensor.slot.len };
        self.frozen.extend_from_slice(tensor.slot.of(weights));
        let a = self.place(&tensor.name, "lora_A", [rank, inputs]);
        let b = self.place(&tensor.name, "lora_B", [outputs, rank]);
        // peft's bounds: Kaiming's for a slope of √5.
        let bound = 1.0 / (inputs as f64).sqrt();
        let number = self.pieces.len() as u64;
        let mut uniforms = Uniforms::new(seed, Purpose::Adapters, number, 0);
        a.of_mut(&mut self.parameters).fill_with(|| (bound * (2.0 * uniforms.next() - 1.0)) as f32);
        let shape = matmul::Shape { rows: outputs, inputs, outputs: rank };
        self.pieces.push(Piece { weight: tensor.slot, frozen, a, b, shape });
        Ok(())
    }

    fn place(&mut self, name: &str, part: &str, shape: [usize; 2]) -> Slot {
        let slot = Slot { start: self.parameters.len(), len: shape.iter().product() };
        self.parameters.resize(slot.end(), 0.0);
        let module = name.strip_suffix(".weight").unwrap_or(name);
        let name = format!("base_model.model.{module}.{part}.weight");
        self.tensors.push(Tensor { name, shape: shape.to_vec(), transposed: false, slot });
        slot
    }

    /// What A and B are called and where they lie.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// A and B of every piece.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// Takes A and B from elsewhere.
    pub fn restore(&mut self, parameters: Vec<f32>) {
        assert_eq!(parameters.len(), self.parameters.len(), "adapters of another shape");
        self.parameters = parameters;
    }

    /// Gradients of A and B, in the layout of [`Self::tensors`].
    pub fn gradients(&self) -> &[f32] {
        &self.gradients
    }

    /// A and B, to be updated, and their gradients.
    pub(crate) fn trainable_and_gradient(&mut self) -> (&mut [f32], &[f32]) {
        (&mut self.parameters, &self.gradients)
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// W₀ of each piece, one behind the other.
    pub(crate) fn frozen(&self) -> &[f32] {
        &self.frozen
    }

    /// A and (α/r)·B, in the layout of [`Self::tensors`].
    pub(crate) fn scaled_parameters(&self) -> Vec<f32> {
        let (mut scaled, scale) = (self.parameters.clone(), self.scale());
        for piece in &self.pieces {
            piece.b.of_mut(&mut scaled).iter_mut().for_each(|value| *value *= scale);
        }
        scaled
    }

    /// Takes gradients that were formed with [`Self::scaled_parameters`]: those of B lack the factor.
    pub(crate) fn take_half_scaled(&mut self, gradients: &[f32]) {
        self.gradients.copy_from_slice(gradients);
        let scale = self.scale();
        for piece in &self.pieces {
            piece.b.of_mut(&mut self.gradients).iter_mut().for_each(|value| *value *= scale);
        }
    }

    /// Gradients of A and B from those of the weights.
    pub(crate) fn take_gradients(&mut self, of_weights: &[f32]) {
        let scale = self.scale();
        for Piece { weight, a, b, shape, .. } in &self.pieces {
            let dw = weight.of(of_weights);
            let (a_values, b_values) = (a.of(&self.parameters), b.of(&self.parameters));
            matmul::forward(b.of_mut(&mut self.gradients), dw, a_values, *shape, Write::Overwrite);
            let da = a.of_mut(&mut self.gradients);
            matmul::backward_weight(da, b_values, dw, *shape, Write::Overwrite);
        }
        self.gradients.iter_mut().for_each(|gradient| *gradient *= scale);
    }

    /// Forms W from W₀, A and B.
    pub(crate) fn form(&mut self, weights: &mut [f32]) {
        let scale = self.scale();
        for Piece { weight, frozen, a, b, shape } in &self.pieces {
            let w = weight.of_mut(weights);
            w.copy_from_slice(frozen.of(&self.frozen));
            self.scaled.clear();
            self.scaled.extend(b.of(&self.parameters).iter().map(|value| scale * value));
            let a = a.of(&self.parameters);
            matmul::backward_input(w, &self.scaled, a, *shape, Write::Accumulate);
        }
    }

    fn scale(&self) -> f32 {
        (self.settings.alpha / self.settings.rank as f64) as f32
    }
}

/// The last part of a projection's name; none for what is no projection.
fn projection<'a>(decoder: &Decoder, tensor: &'a Tensor) -> Option<&'a str> {
    let layout = decoder.layout();
    let is_table = tensor.slot == layout.embedding || Some(tensor.slot) == layout.positions;
    let module = tensor.name.strip_suffix(".weight")?;
    (tensor.is_matrix() && !is_table).then(|| module.rsplit('.').next().unwrap_or(module))
}

fn chosen<'a>(decoder: &'a Decoder, settings: &LoraSettings) -> Result<Vec<&'a Tensor>, Fault> {
    let all = || {
        let tensors = decoder.layout().tensors.iter();
        tensors.filter_map(|tensor| Some((projection(decoder, tensor)?, tensor)))
    };
    for target in &settings.targets {
        if !all().any(|(name, _)| name == target) {
            let mut names: Vec<&str> = all().map(|(name, _)| name).collect();
            names.sort_unstable();
            names.dedup();
            return Err(Fault::settings(
                format!("lora-targets: no projection of this model is called {target:?}"),
                format!("it has {}", names.join(", ")),
            ));
        }
    }
    let wanted = |name: &str| settings.targets.iter().any(|target| target == name);
    Ok(all().filter(|(name, _)| wanted(name)).map(|(_, tensor)| tensor).collect())
}

/// Those of peft.
fn default_targets(decoder: &Decoder) -> Vec<String> {
    let names: &[&str] = match decoder.config().family {
        Family::Gpt2 => &["c_attn"],
        _ => &["q_proj", "v_proj"],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DecoderConfig;

    fn decoder() -> Decoder {
        let config = br#"{"model_type": "llama", "hidden_size": 6, "num_attention_heads": 1, "intermediate_size": 4,
            "num_hidden_layers": 1, "vocab_size": 5}"#;
        Decoder::new(DecoderConfig::parse(config).expect("a config"))
    }

    fn adapters(targets: &[&str]) -> Result<(Adapters, Vec<f32>), Fault> {
        let decoder = decoder();
        let mut uniforms = Uniforms::new(1, Purpose::Initialisation, 0, 0);
        let weights: Vec<f32> =
            (0..decoder.layout().len()).map(|_| uniforms.normal() as f32).collect();
        let targets = targets.iter().map(|target| (*target).to_owned()).collect();
        let settings = LoraSettings { rank: 2, alpha: 3.0, targets };
        Ok((Adapters::new(&decoder, &weights, &settings, 7)?, weights))
    }

    #[test]
    fn new_adapters_change_nothing() {
        let (mut adapters, weights) = adapters(&["q_proj", "down_proj"]).expect("adapters");
        let mut formed = weights.clone();
        adapters.form(&mut formed);
        assert_eq!(formed, weights);
        assert_eq!(adapters.tensors().len(), 4);
        assert!(adapters.parameters().iter().any(|value| *value != 0.0));
    }

    /// L = Σ c·W, so dW = c; differences of L by each parameter in double precision of a bilinear form are exact but
    /// for rounding.
    #[test]
    fn gradients_are_those_of_the_formed_weights() {
        let (mut adapters, weights) = adapters(&["up_proj", "o_proj"]).expect("adapters");
        let mut uniforms = Uniforms::new(2, Purpose::Initialisation, 0, 0);
        let c: Vec<f32> = weights.iter().map(|_| uniforms.normal() as f32).collect();
        let parameters: Vec<f32> =
            adapters.parameters().iter().map(|_| uniforms.normal() as f32).collect();
        adapters.restore(parameters.clone());
        adapters.take_gradients(&c);
        let got = adapters.gradients().to_vec();
        let mut loss = |parameters: Vec<f32>| -> f64 {
            adapters.restore(parameters);
            let mut formed = weights.clone();
            adapters.form(&mut formed);
            formed.iter().zip(&c).map(|(w, c)| f64::from(*w) * f64::from(*c)).sum()
        };
        for (index, got) in got.iter().enumerate() {
            let mut moved = |by: f32| {
                let mut parameters = parameters.clone();
                parameters[index] += by;
                loss(parameters)
            };
            let expected = (moved(0.5) - moved(-0.5)) / 1.0;
            assert!((f64::from(*got) - expected).abs() < 2e-5, "{index}: {got} and {expected}");
        }
    }

    #[test]
    fn names_that_no_projection_has_are_refused_with_those_that_are_there() {
        let refused = adapters(&["c_attn"]).expect_err("must be refused").to_string();
        assert!(
            refused.contains("c_attn") && refused.contains("down_proj, gate_proj"),
            "{refused}"
        );
        assert!(adapters(&["embed_tokens"]).is_err());
    }
}
