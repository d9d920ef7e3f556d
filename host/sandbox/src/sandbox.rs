//! A machine made ready: the compiler found, the target there, the SDK built, the child program known.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache::{Cache, CachePolicy, Conditions};
use crate::child::Program;
use crate::compile::{Component, Sdk, Toolchain, Tried, compile, compile_crate};
use crate::component::{Imports, KnownComponent};
use crate::confine::{self, LayerStatus, MissingLayers};
use crate::guest::{Recipe, Variant};
use crate::limits::{COMPILE_TRIES, COMPILE_WALL, Walls};
use crate::probe::{ProbedPlugin, probe};
use crate::source::AuditedCrate;
use crate::submission::Content;
use crate::workroom::Workroom;
use crate::{
    AuditedComponent, AuditedSource, Failure, Fault, Guest, InProcess, Rejection, Source, Stage,
    Submission, component, source,
};

/// Hears what the sandbox is doing, as a sentence.
pub type Notify = Box<dyn Fn(&str) + Send + Sync>;

/// What the host decides.
pub struct Options {
    /// Folder for the built SDK and for cached verdicts; may be shared by processes and deleted at any time.
    pub cache_dir: PathBuf,
    /// Program whose `main` calls [`crate::child::run_if_child`]: usually the host itself.
    pub child_program: PathBuf,
    /// Whether [`Sandbox::load`] and [`Sandbox::admit`] remember what the compiler and the probe said. The single gates
    /// never do.
    pub cache: CachePolicy,
    /// Wall clock of one compilation: [`COMPILE_WALL`](crate::limits::COMPILE_WALL) unless the host is in more of a hurry.
    pub compile_wall: Duration,
    /// What to do where the platform cannot confine a child; [`MissingLayers::Refuse`] unless the user accepts the risk.
    pub missing_layers: MissingLayers,
    /// Hears about slow things (the target being added, the SDK being built) and about a cache that is damaged.
    pub notify: Option<Notify>,
    /// Refuses components that import anything. Otherwise WASI 0.2 is served from an empty context: no files, no
    /// environment, no arguments, no network, clocks that stand still, random numbers from one seed.
    pub strict: bool,
    /// Wall clocks of a running plugin.
    pub walls: Walls,
}

impl Options {
    /// The options of a host that re-executes `child_program`, refuses to run unconfined and hears nothing. Verdicts are
    /// cached, under a key that lies in the cache folder: choose another place if others can write the folder or if it
    /// travels.
    pub fn new(cache_dir: impl Into<PathBuf>, child_program: impl Into<PathBuf>) -> Self {
        let cache_dir = cache_dir.into();
        Options {
            cache: CachePolicy::Keep { key_file: cache_dir.join("verdicts.key") },
            cache_dir,
            child_program: child_program.into(),
            compile_wall: COMPILE_WALL,
            missing_layers: MissingLayers::Refuse,
            notify: None,
            strict: false,
            walls: Walls::default(),
        }
    }
}

/// What all gates together made of a submission.
#[derive(Debug)]
pub struct Examined {
    /// Its component, if it came to one.
    pub component: Option<KnownComponent>,
    /// The plugin, or why there is none.
    pub verdict: Result<ProbedPlugin, Failure>,
}

/// Everything that compiling and running candidates needs. Shareable between threads.
#[derive(Debug)]
pub struct Sandbox {
    pub(crate) toolchain: Toolchain,
    pub(crate) sdk: Sdk,
    pub(crate) child: Program,
    pub(crate) compile_wall: Duration,
    cache: Cache,
    workroom: Workroom,
    walls: Walls,
    strict: bool,
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
        let child = Program { path: options.child_program, missing: options.missing_layers };
        let notify = |text: &str| {
            if let Some(notify) = &options.notify {
                notify(text);
            }
        };
        crate::compile::sweep();
        let toolchain = Toolchain::find(&notify)?;
        toolchain.start_confined(&child)?;
        let sdk = Sdk::ready(&options.cache_dir, &toolchain, &notify)?;
        // Whatever an option changes about a verdict of the compiler or of the probe belongs into this list. Walls do
        // not: what met a clock is not remembered. Nor does `strict`: it is the component gate's, which always runs,
        // between the two.
        let conditions = Conditions::new(&toolchain, &[options.missing_layers.as_str()]);
        let cache = Cache::new(&options.cache_dir, options.cache, conditions, options.notify);
        Ok(Sandbox {
            toolchain,
            sdk,
            child,
            compile_wall: options.compile_wall,
            cache,
            workroom: Workroom::default(),
            walls: options.walls,
            strict: options.strict,
        })
    }

    /// Gate 2: compiles audited source to a component.
    ///
    /// # Errors
    /// The compiler's complaint about the candidate, or a fault: [`Fault::Busy`] and [`Fault::DiskFull`] say that the
    /// machine is to blame.
    pub fn compile(&self, source: &AuditedSource) -> Result<Component, Failure> {
        fairly(&self.workroom, || compile(self, source))
    }

    /// Gate 2 for a crate: holds its manifest against the rules, then compiles it.
    ///
    /// # Errors
    /// What the manifest may not ask for, the compiler's complaint, or a fault.
    pub fn compile_crate(&self, source: &AuditedCrate) -> Result<Component, Failure> {
        fairly(&self.workroom, || compile_crate(self, source))
    }

    /// Gate 3: holds a component that was compiled here against the rules; it imports nothing.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn audit(&self, component: Component) -> Result<AuditedComponent, Rejection> {
        component::audit(component)
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
    /// A fault when the child cannot be started or is no child of the sandbox. A rejection when the component does not
    /// compile, cannot be instantiated or traps, runs out of fuel, time ([`Walls::start`], twice) or memory while it
    /// describes itself: on another machine or day than the probe's that can happen to one that was probed.
    pub fn start(&self, plugin: &ProbedPlugin, stage: Stage) -> Result<Guest, Failure> {
        self.start_audited(plugin.component(), stage, Variant::Training)
    }

    /// Starts the plugin on a thread of this process, where only wasmtime stands between it and the host: see
    /// [`InProcess`] for what is lost. Its traps and time-outs are rejections at `stage`.
    ///
    /// # Errors
    /// A fault when the thread cannot be started; a rejection as for [`start`](Self::start), but that compiling has no clock.
    pub fn start_in_process(
        &self,
        plugin: &ProbedPlugin,
        stage: Stage,
    ) -> Result<InProcess, Failure> {
        let recipe = self.recipe(plugin.component(), Variant::Training);
        InProcess::start(recipe, &self.workroom, stage)
    }

    /// A child for a component that may not have passed the probe.
    pub(crate) fn start_audited(
        &self,
        component: &AuditedComponent,
        stage: Stage,
        variant: Variant,
    ) -> Result<Guest, Failure> {
        Guest::start(self.recipe(component, variant), &self.workroom, stage)
    }

    fn recipe(&self, component: &AuditedComponent, variant: Variant) -> Recipe {
        Recipe::new(self.child.clone(), component, variant, self.walls)
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
        self.examine(submission).verdict
    }

    /// As [`admit`](Self::admit), with what is known of the component of one that is rejected.
    pub fn examine(&self, submission: &Submission) -> Examined {
        let (component, imports) = match self.component_of(submission) {
            Ok(component) => component,
            Err(failure) => {
                return Examined { component: None, verdict: Err(failure) };
            }
        };
        let (component, audited) = component::look(component, imports);
        let verdict = audited
            .map_err(Failure::from)
            .and_then(|audited| self.cache.probed(audited, |component| self.probe(component)));
        Examined { component, verdict }
    }

    /// The first two gates, where they apply, and what the third lets it import.
    fn component_of(&self, submission: &Submission) -> Result<(Component, Imports), Failure> {
        match &submission.content {
            Content::OneFile(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|_| source::not_text())?;
                let audited = source::audit(Source::one_file(text))?;
                let compile = || self.compile(&audited);
                let content = [text.as_bytes()];
                let component = self.cache.compiled("one file", content, compile)?;
                Ok((component, Imports::None))
            }
            Content::Crate(files) => {
                let audited = source::audit_crate(files.clone())?;
                let content = audited.files().iter().flat_map(|(path, text)| {
                    [path.as_os_str().as_encoded_bytes(), text.as_bytes()]
                });
                let compile = || self.compile_crate(&audited);
                let component = self.cache.compiled("crate", content, compile)?;
                Ok((component, Imports::None))
            }
            Content::Component(bytes) => {
                let imports = match self.strict {
                    true => Imports::None,
                    false => Imports::Wasi,
                };
                Ok((Component::from_bytes(bytes.clone()), imports))
            }
            Content::Refused(rejection) => Err(rejection.clone().into()),
        }
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

/// Once beside others, and again alone as long as the compiler has no processor to meet its clock with.
fn fairly(
    workroom: &Workroom,
    compile: impl Fn() -> Tried<Component>,
) -> Result<Component, Failure> {
    let mut tried = {
        let _together = workroom.together();
        compile()?
    };
    for _ in 1..COMPILE_TRIES {
        if tried.is_err() {
            let _alone = workroom.alone();
            tried = compile()?;
        }
    }
    tried.map_err(|starved| {
        Failure::Fault(Fault::Busy { had: starved.had, wall: starved.wall, tries: COMPILE_TRIES })
    })
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::compile::Starved;

    /// As often as it takes, up to the limit; and then it is the machine's fault, in numbers.
    #[test]
    fn a_compiler_without_a_processor_is_nobodys_verdict() {
        let tried = |n_starved: u32| {
            let n_tries = Cell::new(0);
            let outcome = fairly(&Workroom::default(), || {
                n_tries.set(n_tries.get() + 1);
                Ok(match n_tries.get() > n_starved {
                    true => Ok(Component::from_bytes(vec![7])),
                    false => Err(Starved {
                        had: Duration::from_millis(1_240),
                        wall: Duration::from_secs(10),
                    }),
                })
            });
            (n_tries.get(), outcome)
        };
        for n_starved in 0..COMPILE_TRIES {
            let (n_tries, outcome) = tried(n_starved);
            assert_eq!(n_tries, n_starved + 1);
            assert_eq!(outcome.expect("in the end").into_bytes(), [7]);
        }
        let (n_tries, outcome) = tried(COMPILE_TRIES);
        assert_eq!(n_tries, COMPILE_TRIES);
        let Err(Failure::Fault(fault)) = outcome else {
            panic!("expected a fault, got {outcome:?}");
        };
        for part in ["1.2 s of 10.0 s at try 3", "try again", "compile_wall"] {
            assert!(fault.to_string().contains(part), "{fault}");
        }
    }
}
