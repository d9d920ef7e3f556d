// expect: run/trap run/fuel accepted
// note: a sort whose comparison contradicts itself
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let mut v = vec![1.0_f64; 100]; let mut n = 0_u32; v.sort_by(|_, _| { n += 1; if n % 3 == 0 { core::cmp::Ordering::Less } else { core::cmp::Ordering::Greater } }); -(hp.beta * v[0] * pair.logratio_margin()).log_sigmoid()
}
