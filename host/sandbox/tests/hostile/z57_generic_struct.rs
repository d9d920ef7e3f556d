// expect: accepted
// note: a struct with a type parameter and a lifetime
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

struct Scaled<'a, T> { inner: &'a T, by: f64 }
impl<'a, T> Scaled<'a, T> { fn get(&self) -> (&'a T, f64) { (self.inner, self.by) } }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let m = pair.logratio_margin(); let s = Scaled { inner: &m, by: hp.beta }; let (x, b) = s.get(); -(b * *x).log_sigmoid()
}
