//! How good a found architecture is, on clean data.

use super::outcome::{Evaluation, OwnEvaluations, Place, RobustColumn, Robustness};
use crate::error::TrialError;
use crate::judge;
use crate::network::architectures::{Arch, Found};
use crate::scene::Scene;
use std::path::Path;
use tox_data::checkpoint::Hooks;
use tox_data::hashed::same;
use tox_data::majority::{no_better, no_better_than};
use tox_data::{DataDir, Dataset};
use tox_nn::layers::State;
use tox_robust::evaluation as robust;
use tox_robust::model::Model;
use tox_robust::threat::EvasionThreat;
use tox_search::count;
use tox_search::final_training::{self, FinalConfig, Inputs, Protocol};
use tox_search::genes::{Architecture, GeneSpace};
use tox_search::nas::{Evaluated, NasConfig, Trace};
use tox_search::space::cells::CellGenotype;
use tox_search::space::nasbench201::Cell;
use tox_search::space::nasbench201::Network;
use tox_search::surrogate::kendall::tau_b;
use tox_search::table::{Column, Draws, FILE, Measure, ROBUST_FILE, Table, TableError, best_of};

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
pub fn trainable(config: &NasConfig, target: &Dataset) -> Result<(), TrialError> {
    let training = config.train.clone().unwrap_or_default();
    let protocol = config
        .space
        .cells()
        .map_or(Protocol::Elastic, Protocol::from);
    Ok(final_training::fits(&training, protocol, target)?)
}

/// The tables that a trial looks architectures up in.
pub struct Tables {
    /// Of accuracies.
    pub accuracies: Table,
    /// Of robust accuracies, where they are asked for.
    pub robust: Option<Table>,
}

impl Tables {
    /// Those that `config` asks for, out of the data folder.
    ///
    /// # Errors
    /// A table that cannot be read, is not the one of the trial, or lacks a column that is asked for.
    pub fn read(config: &NasConfig, dir: &DataDir) -> Result<Self, TrialError> {
        let read = |file: &str, expected: Option<&String>, columns: &[Column]| {
            let path = dir.path().join(file);
            let table = Table::read(&path)?;
            same(&path.display().to_string(), expected, table.hash())?;
            for column in columns {
                table.values(*column)?;
            }
            Ok::<_, TrialError>(table)
        };
        let asked = [config.column, select(config.column)];
        let hash = config.robustness_hash.as_ref();
        let robust = !config.robustness.is_empty();
        let robust = robust.then(|| read(ROBUST_FILE, hash, &config.robustness));
        Ok(Self {
            accuracies: read(FILE, config.table_hash.as_ref(), &asked)?,
            robust: robust.transpose()?,
        })
    }
}

impl Tables {
    /// The final accuracy of an architecture, percent; `None` of one that no table has.
    ///
    /// # Errors
    /// A table without the column.
    pub fn accuracy(
        &self,
        config: &NasConfig,
        architecture: &Architecture,
    ) -> Result<Option<f64>, TableError> {
        match architecture {
            Architecture::Cell(CellGenotype::NasBench201(cell)) => {
                self.accuracies.accuracy(cell, config.column).map(Some)
            }
            Architecture::Cell(CellGenotype::Darts(_)) | Architecture::Elastic(_) => Ok(None),
        }
    }
}

/// The robust accuracies of a cell.
fn robustness(config: &NasConfig, table: &Table, cell: &Cell) -> Result<Robustness, TableError> {
    let column = |column: &Column| {
        let values = table.values(*column)?;
        Ok(RobustColumn {
            column: column.to_string(),
            accuracy: table.accuracy(cell, *column)?,
            rank: table.rank(cell, *column)?,
            best: best(values),
            random: table.random_search(*column, *column, 1, Draws::Distinct)?,
        })
    };
    let columns: Result<_, TableError> = config.robustness.iter().map(column).collect();
    Ok(Robustness {
        hash: table.hash().to_owned(),
        columns: columns?,
    })
}

fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// What a search's own evaluations are worth by the table; `None` of a search without any. Cells with a bad op are
/// not in it.
fn own(values: &[f64], evaluated: &[Evaluated], draws: usize) -> Option<OwnEvaluations> {
    let known = evaluated.iter().filter_map(|one| match one.architecture {
        Architecture::Cell(CellGenotype::NasBench201(cell)) => {
            Some((one.blind, (one.accuracy, values[cell.index()?])))
        }
        Architecture::Cell(CellGenotype::Darts(_)) | Architecture::Elastic(_) => None,
    });
    let known: Vec<(bool, (f64, f64))> = known.collect();
    let both: Vec<(f64, f64)> = known.iter().map(|(_, both)| *both).collect();
    let blind = known.iter().filter(|(blind, _)| *blind);
    let (seen, known): (Vec<f64>, Vec<f64>) = blind.map(|(_, both)| *both).unzip();
    (!both.is_empty()).then(|| OwnEvaluations {
        evaluated: both.len(),
        tau: tau_b(&both),
        random_search: best_of(&seen, &known, draws, Draws::Independent),
    })
}

/// Looks the architecture up in the tables.
pub fn looked_up(
    config: &NasConfig,
    tables: &Tables,
    architecture: &Architecture,
    trace: &Trace,
) -> Result<Evaluation, TrialError> {
    let Architecture::Cell(CellGenotype::NasBench201(cell)) = architecture else {
        unreachable!("the config's check lets no other space be looked up");
    };
    let (column, table) = (config.column, &tables.accuracies);
    let values = table.values(column)?;
    let side = column.data.side();
    // What the benchmark trains.
    let network = Network {
        classes: column.data.classes(),
        input: [3, side, side],
        ..Network::default()
    };
    let (select, reach) = (select(column), config.search.reach(config)?);
    let draws = config.random_draws.unwrap_or(trace.evaluated()).max(1);
    let place = Place {
        column: column.to_string(),
        rank: table.rank(cell, column)?,
        hash: table.hash().to_owned(),
        best: best(values),
        random: table.random_search(column, column, 1, Draws::Distinct)?,
        draws,
        random_search: table.random_search(select, column, draws, Draws::Distinct)?,
        connected: table.random_of(column, Cell::is_connected)?,
        reachable: table.random_of(column, |cell| reach.holds(cell))?,
        own: own(values, &trace.course().evaluated(), draws),
    };
    let accuracy = table.accuracy(cell, column)?;
    let robust = tables.robust.as_ref();
    let robustness = robust.map(|table| robustness(config, table, cell));
    // The benchmark's test sets have as many images of each class.
    let guess = 100.0 - 100.0 / column.data.classes() as f64;
    Ok(Evaluation {
        accuracy,
        majority: no_better_than(100.0 - accuracy, guess, TEST_IMAGES).map(|n| 100.0 - n.majority),
        counts: count::nasbench201(cell, &network)?,
        table: Some(place),
        robustness: robustness.transpose()?,
        trained_on: None,
        training: None,
    })
}

/// The final training and what it leaves.
pub struct Training<'a> {
    pub scene: &'a Scene<'a>,
    pub config: &'a NasConfig,
    pub architecture: &'a Architecture,
    pub training: FinalConfig,
    /// The data that the network is trained and tested on; the test rows are clean.
    pub target: &'a Dataset,
}

impl Training<'_> {
    /// Trains the architecture from new weights, or goes on with that. The weights go to `weights`, where
    /// somebody attacks them, and are left in the trial's folder `dir`.
    pub fn run(
        &self,
        (weights, dir): (Option<&Path>, &Path),
        hooks: Hooks<'_>,
    ) -> Result<Option<Evaluation>, TrialError> {
        let (config, inputs) = (self.config, self.inputs());
        let trained = match (self.architecture, config.genes()) {
            (Architecture::Cell(genotype), _) => final_training::run(genotype, &inputs, hooks)?,
            (Architecture::Elastic(arch), GeneSpace::Elastic(space)) => {
                final_training::elastic(&space, arch, &inputs, hooks)?
            }
            (Architecture::Elastic(_), GeneSpace::Cell(_)) => {
                unreachable!("a search of cells finds cells")
            }
        };
        let Some(trained) = trained else {
            return Ok(None);
        };
        if let Some(path) = weights {
            trained.state.save(path)?;
        }
        let arch = Arch::searched(self.architecture, &config.genes());
        Found::on(arch, self.target).keep(&trained.state, dir)?;
        let (evaluation, target) = (trained.evaluation, self.target);
        Ok(Some(Evaluation {
            accuracy: evaluation.accuracy,
            majority: no_better(100.0 - evaluation.accuracy, &target.test.labels)
                .map(|n| 100.0 - n.majority),
            counts: evaluation.counts,
            table: None,
            robustness: None,
            trained_on: Some(target.hash.clone()),
            training: Some(evaluation),
        }))
    }

    /// Attacks the trained network, whose weights lie at `weights`.
    pub fn attack(
        &self,
        threat: &EvasionThreat,
        weights: &Path,
        hooks: Hooks<'_>,
    ) -> Result<Option<robust::Evaluation>, TrialError> {
        let inputs = self.inputs();
        match (self.architecture, self.config.genes()) {
            (Architecture::Cell(genotype), _) => {
                let (network, state, _) = final_training::network(genotype, &inputs)?;
                self.attacked((network, state), threat, weights, hooks)
            }
            (Architecture::Elastic(arch), GeneSpace::Elastic(space)) => {
                let (network, state, _) = final_training::elastic_network(&space, arch, &inputs)?;
                self.attacked((network, state), threat, weights, hooks)
            }
            (Architecture::Elastic(_), GeneSpace::Cell(_)) => {
                unreachable!("a search of cells finds cells")
            }
        }
    }

    fn attacked<N: tox_nn::layers::Network>(
        &self,
        (network, mut state): (N, State),
        threat: &EvasionThreat,
        weights: &Path,
        hooks: Hooks<'_>,
    ) -> Result<Option<robust::Evaluation>, TrialError> {
        state.load(weights)?;
        let [_, c, h, w] = self.target.test.images.shape;
        let shape = ([c, h, w], self.target.classes);
        let device = self.scene.device.clone();
        let model = Model::new(&network, &state, &self.target.normalise, shape, device);
        judge::attack((self.scene.spec, threat), &model, self.target, hooks)
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs {
            data: self.target,
            config: &self.training,
            seed: self.scene.spec.seed,
            device: self.scene.device.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four cells, of which the first two were drawn blind: the search sees them in the order 2, 1, 3, 4, the table has
    /// them in the order 1, 2, 3, 4. One pair of six is discordant. A blind search of one draw takes either of the two
    /// with equal odds; of many it takes the first, which the search sees as the better.
    #[test]
    fn own_evaluations_are_held_against_the_table_by_hand() {
        let values: Vec<f64> = (0..15_625).map(|i| i as f64).collect();
        let one = |index, accuracy, blind| Evaluated {
            architecture: crate::nas::report::synthetic::cell(index),
            accuracy,
            blind,
        };
        let all = [
            one(10, 30.0, true),
            one(20, 25.0, true),
            one(30, 40.0, false),
            one(40, 50.0, false),
        ];
        let found = own(&values, &all, 1).unwrap();
        assert_eq!(found.evaluated, 4);
        assert!((found.tau.unwrap() - 4.0 / 6.0).abs() < 1e-12);
        let random = found.random_search.unwrap();
        assert_eq!((random.mean, random.sd), (15.0, 5.0));
        let many = own(&values, &all, 60).unwrap().random_search.unwrap();
        assert!((many.mean - 10.0).abs() < 1e-9);
        let guided = own(&values, &all[2..], 3).unwrap();
        assert_eq!((guided.tau, guided.random_search), (Some(1.0), None));
        assert!(own(&values, &[], 1).is_none());
    }
}
