//! A trial: the poison is crafted on the rows, and both are written.

use super::outcome::PoisoningOutcome;
use super::{KIND, PATCH, PoisoningConfig, ROWS};
use crate::error::TrialError;
use crate::poison::{shares, steps};
use crate::scene::{Reach, Scene, Victims};
use crate::threats::{self, DataPoison};
use tox_bilevel::own::complete;
use tox_data::features::{Ask, Opened};
use tox_data::{Data, DataDir, Dataset, Normalise, TableSet};
use tox_poison::data::points;
use tox_study::spec::TrialSpec;
use tox_study::steps::{Steps, data_key};
use tox_study::trial::{Finished, TrialContext};

/// The poison that is asked for.
pub fn poison(spec: &TrialSpec) -> Result<&'static dyn DataPoison, TrialError> {
    let threat = spec.threat.data.as_ref();
    let poison = threat.and_then(|threat| threats::poison(&threat.kind));
    poison.ok_or_else(|| {
        TrialError::Unfit(
            "the learner `poison` crafts the threat to the data, and there is none".into(),
        )
    })
}

/// Runs the trial.
pub fn run(
    spec: &TrialSpec,
    config: &PoisoningConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let dir = DataDir::resolve(context.data_dir)?;
    let opened = Opened::of(&Ask::from(&spec.data), &dir)?;
    let clean = &opened.sets.train;
    complete(clean).map_err(TrialError::Rows)?;
    let poison = poison(spec)?;
    if let Some(budget) = spec.threat.data.as_ref().and_then(|t| poison.budget(t)) {
        // Before anything is trained for it.
        points(budget, clean.rows)?;
    }
    let device = tox_nn::device::parse(context.device)?;
    let machine = crate::machine(context.device, true)?;
    let data = whole(spec.data.name(), &opened);
    let scene = Scene {
        reach: Reach::Train,
        victims: config.victim.as_ref().map(|victim| victim as &dyn Victims),
        ..Scene::of(spec, &data, device)
    };
    let folder = context.dir;
    let mut costs = steps(spec);
    // That is of learners that search.
    costs.retain(|(step, _)| step != "clean-search");
    let mut steps = Steps::new(context, data_key(&data), spec.seed, shares(costs));
    let (mut patch, poison) = poison.craft(&scene, clean, &mut steps)?;
    patch.save(&folder.join(PATCH))?;
    let outcome = PoisoningOutcome {
        poison,
        classes: clean.class_names.clone(),
        notes: opened.save(&patch, &folder.join(ROWS))?,
    };
    crate::finished(KIND, &outcome, (opened.hash(), opened.notes), machine)
}

/// All rows as data without validation or test images: 8-bit images, or a table.
fn whole(name: &str, opened: &Opened) -> Data {
    let clean = &opened.sets.train;
    let Some(train) = clean.images() else {
        return Data::Table(TableSet::of(name, opened.clone()));
    };
    let nothing = train.rows(&[]);
    Data::Images(Dataset {
        name: name.to_owned(),
        normalise: Normalise::measured(&train.images),
        valid: nothing.clone(),
        test: nothing,
        train,
        classes: clean.class_names.len(),
        class_names: clean.class_names.clone(),
        hash: clean.hash(),
        notes: Vec::new(),
    })
}
