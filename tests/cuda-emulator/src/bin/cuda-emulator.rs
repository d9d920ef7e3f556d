//! Puts the stand-ins into a folder under the driver's names and prints the folder, for `LD_LIBRARY_PATH`.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let exe = std::env::current_exe()?;
    let beside = exe.parent().ok_or("this program is in no folder")?;
    let folder: PathBuf = match std::env::args_os().nth(1) {
        Some(folder) => folder.into(),
        None => beside.join("cuda-emulator-libs"),
    };
    std::fs::create_dir_all(&folder)?;
    for (file, name) in cuda_emulator::LIBRARIES {
        std::fs::copy(cuda_emulator::library_path(file)?, folder.join(name))?;
    }
    println!("{}", folder.display());
    Ok(())
}
