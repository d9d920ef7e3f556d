//! The folder in which compiled kernels are kept: read when the question is the same, whoever asks and however many at once;
//! not read when anything differs or the file was spoilt.

use crate::support::skipped;
use kernels::cuda::{Bf16, Compiler, Source, Target};
use lossbox_kernels as kernels;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: Source = kernels::residual::cuda::SOURCE;
/// Tells a process of the tests where it keeps what it compiles.
const FOLDER: &str = "LOSSBOX_TEST_PTX";

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect()
}

/// A file that was written anew is another one.
fn file_number(file: &Path) -> u64 {
    fs::metadata(file).unwrap().ino()
}

fn compiler(what: &str, folder: &Path) -> Option<Compiler> {
    Compiler::load(Some(folder)).map_err(|fault| skipped(what, &fault.to_string())).ok()
}

#[test]
fn what_was_compiled_is_read_by_whoever_asks_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let what = "what_was_compiled_is_read_by_whoever_asks_the_same";
    let Some(first) = compiler(what, folder.path()) else { return };
    let ptx = first.ptx::<f32>(&SOURCE, Target::Sm80).unwrap();
    let kept = files(folder.path());
    let [file] = kept.iter().collect::<Vec<_>>()[..] else { panic!("{kept:?}") };
    let number = file_number(file);
    let again = compiler(what, folder.path()).unwrap().ptx::<f32>(&SOURCE, Target::Sm80).unwrap();
    assert_eq!((again, file_number(file)), (ptx.clone(), number));
    // Another stored number, architecture or source is another question.
    first.ptx::<Bf16>(&SOURCE, Target::Sm80).unwrap();
    first.ptx::<f32>(&SOURCE, Target::Sm90a).unwrap();
    first.ptx::<f32>(&kernels::bias::cuda::SOURCE, Target::Sm80).unwrap();
    assert_eq!(files(folder.path()).len(), 4);
    assert_eq!(file_number(file), number);
}

#[test]
fn a_spoilt_file_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(compiler) = compiler("a_spoilt_file_is_compiled_again", folder.path()) else { return };
    let ptx = compiler.ptx::<f32>(&SOURCE, Target::Sm80).unwrap();
    let file = files(folder.path()).pop_first().unwrap();
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for spoilt in [&flipped[..], &whole[..whole.len() / 2], &[], &[0xff; 9]] {
        fs::write(&file, spoilt).unwrap();
        assert_eq!(compiler.ptx::<f32>(&SOURCE, Target::Sm80).unwrap(), ptx);
        assert_eq!(fs::read(&file).unwrap(), whole, "it was written anew");
    }
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_costs_time_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("file");
    fs::write(&place, "in the way").unwrap();
    let what = "a_folder_that_cannot_be_written_costs_time_alone";
    let Some(compiler) = compiler(what, &place) else { return };
    for _ in 0..2 {
        assert!(compiler.ptx::<f32>(&SOURCE, Target::Sm80).unwrap().contains("residual_add"));
    }
    assert_eq!(fs::read_to_string(&place).unwrap(), "in the way");
}

#[test]
#[ignore = "run by the test below, in processes of their own"]
fn compiles_into_the_folder() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let compiler = Compiler::load(Some(&folder)).unwrap();
    assert!(compiler.ptx::<f32>(&SOURCE, Target::Sm80).unwrap().contains("residual_add"));
}

#[test]
fn processes_and_threads_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let what = "processes_and_threads_share_a_folder";
    if compiler(what, folder.path()).is_none() {
        return;
    }
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "cache::compiles_into_the_folder"])
            .env(FOLDER, folder.path())
            .spawn()
            .unwrap()
    };
    let processes = [start(), start()];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let compiler = Compiler::load(Some(folder.path())).unwrap();
                assert!(compiler.ptx::<f32>(&SOURCE, Target::Sm80).unwrap().ends_with("}\n\n"));
            });
        }
    });
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(files(folder.path()).len(), 1, "nothing half-written is left");
}
