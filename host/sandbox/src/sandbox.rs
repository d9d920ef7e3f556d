//! A machine made ready: the compiler found, the target there, the SDK built, the child program known.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::compile::{Component, Sdk, Toolchain, compile, compile_crate};
use crate::component::Imports;
use crate::limits::{COMPONENT_BYTES_MAX, SOURCE_BYTES_MAX};
use crate::probe::{ProbedPlugin, probe};
use crate::source::{AuditedCrate, CrateSource};
use crate::{
    AuditedComponent, AuditedSource, Failure, Fault, Guest, Source, Stage, component, source,
};

/// Hears what the sandbox is doing, as a sentence.
pub type Notify = Box<dyn Fn(&str) + Send + Sync>;

/// What the host decides.
pub struct Options {
    /// Folder for the built SDK; may be shared by processes and deleted at any time.
    pub cache_dir: PathBuf,
    /// Program whose `main` calls [`crate::child::run_if_child`]: usually the host itself.
    pub child_program: PathBuf,
    /// What a component that was built elsewhere may import; what is compiled here imports nothing.
    pub imports: Imports,
    /// Hears about slow things: the target being added, the SDK being built.
    pub notify: Option<Notify>,
}

impl Options {
    /// The options of a host that re-executes `child_program`, lets built components import WASI and hears nothing.
    pub fn new(cache_dir: impl Into<PathBuf>, child_program: impl Into<PathBuf>) -> Self {
        Options {
            cache_dir: cache_dir.into(),
            child_program: child_program.into(),
            imports: Imports::Wasi,
            notify: None,
        }
    }
}

/// Everything that compiling and running candidates needs. Shareable between threads.
#[derive(Debug)]
pub struct Sandbox {
    pub(crate) toolchain: Toolchain,
    pub(crate) sdk: Sdk,
    pub(crate) child_program: PathBuf,
    imports: Imports,
}

impl Sandbox {
    /// Finds the compiler, adds the wasm32-wasip2 target if it is missing, and builds the SDK unless it is cached.
    ///
    /// # Errors
    /// When there is no compiler, the target cannot be added or the cache cannot be written.
    pub fn open(options: Options) -> Result<Self, Fault> {
        let notify = |text: &str| {
            if let Some(notify) = &options.notify {
                notify(text);
            }
        };
        let toolchain = Toolchain::find(&notify)?;
        let sdk = Sdk::ready(&options.cache_dir, &toolchain, &notify)?;
        Ok(Sandbox {
            toolchain,
            sdk,
            child_program: options.child_program,
            imports: options.imports,
        })
    }

    /// Gate 2: compiles audited source to a component.
    ///
    /// # Errors
    /// The compiler's complaint about the candidate, or a fault.
    pub fn compile(&self, source: &AuditedSource) -> Result<Component, Failure> {
        compile(self, source)
    }

    /// Gate 2 for a crate: holds its manifest against the rules, then compiles it.
    ///
    /// # Errors
    /// What the manifest may not ask for, the compiler's complaint, or a fault.
    pub fn compile_crate(&self, source: &AuditedCrate) -> Result<Component, Failure> {
        compile_crate(self, source)
    }

    /// Gate 4: runs the component on the fixed probes.
    ///
    /// # Errors
    /// The first rule that the component's behaviour breaks, or a fault.
    pub fn probe(&self, component: AuditedComponent) -> Result<ProbedPlugin, Failure> {
        probe(self, component)
    }

    /// Starts a child process that holds the plugin; its traps and time-outs are rejections at `stage`.
    ///
    /// # Errors
    /// When the child cannot be started.
    pub fn start(&self, plugin: &ProbedPlugin, stage: Stage) -> Result<Guest, Failure> {
        Guest::start(&self.child_program, plugin.bytes(), stage)
    }

    /// All four gates for a one-file loss.
    ///
    /// # Errors
    /// As the gates do.
    pub fn validate(&self, source: &Source) -> Result<ProbedPlugin, Failure> {
        let audited = source::audit(source.clone())?;
        let component = self.compile(&audited)?;
        let audited = component::audit(component)?;
        self.probe(audited)
    }

    /// All gates that apply: four for `.rs` and for a crate's folder, the last two for `.wasm`.
    ///
    /// # Errors
    /// As the gates do, or when the file cannot be read.
    pub fn load(&self, path: &Path) -> Result<ProbedPlugin, Failure> {
        if path.is_dir() {
            let audited = source::audit_crate(CrateSource::read(path)?)?;
            let component = self.compile_crate(&audited)?;
            return self.probe(component::audit(component)?);
        }
        let is_component = path
            .extension()
            .is_some_and(|extension| extension == "wasm");
        let bytes_max = if is_component {
            COMPONENT_BYTES_MAX
        } else {
            SOURCE_BYTES_MAX
        };
        let bytes = read(path, bytes_max)?;
        if is_component {
            let component = Component::from_file(bytes);
            return self.probe(component::audit_with(component, self.imports)?);
        }
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = String::from_utf8(bytes).map_err(|_| source::not_text())?;
        self.validate(&Source::one_file(&name, &text))
    }

    /// The manual that an author reads and a prompt quotes.
    pub fn sdk_manual() -> &'static str {
        crate::compile::sdk_manual()
    }

    /// Identity of the SDK's sources: a change of them may change every result.
    pub fn sdk_hash() -> String {
        crate::compile::sdk_hash()
    }
}

/// A file up to one byte beyond its limit, which is enough for a gate to reject it.
fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max as u64 + 1).read_to_end(&mut bytes))
        .map_err(Fault::file("read", path))?;
    Ok(bytes)
}
