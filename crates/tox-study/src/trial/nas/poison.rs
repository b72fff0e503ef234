//! The poison of a trial, crafted on the clean rows that the search learns from and put in their
//! place.

use super::{Scene, TrialError};
use crate::record::nas::Poison;
use crate::spec::Threat;
use crate::trial::steps::{Place, Steps};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_data::features::Features;
use tox_data::patch::{Patch, PatchError};
use tox_data::spec::Augment;
use tox_nn::fit::{self, fit};
use tox_nn::layers::{Network, State};
use tox_poison::data::clf::{self, Confidences, Training};
use tox_poison::data::gc::{self, Gc, Victim};
use tox_poison::data::threat::{ClfThreat, FileThreat, GcThreat};
use tox_poison::data::{Check, Crafted, PoisonError, flip, noise, points};
use tox_search::cell::{CellSupernet, GenotypeNetwork, SupernetShape};
use tox_search::genes::Architecture;
use tox_search::nas::{self, Inputs, Leftover, SearchKind};
use tox_search::nsganet::{Subnet, Supernet};
use tox_search::pdarts::learner::Learner;
use tox_search::space::cells::CellGenotype;

/// The data with poison in them.
pub struct Poisoned {
    pub data: Dataset,
    /// The rows of the pool that were poisoned.
    pub rows: Vec<u64>,
    /// The clean labels of all rows of the pool.
    pub labels: Vec<u16>,
    pub poison: Poison,
}

/// The poisoned copy of the data, and what the poison did; `None` without a threat.
pub fn poison(scene: &Scene<'_>, steps: &mut Steps<'_>) -> Result<Option<Poisoned>, TrialError> {
    let (pool, seed) = (scene.clean.pool(), scene.spec.seed);
    if let Some(budget) = scene.spec.threat.budget() {
        // Before anything is trained for it.
        points(budget, pool.rows)?;
    }
    let plain = |crafted: Crafted| {
        let poison = Poison {
            check: crafted.check,
            classifier_accuracy: None,
            victim: None,
        };
        (crafted.patch, poison)
    };
    let (patch, poison) = match &scene.spec.threat {
        Threat::None | Threat::SearchSpace(_) | Threat::Bilevel(_) | Threat::Evasion(_) => {
            return Ok(None);
        }
        Threat::Rlf(threat) => plain(flip::random(&pool, threat.budget, seed)?),
        Threat::Noise(threat) => plain(noise::gaussian(&pool, threat.noise, threat.budget, seed)?),
        Threat::Clf(threat) => confident(scene, threat, &pool, steps)?,
        Threat::Gc(threat) => cancelling(scene, threat, &pool, steps)?,
        Threat::File(threat) => plain(from_file(threat, &pool)?),
    };
    let mut poisoned = scene.clean.clone();
    patch.apply_to(&mut poisoned)?;
    Ok(Some(Poisoned {
        data: poisoned,
        rows: patch.indices().to_vec(),
        labels: pool.labels,
        poison,
    }))
}

/// A patch that was made before, held against the rows.
fn from_file(threat: &FileThreat, pool: &Features) -> Result<Crafted, TrialError> {
    let patch = Patch::load(Path::new(&threat.path))?;
    let found = &patch.manifest().patch_hash;
    if let Some(hash) = threat.hash.as_ref().filter(|hash| *hash != found) {
        let what = format!("its hash is {found}, the trial's is {hash}");
        return Err(PatchError::OtherSet { what }.into());
    }
    let check = match patch.values() {
        // Nobody said how far its images may have moved.
        Some(_) => Check::images(&patch, pool, u8::MAX)?,
        None => Check::labels(&patch, pool)?,
    };
    Ok(Crafted { patch, check })
}

/// CLF. The classifier is the same for all searches and budgets.
fn confident(
    scene: &Scene<'_>,
    threat: &ClfThreat,
    pool: &Features,
    steps: &mut Steps<'_>,
) -> Result<(Patch, Poison), TrialError> {
    let augment = &scene.spec.data.augment;
    let key = json!({ "classifier": threat.classifier, "augment": augment });
    let (_, confidences): (_, Confidences) = steps.shared("classifier", key, |_, hooks| {
        let training = Training {
            clean: pool,
            normalise: &scene.clean.normalise,
            augment,
            classifier: &threat.classifier,
            seed: scene.spec.seed,
            device: scene.device.clone(),
        };
        Ok(clf::confidences(&training, hooks)?)
    })?;
    let crafted = clf::flip(pool, &confidences, threat.flip, threat.budget)?;
    let poison = Poison {
        check: crafted.check,
        classifier_accuracy: Some(confidences.accuracy(&pool.labels)),
        victim: None,
    };
    Ok((crafted.patch, poison))
}

/// What a clean search gives GC.
#[derive(Serialize, Deserialize)]
struct CleanSearch {
    genotype: Architecture,
    /// P-DARTS: the ops of its last supernet, whose numbers lie in a file of the step.
    candidates: Option<Vec<Vec<Vec<usize>>>>,
    /// NSGANetV2: the numbers of the found subnet lie in that file.
    subnet: bool,
}

/// GC, against what a clean run of the same search gives.
fn cancelling(
    scene: &Scene<'_>,
    threat: &GcThreat,
    pool: &Features,
    steps: &mut Steps<'_>,
) -> Result<(Patch, Poison), TrialError> {
    let (config, augment) = (scene.config, &scene.spec.data.augment);
    let key = json!({ "nas": config.clone().resolved(), "augment": augment });
    let (place, clean) = steps.shared("clean-search", key.clone(), |place, hooks| {
        clean_search(scene, place, hooks)
    })?;
    let poison = |check| Poison {
        check,
        classifier_accuracy: None,
        victim: Some(clean.genotype.clone()),
    };
    let radius = match config.search {
        SearchKind::PDarts | SearchKind::NsganetV2 => 1.0,
        SearchKind::TeNas | SearchKind::Robot | SearchKind::Random => 0.5,
    };
    let gc = Gc {
        radius: threat.radius.unwrap_or(radius),
        ..threat.cancelling
    };
    let source = json!({ "search": config.search, "genotype": clean.genotype.to_string() });
    let attack = gc::Attack {
        clean: pool,
        normalise: &scene.clean.normalise,
        gc,
        seed: scene.spec.seed,
        source,
    };
    if let Some(candidates) = &clean.candidates {
        let victim = supernet(scene, candidates, &place.file(".safetensors"))?;
        let key = json!({ "after": key, "gc": gc, "budget": threat.budget });
        let (patch, check) = craft(victim, &attack, threat.budget, key, steps)?;
        return Ok((patch, poison(check)));
    }
    if clean.subnet {
        let (network, mut state) = subnet(scene, &clean.genotype)?;
        state.load(&place.file(".safetensors"))?;
        let victim = Victim::of_all(network, state, scene.device.clone());
        let key = json!({ "after": key, "gc": gc, "budget": threat.budget });
        let (patch, check) = craft(victim, &attack, threat.budget, key, steps)?;
        return Ok((patch, poison(check)));
    }
    let Architecture::Cell(genotype) = &clean.genotype else {
        let what = "a random network of the elastic space has no clean search behind it".into();
        return Err(PoisonError::Victim { what }.into());
    };
    let key = json!({ "after": key, "victim": threat.victim });
    let (place, ()) = steps.shared("victim", key.clone(), |place, hooks| {
        train(scene, threat, genotype, place, hooks)
    })?;
    let (network, mut state) = network(scene, threat, genotype)?;
    state.load(&place.file(".safetensors"))?;
    let victim = Victim::of_all(network, state, scene.device.clone());
    let key = json!({ "after": key, "gc": gc, "budget": threat.budget });
    let (patch, check) = craft(victim, &attack, threat.budget, key, steps)?;
    Ok((patch, poison(check)))
}

fn clean_search(
    scene: &Scene<'_>,
    place: &Place,
    hooks: Hooks<'_>,
) -> Result<Option<CleanSearch>, TrialError> {
    let inputs = Inputs {
        data: scene.clean,
        augment: &scene.spec.data.augment,
        config: scene.config,
        seed: scene.spec.seed,
        device: scene.device.clone(),
    };
    let Some(found) = nas::run(&inputs, hooks)? else {
        return Ok(None);
    };
    let numbers = place.file(".safetensors");
    let (mut candidates, mut subnet) = (None, false);
    match found.left {
        Leftover::Learner(learner) => {
            candidates = Some(learner.candidates.clone());
            let Learner {
                net, state, alphas, ..
            } = *learner;
            let victim = Victim::of_alphas(net, state, &alphas, scene.device.clone());
            victim.state.save(&numbers)?;
        }
        Leftover::Subnet(found) => {
            found.1.save(&numbers)?;
            subnet = true;
        }
        Leftover::None => {}
    }
    Ok(Some(CleanSearch {
        genotype: found.genotype,
        candidates,
        subnet,
    }))
}

/// The network of NSGANetV2's result; its numbers are for the caller to fill in.
fn subnet(scene: &Scene<'_>, architecture: &Architecture) -> Result<(Subnet, State), TrialError> {
    let config = scene.config.clone().resolved();
    let nsganet = config.nsganetv2.clone().unwrap_or_default();
    let shape = shape(scene, nsganet.channels, nsganet.cells);
    let (space, key) = (config.genes(), (scene.spec.seed, "gc/victim"));
    let supernet = Supernet::new(&space, shape, nsganet.kernel_matrices, key)?;
    let (network, state, _) = supernet.subnet(architecture)?;
    Ok((network, state))
}

/// The supernet of a clean P-DARTS search, its alphas the targets.
fn supernet(
    scene: &Scene<'_>,
    candidates: &[Vec<Vec<usize>>],
    numbers: &Path,
) -> Result<Victim<gc::WithAlphas<CellSupernet>>, TrialError> {
    let config = scene.config.clone().resolved().p_darts.unwrap_or_default();
    let cells = config.stages.last().map_or(1, |stage| stage.cells);
    let shape = shape(scene, config.channels, cells);
    let (key, device) = ((scene.spec.seed, "gc/supernet"), scene.device.clone());
    let Some(space) = scene.config.space.cells() else {
        unreachable!("P-DARTS runs on cells alone");
    };
    let learner = Learner::new(space, candidates, shape, &config, key, device.clone())?;
    let mut victim = Victim::of_alphas(learner.net, learner.state, &learner.alphas, device);
    victim.state.load(numbers)?;
    Ok(victim)
}

fn shape(scene: &Scene<'_>, channels: usize, cells: usize) -> SupernetShape {
    let [_, c, h, w] = scene.clean.train.images.shape;
    SupernetShape {
        channels,
        cells,
        classes: scene.clean.classes,
        input: [c, h, w],
    }
}

fn network(
    scene: &Scene<'_>,
    threat: &GcThreat,
    genotype: &CellGenotype,
) -> Result<(GenotypeNetwork, State), TrialError> {
    let shape = shape(scene, threat.victim.channels, threat.victim.cells);
    let key = (scene.spec.seed, "gc/victim");
    Ok(GenotypeNetwork::new(genotype, shape, key)?)
}

/// Trains the network of the clean search's architecture on the clean training images.
fn train(
    scene: &Scene<'_>,
    threat: &GcThreat,
    genotype: &CellGenotype,
    place: &Place,
    hooks: Hooks<'_>,
) -> Result<Option<()>, TrialError> {
    let (network, state) = network(scene, threat, genotype)?;
    let inputs = fit::Inputs {
        train: &scene.clean.train,
        normalise: &scene.clean.normalise,
        augment: &Augment::default(),
        config: &threat.victim.fit,
        seed: scene.spec.seed,
        name: "gc/victim",
        device: scene.device.clone(),
    };
    let Some(fitted) = fit(network, state, &inputs, hooks)? else {
        return Ok(None);
    };
    fitted.state.save(&place.file(".safetensors"))?;
    Ok(Some(()))
}

/// Crafts the patch, which stays as a file of the step.
fn craft<N: Network>(
    victim: Victim<N>,
    attack: &gc::Attack<'_>,
    budget: f64,
    key: Value,
    steps: &mut Steps<'_>,
) -> Result<(Patch, Check), TrialError> {
    let (place, check) = steps.shared("gc", key, |place, hooks| {
        let Some(mut crafted) = gc::craft(victim, attack, budget, hooks)? else {
            return Ok(None);
        };
        crafted.patch.save(&place.file(".npz"))?;
        Ok(Some(crafted.check))
    })?;
    Ok((Patch::load(&place.file(".npz"))?, check))
}
