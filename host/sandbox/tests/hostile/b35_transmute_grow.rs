// expect: source/items
// note: safe code that transmutes (rust-lang/rust issue 57893) and writes over all memory
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

trait Object<U> {
    type Output;
}
impl<T: ?Sized, U> Object<U> for T {
    type Output = U;
}
fn foo<T: ?Sized, U>(x: <T as Object<U>>::Output) -> U {
    x
}
fn transmute<T, U>(x: T) -> U {
    foo::<dyn Object<U, Output = T>, U>(x)
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let all: &'static mut [u8] = transmute::<(usize, usize), &'static mut [u8]>((1024, usize::MAX / 4));
    for b in all.iter_mut() {
        *b = 0x41;
    }
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
