//! Searches over cells, and over elastic networks, that learn from data: P-DARTS, TE-NAS, RoBoT,
//! NSGANetV2, random search (Coalson et al. poison their data), and architectures that are given.

mod evaluate;
pub mod outcome;
pub mod report;
mod trial;
mod victims;

use crate::defences::parts;
use crate::threats::{bad_ops, bilevel};
use crate::{only, table_hash};
use outcome::NasOutcome;
use schemars::{Schema, SchemaGenerator};
use tox_data::DataDir;
use tox_poison::space::SpacePoison;
use tox_search::nas::{Evaluate, NasConfig, SEARCHES, TrainOn, Written};
use tox_search::table::{FILE, ROBUST_FILE};
use tox_study::house::{Learner, Measure, Measures, Refusal, SourceFile};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, Threats, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "nas";

pub struct Nas;

fn config(part: &Part) -> Option<NasConfig> {
    part.read().ok()
}

impl Learner for Nas {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Written::schema(generator)
    }

    /// A supernet's file is named by its hash too, since the trial depends on its content.
    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        for search in SEARCHES {
            keys.table(search.kind(), |table| search.facts().types.read(table))?;
        }
        let written: Written = keys.read()?;
        let read = written.with_files(keys.folder());
        let mut written = read.map_err(|e| keys.refuse(&e.key, e.message, e.hint))?;
        let checked = written.0.check();
        checked.map_err(|e| keys.out_of_range(&e))?;
        if let Some(file) = written
            .0
            .supernet
            .as_mut()
            .filter(|file| file.hash.is_none())
        {
            file.hash = Some(keys.hash_of("supernet", &file.path)?);
        }
        Ok(Part::new(KIND, &written))
    }

    fn resolved(&self, part: Part, threat: &Threats) -> Part {
        let Ok(written) = part.read::<Written>() else {
            return part;
        };
        let poison: Option<SpacePoison> = threat.space.as_ref().and_then(|t| t.read().ok());
        let cells = written.clone().resolved().cells();
        let space = poison
            .zip(cells)
            .map(|(p, cells)| p.set.poison_cells(cells.space, p.q));
        // One that does not fit is refused later, with its reason.
        let bad_ops = space
            .and_then(Result::ok)
            .map_or_else(Vec::new, |space| space.bad);
        Part::new(KIND, &written.poisoned(bad_ops))
    }

    fn surface(&self, part: &Part, surface: Surface) -> Result<(), String> {
        let trained = || config(part).is_some_and(|c| c.evaluate == Evaluate::Train);
        let given = || config(part).is_some_and(|c| c.search.facts().given);
        match surface {
            Surface::Data => Ok(()),
            Surface::Space if config(part).is_some_and(|c| c.cells().is_none()) => Err(
                "an elastic network chooses depths, widths and kernels: no op of its space stands beside \
                 others"
                    .into(),
            ),
            Surface::Space if given() => Err(
                "the architecture is given: nothing is chosen from a space, so nothing put into it can act".into(),
            ),
            Surface::Space => Ok(()),
            Surface::Inputs if trained() => Ok(()),
            Surface::Inputs => Err(
                "there is no trained network to attack: write evaluate = \"train\" under [learner]".into(),
            ),
        }
    }

    fn refuses(&self, trial: &TrialSpec) -> Option<Refusal> {
        let searches = config(&trial.learner).is_none_or(|c| c.search.facts().searches());
        let votes = trial.defence.data.iter().any(|d| d.kind == parts::KIND);
        if !searches && votes {
            return Some(Refusal {
                surface: Surface::Data,
                kind: parts::KIND.to_owned(),
                defence: true,
                hint: "it lets several searches vote, and an architecture that is random or given is no search"
                    .into(),
            });
        }
        let poison: Option<SpacePoison> = trial.threat.space.as_ref().and_then(|t| t.read().ok());
        let space = config(&trial.learner).and_then(|c| c.cells());
        let poison = poison.zip(space);
        let fits = poison.map(|(poison, space)| poison.set.poison_cells(space.space, poison.q));
        if let Some(Err(e)) = fits {
            return Some(bad_ops::unfit(&e));
        }
        only(trial, bilevel::KIND, false)
    }

    fn files(&self, part: &Part, dir: &DataDir) -> Vec<SourceFile> {
        let Some(config) = config(part).filter(|c| c.evaluate == Evaluate::NasBench201) else {
            return Vec::new();
        };
        let file = |key, file: &str, hash: &Option<String>| SourceFile {
            key,
            path: dir.path().join(file),
            hash: hash.clone(),
            read: table_hash,
        };
        let mut files = vec![file("table_hash", FILE, &config.table_hash)];
        if !config.robustness.is_empty() {
            files.push(file(
                "robustness_hash",
                ROBUST_FILE,
                &config.robustness_hash,
            ));
        }
        files
    }

    fn preflight(&self, trial: &TrialSpec, dir: &DataDir) -> Result<(), Failure> {
        let Some(config) = config(&trial.learner) else {
            return Ok(());
        };
        if config.evaluate == Evaluate::NasBench201 {
            evaluate::Tables::read(&config, dir)?;
        }
        Ok(())
    }

    fn title(&self, part: &Part) -> String {
        match config(part) {
            Some(config) => {
                let turned = if config.direction.is_search() {
                    ""
                } else {
                    ", anti-search"
                };
                let rows = match config.train_on {
                    TrainOn::Clean => "",
                    TrainOn::Searched => ", trained on the search’s rows",
                };
                format!(
                    "{}{turned}, {}{rows}",
                    config.search.title(),
                    config.space.title()
                )
            }
            None => KIND.to_owned(),
        }
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        let config: NasConfig = trial.learner.read()?;
        Ok(trial::run(trial, &config, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<NasOutcome>() else {
            return Measures::default();
        };
        let accuracy = outcome.evaluation.as_ref().map(|e| e.accuracy);
        let robust = outcome
            .evaluation
            .as_ref()
            .and_then(|e| e.robustness.as_ref());
        let robust = robust.map_or(&[][..], |robust| &robust.columns);
        let others = robust.iter().map(|found| Measure {
            metric: "robust_accuracy_of_table",
            level: found.column.clone(),
            value: found.accuracy,
            unit: "%",
        });
        let aim = outcome.poison.as_ref().and_then(|p| p.aim.as_ref());
        let aim = aim.and_then(|aim| aim.architecture()?.accuracy);
        let aim = aim.map(|value| Measure {
            metric: "aim_accuracy_of_table",
            level: String::new(),
            value,
            unit: "%",
        });
        let mut measures = Measures {
            others: others.chain(aim).collect(),
            clean_error: accuracy.map(|a| 100.0 - a),
            evaluations: Some(outcome.trace.evaluated() as u64),
            found: Some(outcome.genotype.to_string()),
            ..Measures::default()
        };
        crate::common_measures(
            &mut measures,
            outcome.poison.as_ref(),
            &outcome.cleansed,
            outcome.attacked.as_ref(),
        );
        measures
    }
}
