//! Weights between safetensors and the flat buffer.
//!
//! Tensors are found by Hugging Face's names and converted from `f32`, `f16` or `bf16` to `f32`, which loses
//! nothing. A tensor that is missing, has another shape or is not expected is refused by its name; a head
//! beside a tied embedding must be equal to it. Not here: where the bytes come from (`directory`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;

use half::{bf16, f16};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};

use super::layout::{HEAD, Layout, PREFIXES, Tensor};
use crate::fault::Fault;

/// Reads tensors that lie one behind the other from a file that [`write`] wrote.
pub(super) fn read_tensors(
    path: &Path,
    file: &[u8],
    tensors: &[Tensor],
) -> Result<Vec<f32>, Fault> {
    read_all(&[whole(path, file)?], tensors, |_| ())
}

/// The tensors of a file, all of whose bytes are there.
pub(super) fn whole<'a>(path: &Path, file: &'a [u8]) -> Result<SafeTensors<'a>, Fault> {
    SafeTensors::deserialize(file).map_err(|error| not_safetensors(&path.display(), &error))
}

fn read_all(
    shards: &[SafeTensors],
    tensors: &[Tensor],
    done: impl Fn(&[u8]),
) -> Result<Vec<f32>, Fault> {
    // Before any memory is taken: a configuration may ask for more than there is.
    for tensor in tensors {
        view_of(shards, tensor)?;
    }
    let mut values = vec![0.0; tensors.last().map_or(0, |tensor| tensor.slot.end())];
    for tensor in tensors {
        let view = view_of(shards, tensor)?;
        convert(tensor.slot.of_mut(&mut values), &tensor.name, &view)?;
        done(view.data());
        tensor.take_file_order(&mut values);
    }
    Ok(values)
}

fn not_safetensors(file: &dyn Display, error: &SafeTensorError) -> Fault {
    let hint = "copy or download the file again";
    Fault::weights(format!("{file}: not a whole safetensors file: {error}"), hint)
}

/// Reads all tensors of the layout from one file or several into one flat buffer. `done` sees the bytes of each that has
/// been read.
pub(super) fn read(
    files: &[&[u8]],
    layout: &Layout,
    done: impl Fn(&[u8]),
) -> Result<Vec<f32>, Fault> {
    let mut shards = Vec::with_capacity(files.len());
    for file in files {
        let unusable = |error| not_safetensors(&"model.safetensors", &error);
        shards.push(SafeTensors::deserialize(file).map_err(unusable)?);
    }
    let weights = read_all(&shards, &layout.tensors, done)?;
    for file in &shards {
        refuse_the_rest(file, layout, &weights)?;
    }
    Ok(weights)
}

/// The tensor in the files, of the shape that is expected.
fn view_of<'a>(shards: &'a [SafeTensors], tensor: &Tensor) -> Result<TensorView<'a>, Fault> {
    let named = |name: &str| shards.iter().find_map(|shard| shard.tensor(name).ok());
    let view = named(&tensor.name).or_else(|| named(short(&tensor.name))).ok_or_else(|| {
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
    Ok(view)
}

/// The name as files have it that hold the decoder without its head, GPT-2's own among them.
fn short(name: &str) -> &str {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
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

/// Refuses tensors that the layout does not know, but for constants that older files carry.
fn refuse_the_rest(file: &SafeTensors, layout: &Layout, weights: &[f32]) -> Result<(), Fault> {
    let known = |name: &str| {
        layout.tensors.iter().any(|tensor| tensor.name == name || short(&tensor.name) == name)
    };
    for (name, view) in file.iter().filter(|(name, _)| !known(name) && !is_constant(name)) {
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

/// Rotary frequencies, and GPT-2's causal mask: they follow from the configuration.
fn is_constant(name: &str) -> bool {
    let mask = |name: &str| name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
    name.ends_with("rotary_emb.inv_freq") || mask(name)
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

/// Writes a flat buffer, weights or gradients, as a safetensors file of `f32`, tensor after tensor.
///
/// The file is not written in one go: who needs all or nothing renames it into its place.
pub(super) fn write(path: &Path, tensors: &[Tensor], buffer: &[f32]) -> Result<(), Fault> {
    let views = tensors.iter().map(|tensor| {
        let values = tensor.in_file_order(buffer);
        (tensor.name.as_str(), F32View { shape: &tensor.shape, values })
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path)
        .map_err(|error| Fault::file("write", path, std::io::Error::other(error)))
}

struct F32View<'a> {
    shape: &'a [usize],
    values: Cow<'a, [f32]>,
}

impl View for F32View<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match cfg!(target_endian = "little") {
            true => Cow::Borrowed(bytemuck::cast_slice(&self.values)),
            false => self.values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    fn data_len(&self) -> usize {
        4 * self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::DecoderConfig;

    /// The smallest of all: one block, of which most tests leave nothing but the names.
    fn layout(tied_head: bool) -> Layout {
        let json = format!(
            r#"{{"model_type": "llama", "hidden_size": 2, "num_attention_heads": 1, "intermediate_size": 1,
                "num_hidden_layers": 1, "vocab_size": 2, "tie_word_embeddings": {tied_head}}}"#
        );
        let mut config = DecoderConfig::parse(json.as_bytes()).expect("a config");
        config.layers.clear();
        Layout::new(&config)
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
        let message = read(&[&file(tensors)], &layout(tied_head), |_| ())
            .expect_err("must be refused")
            .to_string();
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
            let weights = read(&[&file], &layout(true), |_| ()).expect("a whole file");
            assert_eq!(weights[..4], [1.0, -2.0, 0.5, smallest]);
        }
    }

    #[test]
    fn tensors_may_be_spread_over_several_files() {
        let (one, other) = (file(&[embedding()]), file(&[norm()]));
        let weights = read(&[&one, &other], &layout(true), |_| ()).expect("a whole model");
        assert_eq!(weights, [1.0, 2.0, 3.0, 4.0, 1.0, 2.0]);
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
        assert!(read(&[&file(&[embedding(), norm(), equal])], &layout(true), |_| ()).is_ok());
        let other = (HEAD, Dtype::F32, &[2, 2][..], f32_bytes(&[1.0, 2.0, 3.0, 5.0]));
        check_refused(&[embedding(), norm(), other], true, "differs from the embedding");
    }
}
