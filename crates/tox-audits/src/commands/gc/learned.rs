//! The trained victim, as a file keeps it until the cancelling is done.

use serde::{Deserialize, Serialize};
use std::path::Path;
use tox_data::checkpoint::{CheckpointError, Slot};
use tox_poison::data::PoisonError;
use tox_search::pdarts::found::Found;
use tox_search::space::cells::CellSpace;

/// What a training or a search leaves.
pub struct Learned {
    /// All parameters of the victim, in order. Running statistics are no part of it: cancelling uses
    /// those of its batches.
    pub weights: Vec<f32>,
    /// Training error of the last epoch in percent.
    pub error: f64,
    /// Of a search.
    pub searched: Option<Searched>,
}

/// What a search found.
#[derive(Clone, Serialize, Deserialize)]
pub struct Searched {
    /// The architecture that the alphas give.
    pub genotype: String,
    /// The ops of the last stage's supernet: by kind of cell and edge.
    pub ops: Vec<Vec<Vec<usize>>>,
}

/// The file's header.
#[derive(Serialize, Deserialize)]
struct Header {
    error: f64,
    searched: Option<Searched>,
}

impl Learned {
    /// The last stage's supernet, its alphas behind its weights.
    pub fn of_search(space: CellSpace, found: Found) -> Self {
        let names = space.ops();
        let number = |op: &String| names.iter().position(|name| name == op);
        let edge = |edge: &Vec<String>| edge.iter().filter_map(number).collect();
        let kinds = found.stages.last().into_iter().flat_map(|end| &end.ops);
        let ops = kinds.map(|kind| kind.iter().map(edge).collect()).collect();
        let mut weights = found.learner.state.params.values;
        weights.extend(&found.learner.alphas.values);
        Self {
            weights,
            error: found.epochs.last().map_or(100.0, |epoch| epoch.error),
            searched: Some(Searched {
                genotype: found.genotype.to_string(),
                ops,
            }),
        }
    }

    /// What is kept in `slot`; `None` if there is no such file, or if another instruction set made it,
    /// which `note` is told.
    pub fn load(
        slot: Slot<'_>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Option<Self>, CheckpointError> {
        let Some((header, mut buffers)) = slot.read::<Header>(note)? else {
            return Ok(None);
        };
        let weights = buffers.remove("weights");
        Ok(Some(Self {
            weights: weights.ok_or_else(|| slot.damaged("it has no weights".into()))?,
            error: header.error,
            searched: header.searched,
        }))
    }

    /// Keeps it in `slot`.
    ///
    /// # Errors
    /// Weights that are no numbers, which are not kept; a file that cannot be written.
    pub fn save(&self, slot: Slot<'_>) -> Result<(), PoisonError> {
        if !self.weights.iter().all(|weight| weight.is_finite()) {
            let what = "its training diverged, so that its weights are no numbers";
            return Err(PoisonError::Victim { what: what.into() });
        }
        let header = Header {
            error: self.error,
            searched: self.searched.clone(),
        };
        let buffers: [(&str, &[f32]); 1] = [("weights", &self.weights)];
        Ok(slot.write(&header, &buffers)?)
    }

    /// Puts the weights in the place of `values`, the parameters of the victim that they are of; `path`
    /// is the file that they may be from.
    pub fn put(&self, values: &mut Vec<f32>, path: &Path) -> Result<(), CheckpointError> {
        if self.weights.len() != values.len() {
            return Err(CheckpointError::Damaged {
                path: path.to_owned(),
                what: format!(
                    "it has {} weights, the victim {}",
                    self.weights.len(),
                    values.len()
                ),
            });
        }
        values.clone_from(&self.weights);
        Ok(())
    }
}
