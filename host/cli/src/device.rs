//! The device that computes, opened as the user named it.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use trainer::device::{Device, DeviceName, Precision};

use crate::settings::Settings;

/// Where compiled kernels lie in the cache.
const KERNELS: &str = "cuda-kernels";

/// # Errors
/// What is missing of a CUDA device's driver, card, compiler and libraries; a precision for the CPU.
pub(crate) fn open(
    name: DeviceName,
    precision: Option<Precision>,
    settings: &Settings,
) -> Result<Device> {
    ensure!(
        name != DeviceName::Cpu || precision.is_none(),
        "--precision applies to CUDA devices only; the CPU computes in f32\nhint: add --device cuda, or drop --precision"
    );
    Ok(Device::open(name, precision.unwrap_or_default(), Some(&kernels(settings)))?)
}

/// The folder of compiled kernels.
pub(crate) fn kernels(settings: &Settings) -> PathBuf {
    settings.cache.join(KERNELS)
}
