//! The checked-in bindings are what `wit-bindgen` makes of the contract, byte for byte.
//!
//! They are generated ahead so that no procedural macro runs when a candidate is built. After a change
//! of `wit/loss.wit`, `UPDATE=1 cargo test -p guest-sdk --test bindings` writes them anew.

use std::path::Path;

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};

#[test]
fn bindings_are_those_of_the_contract() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked_in = package.join("src/bindings.rs");
    let expected = generate(&package.join("wit/loss.wit"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&checked_in, &expected).expect("src/bindings.rs can be written");
    }
    let found = std::fs::read(&checked_in).expect("src/bindings.rs can be read");
    assert!(
        found == expected,
        "guest-sdk/src/bindings.rs is not what wit-bindgen makes of guest-sdk/wit/loss.wit\n\
         hint: run `UPDATE=1 cargo test -p guest-sdk --test bindings` and commit the result"
    );
}

fn generate(wit: &Path) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).expect("the contract parses");
    let world = resolve
        .select_world(&[package], Some("preference-loss"))
        .expect("the contract has the world `preference-loss`");
    let options = wit_bindgen_rust::Opts {
        runtime_path: Some("crate::rt".into()),
        default_bindings_module: Some("guest_sdk::bindings".into()),
        pub_export_macro: true,
        disable_run_ctors_once_workaround: true,
        additional_derive_attributes: vec!["PartialEq".into()],
        format: true,
        ..Default::default()
    };
    let mut files = Files::default();
    options
        .build()
        .generate(&mut resolve, world, &mut files)
        .expect("the bindings can be generated");
    let (_, source) = files.iter().next().expect("one file is generated");
    source.to_vec()
}
