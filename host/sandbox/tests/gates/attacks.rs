//! Attacks on the source gate, a line each, and lines that look like attacks and are none.
//!
//! Only the source audit runs here: what a line would do further on is the business of the hostile corpus.

use sandbox::source::audit;
use sandbox::{Rejection, Source};

/// A good loss with these items above its function.
pub(crate) fn with_items(items: &str) -> String {
    format!(
        r#"use guest_sdk::prelude::*;
pair_loss! {{ name: "candidate", summary: "a candidate", hyperparameters: {{ beta: 0.1 in 0.001..=10.0 }} }}
{items}
fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {{ -(hp.beta * pair.logratio_margin()).log_sigmoid() }}
"#
    )
}

fn verdict(items: &str) -> Result<(), Rejection> {
    audit(Source::one_file(&with_items(items))).map(drop)
}

/// Every line is rejected by the rule, where it stands, with a hint.
#[track_caller]
pub(crate) fn check_rejected(rule: &str, lines: &[&str]) {
    for line in lines {
        let rejection = verdict(line).expect_err(line);
        assert_eq!(rejection.rule, rule, "{line}: {rejection:?}");
        assert_eq!(rejection.span.map(|span| span.line), Some(3), "{line}: {rejection:?}");
        assert!(!rejection.hint.is_empty() && !rejection.message.is_empty(), "{line}");
    }
}

#[test]
fn files_are_out_of_reach_under_every_name() {
    check_rejected(
        "source/no-include",
        &[
            r#"const X: &str = include_str!("a");"#,
            r#"const X: &[u8] = include_bytes!["/dev/zero"];"#,
            r#"include! { "a" }"#,
            r#"const X: &str = core::include_str!("a");"#,
            r#"const X: &str = ::core::include_str!("a");"#,
            r#"const X: &str = std::include_str!("a");"#,
            r#"const X: &str = r#include_str!("a");"#,
            r#"const X: &str = core :: r#include_str ! ("a");"#,
            r#"const X: &str = include_str /* a */ ! /* b */ ("a");"#,
            r#"use core::include_str as x; const X: &str = x!("a");"#,
            r#"use core::{include_str as x}; const X: &str = x!("a");"#,
            r#"use core::{cmp::{self}, include_bytes as vec}; const X: &[u8] = vec!["a"];"#,
            r#"use core::r#include_str as r#matches; const X: &str = matches!("a");"#,
            r#"use ::core::include as x;"#,
            r#"use core::include_str;"#,
            r#"use core::prelude::v1::include_str as x;"#,
            r#"pub use core::include_str as _;"#,
            r#"fn f() { use core::include_str as x; let _ = x!("a"); }"#,
            r#"#[doc = include_str!("a")] const X: f64 = 1.0;"#,
            r#"#[cfg_attr(all(), doc = include_str!("a"))] const X: f64 = 1.0;"#,
            r#"#[must_use = include_str!("a")] fn f() -> f64 { 1.0 }"#,
            r#"#[allow(unused, reason = include_str!("a"))] fn f() {}"#,
            r#"fn f() { #![doc = include_str!("a")] }"#,
            r#"struct S { #[doc = include_str!("a")] x: f64 }"#,
            r#"fn f(#[doc = include_str!("a")] x: f64) {}"#,
            r#"fn f() { let _ = vec![include_bytes!("a")]; }"#,
            r#"fn f() { assert!(true, "{}", include_str!("a")); }"#,
            r#"fn f() { assert!(matches!(include_str!("a"), "")); }"#,
            r#"const N: usize = { const fn f(x: &str) -> usize { x.len() } f(include_str!("a")) };"#,
            r#"struct S<const N: usize = { include_str!("a").len() }>;"#,
            r#"const X: [u8; include_bytes!("a").len()] = [0; 1];"#,
            r#"fn f() -> [f64; { include_bytes!("a").len() }] { [0.0] }"#,
            r#"enum E { A = include!("a") }"#,
            r#"impl Loss { const X: &str = include_str!("a"); }"#,
            r#"fn f() { match 1 { x if include!("a") => {} _ => {} } }"#,
            r#"type T = include!("a");"#,
            r#"fn f() { let include!("a") = 1; }"#,
            r#"fn f() { use guest_sdk::prelude::vec as include_str; let _ = include_str![1]; }"#,
            r#"const X: &str = include_str!(concat!("/e", "tc"));"#,
            r#"macro_rules! m { () => { include_str!("a") } }"#,
        ],
    );
}

#[test]
fn the_environment_is_out_of_reach_under_every_name() {
    check_rejected(
        "source/no-env",
        &[
            r#"const X: &str = env!("PATH");"#,
            r#"const X: Option<&str> = option_env!("PATH");"#,
            r#"const X: &str = core::env!("PATH");"#,
            r#"const X: &str = r#env!("PATH");"#,
            r#"use core::env as x; const X: &str = x!("PATH");"#,
            r#"use core::{option_env as vec}; const X: Option<&str> = vec!["PATH"];"#,
            r#"use core::env;"#,
            r#"#[doc = env!("PATH")] fn f() {}"#,
            r#"#[cfg_attr(all(), doc = env!("PATH"))] fn f() {}"#,
            r#"fn f() { assert!(true, "{}", env!("PATH")); }"#,
            r#"fn f() { panic!("{}", env!("PATH")); }"#,
            r#"fn f() { let _ = vec![option_env!("PATH").is_some()]; }"#,
            r#"fn f<const N: usize>() -> [u8; { env!("PATH").len() }] { [0; 1] }"#,
        ],
    );
}

#[test]
fn macros_outside_the_list_are_refused() {
    check_rejected(
        "source/macros",
        &[
            "const X: &str = file!();",
            "const X: u32 = line!() + column!();",
            "const X: &str = module_path!();",
            "const X: &str = stringify!(a);",
            "const X: &str = concat!(1, 2);",
            r#"fn f() { println!("a"); }"#,
            r#"fn f() { core::format_args!("{}", 1); }"#,
            r#"compile_error!("a");"#,
            r#"core::arch::global_asm!("nop");"#,
            r#"fn f() { core::arch::asm!("nop"); }"#,
            "fn f() { todo!() }",
            "thread_local! { static X: u32 = 0; }",
            "guest_sdk::export!(Loss);",
            "guest_sdk::__loss! { }",
            "use guest_sdk::prelude::vec as v; fn f() { let _ = v![1]; }",
            "use core::concat as vec; const X: &str = vec!(1);",
            "use core::{file as matches}; const X: &str = matches!();",
            "fn f() { assert!(cfg!(target_arch = \"wasm32\")); }",
            "fn f() { let _ = vec![core::line!()]; }",
            "fn f() { let _ = core::ptr::addr_of!(x); }",
            "fn f() { include_strx!(); }",
            "x! {}",
            "fn f() { x!(); }",
            "fn f() { r#return!(1) }",
            "fn f() { let _ = !x!(); }",
        ],
    );
    check_rejected(
        "source/no-macro-definitions",
        &[
            "macro_rules! m { () => {} }",
            "macro_rules ! m { () => {} }",
            "macro m() {}",
            "pub macro m { () => {} }",
            "fn f() { macro_rules! m { () => { 1 } } m!(); }",
            "fn f() { let _ = vec![{ macro_rules! m { () => { 1 } } 1 }]; }",
            "r#macro_rules! m { () => {} }",
        ],
    );
}

#[test]
fn unsafe_is_refused_in_every_position() {
    check_rejected(
        "source/no-unsafe",
        &[
            "fn f() { unsafe { } }",
            "unsafe fn f() {}",
            "const unsafe fn f() {}",
            "unsafe impl Send for Loss {}",
            "unsafe trait T {}",
            "unsafe extern \"C\" {}",
            "unsafe extern \"C\" { safe fn f(); }",
            "#[unsafe(no_mangle)] fn f() {}",
            "#[unsafe(export_name = \"x\")] fn f() {}",
            "#[cfg_attr(all(), unsafe(no_mangle))] fn f() {}",
            "#[unsafe(link_section = \"x\")] const X: u8 = 0;",
            "const X: u8 = unsafe { 1 };",
            "struct S<const N: usize = { unsafe { 1 } }>;",
            "fn f() -> [u8; unsafe { 1 }] { [0] }",
            "fn f() { let _ = || unsafe { 1 }; }",
            "fn f() { let _ = vec![unsafe { 1 }]; }",
            "fn f() { assert!(unsafe { true }); }",
            "type F = unsafe fn();",
            "fn f(x: unsafe fn()) {}",
            "impl Loss { unsafe fn f() {} }",
            "fn f() { if unsafe { true } {} }",
            "fn f() { match 1 { x if unsafe { true } => {} _ => {} } }",
            "enum E { A = unsafe { 1 } }",
            "fn f() { let x: fn() = { unsafe fn g() {} g }; }",
            "fn f() { loop { break unsafe { 1 } } }",
        ],
    );
}

#[test]
fn other_crates_and_foreign_functions_are_refused() {
    check_rejected(
        "source/no-extern",
        &[
            "extern crate std;",
            "extern crate alloc as a;",
            "extern crate self as me;",
            "pub extern crate core;",
            "extern \"C\" {}",
            "extern \"C\" fn f() {}",
            "extern fn f() {}",
            "pub extern \"system\" fn f() {}",
            "type F = extern \"C\" fn();",
            "fn f() { extern crate std; }",
            "fn f() { extern \"C\" { fn g(); } }",
            "impl Loss { extern \"C\" fn f() {} }",
            "#[link(name = \"x\")] extern \"C\" {}",
            "const F: extern \"C\" fn() = f;",
            "fn f() { let _ = vec![{ extern crate std; 1 }]; }",
        ],
    );
    check_rejected(
        "source/no-modules",
        &[
            "mod a;",
            "mod a {}",
            "pub mod a { pub mod b; }",
            "#[path = \"/etc/passwd\"] mod a;",
            "#[cfg_attr(all(), path = \"/etc/passwd\")] mod a;",
            "mod a { #[path = \"b\"] mod b; }",
            "fn f() { mod a; }",
            "fn f() { let _ = vec![{ mod a; 1 }]; }",
            "#[cfg(test)] mod tests {}",
            "pub(crate) mod r#loss {}",
        ],
    );
}

#[test]
fn attributes_outside_the_list_are_refused() {
    check_rejected(
        "source/attributes",
        &[
            "#[no_mangle] fn f() {}",
            "#[export_name = \"x\"] fn f() {}",
            "#[link_section = \"x\"] const X: u8 = 0;",
            "#[link_name = \"x\"] fn f() {}",
            "#[used] const X: u8 = 0;",
            "#[global_allocator] const A: u8 = 0;",
            "#[panic_handler] fn f() {}",
            "#[track_caller] fn f() {}",
            "#[target_feature(enable = \"simd128\")] fn f() {}",
            "#[repr(transparent)] struct S(f64);",
            "#[repr(C, align(1073741824))] struct S(f64);",
            "#[cfg(target_arch = \"wasm32\")] fn f() {}",
            "#[cfg_attr(all(), no_mangle)] fn f() {}",
            "#[path = \"a\"] fn f() {}",
            "#[macro_use] fn f() {}",
            "#[macro_export] fn f() {}",
            "#[proc_macro] fn f() {}",
            "#[ctor::ctor] fn f() {}",
            "#[derive(Serialize)] struct S;",
            "#[derive(core::clone::Clone)] struct S;",
            "#[derive(Clone, evil::Evil)] struct S;",
            "#[allow(long_running_const_eval)] fn f() {}",
            "#[allow(unsafe_code)] fn f() {}",
            "#[allow(warnings)] fn f() {}",
            "#[warn(unused)] fn f() {}",
            "#[expect(unused)] fn f() {}",
            "#[deprecated] fn f() {}",
            "#[test] fn f() {}",
            "#[recursion_limit = \"9999\"] fn f() {}",
            "#[doc(alias = \"x\")] fn f() {}",
            "#[doc(hidden)] fn f() {}",
            "fn f() { #![allow(unused)] }",
            "struct S { #[cfg(all())] x: f64 }",
            "fn f(#[cfg(all())] x: f64) {}",
            "fn f() { #[cfg(all())] let x = 1; }",
            "fn f() { match 1 { #[cfg(all())] _ => {} } }",
            "fn f() { let _ = vec![#[cfg(all())] 1]; }",
            "fn f() { assert!(#[allow(unused)] true); }",
            "fn f<#[cfg(all())] T>() {}",
            "#[rustfmt::skip] fn f() {}",
        ],
    );
}

#[test]
fn state_and_shapes_that_outlive_a_call_are_refused() {
    check_rejected(
        "source/items",
        &[
            "static X: u32 = 0;",
            "static mut X: u32 = 0;",
            "pub static X: &str = \"\";",
            "static X: core::cell::OnceCell<f64> = core::cell::OnceCell::new();",
            "static X: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);",
            "fn f() { static X: u32 = 0; }",
            "const X: u32 = { static Y: u32 = 0; Y };",
            "impl Loss { fn f() { static X: u32 = 0; } }",
            "trait T {}",
            "pub trait T { type A; }",
            "fn f() { trait T {} }",
            "union U { a: u32, b: f32 }",
        ],
    );
    check_rejected(
        "source/paths",
        &[
            "const X: core::cell::Cell<f64> = core::cell::Cell::new(0.0);",
            "use core::cell::RefCell;",
            "use core::sync::atomic::AtomicU32;",
            "use core::sync;",
            "fn f() { core::hint::black_box(1); }",
            "fn f() { core::panic::Location::caller(); }",
            "fn f() { core::any::type_name::<f64>(); }",
            "fn f() { core::mem::transmute::<f64, u64>(1.0); }",
            "fn f() { core::mem::forget(1); }",
            "fn f() { core::intrinsics::abort(); }",
            "fn f() { core::arch::wasm32::memory_grow(0, 1); }",
            "fn f() { ::core::arch::wasm32::unreachable() }",
            "fn f() { r#core::arch::wasm32::unreachable() }",
            "fn f() { core :: arch :: wasm32 :: unreachable() }",
            "use core::{f64, arch::wasm32 as w};",
            "use core::{cmp, {ptr}};",
            "use core::{self};",
            "use core as c;",
            "use ::core as c;",
            "use {core as c, guest_sdk as g};",
            "use core::*;",
            "use core::ptr::{self, null};",
            "fn f() { core::slice::from_raw_parts(1, 1); }",
            "fn f() { core::str::from_utf8(&[]); }",
            "fn f<T: core::any::Any>() {}",
            "fn f() -> impl core::future::Future { }",
            "use std::fs;",
            "use std;",
            "use std as s;",
            "use alloc::boxed::Box;",
            "use alloc as a;",
            "fn f() { std::process::exit(0) }",
            "fn f() { let _ = vec![std::process::id()]; }",
            "fn f() { alloc::alloc::alloc(x); }",
            "use proc_macro::TokenStream;",
            "use test::Bencher;",
            "use super::*;",
            "use super::super::a;",
            "fn f() { self::super::a(); }",
            "use crate as c;",
            "use {crate as c};",
            "use crate::loss;",
            "fn f() { crate::loss::loss(); }",
            "pub(in crate::loss) fn f() {}",
            "use guest_sdk::bindings;",
            "use guest_sdk::rt::*;",
            "use guest_sdk::__String;",
            "use guest_sdk::*;",
            "use guest_sdk as g;",
            "use guest_sdk::{prelude, rt};",
            "use guest_sdk::{evaluate_pairs};",
            "fn f() { guest_sdk::hyperparameter_values::<1>(&[]); }",
            "impl guest_sdk::PreferenceLoss for S {}",
        ],
    );
}

#[test]
fn addresses_are_refused_however_they_are_taken() {
    check_rejected(
        "source/no-pointers",
        &[
            "fn f(x: &f64) -> usize { x as *const f64 as usize }",
            "fn f(x: &f64) -> usize { x as *const _ as usize }",
            "fn f(x: *mut f64) {}",
            "type P = *const f64;",
            "struct S(* const f64);",
            "fn f(x: f64) { let _ = &raw const x; }",
            "fn f(mut x: f64) { let _ = &raw mut x; }",
            "fn f(x: &[f64]) -> usize { x.as_ptr() as usize }",
            "fn f(x: &[f64]) -> usize { <[f64]>::as_ptr(x) as usize }",
            "fn f(x: &str) { x.as_ptr().addr(); }",
            "fn f(x: Vec<f64>) { x.leak(); }",
            "fn f(x: Vec<f64>) { Vec::leak(x); }",
            "fn f(x: &mut [f64]) { x.r#as_mut_ptr(); }",
            "fn f(x: &[f64]) { x.as_ptr_range(); }",
            "fn f() -> usize { f as usize }",
            "fn f() -> u64 { f as u64 }",
            "fn f() -> usize { f as fn() -> usize as usize }",
            "fn f(x: &[f64]) { let _ = vec![x.as_ptr()]; }",
            "fn h() {} fn f() -> usize { h as _ }",
            "type W = usize; fn h() {} fn f() -> usize { h as W }",
            "fn h() {} fn f() -> usize { (h) as usize }",
            "struct Q; impl Q { fn h() {} } fn f() -> usize { Q::h as usize }",
            "struct Q; impl Q { fn h() {} fn f() -> usize { Self::h as u64 as usize } }",
            "fn h() {} fn f() -> usize { ({ h }) as usize }",
            "fn h() {} fn f() -> usize { [h][0] as usize }",
            "fn h() {} fn f() -> usize { (h, 1).0 as usize }",
            "fn h() {} fn f() -> usize { let n = h; n as usize }",
            "fn h() {} fn f(n: usize) -> usize { let n = h; n as usize }",
            "fn h() {} fn f(n: fn(f64) -> f64) -> usize { n as usize }",
            "fn h() {} fn f() -> usize { (if true { h } else { f }) as usize }",
            "fn f() -> usize { (|| 1.0) as usize }",
            "fn f() -> usize { f64::sqrt as usize }",
            "fn f() -> usize { { let mean: f64 = 1.0; } return mean as usize; }",
            "fn g(sum: f64) {} fn f() -> usize { sum as usize }",
            "enum E { n(f64) } fn f(n: f64) -> usize { { use E::*; return n as usize; } }",
            "fn f(n: f64) -> usize { { use core::iter::*; return n as usize; } }",
            "fn h() {} struct S { g: fn(f64) -> f64 } fn f(s: S) -> usize { s.g as usize }",
            "fn h() {} fn f() -> usize { (h..f).start as usize }",
            "struct S; impl S { fn len(&self) -> fn(f64) -> f64 { h } } fn f(s: S) -> usize { s.len() as usize }",
            "struct S; impl core::ops::Neg for S { type Output = fn(f64) -> f64; fn neg(self) {} } fn f(s: S) -> usize { -s as usize }",
            "fn g<W>(x: usize) -> W { x as W }",
            "fn f() { let _ = vec![f as usize]; }",
            "fn f() { assert!((f as usize) > 1); }",
            "fn f(x: &f64) { panic!(\"{:p}\", x); }",
            "fn f(x: &f64) { panic!(\"{0:p}\", x); }",
            "fn f(x: &f64) { assert!(true, \"at {x:#p}\"); }",
            "fn f(x: &f64) { panic!(\"{x:\\x70}\"); }",
            "fn f(x: &f64) { panic!(r#\"{x:>18p }\"#); }",
            "fn f(x: &f64) { unreachable!(\"{:}<1$p}\", x, 5); }",
            "fn f(x: &f64) { debug_assert_eq!(1, 1, \"{:{<9p}\", x); }",
        ],
    );
}

#[test]
fn types_of_known_holes_are_refused() {
    check_rejected(
        "source/no-unsound-types",
        &[
            "fn keep<'a, 'b, T>(_: &'a &'b (), v: &'b mut T) -> &'a mut T { v }",
            "fn f(x: &'static mut [u64]) {}",
            "fn f() { let g: fn(&'static &'static (), &mut f64) -> &'static mut f64 = h; }",
            "fn f() { let g: fn(_, &f64) -> &f64 = h; }",
            "type F = for<'a> fn(&'a f64) -> &'a f64;",
            "struct S<'a, 'b>(&'a &'b f64);",
            "fn f(x: &dyn Iterator<Item = f64>) {}",
            "fn f<T, U>(x: T) -> U { g::<dyn Object<U, Output = T>, U>(x) }",
            "fn f(x: &mut dyn PartialOrd<f64>) {}",
            "fn f<'a, 'b>(_: &'a (&'b ()), x: &'b mut f64) -> &'a mut f64 { x }",
            "struct A<'b>(&'b ()); fn f<'a, 'b, T>(_: &'a A<'b>, x: &'b mut T) -> (&'a mut T,) { (x,) }",
            "struct A<'b>(&'b ()); impl<'b> A<'b> { fn f<T>(&self, x: &'b mut T) -> &mut T { x } }",
            "struct A<'b>(&'b ()); impl<'b> A<'b> { fn f<'a, T>(&'a self, x: &'b T) -> &'a T { x } }",
            "fn f<'a, 't, T>(_: &'a Var<'t>, x: &'t mut T) -> &'a mut T { x }",
            "struct Var<'b>(&'b ());",
            "fn f<'x, 'y, T>(x: &'x mut T) -> &'y mut T { x }",
            "fn f<Y>() { let g: fn(&'static A<'static>, &Option<Y>) -> (&'static Option<Y>,) = keep; }",
            "fn f() { let g: fn(&f64) -> (&f64) = h; }",
            "fn f<A, B, C>(g: fn(A, B) -> C, a: A, b: B) -> C { g(a, b) }",
            "fn f<Dual>(g: fn(Dual) -> Dual, a: Dual) -> Dual { g(a) }",
            "fn f<f64>(g: fn(f64) -> f64, a: f64) -> f64 { g(a) }",
            "type G<T> = fn(T) -> T;",
            "fn f(g: impl for<'a, 'b> Fn(&'a f64, &'b f64) -> f64) {}",
        ],
    );
}

#[test]
fn what_is_refused_is_refused_in_the_arguments_of_macros() {
    check_rejected(
        "source/macro-arguments",
        &[
            "fn f() { let _ = vec![{ static X: [f64; 1] = [1.0]; X[0] }]; }",
            "fn f() { let _ = vec![1.0, { trait Z {} 2.0 }]; }",
            "fn f() { assert!({ trait T {} impl T for f64 {} true }); }",
            "fn f() { assert!(matches!({ union U { a: u64, b: f64 } 1 }, 1)); }",
            "fn f() { assert!({ let d: &dyn Fn() = &g; true }); }",
            "fn f() { assert!({ fn keep<'a, 'b>(_: &'a &'b ()) {} true }); }",
            "fn f() { assert!({ let g: fn(f64) -> f64 = h; true }); }",
            "fn f() { assert!(g::<&'static f64>()); }",
            "fn f() { assert!({ const X: f64 = 1.0; true }); }",
            "fn f() { assert!({ struct S; true }); }",
            "fn f() { assert!({ enum E {} true }); }",
            "fn f() { assert!({ type T = f64; true }); }",
            "fn f() { assert!({ use core::cmp::max; true }); }",
        ],
    );
}

#[test]
fn text_that_hides_something_is_refused() {
    check_rejected(
        "source/hidden-characters",
        &[
            "// \u{202e} }",
            "/* \u{2066} */",
            "const X: &str = \"\u{200b}\";",
            "fn f\u{200d}() {}",
            "// \u{200e}",
            "// \u{2060}",
            "// \u{feff}",
            "// \u{ad}",
            "// \u{61c}",
            "// \u{180e}",
            "// \u{3164}",
            "// \u{2800}",
            "// \u{fe0f}",
            "// \u{e0001}\u{e0041}",
            "// \u{e0100}",
            "// \u{fff9}",
            "// \u{0}",
            "// \u{7}",
            "// \u{1b}[2J",
            "// \u{7f}",
            "// \u{85}",
            "// \u{9b}2J",
            "// a\rfn f() {}",
            "// \u{2028}",
            "// \u{c}",
        ],
    );
    check_rejected(
        "source/lookalikes",
        &[
            "const p\u{430}ir: f64 = 1.0;",
            "fn l\u{43e}ss() {}",
            "fn f(\u{3bf}: f64) {}",
            "fn f() { let \u{391} = 1; }",
            "fn \u{ff46}() {}",
            "const \u{5d0}: f64 = 1.0;",
            "struct \u{1d5ae};",
            "fn f() { let _ = vec![\u{4e00}]; }",
        ],
    );
}

#[test]
fn what_only_looks_like_an_attack_passes() {
    for items in [
        "const ENV: f64 = 1.0; const INCLUDE_STR: f64 = 2.0;",
        "fn include_str(env: f64) -> f64 { env }",
        "fn option_env() -> Option<f64> { None }",
        "fn f(include: bool, unsafe_: bool) -> bool { !include && !(unsafe_) }",
        "/// `unsafe`, `include_str!(\"a\")`, `#[no_mangle]`\nfn f() {}",
        "// static mut X; mod a; extern crate std; macro_rules! m\n/* unsafe { } */",
        "const X: &str = \"include_str!() unsafe extern /* ( [ {\";",
        "const X: &str = r##\"env!() \"# unsafe\"##;",
        "const C: char = '\\u{202e}'; const B: u8 = b'(';",
        "use core::cmp::{max, min as least, Ordering};",
        "use core::f64::consts::{E, PI};",
        "use core::ops::{Add, Mul};",
        "use guest_sdk::prelude::{self, Dual as D};",
        "pub(crate) fn f() {} pub(super) fn g() {} pub(self) fn h() {}",
        "fn f(std: f64, test: f64, alloc: f64) -> f64 { std * test + alloc }",
        "struct Raw { raw: f64, addr: f64 } fn f(x: &Raw) -> f64 { x.raw & 1.0 }",
        "fn f(x: &[f64]) -> usize { x.len() as usize }",
        "fn f(x: &f64, y: f64) -> f64 { *x * y - -*x }",
        "fn f(x: &dyn Fn(f64) -> f64) -> f64 { x(1.0) }",
        "fn f(g: fn(f64) -> f64) -> f64 { g(1.0) }",
        "const NAMES: [&'static str; 2] = [\"a\", \"b\"];",
        "fn f<'a, 't>(x: &'a [Var<'t>]) -> &'a Var<'t> { &x[0] }",
        "fn f(x: f64) -> bool { return !(x > 1.0); }",
        "fn f(x: bool) -> bool { if !(x) { while !(x) {} } match !(x) { y => y } }",
        "impl Loss { const N: usize = 3; fn f(&self) -> f64 { 1.0 } }",
        "const fn f<const N: usize>(x: [f64; N]) -> usize { N }",
        "fn f(\u{3b2}: f64, \u{3c1}: f64, \u{394}: f64) -> f64 { \u{3b2} * \u{3c1} - \u{394} }",
        "// na\u{ef}ve \u{2212} \u{2014} \u{a0}\u{202f} \u{221e} \u{65e5}\u{672c}",
        "#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Hash, Ord, PartialOrd)] struct S { x: u8 }",
        "#[allow(dead_code, clippy::many_single_char_names, reason = \"the paper's\")] #[inline(always)] fn f() {}",
        "#[doc = \"plain\"] #[must_use = \"because\"] fn f() -> f64 { 1.0 }",
        "fn f() { assert!(matches!(Some(1), Some(x) if x > 0), \"{}\", 1); }",
        "fn f() -> Vec<f64> { vec![1.0; 3] }",
        "fn f(union: f64) { assert!([1.0].iter().all(|x: &f64| *x < 2 as f64 + union)); }",
        "fn f(n: usize, x: f64) -> i32 { let y: f64 = x; n as i32 + y as i32 + (x * 2.0).round() as i32 }",
        "const N: usize = 3; fn f(x: f64) -> i32 { N as i32 + (x > 1.0) as i32 + 'a' as i32 - -1_i64 as i32 }",
        "fn f(x: &[f64]) -> u32 { let n = x.len(); n as f64 as u32 + x.iter().count() as u32 }",
        "fn f(pair: &Pair, hp: &Hyperparameters) -> i32 { pair.chosen_tokens as i32 + hp.beta as i32 }",
        "fn f() -> i32 { for k in 1..=4 { g(k as i32); } let g = |k: usize| k as i32; g(2) }",
        "fn f(p: f64, top: f64) { assert!(p > 0.0, \"{p} {top:?} {top:e} {p:.3} {:>5}: {p}, {{p}}\", 1); }",
        "fn f(x: bool) -> bool { return !({ const X: bool = true; X }); }",
        "struct S<'t>(Var<'t>); impl<'t> S<'t> { fn f(&self, x: &Var<'t>) -> &Var<'t> { &self.0 } }",
        "fn f(x: Option<f64>) -> f64 { let Some(y) = x else { panic!(\"nothing\") }; y }",
    ] {
        if let Err(rejection) = verdict(items) {
            panic!("{items}: {rejection:?}");
        }
    }
}

/// What is long or deep is refused before anything recurses over it.
#[test]
fn size_depth_and_number_are_limited_before_parsing() {
    let deep = |open: &str, close: &str, n: usize| {
        with_items(&format!("fn f() {{ {}1{} }}", open.repeat(n), close.repeat(n)))
    };
    let chain = |prefix: &str, rest: &str| {
        with_items(&format!("fn f() {{ {}{rest} }}", prefix.repeat(1_000)))
    };
    for (text, rule) in [
        ("(".repeat(1 << 20), "source/size"),
        (deep("(", ")", 3_000), "source/nesting"),
        (deep("[", "]", 3_000), "source/nesting"),
        (deep("{", "}", 3_000), "source/nesting"),
        (deep("(/*)*/", ")", 3_000), "source/nesting"),
        (deep("vec![", "]", 3_000), "source/nesting"),
        (with_items(&format!("fn f() {{ {} }}", "-".repeat(5_000))), "source/nesting"),
        (with_items(&format!("fn f() {{ {} }}", "!/**/".repeat(5_000))), "source/nesting"),
        (with_items(&"x ".repeat(20_000)), "source/nesting"),
        (chain("return ", "x"), "source/nesting"),
        (chain("break ", "x"), "source/nesting"),
        (chain("return - ", "x"), "source/nesting"),
        (chain("|x, y| ", "x"), "source/nesting"),
        (chain("|| ", "x"), "source/nesting"),
        (chain("", &format!("x{}", "?".repeat(30)).repeat(40)), "source/nesting"),
        (chain("if let y = ", "x"), "source/nesting"),
        (chain("if let S {} = ", "x"), "source/nesting"),
        (chain("if x { 1.0 } else ", "{ 2.0 }"), "source/nesting"),
        (chain("", &".abs()".repeat(2_000)), "source/nesting"),
        (chain("x", &" as f64".repeat(2_000)), "source/nesting"),
        (chain("x + ", "x"), "source/nesting"),
        (chain("y = ", "x"), "source/nesting"),
        (chain("&mut ", "x"), "source/nesting"),
        (chain("A::<f64, ", "x"), "source/nesting"),
        (chain("A::<fn() -> f64, ", "x"), "source/nesting"),
        (chain("match ", &"x { y => y } ".repeat(2_000)), "source/nesting"),
        // A parser that reads it digit by digit would take seconds, in the host's own process.
        (with_items(&format!("const X: f64 = {}.0;", "7".repeat(60_000))), "source/nesting"),
        (with_items(&format!("const X: &[u8] = &vec![{}];", "1".repeat(401))), "source/nesting"),
        ("(".repeat(60_000), "source/syntax"),
        (")".repeat(60_000), "source/syntax"),
        ("/*".repeat(30_000), "source/syntax"),
        (with_items("fn f() { ) }"), "source/syntax"),
        (with_items("fn f() { builtin # offset_of(S, x); }"), "source/syntax"),
        (with_items("impl S { fn f(); }"), "source/syntax"),
        (with_items("} fn f() {} mod rest {"), "source/syntax"),
        ("#!/bin/sh\n".to_owned() + &with_items(""), "source/syntax"),
        (with_items("const X: &str = \"never ends;"), "source/syntax"),
        (with_items(&format!("const X: f64 = {};", "9".repeat(70_000))), "source/size"),
    ] {
        let beginning: String = text.chars().take(60).collect();
        let rejection = audit(Source::one_file(&text)).expect_err(&beginning);
        assert_eq!(rejection.rule, rule, "{beginning}: {rejection:?}");
        assert!(rejection.span.is_some(), "{beginning}");
    }
}
