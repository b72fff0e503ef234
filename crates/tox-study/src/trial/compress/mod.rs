//! Trials of RC-NAS: a search for the sub-network of a teacher that is most robust within a budget, and
//! the comparison of both; or the table of all sub-networks on which such searches are compared.

mod environment;
mod judge;
mod networks;
mod rows;
mod search;

pub use rows::execute as sub_networks;
pub use search::execute;

use super::TrialError;
use crate::spec::Threat;
use tox_robust::threat::EvasionThreat;

/// What the adversary does to inputs, if there is one.
fn evasion(threat: &Threat) -> Option<&EvasionThreat> {
    match threat {
        Threat::Evasion(threat) => Some(threat),
        _ => None,
    }
}

/// What the kernels ran with.
fn simd(on_cpu: bool) -> String {
    let set = match on_cpu {
        true => tox_nn::kernels::instruction_set(),
        false => "plain",
    };
    set.to_owned()
}
