//! Names the shared library as the driver is named, so that a process that has opened it finds it under that name.

fn main() {
    println!("cargo::rustc-link-arg-cdylib=-Wl,-soname,libcuda.so");
    println!("cargo::rerun-if-changed=build.rs");
}
