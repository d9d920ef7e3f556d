//! Every kernel compiles for every target and stored number, assembles, spills nothing, and takes the registers and the
//! shared memory that `kernels.txt` says. Kernels for tensor cores use them: their machine code has HMMA instructions, as many as
//! the table counts.
//!
//! Registers are the assembler's choice, so the table is of one version of it. Run with LOSSBOX_WRITE_TABLE=1 to write the
//! table anew.

use crate::support::skipped;
use kernels::cuda::{Bf16, Compiler, Real, Source, Target};
use lossbox_kernels as kernels;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Of the assembler, as `ptxas --version` says it.
const VERSION: &str = "V13.0.88";
const TABLE: &str = include_str!("kernels.txt");

#[test]
fn every_kernel_compiles_and_takes_what_the_table_says() {
    let what = "every_kernel_compiles_and_takes_what_the_table_says";
    let compiler = match Compiler::load(None) {
        Ok(compiler) => compiler,
        Err(fault) => return skipped(what, &fault.to_string()),
    };
    let Ok(version) = Command::new("ptxas").arg("--version").output() else {
        return skipped(what, "there is no ptxas on the path (pip: nvidia-cuda-nvcc==13.0.88)");
    };
    if Command::new("cuobjdump").arg("--version").output().is_err() {
        return skipped(
            what,
            "there is no cuobjdump on the path (pip: nvidia-cuda-cuobjdump==13.2.86)",
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let mut table =
        String::from("kernel real target registers shared_bytes tensor_core_instructions\n");
    for source in kernels::cuda_sources() {
        for target in Target::ALL {
            lines::<f32>(&mut table, &compiler, &source, target, folder.path());
            lines::<Bf16>(&mut table, &compiler, &source, target, folder.path());
        }
    }
    if std::env::var_os("LOSSBOX_WRITE_TABLE").is_some() {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda/kernels.txt");
        return std::fs::write(place, table).unwrap();
    }
    if compiler.version() != (13, 0) || !String::from_utf8_lossy(&version.stdout).contains(VERSION)
    {
        return skipped(
            what,
            &format!("registers are known for {VERSION} of NVRTC and ptxas only"),
        );
    }
    for (line, expected) in table.lines().zip(TABLE.lines()) {
        assert_eq!(line, expected, "a kernel differs from tests/cuda/kernels.txt");
    }
    assert_eq!(table.lines().count(), TABLE.lines().count(), "kernels are missing in a table");
}

/// Compiles and assembles; a line per kernel goes to the table. No spill, no stack.
fn lines<R: Real>(
    table: &mut String,
    compiler: &Compiler,
    source: &Source,
    target: Target,
    folder: &Path,
) {
    if !source.is_for::<R>() {
        return;
    }
    let name = format!("{} for {} ({})", source.file, target.name(), R::NAME);
    let ptx = compiler.ptx::<R>(source, target).unwrap_or_else(|fault| panic!("{fault}"));
    let file = folder.join("kernel.ptx");
    std::fs::write(&file, &ptx).unwrap();
    let output = Command::new("ptxas")
        .args(["-v", "-arch", target.name(), "-o"])
        .arg(folder.join("kernel.cubin"))
        .arg(&file)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} does not assemble:\n{report}");
    let machine_code = match ptx.contains("mma.sync") {
        true => sass(&folder.join("kernel.cubin")),
        false => String::new(),
    };
    for kernel in source.kernels() {
        let opening = format!("Compiling entry function '{kernel}'");
        let (_, report) =
            report.split_once(&opening).unwrap_or_else(|| panic!("no {kernel} in {name}"));
        let report = report.split("Compiling entry function").next().unwrap();
        let clean = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads";
        assert!(report.contains(clean), "{kernel} of {name} spills:\n{report}");
        let registers = before(report, " registers").expect("ptxas -v counts registers");
        let shared = before(report, " bytes smem").unwrap_or(0);
        let own =
            machine_code.split("Function : ").find(|code| code.lines().next() == Some(kernel));
        let tensor = own.map_or(0, |code| code.matches("HMMA").count());
        assert_eq!(tensor > 0, ptx.contains("mma.sync"), "tensor cores in {kernel} of {name}");
        writeln!(table, "{kernel} {} {} {registers} {shared} {tensor}", R::NAME, target.name())
            .unwrap();
    }
}

/// The number in front of a word.
fn before(report: &str, word: &str) -> Option<u32> {
    report.split_once(word)?.0.rsplit([' ', '\n']).next()?.parse().ok()
}

/// The machine code as text.
fn sass(cubin: &Path) -> String {
    let output = Command::new("cuobjdump").arg("-sass").arg(cubin).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
