//! A poison of data of one's own: every poisoned label becomes the next class, on the embedded digits.
//!
//!     cargo run --release -p tox-audits --example own_data_poison
//!
//! Its keys are a structure, of which `ShareOfRows` says the rest: its names, its budget, its ranges, and how it makes a
//! patch of the clean rows. What a patch did is measured on a copy of the rows, whoever made it. In `tox-audits` the file
//! is `threats/NAME.rs`, and it is registered by the line `Rows::<NextClass>::NEW,` in `threats!`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::error::Error;
use std::sync::atomic::AtomicBool;
use tox_audits::HOUSE;
use tox_audits::scene::{Crafting, Poison, Scene};
use tox_audits::threats::{DataPoison, Rows, ShareOfRows};
use tox_data::features::Features;
use tox_data::patch::Patch;
use tox_nn::Device;
use tox_poison::data::{Check, random_rows};
use tox_study::house::House;
use tox_study::recipe::{Overrides, Study};
use tox_study::steps::{Steps, data_key};
use tox_study::trial::{TrialContext, load};

/// Its keys in a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NextClass {
    /// Share of the rows. Where it is 0 nothing is crafted: a threat of strength zero is the clean baseline, bit for bit.
    #[schemars(range(min = 0.0, max = 1.0))]
    budget: f64,
}

impl ShareOfRows for NextClass {
    const KIND: &str = "next-class";
    const NAME: &str = "next class";
    /// A learner that reads no labels cannot notice it, and its trials must be those of the clean cell.
    const LABELS_ALONE: bool = true;

    fn craft(&self, scene: &Scene<'_>, pool: &Features, _steps: &mut Steps<'_>) -> Crafting {
        // Nested budgets: the rows of a smaller budget are the first of those of a larger one.
        let rows = random_rows(self.budget, pool.rows, scene.spec.seed)?;
        let classes = pool.class_names.len() as u16;
        let next = |row: &u64| (pool.labels[*row as usize] + 1) % classes;
        let labels = rows.iter().map(next).collect();
        let settings = json!({ "budget": self.budget, "seed": scene.spec.seed });
        let patch = Patch::of_labels(pool, rows, labels, Self::KIND, settings)?;
        let check = Check::labels(&patch, pool)?;
        Ok((patch, Poison::of(check)))
    }
}

const RECIPE: &str = r#"
name = "next-class"
seeds = [0]
data = { dataset = "digits", valid = 300 }
learner = { kind = "enas" }
cell = [{ label = "poisoned", threat = { kind = "next-class", budget = 0.1 } }]
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let house = House {
        threats: &[&Rows::<NextClass>::NEW],
        ..HOUSE
    };
    let study = Study::parse(
        &house,
        "the example's recipe",
        RECIPE,
        &Overrides::default(),
    )?;
    let Some(spec) = study.specs().next() else {
        return Err("the recipe has no such trial".into());
    };
    println!("{}", house.threats_of(spec));

    let (folder, stop) = (tempfile::tempdir()?, AtomicBool::new(false));
    let mut silent = |_| {};
    let context = TrialContext::alone(folder.path(), &stop, &mut silent);
    let clean = load(spec, &context)?;
    let scene = Scene::of(spec, &clean, Device::flex());
    let mut steps = Steps::new(context, data_key(&clean), spec.seed, Vec::new());
    let (patch, poison) = Rows::<NextClass>::NEW.craft(&scene, &clean.pool(), &mut steps)?;
    let check = &poison.check;
    println!(
        "{} of {} rows, {} labels flipped",
        check.points, check.rows, check.flipped
    );
    println!(
        "not to be trusted: {}",
        check.unreliable.as_deref().unwrap_or("nothing says so")
    );

    let mut poisoned = clean.clone();
    patch.apply_to(&mut poisoned)?;
    let row = patch.indices()[0] as usize;
    println!(
        "row {row}: {} became {}",
        clean.pool().labels[row],
        poisoned.pool().labels[row]
    );
    Ok(())
}
