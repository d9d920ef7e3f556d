//! What computes: the CPU, or a CUDA device.
//!
//! A [`DeviceName`] is what a person writes; a [`Device`] has been opened. No library of CUDA's is touched before that.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use kernels::cuda;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// A device by its name: `cpu`, `cuda` or `cuda:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceName {
    /// The processor that runs this program.
    #[default]
    Cpu,
    /// A CUDA device by its number, from 0.
    Cuda(usize),
}

impl FromStr for DeviceName {
    type Err = Fault;

    fn from_str(name: &str) -> Result<Self, Fault> {
        let number = |digits: &str| digits.parse().ok();
        match (name, name.strip_prefix("cuda:").and_then(number)) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(ordinal)) => Ok(Self::Cuda(ordinal)),
            _ => Err(Fault::settings(
                format!("device: expected cpu, cuda or cuda:N, got {name:?}"),
                "leave it out to compute on the CPU",
            )),
        }
    }
}

impl TryFrom<String> for DeviceName {
    type Error = Fault;

    fn try_from(name: String) -> Result<Self, Fault> {
        name.parse()
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// How a CUDA device stores activations, and the copy of the weights that it multiplies. Sums, masters, gradients of weights
/// and moments are `f32` in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Half the bytes, and tensor cores.
    #[default]
    Bf16,
    /// True f32 throughout, for comparison with the CPU.
    F32,
}

impl FromStr for Precision {
    type Err = Fault;

    fn from_str(name: &str) -> Result<Self, Fault> {
        match name {
            "bf16" => Ok(Self::Bf16),
            "f32" => Ok(Self::F32),
            _ => Err(Fault::settings(
                format!("precision: expected bf16 or f32, got {name:?}"),
                "write bf16, or f32 to compare with the CPU",
            )),
        }
    }
}

/// What computes.
#[derive(Debug, Clone, Default)]
pub enum Device {
    /// The processor that runs this program, in f32.
    #[default]
    Cpu,
    /// A CUDA device.
    Cuda {
        /// The open device.
        device: Arc<cuda::Device>,
        /// What it stores.
        precision: Precision,
    },
}

impl Device {
    /// Opens a device. `cache` is where a CUDA device's compiled kernels are kept, if anywhere.
    ///
    /// # Errors
    ///
    /// What is missing of driver, card, compiler and libraries, with the remedy.
    pub fn open(
        name: DeviceName,
        precision: Precision,
        cache: Option<&Path>,
    ) -> Result<Self, Fault> {
        match name {
            DeviceName::Cpu => Ok(Self::Cpu),
            DeviceName::Cuda(ordinal) => {
                let device = open_cuda(ordinal, cache)?;
                Ok(Self::Cuda { device, precision })
            }
        }
    }
}

/// A CUDA device, to be measured.
///
/// # Errors
///
/// As [`Device::open`].
pub fn open_cuda(ordinal: usize, cache: Option<&Path>) -> Result<Arc<cuda::Device>, Fault> {
    Ok(Arc::new(cuda::Device::open(ordinal, cache)?))
}

/// The name of a CUDA device, if all is there to compute on it.
///
/// # Errors
///
/// As [`Device::open`].
pub fn cuda_name(ordinal: usize) -> Result<String, Fault> {
    Ok(open_cuda(ordinal, None)?.name()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["cpu", "cuda", "cuda:3"] {
            let read: DeviceName = name.parse().expect(name);
            assert_eq!(read.to_string(), name);
        }
        assert_eq!("cuda:0".parse::<DeviceName>().expect("a name"), DeviceName::Cuda(0));
        for name in ["gpu", "cuda:", "cuda:x", "CUDA", "cuda:-1"] {
            let refused = name.parse::<DeviceName>().expect_err(name).to_string();
            assert!(refused.contains(name) && refused.contains("cuda:N"), "{refused}");
        }
        assert!("fp16".parse::<Precision>().is_err());
    }
}
