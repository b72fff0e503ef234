//! Any registered poison of a share of the rows, on a user's own images.

use crate::HOUSE;
use crate::scene::{Reach, Scene};
use crate::threats::{DataPoison, gc::Surrogate};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tox_data::features::Features;
use tox_data::{Dataset, Normalise};
use tox_nn::Device;
use tox_poison::data::Crafted;
use tox_poison::data::gc::images;
use tox_study::recipe::{Overrides, Setting, Study};
use tox_study::steps::{Steps, data_key};
use tox_study::trial::{Failure, TrialContext};

/// What a poison is crafted with.
pub struct Asked<'a> {
    pub poison: &'static dyn DataPoison,
    /// Share of the rows.
    pub budget: f64,
    /// `KEY=VALUE` of its own keys.
    pub keys: &'a [String],
    pub seed: u64,
    pub device: Device,
    /// Where its long steps keep themselves.
    pub dir: &'a Path,
    pub stop: &'a AtomicBool,
}

/// Crafts it; its keys are read as those of a recipe.
///
/// # Errors
/// Keys that are not its own, or why there is no poison.
pub fn craft(
    asked: &Asked<'_>,
    clean: &Features,
    tell: &mut dyn FnMut(&str),
) -> Result<Crafted, Failure> {
    let kind = asked.poison.kind();
    let set = asked.keys.iter();
    let set = set
        .map(|key| Setting::parse(&format!("threat.data.{key}")))
        .collect::<Result<_, _>>();
    let overrides = Overrides {
        set: set.map_err(unread)?,
        seeds: Some(vec![asked.seed]),
        ..Overrides::default()
    };
    let recipe = format!(
        "name = \"poison\"\nseeds = [0]\ndata = {{ dataset = \"digits\", valid = 1 }}\n\
         learner = {{ kind = \"enas\" }}\n[threat.data]\nkind = \"{kind}\"\nbudget = {:?}\n\
         [[cell]]\nlabel = \"poisoned\"\n",
        asked.budget
    );
    let study = Study::parse(&HOUSE, "--set", &recipe, &overrides).map_err(unread)?;
    let trial = study.trials.first().map(|trial| &trial.spec);
    let Some((trial, config)) = trial.and_then(|t| Some((t, t.threat.data.as_ref()?))) else {
        return Err(Failure::usage(format!("there is no poison `{kind}`")));
    };
    let train = images(clean).map_err(crate::error::TrialError::from)?;
    let nothing = train.rows(&[]);
    let data = Dataset {
        name: String::new(),
        normalise: Normalise::measured(&train.images),
        valid: nothing.clone(),
        test: nothing,
        train,
        classes: clean.class_names.len(),
        class_names: clean.class_names.clone(),
        hash: clean.hash(),
        notes: Vec::new(),
    };
    let scene = Scene {
        spec: trial,
        clean: (&data).into(),
        device: asked.device.clone(),
        reach: Reach::Train,
        victims: &Surrogate,
        own: &[],
    };
    let context = TrialContext {
        dir: asked.dir,
        data_dir: None,
        shared: None,
        shared_only: false,
        device: "cpu",
        threads: 1,
        stop: asked.stop,
        progress: &mut |progress| tell(&progress.message),
    };
    let mut steps = Steps::new(context, data_key(&data), asked.seed, Vec::new());
    let (patch, poison) = asked.poison.craft(config, &scene, clean, &mut steps)?;
    Ok(Crafted {
        patch,
        check: poison.check,
    })
}

fn unread(error: tox_study::recipe::RecipeError) -> Failure {
    Failure {
        hint: error.hint(),
        ..Failure::usage(error.to_string())
    }
}
