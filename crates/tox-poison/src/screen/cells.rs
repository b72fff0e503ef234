//! The screen before the cell spaces.
//!
//! What stands beside the published ops is judged, op by op, by what it does to real batches behind
//! the stem of ENAS' child, whose modules the cells share. The published ops are not judged: by these
//! measures `none`, `skip_connect` and bare pools are no ops of a layer, but in a cell they are meant.

use super::{OpReport, ScreenConfig, ScreenError, screen_beside, screened};
use tox_data::Dataset;
use tox_nn::Device;
use tox_search::space::{BadOps, PoisonedSpace, Space, SpaceOp};

/// The ops beside the published ones.
fn beside(space: &PoisonedSpace) -> Space {
    let op = |bad: &BadOps| SpaceOp {
        op: bad.op.op(),
        count: bad.count,
        poison: true,
    };
    Space {
        ops: space.bad.iter().map(op).collect(),
    }
}

/// Screens every op that stands beside the published ones on training images of `data`: one report an
/// op, in order; none of a clean space. Shares are those of all branches of an edge.
///
/// # Errors
/// When a number of `config` is out of range, or the images are too few or all the same.
pub fn screen_cells(
    space: &PoisonedSpace,
    data: &Dataset,
    config: &ScreenConfig,
    seed: u64,
    device: &Device,
) -> Result<Vec<OpReport>, ScreenError> {
    let published = space.space.ops().len();
    match space.is_clean() {
        true => Ok(Vec::new()),
        false => screen_beside((published, &beside(space)), (data, seed, device), config),
    }
}

/// The space without its poisonous ops, and one branch for each other op that stands beside the
/// published ones. `reports` are those of [`screen_cells`] for this space.
pub fn screened_cells(space: &PoisonedSpace, reports: &[OpReport]) -> PoisonedSpace {
    let left = screened(&beside(space), reports);
    let kept = |bad: &BadOps| left.ops.iter().any(|op| op.op == bad.op.op());
    let mut bad: Vec<BadOps> = Vec::new();
    for of in space.bad.iter().filter(|bad| kept(bad)) {
        if bad.iter().all(|other| other.op != of.op) {
            bad.push(BadOps { count: 1, ..*of });
        }
    }
    PoisonedSpace {
        space: space.space,
        bad,
    }
}
