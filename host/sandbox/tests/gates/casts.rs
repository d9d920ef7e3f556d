//! Casts to integers: what is a number by its form passes, and what could be a function's address does not.

use crate::attacks::{check_rejected, with_items};
use crate::support::validate;

#[test]
fn what_is_a_number_by_its_form_casts_and_compiles() {
    for items in [
        "#[derive(Clone, Copy)] enum E { A, B = 7 } fn f() -> i32 { E::A as i32 + (E::B as usize) as i32 }",
        "#[derive(Clone, Copy)] enum E { A, B } fn f(e: E) -> f64 { let g: E = e; (e as i32 + g as i32) as f64 }",
        "#[derive(Clone, Copy)] enum E { A } const LAST: E = E::A; fn f() -> u8 { LAST as u8 }",
        "#[derive(Clone, Copy)] enum E { A } impl E { fn n(self) -> i32 { self as i32 + Self::A as i32 } }",
        "#[derive(Clone, Copy)] enum E { A } impl E { fn n(&self) -> i32 { *self as i32 } }",
        "fn f<const N: usize>(x: [f64; N]) -> i32 { N as i32 + x.len() as i32 }",
        "struct S<const N: u32>; impl<const N: u32> S<N> { fn f(&self) -> i64 { N as i64 } }",
        "fn f() -> f64 { let n = 3; let m = -n; (m as usize) as f64 + n as f64 }",
        "fn f(x: &[f64]) -> i32 { let n = x.len(); let half = n / 2; n as i32 + half as i32 }",
        "fn f(x: &[f64]) -> i32 { let n = x.iter().filter(|x| **x > 0.0).count(); n as i32 }",
        "fn f(x: f64) -> i32 { let n = 2.5 as usize; let least = (x as f64).max(1.0); n as i32 + least as i32 }",
        "fn f(pair: &Pair) -> i32 { let n = pair.chosen_tokens; n as i32 }",
        "fn bucket(n: u32) -> u32 { n / 8 } fn f(n: u32) -> usize { bucket(n) as usize + (bucket(n) + 1) as usize }",
        "#[derive(Clone, Copy)] enum E { A } fn e() -> E { E::A } fn f() -> i32 { let n = e() as i32; n as u8 as i32 }",
        "use core::f64; fn f(x: f64) -> u64 { let y: f64 = x + f64::consts::PI; y as u64 }",
    ] {
        if let Err(rejection) = validate(&with_items(&format!("#[allow(dead_code)] {items}"))) {
            panic!("{items}: {rejection:?}");
        }
    }
}

#[test]
fn what_only_looks_like_a_number_does_not_cast() {
    check_rejected(
        "source/no-pointers",
        &[
            // A variant with brackets is a function.
            "enum E { A(f64) } fn f() -> usize { E::A as usize }",
            "enum E { A() } fn f() -> usize { E::A as usize }",
            "enum E { A, B(f64) } fn f() -> usize { E::B as usize }",
            // An associated function or constant is no variant.
            "enum E { A } impl E { fn b() {} } fn f() -> usize { E::b as usize }",
            "enum E { A } impl E { const B: fn() = f; } fn f() { let _ = E::B as usize; }",
            "enum E { A } impl E { fn b() {} fn c() -> usize { Self::b as usize } }",
            // Another type by the name of the enum, further in.
            "enum E { A } fn f() -> usize { enum E { A(f64) } E::A as usize }",
            "enum E { A } fn f() -> usize { struct E; impl E { fn A() {} } E::A as usize }",
            "enum E { A } fn f<E>() -> usize { E::A as usize }",
            "enum E { A } enum F { A(f64) } fn f() -> usize { use F as E; E::A as usize }",
            "enum E { A } enum F { A(f64) } fn f() -> usize { type E = F; E::A as usize }",
            "enum E { A } fn f() -> usize { use core::iter::*; E::A as usize }",
            // What its operators and methods return is for the file to say.
            "enum E { A } impl core::ops::Neg for E { type Output = fn(); fn neg(self) -> fn() { f } } fn f() { let _ = -E::A as usize; }",
            "enum E { A } impl core::ops::Add for E { type Output = fn(); fn add(self, _: E) -> fn() { f } } fn f() { let _ = (E::A + E::A) as usize; }",
            "enum E { A } impl core::ops::Neg for E { type Output = fn(); fn neg(self) -> fn() { f } } fn f(e: E) { let _ = -e as usize; }",
            "enum E { A } impl core::ops::Neg for E { type Output = fn(); fn neg(self) -> fn() { f } } fn f(e: E) { let g = -e; let _ = g as usize; }",
            "enum E { A } impl E { fn abs(self) -> fn() { f } } fn f() { let _ = E::A.abs() as usize; }",
            "enum E { A } impl core::ops::Deref for E { type Target = fn(); fn deref(&self) -> &fn() { &g } } fn f(e: E) { let _ = *e as usize; }",
            // The name of a parameter that is a type, or another's.
            "struct N; fn f<const N: usize>() -> usize { fn N() {} N as usize }",
            "fn h() {} fn f<const N: usize>() -> usize { const N: fn() = h; N as usize }",
            "fn h() {} fn f<const N: usize>() {} fn g() -> usize { let N = h; N as usize }",
            // A name that is bound to a function somewhere, before or after.
            "fn h() {} fn f() -> usize { let n = 3; let n = h; n as usize }",
            "fn h() {} fn f() -> usize { let n = 3; { let n = h; return n as usize; } }",
            "fn h() {} fn f() -> usize { let n = h; let m = n; m as usize }",
            "fn h() {} fn f() -> usize { let n = if true { h } else { f }; n as usize }",
            "fn h() {} fn f() -> usize { let a = 1; let b = a; return b as usize; } fn g() { let a = h; }",
            "fn h() {} fn a() -> usize { let q = 1; let p = q; return p as usize; } fn b() { let r = 1; let q = r; } fn c() { let r = h; }",
            "fn h() {} fn f() -> usize { let n; n = h; n as usize }",
            "fn h() {} fn f() -> usize { let ref n = 3; match h { n => n as usize } }",
            "struct S; impl S { fn len(&self) -> fn() { f } } fn f() { let n = S.len(); let _ = n as usize; }",
            // What a call returns is known of the file's own functions alone, and not where another has the name.
            "fn h() {} fn g() -> fn() { h } fn f() -> usize { g() as usize }",
            "fn h() {} fn g() -> u32 { 1 } fn f() -> usize { let g = || h; g() as usize }",
            "fn h() {} fn g() -> u32 { 1 } fn f(g: impl Fn() -> fn()) -> usize { g() as usize }",
            "fn h() {} fn g() -> u32 { 1 } fn f() -> usize { fn g() -> fn() { h } g() as usize }",
            "fn h() {} fn g() -> u32 { 1 } fn f() -> usize { use core::iter::*; g() as usize }",
            "fn g() -> u32 { 1 } fn f() -> usize { g as usize }",
            "enum E { A } impl core::ops::Neg for E { type Output = fn(); fn neg(self) -> fn() { f } } fn g() -> E { E::A } fn f() { let _ = -g() as usize; }",
            "struct S; impl S { fn g() -> fn() { f } } fn g() -> u32 { 1 } fn f() { let _ = S::g() as usize; }",
            // A module or a method that another file may define is tried in the tests of crates.
        ],
    );
}

/// What is cast is judged by the names of the primitive types, so no other type has one of them.
#[test]
fn no_type_takes_the_name_of_a_primitive_one() {
    check_rejected(
        "source/no-unsound-types",
        &[
            "type u64 = fn(f64) -> f64; fn f(x: u64) -> usize { x as usize }",
            "type char = fn(f64) -> f64; fn f(x: char) -> u32 { x as u32 }",
            "struct usize(f64);",
            "enum f64 { A }",
            "fn f() { type i32 = fn(); }",
            "enum F { A(f64) } use F as u8;",
            "fn f<bool>(x: bool) -> usize { x as usize }",
        ],
    );
}
