//! A trial: the rows are poisoned and defended, the learner learns from them, and what it predicts is
//! scored on clean rows that it was given without labels.

use super::KIND;
use super::answer::{self, Truth};
use super::config::ExternalConfig;
use super::error::ExternalError;
use super::outcome::{BlackBox, ExternalOutcome, Scored};
use super::predict::Served;
use super::process::{Ended, Program};
use super::protocol::Phase;
use super::work::{Call, Rows, Work, pack};
use crate::error::TrialError;
use crate::judge;
use crate::machine;
use crate::poison::{self, prepare_any};
use crate::scene::Scene;
use crate::space::{ScreenedOp, bad_ops, is_screened, screen_space};
use serde_json::{Value, json};
use std::path::Path;
use tox_data::checkpoint::Hooks;
use tox_data::features::Features;
use tox_data::{Data, DataDir, DataError, DataRef, Dataset, hashed, load_any};
use tox_poison::space_file;
use tox_robust::{EvasionThreat, Oracle, Points, predicted};
use tox_search::space::{Op, Space};
use tox_study::spec::TrialSpec;
use tox_study::steps::{Place, Steps, data_key};
use tox_study::trial::{Finished, TrialContext};

/// How far the seed of a second search of the clean rows lies from the trial's: further than the seeds of
/// a study lie apart.
const OTHER_SEED: u64 = 1_000_003;

/// End of the name of the archive of what a learner left for the phase `predict`.
const MODEL: &str = ".tar";

/// Seeds that a learner is given are below it: common libraries take no larger ones.
const SEEDS: u64 = 1 << 31;

/// Refuses files that are not those of the spec.
pub fn unchanged(config: &ExternalConfig) -> Result<(), TrialError> {
    for file in config.files.iter().chain(&config.space) {
        hashed::unchanged(&file.path, file.hash.as_ref())?;
    }
    Ok(())
}

/// Runs the trial.
pub fn run(
    spec: &TrialSpec,
    config: &ExternalConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    unchanged(config)?;
    // Before the search: a command that fails must not cost what was found.
    let version = version(config, context.threads)?;
    let clean = load(spec, &context)?;
    let device = tox_nn::device::parse(context.device)?;
    let scene = Scene::of(spec, clean.as_ref(), device);
    let threat = judge::threat(spec)?;
    if let (Some(threat), Some(data)) = (&threat, clean.as_ref().images()) {
        judge::possible(Some(threat), data)?;
    }
    let (threads, machine) = (context.threads, machine(context.device, false)?);
    let mut steps = Steps::new(context, data_key(&clean), spec.seed, weights(spec, config));
    let prepared = prepare_any(&scene, &mut steps)?;
    let space = clean_space(config)?;
    let (altered_space, screened) = match &space {
        Some(space) => poisoned(space, &scene)?,
        None => (None, Vec::new()),
    };
    let altered = prepared.poisoned.is_some()
        || !prepared.cleansed.is_empty()
        || altered_space.as_ref().map(ops) != space.as_ref().map(ops);
    let [_, _, test] = clean.as_ref().splits();
    let learner = Learner {
        config,
        test: &test,
        threads,
    };
    let identity = identity(config);
    let search = |data, space, seed: u64, at: (&Place, Hooks<'_>)| {
        learner.call(data, (Phase::Search, None, space), seed, at)
    };

    // On clean rows, which other trials of the seed have too.
    let needs_clean = !altered || config.retrain || config.control;
    let mut model = None;
    let on_clean: Option<Scored> = match needs_clean {
        true => {
            let key = json!({ "learner": identity, "data": spec.data });
            let (place, made) = steps.shared("clean", key, |place, hooks| {
                search(clean.as_ref(), space.as_ref(), spec.seed, (place, hooks))
            })?;
            model = Some(place.file(MODEL));
            Some(made)
        }
        false => None,
    };
    let key = || json!({ "spec": spec });
    let found = match (&on_clean, altered) {
        (Some(found), false) => found.clone(),
        (_, true) | (None, false) => {
            model = Some(steps.place("learner").file(MODEL));
            steps.step("learner", key(), |place, hooks| {
                search(
                    prepared.data.as_ref(),
                    altered_space.as_ref(),
                    spec.seed,
                    (place, hooks),
                )
            })?
        }
    };
    let train = |choice: &Value, name: &str, steps: &mut Steps<'_>| {
        let key = json!({ "spec": spec, "choice": choice });
        steps.step(name, key, |place, hooks| {
            let asked = (Phase::Train, Some(choice), altered_space.as_ref());
            learner.call(prepared.data.as_ref(), asked, spec.seed, (place, hooks))
        })
    };
    let kept = match &on_clean {
        Some(clean) if altered && config.retrain => {
            let choice = clean.choice.as_ref().ok_or(ExternalError::NoChoice)?;
            Some(train(choice, "kept", &mut steps)?)
        }
        Some(_) | None => None,
    };
    let default = match &config.default {
        Some(choice) => Some(train(choice, "default", &mut steps)?),
        None => None,
    };
    let as_clean = match &on_clean {
        Some(clean) if altered => same(&clean.choice, &found.choice),
        Some(_) | None => None,
    };
    let as_other_seed = match altered || !config.control || found.choice.is_none() {
        true => None,
        false => {
            let other: Scored = steps.step("control", key(), |place, hooks| {
                let seed = spec.seed.wrapping_add(OTHER_SEED);
                search(clean.as_ref(), space.as_ref(), seed, (place, hooks))
            })?;
            same(&other.choice, &found.choice)
        }
    };
    let attacked = match (&threat, &model) {
        (Some(threat), Some(model)) => Some(steps.step("attack", key(), |place, hooks| {
            let data = clean.as_ref().images().ok_or(ExternalError::NoImages)?;
            learner.attack((spec, threat), (data, model), (place, hooks))
        })?),
        (Some(_), None) | (None, _) => None,
    };
    let outcome = ExternalOutcome {
        version,
        found,
        kept,
        as_clean,
        as_other_seed,
        default,
        poison: prepared.poison(),
        cleansed: prepared.cleansed,
        attacked,
        screened,
    };
    let clean = clean.as_ref();
    let data = (clean.hash().to_owned(), clean.notes().to_vec());
    Ok(crate::finished(KIND, &outcome, data, machine)?.guessing(clean.chance_error()))
}

/// The data, of which there must be something to learn from and to score on.
fn load(spec: &TrialSpec, context: &TrialContext<'_>) -> Result<Data, TrialError> {
    let dir = DataDir::resolve(context.data_dir)?;
    let data = load_any(&spec.data, &dir, spec.seed)?;
    let [train, _, test] = data.as_ref().labels();
    let classes = data.as_ref().class_names().len();
    for (key, found, least, expected) in [
        ("dataset (classes)", classes, 2, "at least 2 classes"),
        ("train", train.len(), 2, "at least 2 rows"),
        (
            "test",
            test.len(),
            1,
            "at least 1 row, on which the learner is scored",
        ),
    ] {
        if found < least {
            let (name, expected) = (data.as_ref().name().to_owned(), expected.to_owned());
            return Err(DataError::Spec {
                name,
                key,
                found,
                expected,
            }
            .into());
        }
    }
    Ok(data)
}

/// The ops of a space and how often each stands there.
fn ops(space: &Space) -> Vec<(Op, usize)> {
    space.ops.iter().map(|op| (op.op, op.count)).collect()
}

/// The space that the learner is handed where nobody poisons it.
fn clean_space(config: &ExternalConfig) -> Result<Option<Space>, TrialError> {
    let Some(file) = &config.space else {
        return Ok(None);
    };
    let space = space_file::read(Path::new(&file.path));
    space
        .map(Some)
        .map_err(|e| TrialError::Unfit(e.to_string()))
}

/// The space with bad ops in it, and what the screen dropped of it.
fn poisoned(
    clean: &Space,
    scene: &Scene<'_>,
) -> Result<(Option<Space>, Vec<ScreenedOp>), TrialError> {
    let mut space = clean.clone();
    if let Some(poison) = bad_ops(scene.spec)? {
        space = poison.set.poison(&space, poison.q)?;
    }
    if !is_screened(scene.spec) {
        return Ok((Some(space), Vec::new()));
    }
    let (space, dropped) = screen_space(&space, scene.images()?, scene.spec.seed, &scene.device)?;
    Ok((Some(space), dropped))
}

/// What the answer to a request depends on: not where files lie.
fn identity(config: &ExternalConfig) -> Value {
    let mut config = config.clone();
    let files = config.files.iter_mut().chain(&mut config.space);
    files.for_each(|file| file.path.clear());
    json!(config)
}

/// Whether two choices are the same; `None` without one.
fn same(a: &Option<Value>, b: &Option<Value>) -> Option<bool> {
    Some(a.as_ref()? == b.as_ref()?)
}

/// Shares of a trial's time, roughly.
fn weights(spec: &TrialSpec, config: &ExternalConfig) -> Vec<(String, f64)> {
    let poisoned = spec.threat.data.is_some() || spec.threat.space.is_some();
    let altered = poisoned || !spec.defence.is_none();
    let mut all = poison::steps(spec);
    let mut add = |name: &str, there: bool| {
        if there {
            all.push((name.to_owned(), 1.0));
        }
    };
    add("clean", !altered || config.retrain || config.control);
    add("learner", altered);
    add("kept", altered && config.retrain);
    add("default", config.default.is_some());
    add("control", !altered && config.control);
    add("attack", spec.threat.inputs.is_some());
    poison::shares(all)
}

/// What its `version` command prints.
fn version(config: &ExternalConfig, threads: usize) -> Result<Option<String>, ExternalError> {
    if config.version.is_empty() {
        return Ok(None);
    }
    let folder = std::env::temp_dir();
    let program = Program {
        argv: config.found(&config.version),
        folder: &folder,
        environment: &config.environment,
        set: Vec::new(),
        threads,
        limit: config.limit().unwrap_or_default(),
    };
    let none = folder.join("toxscreen-no-events");
    match program.run("version", &none, &mut || false, &mut |_, _| {})? {
        Ended::Done { said, .. } => Ok(Some(said.join(" "))),
        Ended::Stopped => Ok(None),
    }
}

/// Whom is asked, and what is scored on.
struct Learner<'a> {
    config: &'a ExternalConfig,
    test: &'a Features,
    threads: usize,
}

impl Learner<'_> {
    /// Asks it, in the folder of a step; `None` if it was stopped.
    fn call(
        &self,
        data: DataRef<'_>,
        (phase, choice, space): (Phase, Option<&Value>, Option<&Space>),
        seed: u64,
        (place, hooks): (&Place, Hooks<'_>),
    ) -> Result<Option<Scored>, TrialError> {
        let work = Work::open(place)?;
        let [train, valid, _] = data.splits();
        let argv = work.write(&Call {
            config: self.config,
            rows: Rows {
                train: &train,
                valid: &valid,
                test: self.test,
                columns: match data {
                    DataRef::Images(_) => None,
                    DataRef::Table(table) => table.columns.as_deref(),
                },
            },
            phase,
            seed: seed % SEEDS,
            threads: self.threads,
            choice,
            space,
            model: None,
        })?;
        let program = self.program(argv, work.dir());
        let truth = Truth {
            labels: &self.test.labels,
            classes: self.test.class_names.len(),
        };
        let Hooks { stop, progress, .. } = hooks;
        let ended = program.run(phase.name(), &work.events(), stop, progress);
        let scored = ended.and_then(|ended| {
            let Ended::Done { words, .. } = ended else {
                return Ok(None);
            };
            let answer = answer::read(&work.out(), words)?;
            if let Some(asked) = choice
                && answer.choice.as_ref() != Some(asked)
            {
                let found = answer.choice.unwrap_or_default();
                return Err(ExternalError::OtherChoice {
                    asked: asked.to_string(),
                    found: found.to_string(),
                });
            }
            if self.config.predict && phase == Phase::Search {
                let model = answer.model.as_ref().ok_or(ExternalError::NoModel)?;
                pack(&answer::inside(&work.out(), model)?, &place.file(MODEL))?;
            }
            answer::score(&work.out(), answer, &truth).map(Some)
        });
        match scored {
            Ok(Some(scored)) => {
                work.remove()?;
                Ok(Some(scored))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                // What it left may be what it fails by.
                work.forget()?;
                Err(error.into())
            }
        }
    }

    fn program<'w>(&'w self, argv: Vec<String>, folder: &'w Path) -> Program<'w> {
        let modules = self.config.modules();
        let set = modules.map(|dir| ("TOXSCREEN_MODULES", dir.to_string_lossy().into_owned()));
        Program {
            argv,
            folder,
            environment: &self.config.environment,
            set: set.into_iter().collect(),
            threads: self.threads,
            limit: self.config.limit().unwrap_or_default(),
        }
    }

    /// Attacks what it found by its scores alone; `None` if it was stopped.
    fn attack(
        &self,
        (spec, threat): (&TrialSpec, &EvasionThreat),
        (data, model): (&Dataset, &Path),
        (place, hooks): (&Place, Hooks<'_>),
    ) -> Result<Option<BlackBox>, TrialError> {
        let work = Work::open(place)?;
        let none = self.test.rows(&[]);
        let argv = work.write(&Call {
            config: self.config,
            rows: Rows {
                train: &none,
                valid: &none,
                test: &none,
                columns: None,
            },
            phase: Phase::Predict,
            seed: spec.seed % SEEDS,
            threads: self.threads,
            choice: None,
            space: None,
            model: Some(model),
        })?;
        let program = self.program(argv, work.dir());
        let images = spec.judge.images.unwrap_or(usize::MAX).min(data.test.len());
        let [_, c, h, w] = data.test.images.shape;
        let values = data.test.images.pixels[..images * c * h * w].iter();
        let pixels: Vec<f32> = values.map(|v| f32::from(*v) / 255.0).collect();
        let Hooks { stop, progress, .. } = hooks;
        let all = threat.attack.facts().passes.max(1.0);
        let mut tell = |queries: u64| {
            progress((queries as f64 / all).min(1.0), &format!("query {queries}"));
        };
        let oracle = Served::start(&program, ([c, h, w], data.classes), stop, &mut tell)?;
        let points = Points::new(&pixels, &data.test.labels[..images]);
        let logits = oracle.logits(&pixels);
        let right = |row: usize| {
            let logits = &logits[row * data.classes..][..data.classes];
            predicted(logits) == Some(usize::from(points.labels[row]))
        };
        let clean = (0..images).filter(|row| right(*row)).count();
        let found = threat.attack.run(&oracle, points, threat.ball(), spec.seed);
        let Some(queries) = oracle.end()? else {
            return Ok(None);
        };
        let stood = found.fooled.iter().filter(|fooled| !**fooled).count();
        let percent = |count: usize| 100.0 * count as f64 / images.max(1) as f64;
        work.remove()?;
        Ok(Some(BlackBox {
            attack: threat.attack.name(),
            norm: threat.norm,
            epsilon: threat.epsilon,
            images,
            clean: percent(clean),
            accuracy: percent(stood),
            queries,
        }))
    }
}
