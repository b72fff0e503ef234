//! The controls without an agent. Each proposes sub-networks until the ledger is full; what a method
//! cannot propose any more is filled uniformly, so that all spend the same number of evaluations.

pub mod evolution;
pub mod uniform;

use super::error::RcnasError;
use super::ledger::{Evaluator, Ledger, Source};
use tox_data::rng::stream;
use tox_nn::nets::wrn::Shape;

/// No steps, and no rounds: the full penalty or none plays no part within the budget.
pub(crate) const PROPOSED: Source = Source {
    step: 0,
    round: usize::MAX,
    filled: false,
};

/// Evaluates what is proposed, in order, then fills uniformly; without proposals it is random search.
/// False if asked to stop.
pub(crate) fn in_order(
    proposals: &[Shape],
    evaluator: &mut Evaluator<'_>,
    ledger: &mut Ledger<'_>,
    seed: u64,
    told: &mut dyn FnMut(&Ledger<'_>),
) -> Result<bool, RcnasError> {
    let mut next = proposals.iter();
    while !ledger.full() {
        told(ledger);
        let (shape, filled) = match next.next() {
            Some(shape) => (Some(*shape), false),
            None => {
                let index = ledger.evaluations.len() as u64;
                let mut rng = stream(seed, "rcnas/random", &[index]);
                (ledger.fresh(evaluator, &mut rng)?, !proposals.is_empty())
            }
        };
        let Some(shape) = shape else {
            break;
        };
        let source = Source { filled, ..PROPOSED };
        if ledger.visit(evaluator, &shape, source)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
