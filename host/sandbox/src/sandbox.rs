//! A machine made ready: the compiler found, the target there, the SDK built, the child program known.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache::{Cache, CachePolicy, Conditions};
use crate::child::Program;
use crate::compile::{Component, Sdk, Toolchain, compile, compile_crate};
use crate::confine::{self, LayerStatus, MissingLayers};
use crate::guest::Variant;
use crate::limits::COMPILE_WALL;
use crate::probe::{ProbedPlugin, probe};
use crate::source::AuditedCrate;
use crate::submission::Content;
use crate::{
    AuditedComponent, AuditedSource, Failure, Fault, Guest, Source, Stage, Submission, component,
    source,
};

/// Hears what the sandbox is doing, as a sentence.
pub type Notify = Box<dyn Fn(&str) + Send + Sync>;

/// What the host decides.
pub struct Options {
    /// Folder for the built SDK and for cached verdicts; may be shared by processes and deleted at any time.
    pub cache_dir: PathBuf,
    /// Program whose `main` calls [`crate::child::run_if_child`]: usually the host itself.
    pub child_program: PathBuf,
    /// Whether [`Sandbox::validate`], [`Sandbox::load`] and [`Sandbox::admit`] remember what the compiler and the probe
    /// said. The single gates never do.
    pub cache: CachePolicy,
    /// Wall clock of one compilation: [`COMPILE_WALL`](crate::limits::COMPILE_WALL) unless the host is in more of a hurry.
    pub compile_wall: Duration,
    /// What to do where the platform cannot confine a child; [`MissingLayers::Refuse`] unless the user accepts the risk.
    pub missing_layers: MissingLayers,
    /// Hears about slow things (the target being added, the SDK being built) and about a cache that is damaged.
    pub notify: Option<Notify>,
}

impl Options {
    /// The options of a host that re-executes `child_program`, refuses to run unconfined and hears nothing. Verdicts are
    /// cached, under a key that lies in the cache folder: choose another place if others can write the folder or if it
    /// travels.
    pub fn new(cache_dir: impl Into<PathBuf>, child_program: impl Into<PathBuf>) -> Self {
        let cache_dir = cache_dir.into();
        Options {
            cache: CachePolicy::Keep {
                key_file: cache_dir.join("verdicts.key"),
            },
            cache_dir,
            child_program: child_program.into(),
            compile_wall: COMPILE_WALL,
            missing_layers: MissingLayers::Refuse,
            notify: None,
        }
    }
}

/// Everything that compiling and running candidates needs. Shareable between threads.
#[derive(Debug)]
pub struct Sandbox {
    pub(crate) toolchain: Toolchain,
    pub(crate) sdk: Sdk,
    pub(crate) child: Program,
    pub(crate) compile_wall: Duration,
    cache: Cache,
}

impl Sandbox {
    /// Finds the compiler, adds the wasm32-wasip2 target if it is missing, and builds the SDK unless it is cached.
    ///
    /// # Errors
    /// When there is no compiler, the target cannot be added, the cache cannot be written, the platform lacks a layer of
    /// [`confine`] that the options do not accept to be missing, or a confined compiler does not start.
    pub fn open(options: Options) -> Result<Self, Fault> {
        if options.missing_layers == MissingLayers::Refuse {
            refuse_if_missing(confine::layers())?;
        }
        let child = Program {
            path: options.child_program,
            missing: options.missing_layers,
        };
        let notify = |text: &str| {
            if let Some(notify) = &options.notify {
                notify(text);
            }
        };
        let toolchain = Toolchain::find(&notify)?;
        toolchain.start_confined(&child)?;
        let sdk = Sdk::ready(&options.cache_dir, &toolchain, &notify)?;
        // Whatever an option changes about a verdict of the compiler or of the probe belongs into this list.
        let conditions = Conditions::new(&toolchain, &[options.missing_layers.as_str()]);
        let cache = Cache::new(
            &options.cache_dir,
            options.cache,
            conditions,
            options.notify,
        );
        Ok(Sandbox {
            toolchain,
            sdk,
            child,
            compile_wall: options.compile_wall,
            cache,
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
        Guest::start(&self.child, plugin.bytes(), stage, Variant::Training)
    }

    /// All four gates for a one-file loss.
    ///
    /// # Errors
    /// As the gates do.
    pub fn validate(&self, source: &Source) -> Result<ProbedPlugin, Failure> {
        self.admit(&Submission::from(source))
    }

    /// Reads a file or a crate's folder and takes it through all gates that apply.
    ///
    /// # Errors
    /// As the gates do, or when it cannot be read.
    pub fn load(&self, path: &Path) -> Result<ProbedPlugin, Failure> {
        self.admit(&Submission::read(path)?)
    }

    /// All gates that apply: four for source, the last two for a component. The compiler and the probe are asked once
    /// for the same content, unless the options say otherwise; the other two gates always run.
    ///
    /// # Errors
    /// As the gates do.
    pub fn admit(&self, submission: &Submission) -> Result<ProbedPlugin, Failure> {
        let component = match &submission.content {
            Content::OneFile { name, bytes } => {
                let text = std::str::from_utf8(bytes).map_err(|_| source::not_text())?;
                let audited = source::audit(Source::one_file(name, text))?;
                self.cache
                    .compiled("one file", [text.as_bytes()], || self.compile(&audited))?
            }
            Content::Crate(files) => {
                let audited = source::audit_crate(files.clone())?;
                let content = audited.files().iter().flat_map(|(path, text)| {
                    [path.as_os_str().as_encoded_bytes(), text.as_bytes()]
                });
                self.cache
                    .compiled("crate", content, || self.compile_crate(&audited))?
            }
            Content::Component(bytes) => Component::from_file(bytes.clone()),
            Content::Refused(rejection) => return Err(rejection.clone().into()),
        };
        let audited = component::audit(component)?;
        self.cache
            .probed(audited, |component| self.probe(component))
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

/// Untrusted code does not run where it cannot be confined.
fn refuse_if_missing(layers: Vec<LayerStatus>) -> Result<(), Fault> {
    for LayerStatus { layer, missing } in layers {
        if let Some(reason) = missing {
            return Err(Fault::MissingLayer { layer, reason });
        }
    }
    Ok(())
}
