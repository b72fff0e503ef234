//! How good a found architecture is, on clean data.

use super::{Scene, TrialError};
use crate::record::nas::{Evaluation, Place};
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_data::majority::{no_better, no_better_than};
use tox_search::count;
use tox_search::final_training::{self, Inputs, Protocol};
use tox_search::genes::{Architecture, GeneSpace};
use tox_search::nas::Trace;
use tox_search::space::cells::CellGenotype;
use tox_search::space::nasbench201::Network;
use tox_search::table::{Column, Draws, Measure, Table};

/// Test images of the data sets of NAS-Bench-201; 6,000 of ImageNet16-120.
const TEST_IMAGES: usize = 6_000;

/// What a random search over the table goes by.
pub fn select(column: Column) -> Column {
    Column {
        measure: Measure::Valid12,
        ..column
    }
}

/// Refuses a final training that would fail after the search.
pub fn trainable(scene: &Scene<'_>, target: &Dataset) -> Result<(), TrialError> {
    let config = scene.config.clone().resolved();
    let training = config.train.unwrap_or_default();
    let protocol = config
        .space
        .cells()
        .map_or(Protocol::Elastic, Protocol::from);
    Ok(final_training::fits(&training, protocol, target)?)
}

/// Looks the architecture up in the table.
pub fn looked_up(
    scene: &Scene<'_>,
    table: &Table,
    architecture: &Architecture,
    trace: &Trace,
) -> Result<Evaluation, TrialError> {
    let Architecture::Cell(CellGenotype::NasBench201(cell)) = architecture else {
        unreachable!("the config's check lets no other space be looked up");
    };
    let column = scene.config.column;
    let values = table.values(column)?;
    let side = column.data.side();
    // What the benchmark trains.
    let network = Network {
        classes: column.data.classes(),
        input: [3, side, side],
        ..Network::default()
    };
    let select = select(column);
    let draws = scene
        .config
        .random_draws
        .unwrap_or(trace.evaluated())
        .max(1);
    let place = Place {
        column: column.to_string(),
        rank: table.rank(cell, column)?,
        hash: table.hash().to_owned(),
        best: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        random: table.random_search(column, column, 1, Draws::Distinct)?,
        draws,
        random_search: table.random_search(select, column, draws, Draws::Distinct)?,
    };
    let accuracy = table.accuracy(cell, column)?;
    // The benchmark's test sets have as many images of each class.
    let guess = 100.0 - 100.0 / column.data.classes() as f64;
    Ok(Evaluation {
        accuracy,
        majority: no_better_than(100.0 - accuracy, guess, TEST_IMAGES).map(|n| 100.0 - n.majority),
        counts: count::nasbench201(cell, &network)?,
        table: Some(place),
        trained_on: None,
        training: None,
    })
}

/// Trains the architecture from new weights on clean data, or goes on with that.
pub fn trained(
    scene: &Scene<'_>,
    target: &Dataset,
    architecture: &Architecture,
    hooks: Hooks<'_>,
) -> Result<Option<Evaluation>, TrialError> {
    let config = scene.config.clone().resolved();
    let inputs = Inputs {
        data: target,
        config: &config.train.clone().unwrap_or_default(),
        seed: scene.spec.seed,
        device: scene.device.clone(),
    };
    let trained = match (architecture, config.genes()) {
        (Architecture::Cell(genotype), _) => final_training::run(genotype, &inputs, hooks)?,
        (Architecture::Elastic(arch), GeneSpace::Elastic(space)) => {
            final_training::elastic(&space, arch, &inputs, hooks)?
        }
        (Architecture::Elastic(_), GeneSpace::Cell(_)) => {
            unreachable!("a search of cells finds cells")
        }
    };
    Ok(trained.map(|trained| Evaluation {
        accuracy: trained.evaluation.accuracy,
        majority: no_better(100.0 - trained.evaluation.accuracy, &target.test.labels)
            .map(|n| 100.0 - n.majority),
        counts: trained.evaluation.counts,
        table: None,
        trained_on: Some(target.hash.clone()),
        training: Some(trained.evaluation),
    }))
}
