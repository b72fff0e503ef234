//! Victims of gradient cancelling: what a clean run of the same search leaves.

use super::evaluate::Tables;
use crate::error::TrialError;
use crate::scene::{Aim, Cancelling, Crafting, Poison, Victims};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tox_data::checkpoint::Hooks;
use tox_nn::Device;
use tox_poison::data::PoisonError;
use tox_poison::data::gc::{self, Targets, Victim};
use tox_search::cell::CellSupernet;
use tox_search::genes::Architecture;
use tox_search::nas::{self, Inputs, Leftover, NasConfig, Trace};
use tox_search::pdarts::learner::Learner;
use tox_study::steps::{Place, Steps};

/// What a clean search found; the numbers of the network that it left lie in a file of the step.
#[derive(Serialize, Deserialize)]
struct CleanSearch {
    genotype: Architecture,
    trace: Trace,
}

/// GC, against what a clean run of the same search gives.
pub struct CleanRun<'a> {
    pub config: &'a NasConfig,
    /// Where what the poison aims at is looked up.
    pub tables: Option<&'a Tables>,
}

impl Victims for CleanRun<'_> {
    fn cancel(&self, asked: &Cancelling<'_>, steps: &mut Steps<'_>) -> Crafting {
        let (scene, config) = (asked.scene, self.config);
        let augment = &scene.spec.data.augment;
        let inputs = Inputs {
            data: scene.images()?,
            augment,
            config,
            seed: asked.seed(),
            device: scene.device.clone(),
        };
        let key = asked.seeded(json!({ "nas": config, "augment": augment }));
        let (place, clean) = steps.shared("clean-search", key.clone(), |place, hooks| {
            clean_search(&inputs, place, hooks)
        })?;
        let left = config.search.left(&inputs, &clean.genotype, &clean.trace)?;
        let targets = match &left {
            Leftover::Supernet(_) => Targets::Alphas,
            Leftover::Subnet(_) => Targets::Inherited,
            Leftover::None => Targets::Found,
        };
        let source = json!({ "search": config.search, "genotype": clean.genotype.to_string() });
        let source = asked.seeded(source);
        let attack = asked.attack(targets, source)?;
        let file = place.file(".safetensors");
        let read = |values: &[f32]| {
            let found = config.search.found_at(&inputs, &clean.trace, values);
            found.transpose().map(Aim::of)
        };
        let (patch, poison) = match left {
            Leftover::Supernet(learner) => {
                let mut victim = by_alphas(*learner, &inputs.device);
                victim.state.load(&file)?;
                asked.craft(victim, &attack, (key, &read), steps)?
            }
            Leftover::Subnet(subnet) => {
                let (network, mut state) = *subnet;
                state.load(&file)?;
                let victim = Victim::of_all(network, state, inputs.device.clone());
                asked.craft(victim, &attack, (key, &|_| None), steps)?
            }
            Leftover::None => {
                let Architecture::Cell(genotype) = &clean.genotype else {
                    let what =
                        "a random network of the elastic space has no clean search behind it"
                            .into();
                    return Err(PoisonError::Victim { what }.into());
                };
                asked.of_network(genotype, (&attack, key), steps)?
            }
        };
        let aim = match poison.aim {
            Some(aim) => self.looked_up(aim, &clean.genotype)?,
            None => Aim::CannotTell(format!(
                "{} has no architecture parameters: the targets are the weights of a network of what it finds",
                config.search.title()
            )),
        };
        let poison = Poison {
            victim: Some(clean.genotype),
            aim: Some(aim),
            ..poison
        };
        Ok((patch, poison))
    }
}

impl CleanRun<'_> {
    /// With the accuracies of the table.
    fn looked_up(&self, mut aim: Aim, victim: &Architecture) -> Result<Aim, TrialError> {
        if let (Aim::Architecture(aimed), Some(tables)) = (&mut aim, self.tables) {
            aimed.accuracy = tables.accuracy(self.config, &aimed.genotype)?;
            aimed.victim_accuracy = tables.accuracy(self.config, victim)?;
        }
        Ok(aim)
    }
}

fn clean_search(
    inputs: &Inputs<'_>,
    place: &Place,
    hooks: Hooks<'_>,
) -> Result<Option<CleanSearch>, TrialError> {
    let Some(found) = nas::run(inputs, hooks)? else {
        return Ok(None);
    };
    let file = place.file(".safetensors");
    match found.left {
        Leftover::Supernet(learner) => by_alphas(*learner, &inputs.device).state.save(&file)?,
        Leftover::Subnet(subnet) => subnet.1.save(&file)?,
        Leftover::None => {}
    }
    Ok(Some(CleanSearch {
        genotype: found.genotype,
        trace: found.trace,
    }))
}

/// A supernet, its alphas the targets.
fn by_alphas(learner: Learner, device: &Device) -> Victim<gc::WithAlphas<CellSupernet>> {
    Victim::of_alphas(learner.net, learner.state, &learner.alphas, device.clone())
}
