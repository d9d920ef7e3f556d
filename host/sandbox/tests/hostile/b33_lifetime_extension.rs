// expect: source/items
// note: safe code that makes a dangling reference (rust-lang/rust issue 25860)
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

static UNIT: &'static &'static () = &&();
fn keep<'a, 'b, T: ?Sized>(_: &'a &'b (), v: &'b mut T) -> &'a mut T {
    v
}
fn extend<'a, T: ?Sized>(x: &'a mut T) -> &'static mut T {
    let f: fn(_, &mut T) -> &'static mut T = keep;
    f(UNIT, x)
}
#[inline(never)]
fn stale() -> &'static mut [u64; 64] {
    let mut a = [0x4141u64; 64];
    extend(&mut a)
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let s = stale();
    let mut acc = 0u64;
    for v in s.iter() {
        acc = acc.wrapping_add(*v);
    }
    for v in s.iter_mut() {
        *v = acc;
    }
    (acc % 1000) as f64 * pair.policy_chosen
}
