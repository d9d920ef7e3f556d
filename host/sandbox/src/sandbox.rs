//! A machine made ready: the compiler found, the target there, the SDK built, the child program known.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::compile::{Component, Sdk, Toolchain, compile, compile_crate};
use crate::guest::Recipe;
use crate::limits::{COMPONENT_BYTES_MAX, SOURCE_BYTES_MAX, Walls};
use crate::probe::{ProbedPlugin, probe};
use crate::source::{AuditedCrate, CrateSource};
use crate::workroom::Workroom;
use crate::{
    AuditedComponent, AuditedSource, Failure, Fault, Guest, InProcess, Rejection, Source, Stage,
    component, source,
};

/// Hears what the sandbox is doing, as a sentence.
pub type Notify = Box<dyn Fn(&str) + Send + Sync>;

/// What the host decides.
pub struct Options {
    /// Folder for the built SDK; may be shared by processes and deleted at any time.
    pub cache_dir: PathBuf,
    /// Program whose `main` calls [`crate::child::run_if_child`]: usually the host itself.
    pub child_program: PathBuf,
    /// Hears about slow things: the target being added, the SDK being built.
    pub notify: Option<Notify>,
    /// Refuses components that import anything. Otherwise WASI 0.2 is served from an empty context: no files, no
    /// environment, no arguments, no network, clocks that stand still, random numbers from one seed.
    pub strict: bool,
    /// Wall clocks of a running plugin.
    pub walls: Walls,
}

impl Options {
    /// The options of a host that re-executes `child_program` and hears nothing.
    pub fn new(cache_dir: impl Into<PathBuf>, child_program: impl Into<PathBuf>) -> Self {
        Options {
            cache_dir: cache_dir.into(),
            child_program: child_program.into(),
            notify: None,
            strict: false,
            walls: Walls::default(),
        }
    }
}

/// Everything that compiling and running candidates needs. Shareable between threads.
#[derive(Debug)]
pub struct Sandbox {
    pub(crate) toolchain: Toolchain,
    pub(crate) sdk: Sdk,
    pub(crate) child_program: PathBuf,
    workroom: Workroom,
    walls: Walls,
    strict: bool,
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
            workroom: Workroom::default(),
            walls: options.walls,
            strict: options.strict,
        })
    }

    /// Gate 2: compiles audited source to a component.
    ///
    /// # Errors
    /// The compiler's complaint about the candidate, or a fault.
    pub fn compile(&self, source: &AuditedSource) -> Result<Component, Failure> {
        let _together = self.workroom.together();
        compile(self, source)
    }

    /// Gate 2 for a crate: holds its manifest against the rules, then compiles it.
    ///
    /// # Errors
    /// What the manifest may not ask for, the compiler's complaint, or a fault.
    pub fn compile_crate(&self, source: &AuditedCrate) -> Result<Component, Failure> {
        let _together = self.workroom.together();
        compile_crate(self, source)
    }

    /// Gate 3: holds a component against the rules, in a strict sandbox against imports of any kind too.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn audit(&self, component: Component) -> Result<AuditedComponent, Rejection> {
        component::audit(component, self.strict)
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
        self.start_audited(plugin.component(), stage)
    }

    /// Starts the plugin on a thread of this process, where only wasmtime stands between it and the host: see
    /// [`InProcess`] for what is lost. Its traps and time-outs are rejections at `stage`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start_in_process(
        &self,
        plugin: &ProbedPlugin,
        stage: Stage,
    ) -> Result<InProcess, Failure> {
        InProcess::start(self.recipe(plugin.component()), &self.workroom, stage)
    }

    /// A child for a component that may not have passed the probe.
    pub(crate) fn start_audited(
        &self,
        component: &AuditedComponent,
        stage: Stage,
    ) -> Result<Guest, Failure> {
        Guest::start(self.recipe(component), &self.workroom, stage)
    }

    fn recipe(&self, component: &AuditedComponent) -> Recipe {
        Recipe::new(self.child_program.clone(), component, self.walls)
    }

    /// All four gates for a one-file loss.
    ///
    /// # Errors
    /// As the gates do.
    pub fn validate(&self, source: &Source) -> Result<ProbedPlugin, Failure> {
        let audited = source::audit(source.clone())?;
        let component = self.compile(&audited)?;
        let audited = self.audit(component)?;
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
            return self.probe(self.audit(component)?);
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
            return self.probe(self.audit(Component::from_file(bytes))?);
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
