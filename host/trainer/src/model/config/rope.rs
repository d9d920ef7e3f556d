//! Rotary frequencies and how a longer context scales them.
//!
//! Scalings as transformers defines them: `linear` divides every frequency; `llama3` divides the low ones and blends
//! between (Llama 3.1); `yarn` blends by dimension and enlarges cosines and sines (Peng et al. 2023,
//! arXiv:2309.00071). `dynamic` changes nothing below the model's own context, which this crate never exceeds.

use std::f64::consts::PI;
use std::fmt;

use super::fields::{Fields, contradiction};
use crate::fault::Fault;

/// Rotary positions of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// What a longer context does to them.
    pub scaling: RopeScaling,
}

/// How frequencies are scaled.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All by the same factor.
    Linear {
        /// Divides the frequencies.
        factor: f64,
    },
    /// The low ones by a factor, with a smooth passage to the high ones.
    Llama3 {
        /// Divides the low frequencies.
        factor: f64,
        /// Wavelengths above `original_context / low_freq_factor` are low.
        low_freq_factor: f64,
        /// Wavelengths below `original_context / high_freq_factor` are high.
        high_freq_factor: f64,
        /// Context of the first training.
        original_context: f64,
    },
    /// By dimension, between those that turn often within the first context and those that hardly turn.
    Yarn {
        /// Divides the frequencies that hardly turn.
        factor: f64,
        /// Context of the first training.
        original_context: f64,
        /// Turns from which on a frequency is left alone.
        beta_fast: f64,
        /// Turns up to which it is divided by the whole factor.
        beta_slow: f64,
        /// Factor of cosines and sines.
        magnitude: f64,
        /// Whether the passage begins and ends at whole dimensions.
        truncate: bool,
    },
}

impl fmt::Display for RopeScaling {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::None => write!(f, "nothing"),
            Self::Linear { factor } => write!(f, "linear by {factor}"),
            Self::Llama3 { factor, .. } => write!(f, "llama3 by {factor}"),
            Self::Yarn { factor, .. } => write!(f, "yarn by {factor}"),
        }
    }
}

impl RopeScaling {
    fn factor(&self) -> f64 {
        match self {
            Self::None => 1.0,
            Self::Linear { factor } | Self::Llama3 { factor, .. } | Self::Yarn { factor, .. } => {
                *factor
            }
        }
    }
}

impl Rope {
    /// Radians per position, one for each pair of a head.
    pub fn frequencies(&self, head_width: usize) -> Vec<f64> {
        let exponent = |pair: usize| -2.0 * pair as f64 / head_width as f64;
        let plain = (0..head_width / 2).map(|pair| self.theta.powf(exponent(pair)));
        match self.scaling {
            RopeScaling::None => plain.collect(),
            RopeScaling::Linear { factor } => plain.map(|frequency| frequency / factor).collect(),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                plain
                    .map(|frequency| {
                        let turns = original_context * frequency / (2.0 * PI);
                        let kept = ((turns - low_freq_factor)
                            / (high_freq_factor - low_freq_factor))
                            .clamp(0.0, 1.0);
                        frequency * (kept + (1.0 - kept) / factor)
                    })
                    .collect()
            }
            RopeScaling::Yarn {
                factor, original_context, beta_fast, beta_slow, truncate, ..
            } => {
                let dimension = |turns: f64| {
                    let ratio = (original_context / (turns * 2.0 * PI)).ln();
                    head_width as f64 * ratio / (2.0 * self.theta.ln())
                };
                let (mut first, mut last) = (dimension(beta_fast), dimension(beta_slow));
                if truncate {
                    (first, last) = (first.floor(), last.ceil());
                }
                (first, last) = (first.max(0.0), last.min(head_width as f64 - 1.0));
                let width = if first == last { 0.001 } else { last - first };
                plain
                    .enumerate()
                    .map(|(pair, frequency)| {
                        let scaled = ((pair as f64 - first) / width).clamp(0.0, 1.0);
                        frequency * ((1.0 - scaled) + scaled / factor)
                    })
                    .collect()
            }
        }
    }

    /// Factor of cosines and sines.
    pub fn magnitude(&self) -> f64 {
        match self.scaling {
            RopeScaling::Yarn { magnitude, .. } => magnitude,
            _ => 1.0,
        }
    }

    /// One kind of rotation for all layers, from either form: `rope_theta` beside `rope_scaling`, or `rope_parameters`.
    pub(super) fn read(fields: &mut Fields, theta: f64, context: usize) -> Result<Self, Fault> {
        let mut given = fields.number("rope_theta")?;
        let mut scaling: Option<RopeScaling> = None;
        for name in ["rope_parameters", "rope_scaling"] {
            if let Some(mut inner) = fields.object(name)? {
                let (other, read) = Self::read_object(&mut inner, given, context)?;
                inner.refuse_the_rest()?;
                given = agree(given, other)?;
                if let Some(first) = scaling.as_ref().filter(|first| **first != read) {
                    return Err(disagreement(first, &read));
                }
                scaling = Some(read);
            }
        }
        let scaling = scaling.unwrap_or(RopeScaling::None);
        Self { theta: given.unwrap_or(theta), scaling }.checked()
    }

    /// `rope_theta`, if there is one, and the scaling of an object with a `rope_type`.
    pub(super) fn read_object(
        inner: &mut Fields,
        theta: Option<f64>,
        context: usize,
    ) -> Result<(Option<f64>, RopeScaling), Fault> {
        inner.expect("partial_rotary_factor", &1.0.into())?;
        let theta = agree(theta, inner.number("rope_theta")?)?;
        inner.refuse_two_values("type", "rope_type")?;
        let older = inner.text("type")?;
        let kind = inner.text("rope_type")?.or(older).unwrap_or_else(|| "default".into());
        let original = |inner: &mut Fields| -> Result<f64, Fault> {
            let given = inner.optional_count("original_max_position_embeddings")?;
            Ok(given.unwrap_or(context) as f64)
        };
        let scaling = match kind.as_str() {
            "default" => RopeScaling::None,
            "dynamic" => {
                inner.positive("factor")?;
                RopeScaling::None
            }
            "linear" => RopeScaling::Linear { factor: inner.positive("factor")? },
            "llama3" => {
                let low_freq_factor = inner.positive("low_freq_factor")?;
                let high_freq_factor = inner.positive("high_freq_factor")?;
                if low_freq_factor >= high_freq_factor {
                    return Err(contradiction(
                        &inner.full_name("low_freq_factor"),
                        format!(
                            "{low_freq_factor} is not below high_freq_factor = {high_freq_factor}"
                        ),
                    ));
                }
                RopeScaling::Llama3 {
                    factor: inner.positive("factor")?,
                    low_freq_factor,
                    high_freq_factor,
                    original_context: original(inner)?,
                }
            }
            "yarn" => {
                let factor = inner.positive("factor")?;
                let beta_fast = inner.optional_positive("beta_fast")?.unwrap_or(32.0);
                let beta_slow = inner.optional_positive("beta_slow")?.unwrap_or(1.0);
                if beta_fast < beta_slow {
                    return Err(contradiction(
                        &inner.full_name("beta_fast"),
                        format!("{beta_fast} is below beta_slow = {beta_slow}"),
                    ));
                }
                RopeScaling::Yarn {
                    factor,
                    original_context: original(inner)?,
                    beta_fast,
                    beta_slow,
                    magnitude: yarn_magnitude(inner, factor)?,
                    truncate: inner.flag("truncate")?.unwrap_or(true),
                }
            }
            _ => {
                return Err(Fault::config(
                    &inner.full_name("rope_type"),
                    format!("\"{kind}\" is not supported"),
                    "supported: default, linear, dynamic, llama3, yarn",
                ));
            }
        };
        Ok((theta, scaling))
    }

    pub(super) fn checked(self) -> Result<Self, Fault> {
        if self.theta.is_finite() && self.theta > 1.0 {
            return Ok(self);
        }
        Err(contradiction("rope_theta", format!("must be greater than 1, got {}", self.theta)))
    }
}

/// Both forms may give the base, but not two of them.
fn agree(one: Option<f64>, other: Option<f64>) -> Result<Option<f64>, Fault> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => {
            Err(contradiction("rope_theta", format!("given as {one} and as {other}")))
        }
        _ => Ok(one.or(other)),
    }
}

/// Both forms may give the scaling, but not two of them.
fn disagreement(one: &RopeScaling, other: &RopeScaling) -> Fault {
    let both = format!("rope_parameters says {one}, rope_scaling {other}");
    match std::mem::discriminant(one) == std::mem::discriminant(other) {
        false => contradiction("rope_scaling.rope_type", both),
        true if one.factor() != other.factor() => contradiction("rope_scaling.factor", both),
        true => {
            let message = "rope_parameters says the same but for other numbers";
            contradiction("rope_scaling", message.to_owned())
        }
    }
}

/// 0.1·ln(factor) + 1 unless the configuration says otherwise.
fn yarn_magnitude(inner: &mut Fields, factor: f64) -> Result<f64, Fault> {
    let of = |factor: f64, weight: f64| match factor <= 1.0 {
        true => 1.0,
        false => 0.1 * weight * factor.ln() + 1.0,
    };
    let given = inner.number("attention_factor")?;
    let (mscale, all_dim) = (inner.number("mscale")?, inner.number("mscale_all_dim")?);
    let nonzero = |number: Option<f64>| number.filter(|number| *number != 0.0);
    Ok(match (given, nonzero(mscale), nonzero(all_dim)) {
        (Some(given), ..) => given,
        (None, Some(mscale), Some(all_dim)) => of(factor, mscale) / of(factor, all_dim),
        _ => of(factor, 1.0),
    })
}

/// Gemma 3 turns its sliding layers by one base and its full layers by another; only the latter are scaled.
/// Returns the rotations of sliding and of full layers.
pub(super) fn read_pair(fields: &mut Fields, context: usize) -> Result<(Rope, Rope), Fault> {
    const SLIDING_THETA: f64 = 1e4;
    const FULL_THETA: f64 = 1e6;
    let (mut full, mut sliding) =
        (fields.number("rope_theta")?, fields.number("rope_local_base_freq")?);
    let (mut full_scaling, mut sliding_scaling) = (RopeScaling::None, RopeScaling::None);
    let older = fields.object("rope_scaling")?;
    let scaled = older.is_some();
    if let Some(mut inner) = older {
        (full, full_scaling) = Rope::read_object(&mut inner, full, context)?;
        inner.refuse_the_rest()?;
    }
    if let Some(mut by_kind) = fields.object("rope_parameters")? {
        if let Some(mut inner) = by_kind.object("full_attention")? {
            let (theta, scaling) = Rope::read_object(&mut inner, full, context)?;
            inner.refuse_the_rest()?;
            if scaled && scaling != full_scaling {
                return Err(disagreement(&scaling, &full_scaling));
            }
            (full, full_scaling) = (theta, scaling);
        }
        if let Some(mut inner) = by_kind.object("sliding_attention")? {
            (sliding, sliding_scaling) = Rope::read_object(&mut inner, sliding, context)?;
            inner.refuse_the_rest()?;
        }
        by_kind.refuse_the_rest()?;
    }
    let sliding = Rope { theta: sliding.unwrap_or(SLIDING_THETA), scaling: sliding_scaling };
    let full = Rope { theta: full.unwrap_or(FULL_THETA), scaling: full_scaling };
    Ok((sliding.checked()?, full.checked()?))
}
