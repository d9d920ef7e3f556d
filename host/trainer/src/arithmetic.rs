//! How much arithmetic pairs need, whatever is executed: what a step's time is held against.
//!
//! Six operations per row and weight of a linear layer (two forward, four backward), and twelve per visible key and
//! unit of width in attention; a prompt counts once, and the head on completion tokens only. What is computed
//! twice to save memory does not count.

use crate::model::{Decoder, LayerSlots};
use crate::pairs::PreferencePair;

/// Useful floating-point operations of forward and backward over a pair.
pub(crate) fn useful_flop(decoder: &Decoder, pair: &PreferencePair) -> f64 {
    let config = decoder.config();
    let weights: usize = decoder.layout().layers.iter().map(linear_weights).sum();
    let (chosen, rejected) = (pair.chosen.len(), pair.rejected.len());
    let shared = pair.prompt.len();
    let apart = pair.rejected_prompt.as_ref().map_or(0, Vec::len);
    let before_rejected = if apart > 0 { apart } else { shared };
    // A completion's last token predicts nothing and gets no row.
    let runs = [(0, shared), (0, apart), (shared, chosen - 1), (before_rejected, rejected - 1)];
    let rows: usize = runs.iter().map(|(_, len)| len).sum();
    let visible: usize = config
        .layers
        .iter()
        .map(|layer| {
            runs.map(|(start, len)| visible(start, len, layer.window)).iter().sum::<usize>()
        })
        .sum();
    let head = (chosen + rejected) * config.vocabulary * config.width;
    (6 * (rows * weights + head) + 12 * visible * config.q_width()) as f64
}

fn linear_weights(layer: &LayerSlots) -> usize {
    let gate = layer.gate.map_or(0, |gate| gate.weight.len);
    let always = [layer.q, layer.k, layer.v, layer.o, layer.up, layer.down];
    gate + always.iter().map(|linear| linear.weight.len).sum::<usize>()
}

/// Keys that `len` rows see together, of which the first has `start` tokens before it.
fn visible(start: usize, len: usize, window: Option<usize>) -> usize {
    let window = window.unwrap_or(usize::MAX);
    (start + 1..=start + len).map(|tokens| tokens.min(window)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DecoderConfig;

    /// Six layers of GPT-2, 384 wide: twelve squares of the width are the weights of a layer.
    #[test]
    fn a_pair_needs_what_its_shapes_say() {
        let config = br#"{"model_type": "gpt2", "n_layer": 6, "n_embd": 384, "n_head": 6, "vocab_size": 4096}"#;
        let decoder = Decoder::new(DecoderConfig::parse(config).expect("a config"));
        let pair = PreferencePair::new(vec![0; 64], vec![0; 64], vec![0; 64]);
        let (prompt, with_row) = (64_usize, 63);
        let rows = prompt + 2 * with_row;
        let visible =
            prompt * (prompt + 1) / 2 + 2 * (with_row * prompt + with_row * (with_row + 1) / 2);
        let (linear, attention) = (6 * rows * 12 * 384 * 384 * 6, 12 * visible * 384 * 6);
        let head = 6 * 2 * 64 * 4096 * 384;
        assert_eq!(useful_flop(&decoder, &pair), (linear + attention + head) as f64);
    }

    #[test]
    fn a_window_limits_what_is_seen() {
        assert_eq!(visible(0, 4, None), 1 + 2 + 3 + 4);
        assert_eq!(visible(2, 3, Some(4)), 3 + 4 + 4);
    }
}
