//! Weights between safetensors and the flat buffer.
//!
//! Tensors are found by Hugging Face's names and converted from `f32`, `f16` or `bf16` to `f32`, which loses
//! nothing. A tensor that is missing, has another shape or is not expected is refused by its name; a head
//! beside a tied embedding must be equal to it. Not here: where the bytes come from (`directory`).

use std::collections::HashMap;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};

use super::Model;
use super::layout::{HEAD, Layout, Tensor};
use crate::fault::Fault;

/// Reads all tensors of the layout into one flat buffer.
pub(super) fn read(file: &[u8], layout: &Layout) -> Result<Vec<f32>, Fault> {
    let file = SafeTensors::deserialize(file).map_err(|error| {
        Fault::weights(
            format!("not a safetensors file: {error}"),
            "copy or download the file again",
        )
    })?;
    let mut weights = vec![0.0; layout.len()];
    for tensor in &layout.tensors {
        read_tensor(tensor.slot.of_mut(&mut weights), &file, tensor)?;
    }
    refuse_the_rest(&file, layout, &weights)?;
    Ok(weights)
}

fn read_tensor(into: &mut [f32], file: &SafeTensors, tensor: &Tensor) -> Result<(), Fault> {
    let view = file.tensor(&tensor.name).map_err(|_| {
        Fault::weights(
            format!("{} is missing", tensor.name),
            "check that config.json and weights belong together",
        )
    })?;
    if view.shape() != tensor.shape {
        return Err(Fault::weights(
            format!(
                "{}: expected the shape {:?}, got {:?}",
                tensor.name,
                tensor.shape,
                view.shape()
            ),
            "check that config.json and weights belong together",
        ));
    }
    convert(into, &tensor.name, &view)
}

/// Converts little-endian numbers to `f32`.
fn convert(into: &mut [f32], name: &str, view: &TensorView) -> Result<(), Fault> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => fill(into, bytes, f32::from_le_bytes),
        Dtype::F16 => fill(into, bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => fill(into, bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        other => {
            return Err(Fault::weights(
                format!("{name} has the type {other:?}"),
                "save the model as float32, float16 or bfloat16",
            ));
        }
    }
    Ok(())
}

fn fill<const N: usize>(into: &mut [f32], bytes: &[u8], read: impl Fn([u8; N]) -> f32) {
    let (numbers, _) = bytes.as_chunks();
    into.iter_mut().zip(numbers).for_each(|(value, bytes)| *value = read(*bytes));
}

/// Refuses tensors that the layout does not know. Older files carry the rotary frequencies, which follow
/// from the configuration.
fn refuse_the_rest(file: &SafeTensors, layout: &Layout, weights: &[f32]) -> Result<(), Fault> {
    let known = |name: &str| layout.tensors.iter().any(|tensor| tensor.name == name);
    for (name, view) in
        file.iter().filter(|(name, _)| !known(name) && !name.ends_with("rotary_emb.inv_freq"))
    {
        if name != HEAD {
            return Err(Fault::weights(
                format!("{name} is not part of this model"),
                "check that config.json and weights belong together",
            ));
        }
        check_head_is_embedding(&view, layout.embedding.of(weights))?;
    }
    Ok(())
}

fn check_head_is_embedding(view: &TensorView, embedding: &[f32]) -> Result<(), Fault> {
    let mut head = vec![0.0; view.shape().iter().product()];
    convert(&mut head, HEAD, view)?;
    if head != embedding {
        return Err(Fault::weights(
            format!("{HEAD} differs from the embedding, but config.json says tie_word_embeddings"),
            "set tie_word_embeddings to false to use the head",
        ));
    }
    Ok(())
}

/// The weights as a safetensors file of `f32`.
pub(super) fn write(model: &Model) -> Vec<u8> {
    let tensors = model.decoder.layout().tensors.iter();
    let views = tensors.map(|tensor| {
        let view = F32View { shape: &tensor.shape, values: tensor.slot.of(&model.weights) };
        (tensor.name.as_str(), view)
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).expect("shapes and sizes come from one layout")
}

struct F32View<'a> {
    shape: &'a [usize],
    values: &'a [f32],
}

impl View for F32View<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        4 * self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::DecoderConfig;

    fn layout(tied_head: bool) -> Layout {
        Layout::new(&DecoderConfig {
            n_layers: 0,
            width: 2,
            n_heads: 1,
            n_kv_heads: 1,
            head_width: 2,
            mlp_width: 1,
            vocabulary: 2,
            context: 8,
            norm_epsilon: 1e-5,
            rope_theta: 1e4,
            tied_head,
            end_tokens: vec![],
        })
    }

    fn file(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Vec<u8> {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (*name, TensorView::new(*dtype, shape.to_vec(), bytes).expect("a tensor"))
        });
        safetensors::serialize(views, None).expect("a file")
    }

    fn f32_bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn norm() -> (&'static str, Dtype, &'static [usize], Vec<u8>) {
        ("model.norm.weight", Dtype::F32, &[2], f32_bytes(&[1.0, 2.0]))
    }

    fn embedding() -> (&'static str, Dtype, &'static [usize], Vec<u8>) {
        ("model.embed_tokens.weight", Dtype::F32, &[2, 2], f32_bytes(&[1.0, 2.0, 3.0, 4.0]))
    }

    #[track_caller]
    fn check_refused(tensors: &[(&str, Dtype, &[usize], Vec<u8>)], tied_head: bool, reason: &str) {
        let message =
            read(&file(tensors), &layout(tied_head)).expect_err("must be refused").to_string();
        assert!(message.contains(reason), "{message}");
    }

    /// 1, −2, 0.5 and the smallest normal number of each format, as bit patterns of IEEE 754 and of bfloat16.
    #[test]
    fn half_precision_numbers_are_converted_exactly() {
        for (dtype, bits, smallest) in [
            (Dtype::F16, [0x3c00u16, 0xc000, 0x3800, 0x0400], 2f32.powi(-14)),
            (Dtype::BF16, [0x3f80, 0xc000, 0x3f00, 0x0080], 2f32.powi(-126)),
        ] {
            let bytes = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
            let file = file(&[("model.embed_tokens.weight", dtype, &[2, 2], bytes), norm()]);
            let weights = read(&file, &layout(true)).expect("a whole file");
            assert_eq!(weights[..4], [1.0, -2.0, 0.5, smallest]);
        }
    }

    #[test]
    fn tensors_that_do_not_fit_are_refused_by_name() {
        check_refused(&[norm()], true, "model.embed_tokens.weight is missing");
        check_refused(&[embedding(), norm()], false, "lm_head.weight is missing");
        let wide = ("model.norm.weight", Dtype::F32, &[1, 2][..], f32_bytes(&[1.0, 2.0]));
        check_refused(&[embedding(), wide], true, "expected the shape [2], got [1, 2]");
        let whole = ("model.norm.weight", Dtype::I32, &[2][..], f32_bytes(&[1.0, 2.0]));
        check_refused(&[embedding(), whole], true, "has the type I32");
        let bias = ("model.norm.bias", Dtype::F32, &[2][..], f32_bytes(&[1.0, 2.0]));
        check_refused(
            &[embedding(), norm(), bias],
            true,
            "model.norm.bias is not part of this model",
        );
    }

    #[test]
    fn a_head_beside_a_tied_embedding_must_equal_it() {
        let equal = (HEAD, Dtype::F32, &[2, 2][..], f32_bytes(&[1.0, 2.0, 3.0, 4.0]));
        assert!(read(&file(&[embedding(), norm(), equal]), &layout(true)).is_ok());
        let other = (HEAD, Dtype::F32, &[2, 2][..], f32_bytes(&[1.0, 2.0, 3.0, 5.0]));
        check_refused(&[embedding(), norm(), other], true, "differs from the embedding");
    }
}
