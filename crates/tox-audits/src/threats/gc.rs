//! GC, gradient cancelling (Coalson et al.): images whose gradient cancels that of the clean ones.

use super::ShareOfRows;
use crate::error::TrialError;
use crate::scene::{Aim, Cancelling, Crafting, Poison, Reading, Scene, Victims};
use serde_json::{Value, json};
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_data::features::Features;
use tox_data::patch::Patch;
use tox_data::ranges::OutOfRange;
use tox_data::spec::Augment;
use tox_nn::fit::{self, fit};
use tox_nn::layers::{Network, State};
use tox_poison::data::Check;
use tox_poison::data::gc::{self, Gc, Targets, Victim};
use tox_poison::data::threat::GcThreat;
use tox_search::cell::{GenotypeNetwork, SupernetShape};
use tox_search::genes::Architecture;
use tox_search::space::cells::CellGenotype;
use tox_search::space::nasbench201::Cell;
use tox_study::part::Part;
use tox_study::steps::{Place, Steps};

impl ShareOfRows for GcThreat {
    const KIND: &str = "gc";
    const NAME: &str = "GC";
    const STEPS: &[(&str, f64)] = &[("clean-search", 1.0), ("victim", 0.5), ("gc", 1.0)];

    fn check(&self) -> Result<(), OutOfRange> {
        self.check()
    }

    fn takes_table(&self) -> Result<(), String> {
        Err("it cancels the gradient of a network of images; \"rlf\", \"clf\", \"noise\" and \"file\" \
             poison tables"
            .to_owned())
    }

    fn shares(&self, learner: &Part) -> Option<Value> {
        // The victim may be what a clean run of the learner leaves.
        Some(json!({ "victim": self.victim, "seed": self.victim_seed, "of": learner }))
    }

    fn craft(&self, scene: &Scene<'_>, pool: &Features, steps: &mut Steps<'_>) -> Crafting {
        let asked = Cancelling {
            scene,
            threat: self,
            pool,
        };
        scene.victims.unwrap_or(&Surrogate).cancel(&asked, steps)
    }
}

/// The victim of a learner that offers none of its own: a network of the cell that is best on CIFAR-10 in
/// NAS-Bench-201 (94.37 % after 200 epochs), trained on the clean rows. The poison is then transferred.
struct Surrogate;

/// The cell of the default victim. It is made of plain convolutions and a skip-connect, as most networks are, and small.
pub const CELL: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+\
                    |skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|";

impl Victims for Surrogate {
    fn cancel(&self, asked: &Cancelling<'_>, steps: &mut Steps<'_>) -> Crafting {
        let cell = CELL.parse::<Cell>();
        let genotype =
            CellGenotype::NasBench201(cell.map_err(|e| TrialError::Unfit(e.to_string()))?);
        let attack = asked.attack(Targets::Small, json!({ "surrogate": CELL }))?;
        let key = json!({ "surrogate": CELL, "augment": asked.scene.spec.data.augment });
        let (patch, poison) = asked.of_network(&genotype, (&attack, key), steps)?;
        let poison = Poison {
            victim: Some(Architecture::Cell(genotype)),
            ..poison
        };
        Ok((patch, poison))
    }
}

/// The shape of a network or a supernet on images.
pub fn shape(data: &Dataset, channels: usize, cells: usize) -> SupernetShape {
    let [_, c, h, w] = data.train.images.shape;
    SupernetShape {
        channels,
        cells,
        classes: data.classes,
        input: [c, h, w],
    }
}

impl Cancelling<'_> {
    /// Seed of the victim.
    pub fn seed(&self) -> u64 {
        self.threat.victim_seed.unwrap_or(self.scene.spec.seed)
    }

    /// The key of a step that makes the victim: a seed that is not the trial's is a part of it.
    pub fn seeded(&self, mut key: Value) -> Value {
        if self.seed() != self.scene.spec.seed {
            key["victim_seed"] = self.seed().into();
        }
        key
    }

    /// The attack on these targets of a victim that was made of `source`.
    ///
    /// # Errors
    /// A table of numbers.
    pub fn attack(&self, targets: Targets, source: Value) -> Result<gc::Attack<'_>, TrialError> {
        Ok(gc::Attack {
            clean: self.pool,
            normalise: &self.scene.images()?.normalise,
            gc: Gc {
                radius: self.threat.radius.unwrap_or(targets.radius()),
                ..self.threat.cancelling
            },
            seed: self.scene.spec.seed,
            source,
        })
    }

    /// Against all weights of a genotype's network, trained on the clean training images. `key` has all
    /// that the genotype depends on.
    ///
    /// # Errors
    /// Why there is no poison.
    pub fn of_network(
        &self,
        genotype: &CellGenotype,
        (attack, key): (&gc::Attack<'_>, Value),
        steps: &mut Steps<'_>,
    ) -> Crafting {
        let key = self.seeded(json!({ "after": key, "victim": self.threat.victim }));
        let (place, ()) = steps.shared("victim", key.clone(), |place, hooks| {
            self.train(genotype, place, hooks)
        })?;
        let (network, mut state) = self.network(genotype)?;
        state.load(&place.file(".safetensors"))?;
        let victim = Victim::of_all(network, state, self.scene.device.clone());
        self.craft(victim, attack, (key, &|_| None), steps)
    }

    fn network(&self, genotype: &CellGenotype) -> Result<(GenotypeNetwork, State), TrialError> {
        let victim = &self.threat.victim;
        let shape = shape(self.scene.images()?, victim.channels, victim.cells);
        let key = (self.seed(), "gc/victim");
        Ok(GenotypeNetwork::new(genotype, shape, key)?)
    }

    fn train(
        &self,
        genotype: &CellGenotype,
        place: &Place,
        hooks: Hooks<'_>,
    ) -> Result<Option<()>, TrialError> {
        let (network, state) = self.network(genotype)?;
        let clean = self.scene.images()?;
        let inputs = fit::Inputs {
            train: &clean.train,
            normalise: &clean.normalise,
            augment: &Augment::default(),
            config: &self.threat.victim.fit,
            seed: self.seed(),
            name: "gc/victim",
            device: self.scene.device.clone(),
        };
        let Some(fitted) = fit(network, state, &inputs, hooks)? else {
            return Ok(None);
        };
        fitted.state.save(&place.file(".safetensors"))?;
        Ok(Some(()))
    }

    /// Crafts the patch, which stays as a file of the step. `after` has all that the victim depends on; `read` says
    /// what its moved targets stand for.
    ///
    /// # Errors
    /// Why there is none.
    pub fn craft<N: Network>(
        &self,
        victim: Victim<N>,
        attack: &gc::Attack<'_>,
        (after, read): (Value, &Reading<'_>),
        steps: &mut Steps<'_>,
    ) -> Crafting {
        let budget = self.threat.budget;
        let key = json!({ "after": after, "gc": attack.gc, "budget": budget, "aim": true });
        let (place, made) = steps.shared("gc", key, |place, hooks| -> Result<_, TrialError> {
            let Some(mut crafted) = gc::craft(victim, attack, budget, hooks)? else {
                return Ok(None);
            };
            crafted.patch.save(&place.file(".npz"))?;
            let aim = read(&crafted.check.take_aim());
            Ok(Some((crafted.check, aim)))
        })?;
        let (check, aim): (Check, Option<Aim>) = made;
        let poison = Poison {
            aim,
            ..Poison::of(check)
        };
        Ok((Patch::load(&place.file(".npz"))?, poison))
    }
}
