//! The checks of `parity.rs` as tests, on the first device.

use crate::device::device;
use crate::parity::CHECKS;
use kernels::cuda::Device;
use lossbox_kernels as kernels;

/// Runs the check of this name for each stored number that it has, or says that there is no device.
macro_rules! on_a_device {
    ($($name:ident)*) => {
        /// Those that the tests below run.
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                let mut checks = CHECKS.iter().filter(|check| check.name == stringify!($name));
                let check = checks.next().unwrap();
                if let Some(device) = device(check.name) {
                    (check.f32)(&device);
                    check.bf16.iter().for_each(|run| run(&device));
                }
            }
        )*
    };
}

on_a_device! {
    embedding_agrees
    residual_and_bias_agree
    rmsnorm_agrees
    layernorm_agrees
    rope_agrees
    activations_agree
    attention_over_tiles_agrees
    attention_agrees
    decoding_agrees
    products_agree
    log_probs_agree
    adamw_agrees
    the_norm_agrees_and_clips
    draws_agree
    statistics_agree_where_logits_tie_or_are_extreme
    sums_of_completions_agree
    linear_layers_agree
    layers_with_gelu_agree
    gradients_of_gathered_rows_agree
    scaling_agrees
    what_is_drawn_has_weight
}

#[test]
fn every_check_is_run_and_every_kernel_has_one() {
    let checked: Vec<&str> = CHECKS.iter().flat_map(|check| check.files).copied().collect();
    for source in kernels::cuda_sources() {
        assert!(checked.contains(&source.file), "no check is listed for {}", source.file);
    }
    for check in &CHECKS {
        assert!(NAMES.contains(&check.name), "{} is not run", check.name);
    }
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let Some(_session) = device("a_device_that_is_not_there_is_named") else { return };
    let fault = Device::open(1000, None).expect_err("no machine has a thousand cards");
    assert!(fault.to_string().contains("sees no device 1000"), "{fault}");
}
