//! What toxscreen audits. A learner, a threat or a defence is a folder or a file here and one line in a
//! list; the engine (`tox-study`) and the report toolkit (`tox-report`) know none of them.

pub mod bilevel;
pub mod defences;
pub mod enas;
pub mod error;
pub mod external;
pub mod harden;
pub mod hypergradients;
pub mod judge;
#[cfg(test)]
mod made_up;
pub mod nas;
pub mod network;
pub mod optimal;
pub mod poison;
pub mod poisoning;
pub mod rcnas;
mod report_facts;
mod reporter;
pub mod rows;
pub mod scene;
pub mod space;
#[cfg(test)]
mod standard;
pub mod subnets;
pub mod suspects;
pub mod synthetic;
pub mod target;
pub mod threats;

use error::TrialError;
use scene::Poison;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use tox_data::isa;
use tox_nn::device::DeviceError;
use tox_poison::cleanse::Cleansed;
use tox_report::{Reporter, Reports};
use tox_robust::evaluation::Evaluation;
use tox_search::table::Table;
use tox_study::house::{House, Learner, Measures, Refusal};
use tox_study::part::Part;
use tox_study::record::Adapter;
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Exit, Failure, Finished, Machine, Parts};

/// Makes the lists of learners and of their reports: one line a learner. Without a report it has the
/// standard one.
macro_rules! audits {
    ($($learner:expr $(, $report:expr)?;)*) => {
        /// All learners.
        pub const LEARNERS: &[&dyn Learner] = &[$(&$learner),*];

        /// The reports of those that have their own.
        pub const REPORTERS: &[&dyn Reporter] = &[$($(&$report,)?)*];
    };
}

audits! {
    enas::Enas, enas::report::EnasReport;
    bilevel::Bilevel, bilevel::report::BilevelReport;
    synthetic::Synthetic, synthetic::report::SyntheticReport;
    nas::Nas, nas::report::NasReport;
    rcnas::RcNas, rcnas::report::RcNasReport;
    subnets::SubNetworks, subnets::report::SubNetworksReport;
    network::Network;
    harden::Harden;
    suspects::Suspects, suspects::report::SuspectsReport;
    poisoning::Poisoning;
    optimal::Optimal;
    hypergradients::Ways;
    external::External, external::report::ExternalReport;
}

/// All that is registered, with its reports.
pub const REPORTS: Reports = Reports {
    house: HOUSE,
    reporters: REPORTERS,
};

/// All that is registered.
pub const HOUSE: House = House {
    learners: LEARNERS,
    threats: threats::THREATS,
    defences: defences::DEFENCES,
    poison_set: threats::bad_ops::KIND,
};

/// What networks run with on a device. `winograd`: whether they may be of convolutions with fewer products,
/// which have other last digits.
fn machine(device: &str, winograd: bool) -> Result<Machine, DeviceError> {
    let adapter = tox_nn::device::open(device)?.adapter.map(|found| Adapter {
        name: found.name,
        driver: found.driver,
        compiler: found.compiler,
    });
    let simd = match (device, winograd && !isa::plain()) {
        ("cpu", true) => format!("{} with winograd", tox_nn::kernels::instruction_set()),
        ("cpu", false) => tox_nn::kernels::instruction_set().to_owned(),
        _ => isa::name_of_plain().to_owned(),
    };
    Ok(Machine { simd, adapter })
}

/// A trial with its outcome, on data of this hash and these notes.
///
/// # Errors
/// A number of the outcome that is not finite.
pub fn finished<T>(
    kind: &str,
    outcome: &T,
    (data_hash, data_notes): (String, Vec<String>),
    machine: Machine,
) -> Result<Finished, TrialError>
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    Ok(Finished {
        outcome: Part::finite(kind, outcome).ok_or(TrialError::NotFinite)?,
        data_hash,
        data_notes,
        chance_error: None,
        machine,
        parts: Parts::new(),
    })
}

/// Refuses the threat or defence of a kind, which other learners alone can use.
fn only(trial: &TrialSpec, kind: &str, defence: bool) -> Option<Refusal> {
    let hint = match kind {
        threats::bilevel::KIND => {
            "its poison follows the gradient of the learner's own training: the learner \"bilevel\" alone \
             has that; \"bilevel-transfer\" hands what it crafts to any learner, and \"rlf\", \"clf\", \
             \"noise\", \"gc\" and \"file\" poison the data of any learner too"
        }
        defences::parts::KIND => {
            "it lets several searches vote, which \"nas\" has, but for random and given architectures"
        }
        other => other,
    };
    let mut threats = trial.threat.all().map(|(_, part)| part);
    let there = match defence {
        true => trial.defence.all().any(|d| d.kind == kind),
        false => threats.any(|t| t.kind == kind),
    };
    there.then(|| Refusal {
        surface: Surface::Data,
        kind: kind.to_owned(),
        defence,
        hint: hint.to_owned(),
    })
}

fn table_hash(path: &Path) -> Result<String, Failure> {
    let table = Table::read(path).map_err(|e| Failure::new(Exit::Data, &e))?;
    Ok(table.hash().to_owned())
}

/// Adds what poison and attack say.
fn common_measures(
    measures: &mut Measures,
    poison: Option<&Poison>,
    cleansed: &[Cleansed],
    attacked: Option<&Evaluation>,
) {
    if poison.is_some_and(|p| p.check.flipped == 0 && p.check.moved == 0) {
        measures.idle.push("the poison changed no row".to_owned());
    }
    for (i, told) in cleansed.iter().enumerate() {
        if told.dropped == 0 && told.relabelled == 0 && told.images_changed == 0 {
            let which = match cleansed.len() {
                1 => String::new(),
                count => format!(" {} of {count}", i + 1),
            };
            measures
                .idle
                .push(format!("the defence{which} of the data changed no row"));
        }
    }
    measures
        .doubts
        .extend(poison.and_then(|p| p.check.unreliable.clone()));
    let Some(attacked) = attacked else {
        return;
    };
    let attacks = attacked.attacks.iter();
    let robust = attacks.map(|a| (a.attack.name(), a.accuracy));
    measures.robust.extend(robust);
    let warnings = attacked.warnings.iter().map(|w| w.reason.clone());
    measures.doubts.extend(warnings);
}
