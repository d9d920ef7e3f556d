//! The plugins' files as native code: what an author's unit tests would run.

use guest_sdk::{Gradients, Pairs, PreferenceLoss};

#[path = "../../../../plugins/aqfl.rs"]
mod aqfl;
#[path = "../../../../plugins/aql.rs"]
mod aql;
#[path = "../../../../plugins/cdpo.rs"]
mod cdpo;
#[path = "../../../../plugins/cell.rs"]
mod cell;
#[path = "../../../../plugins/dbaql.rs"]
mod dbaql;
#[path = "../../../../plugins/discopop.rs"]
mod discopop;
#[path = "../../../../plugins/dpo.rs"]
mod dpo;
#[path = "../../../../plugins/ipo.rs"]
mod ipo;
#[path = "../../../../plugins/kto_pair.rs"]
mod kto_pair;
#[path = "../../../../plugins/padll.rs"]
mod padll;
#[path = "../../../../plugins/pfl.rs"]
mod pfl;
#[path = "../../../../plugins/simpo.rs"]
mod simpo;
#[path = "../../../../plugins/slic.rs"]
mod slic;

/// What a plugin computes natively, by its name.
pub(crate) fn natively(name: &str, pairs: &Pairs, hyperparameters: &[f64]) -> Gradients {
    let evaluate = match name {
        "aqfl" => aqfl::Loss::evaluate,
        "aql" => aql::Loss::evaluate,
        "cdpo" => cdpo::Loss::evaluate,
        "cell" => cell::Loss::evaluate,
        "dbaql" => dbaql::Loss::evaluate,
        "discopop" => discopop::Loss::evaluate,
        "dpo" => dpo::Loss::evaluate,
        "ipo" => ipo::Loss::evaluate,
        "kto_pair" => kto_pair::Loss::evaluate,
        "padll" => padll::Loss::evaluate,
        "pfl" => pfl::Loss::evaluate,
        "simpo" => simpo::Loss::evaluate,
        "slic" => slic::Loss::evaluate,
        _ => panic!("{name} is not in the list of this test"),
    };
    evaluate(pairs, hyperparameters).unwrap()
}
