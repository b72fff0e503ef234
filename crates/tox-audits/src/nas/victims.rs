//! Victims of gradient cancelling: what a clean run of the same search leaves.

use crate::error::TrialError;
use crate::scene::{Cancelling, Crafting, Poison, Victims};
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
pub struct CleanRun<'a>(pub &'a NasConfig);

impl Victims for CleanRun<'_> {
    fn cancel(&self, asked: &Cancelling<'_>, steps: &mut Steps<'_>) -> Crafting {
        let (scene, config) = (asked.scene, self.0);
        let augment = &scene.spec.data.augment;
        let inputs = Inputs {
            data: scene.images()?,
            augment,
            config,
            seed: scene.spec.seed,
            device: scene.device.clone(),
        };
        let key = json!({ "nas": config, "augment": augment });
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
        let attack = asked.attack(targets, source)?;
        let file = place.file(".safetensors");
        let (patch, check) = match left {
            Leftover::Supernet(learner) => {
                let mut victim = by_alphas(*learner, &inputs.device);
                victim.state.load(&file)?;
                asked.craft(victim, &attack, key, steps)?
            }
            Leftover::Subnet(subnet) => {
                let (network, mut state) = *subnet;
                state.load(&file)?;
                let victim = Victim::of_all(network, state, inputs.device.clone());
                asked.craft(victim, &attack, key, steps)?
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
        let poison = Poison {
            victim: Some(clean.genotype),
            ..Poison::of(check)
        };
        Ok((patch, poison))
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
