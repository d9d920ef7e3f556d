//! Names the shared library as cuBLASLt is named, so that a process that has opened it finds it under that name.

fn main() {
    println!("cargo::rustc-link-arg-cdylib=-Wl,-soname,libcublasLt.so");
    println!("cargo::rerun-if-changed=build.rs");
}
