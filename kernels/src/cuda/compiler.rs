//! From a kernel's source to PTX by NVRTC, once: the results lie in a folder between runs.
//!
//! A cached file is named by the hash of everything that decides about its content: the source, the flags (architecture
//! and stored number among them) and NVRTC's version. Its first line is the hash of the rest, so that one that was cut short or
//! changed is compiled again. It is written beside its place and renamed into it, so that two processes do not disturb each
//! other. A cache that cannot be read or written costs time and nothing else.

use super::{Fault, Real};
use cudarc::nvrtc::{self, CompileError, CompileOptions};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The kernels of one operation.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// The file, for messages.
    pub file: &'static str,
    /// What stands in front of it besides `common.cuh`: files and texts.
    headers: [Option<(&'static str, &'static str)>; 2],
    text: &'static str,
    bf16_only: bool,
}

impl Source {
    /// The text of a `.cu`, which finds `common.cuh` in front of it.
    pub(crate) const fn new(file: &'static str, text: &'static str) -> Self {
        Self { file, headers: [None; 2], text, bf16_only: false }
    }

    /// The same with another header after that, of two at most.
    pub(crate) const fn with_header(self, file: &'static str, text: &'static str) -> Self {
        let header = Some((file, text));
        let headers = match self.headers {
            [None, _] => [header, None],
            [first, None] => [first, header],
            [Some(_), Some(_)] => panic!("a source has two headers of its own at most"),
        };
        Self { headers, ..self }
    }

    /// The same for tensor cores, which take bf16.
    pub(crate) const fn bf16_only(self) -> Self {
        Self { bf16_only: true, ..self }
    }

    /// Whether it has kernels for this stored number.
    pub fn is_for<R: Real>(&self) -> bool {
        !self.bf16_only || R::DEFINITION.is_some()
    }

    /// What is compiled: the file behind its headers.
    pub fn whole(&self) -> String {
        Self::join(&self.parts())
    }

    /// The files of which [`Self::whole`] is made, with their texts, in their order.
    pub fn parts(&self) -> Vec<(&'static str, &'static str)> {
        let common = [("common.cuh", include_str!("common.cuh"))];
        let own = self.headers.into_iter().flatten();
        common.into_iter().chain(own).chain([(self.file, self.text)]).collect()
    }

    /// One text of several files. Each keeps its own line numbers.
    pub fn join(parts: &[(&str, &str)]) -> String {
        let lines = parts.iter().map(|(file, text)| format!("#line 1 \"{file}\"\n{text}\n"));
        lines.collect()
    }

    /// The names of the kernels, in the order of the file.
    pub fn kernels(&self) -> Vec<&'static str> {
        let after_marks = self.text.split("extern \"C\" __global__ void ").skip(1);
        after_marks.filter_map(|rest| rest.split_once('(').map(|(name, _)| name)).collect()
    }
}

/// The architectures that kernels are compiled for. PTX of an older one runs on newer cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Ampere and Ada.
    Sm80,
    /// Hopper.
    Sm90a,
    /// Blackwell and later.
    Sm100,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sm80, Self::Sm90a, Self::Sm100];

    /// The target for a card, `None` for one that is too old.
    pub(crate) fn of(major: i32) -> Option<Self> {
        match major {
            ..8 => None,
            8 => Some(Self::Sm80),
            9 => Some(Self::Sm90a),
            10.. => Some(Self::Sm100),
        }
    }

    /// As `ptxas` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sm80 => "sm_80",
            Self::Sm90a => "sm_90a",
            Self::Sm100 => "sm_100",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Sm80 => "--gpu-architecture=compute_80",
            Self::Sm90a => "--gpu-architecture=compute_90a",
            Self::Sm100 => "--gpu-architecture=compute_100",
        }
    }
}

/// NVRTC and the folder of its results.
#[derive(Debug, Clone)]
pub struct Compiler {
    version: (i32, i32),
    cache: Option<PathBuf>,
}

impl Compiler {
    /// Loads NVRTC. Results are kept in `cache`, which is created when something is written there; `None` keeps nothing.
    ///
    /// # Errors
    /// [`Fault::NoCompiler`] where there is no libnvrtc.
    pub fn load(cache: Option<&Path>) -> Result<Self, Fault> {
        // SAFETY: looks for a library by its names and loads it.
        if !unsafe { nvrtc::sys::is_culib_present() } {
            return Err(Fault::NoCompiler);
        }
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both pointers are to live integers.
        let status = unsafe { nvrtc::sys::nvrtcVersion(&raw mut major, &raw mut minor) };
        status.result().map_err(|_| Fault::NoCompiler)?;
        Ok(Self { version: (major, minor), cache: cache.map(Path::to_owned) })
    }

    /// NVRTC's version, major and minor.
    pub fn version(&self) -> (i32, i32) {
        self.version
    }

    /// The source's PTX for a target, from the cache or from NVRTC.
    ///
    /// # Errors
    /// [`Fault::Compile`] with NVRTC's log.
    pub fn ptx<R: Real>(&self, source: &Source, target: Target) -> Result<String, Fault> {
        let flags = flags::<R>(target);
        let text = source.whole();
        let place = self.cache.as_ref().map(|cache| cache.join(self.key(&text, &flags)));
        if let Some(ptx) = place.as_deref().and_then(read) {
            return Ok(ptx);
        }
        let ptx = self.compile::<R>(source.file, &text, target)?;
        if let Some(place) = place {
            keep(&place, &ptx);
        }
        Ok(ptx)
    }

    /// The PTX of any text, which is not kept: what [`Self::ptx`] does for a source with its headers. `file` is for messages.
    ///
    /// # Errors
    /// [`Fault::Compile`] with NVRTC's log.
    pub fn compile<R: Real>(
        &self,
        file: &'static str,
        text: &str,
        target: Target,
    ) -> Result<String, Fault> {
        let options = CompileOptions {
            options: flags::<R>(target).iter().map(|&flag| flag.to_owned()).collect(),
            name: Some(file.to_owned()),
            ..CompileOptions::default()
        };
        let ptx = nvrtc::compile_ptx_with_opts(text, options).map_err(|error| Fault::Compile {
            file,
            target: target.name(),
            real: R::NAME,
            version: self.version,
            log: match error {
                CompileError::CompileError { log, .. } => log.to_string_lossy().into_owned(),
                other => other.to_string(),
            },
        })?;
        Ok(ptx.to_src())
    }

    fn key(&self, text: &str, flags: &[&str]) -> String {
        let mut hash = Sha256::new();
        let version = format!("{}.{}", self.version.0, self.version.1);
        for part in [version.as_str(), text].iter().chain(flags) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        format!("{}.ptx", hex(hash))
    }
}

fn flags<R: Real>(target: Target) -> Vec<&'static str> {
    ["--std=c++17", target.flag()].into_iter().chain(R::DEFINITION).collect()
}

/// The first line of a cached result.
fn seal(ptx: &str) -> String {
    format!("// sha256 {}", hex(Sha256::new_with_prefix(ptx)))
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A cached result that is as it was written.
fn read(place: &Path) -> Option<String> {
    let text = fs::read_to_string(place).ok()?;
    let (first, ptx) = text.split_once('\n')?;
    (first == seal(ptx)).then(|| ptx.to_owned())
}

fn keep(place: &Path, ptx: &str) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let own = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let beside = place.with_extension(format!("{}-{}.part", own.0, own.1));
    let written = place.parent().map_or(Ok(()), fs::create_dir_all);
    let written = written.and_then(|()| fs::write(&beside, format!("{}\n{ptx}", seal(ptx))));
    if written.and_then(|()| fs::rename(&beside, place)).is_err() {
        // It is compiled again next time; what is left of it is of no use.
        let _ = fs::remove_file(&beside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Source = Source::new("x.cu", "extern \"C\" __global__ void x_forward() {}");

    #[test]
    fn the_key_depends_on_all_that_decides_about_the_result() {
        let compiler = |version| Compiler { version, cache: None };
        let keys = [
            compiler((13, 0)).key("a", &["b"]),
            compiler((13, 1)).key("a", &["b"]),
            compiler((13, 0)).key("b", &["b"]),
            compiler((13, 0)).key("a", &["c"]),
            compiler((13, 0)).key("ab", &[""]),
            compiler((13, 0)).key("a", &["b", ""]),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "key {i} is that of another question");
        }
        assert_eq!(keys[0], compiler((13, 0)).key("a", &["b"]));
    }

    #[test]
    fn a_source_stands_behind_its_headers_with_its_own_lines() {
        assert_eq!(SOURCE.kernels(), ["x_forward"]);
        let whole = SOURCE.whole();
        let (headers, text) = whole.split_once("#line 1 \"x.cu\"\n").expect("a line mark");
        assert!(headers.contains("block_sum"));
        assert_eq!(text.trim_end(), SOURCE.text);
    }

    #[test]
    fn a_result_is_kept_and_a_spoilt_one_is_not_read() {
        let folder = std::env::temp_dir().join(format!("lossbox-ptx-{}", std::process::id()));
        let place = folder.join("key.ptx");
        assert_eq!(read(&place), None);
        let ptx = ".visible .entry x() {\n}\n";
        keep(&place, ptx);
        assert_eq!(read(&place).as_deref(), Some(ptx));
        let whole = fs::read_to_string(&place).expect("the file is there");
        for spoilt in [&whole[..whole.len() - 2], &whole.replace("x()", "y()"), ptx, ""] {
            fs::write(&place, spoilt).expect("the folder is there");
            assert_eq!(read(&place), None, "{spoilt:?}");
        }
        assert_eq!(fs::read_dir(&folder).expect("the folder is there").count(), 1);
        fs::remove_dir_all(&folder).expect("the folder is ours");
    }

    #[test]
    fn cards_get_the_newest_target_that_they_run() {
        assert_eq!(
            [7, 8, 9, 10, 12].map(Target::of),
            [
                None,
                Some(Target::Sm80),
                Some(Target::Sm90a),
                Some(Target::Sm100),
                Some(Target::Sm100)
            ]
        );
    }
}
