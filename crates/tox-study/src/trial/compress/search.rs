//! A trial of a compression: a search for the sub-network of a teacher that is most robust within a
//! budget, and the comparison of both; or the table of all sub-networks that such searches can be
//! compared on.

mod environment;
mod networks;
mod rows;

pub use rows::execute as sub_networks;

use super::steps::Steps;
use super::{Finished, TrialContext, TrialError, load};
use crate::record::compress::{CompressOutcome, Judged, Looked, Role};
use crate::record::Outcome;
use crate::spec::{Threat, TrialSpec};
use environment::Training;
use networks::{Bench, Set, Trained};
use serde_json::json;
use std::path::Path;
use std::rc::Rc;
use tox_data::{DataDir, Dataset};
use tox_nn::nets::wrn::Shape;
use tox_robust::ball::{Ball, Norm};
use tox_robust::threat::EvasionThreat;
use tox_search::compress::{self, CompressConfig, HashedFile, JudgeConfig, Part};
use tox_search::rcnas::table::Table;
use tox_search::rcnas::{self, Buffers, Environment, HeldOut, Method, Task, TaskAttack, TaskData};

/// Name of the target's attack when there is no threat: accuracy on images as they are.
const NO_ATTACK: &str = "none";

/// Runs a compression.
pub fn execute(
    spec: &TrialSpec,
    config: &CompressConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let device = tox_nn::device::parse(context.device)?;
    config.check()?;
    let clean = load(spec, &context)?;
    let (hash, notes) = (clean.hash.clone(), clean.notes.clone());
    let (dir, data_dir, on_cpu) = (context.dir, context.data_dir, context.device == "cpu");
    let threat = evasion(&spec.threat);
    check_threat(threat, clean.classes)?;
    let table = config.table.as_ref().map(read_table).transpose()?;
    let mut sets = vec![Set {
        name: spec.data.dataset.clone(),
        data: clean,
        augment: spec.data.augment.clone(),
    }];
    let learns = config.search.method == Method::RcNas;
    if learns && table.is_none() {
        let data_dir = DataDir::resolve(data_dir)?;
        for other in &config.meta.data {
            sets.push(Set {
                name: other.dataset.clone(),
                data: tox_data::load_seeded(other, &data_dir, spec.seed)?,
                augment: other.augment.clone(),
            });
        }
    }
    let target = Task {
        data: compress::task::data(&sets[0].name, &sets[0].data),
        attack: known(threat),
        teacher: config.teacher,
        budget: config.budget,
    };
    let bench = Bench {
        config: &config.candidate,
        seed: spec.seed,
        device,
    };
    let expected = expected(config);
    let steps = Steps::new(context, json!([]), spec.seed, expected);
    let mut training = Training {
        bench,
        sets: &sets,
        threats: threats(config, threat),
        given: config.weights.clone().map(|file| (config.teacher, file)),
        steps,
        teachers: Vec::new(),
    };
    let buffers = buffers(config, &target, &sets, table.as_ref());
    let search = {
        let environment: &mut dyn Environment = match &table {
            Some(table) => &mut table.environment(spec.seed)?,
            None => &mut training,
        };
        rcnas::run(&config.search, &buffers, &target, environment, spec.seed)
    };
    let search = match search {
        Ok(Some(search)) => search,
        Ok(None) => return Err(TrialError::Stopped),
        Err(e) => return Err(e.into()),
    };
    let judged = match (&config.judge, search.found()) {
        (Some(judge), Some(found)) => {
            let threat = threat.map(EvasionThreat::ball);
            judge_both(&mut training, judge, (config, found.shape), threat, dir)?
        }
        _ => Vec::new(),
    };
    Ok(Finished {
        outcome: Outcome::RcNas(CompressOutcome {
            search,
            table: None,
            judged,
        }),
        data_hash: hash,
        data_notes: notes,
        simd: simd(on_cpu),
    })
}
