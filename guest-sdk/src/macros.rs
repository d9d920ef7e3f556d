//! The macros that make a one-file loss: `pair_loss!` and `batch_loss!` in the author's file, and
//! `export!` in the wrapper that the host puts around it.
//!
//! They only arrange; what they arrange is in `evaluate` and in the two functions at the end.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{Hyperparameter, Metadata, Scope};

/// Declares a loss that looks at one pair at a time.
///
/// The file must also have `fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual`. The macro defines
/// `Hyperparameters`, with one `f64` field per hyperparameter, and `Loss`, the
/// [`PreferenceLoss`](crate::PreferenceLoss).
#[macro_export]
macro_rules! pair_loss {
    ($($declaration:tt)*) => {
        $crate::__loss! { Pair, evaluate_pairs(pair) => loss; $($declaration)* }
    };
}

/// Declares a loss whose rows may depend on the whole batch.
///
/// The file must also have `fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>>`,
/// which gives one loss per pair, in order. The macro defines `Hyperparameters` and `Loss` as
/// [`pair_loss!`](crate::pair_loss) does.
#[macro_export]
macro_rules! batch_loss {
    ($($declaration:tt)*) => {
        $crate::__loss! { Batch, evaluate_batch(batch) => losses; $($declaration)* }
    };
}

/// What `pair_loss!` and `batch_loss!` have in common.
#[doc(hidden)]
#[macro_export]
macro_rules! __loss {
    (
        $scope:ident, $evaluate:ident($rows:ident) => $author:ident;
        name: $name:literal,
        summary: $summary:literal,
        $(citation: $citation:literal,)?
        hyperparameters: {
            $($hp:ident: $default:literal in $minimum:literal..=$maximum:literal),* $(,)?
        } $(,)?
    ) => {
        /// What the user may set.
        pub struct Hyperparameters {
            $(#[doc = ::core::concat!("Default ", $default, ", from ", $minimum, " to ", $maximum, ".")]
            pub $hp: f64,)*
        }

        #[doc = $summary]
        pub struct Loss;

        $(const _: () = ::core::assert!(
            $minimum <= $default && $default <= $maximum,
            ::core::concat!("the default of ", ::core::stringify!($hp), " lies outside its range"),
        );)*

        impl $crate::PreferenceLoss for Loss {
            fn describe() -> $crate::Metadata {
                $crate::metadata(
                    $name,
                    $summary,
                    &[$($citation)?],
                    $crate::Scope::$scope,
                    &[$((::core::stringify!($hp), $default, $minimum, $maximum)),*],
                )
            }

            fn evaluate(
                pairs: &$crate::Pairs,
                hyperparameters: &[f64],
            ) -> ::core::result::Result<$crate::Gradients, $crate::__String> {
                let [$($hp),*] = $crate::hyperparameter_values(hyperparameters)?;
                let hyperparameters = Hyperparameters { $($hp),* };
                $crate::$evaluate(pairs, |$rows| $author($rows, &hyperparameters))
            }
        }
    };
}

/// Makes the crate a component that exports this loss. It stands in the wrapper, not in a loss file.
#[macro_export]
macro_rules! export {
    ($loss:ty) => {
        type __Component = $crate::Component<$loss>;
        $crate::bindings::export!(__Component with_types_in $crate::bindings);
    };
}

/// The metadata that a macro's declaration stands for. `citation` has no entry or one; a
/// hyperparameter is (name, default, minimum, maximum).
#[doc(hidden)]
pub fn metadata(
    name: &str,
    summary: &str,
    citation: &[&str],
    scope: Scope,
    hyperparameters: &[(&str, f64, f64, f64)],
) -> Metadata {
    let hyperparameter = |&(name, default, minimum, maximum): &(&str, f64, f64, f64)| {
        Hyperparameter { name: name.into(), default, minimum, maximum }
    };
    Metadata {
        name: name.into(),
        summary: summary.into(),
        citation: citation.first().map(|&citation| citation.into()),
        scope,
        hyperparameters: hyperparameters.iter().map(hyperparameter).collect::<Vec<_>>(),
    }
}

/// The values of `N` hyperparameters, or what is wrong with them.
#[doc(hidden)]
pub fn hyperparameter_values<const N: usize>(values: &[f64]) -> Result<[f64; N], String> {
    values.try_into().map_err(|_| format!("expected {N} hyperparameters, got {}", values.len()))
}
