//! What a trial of data poisoning measured.

use crate::poison::one_or_many;
pub use crate::scene::Poison;
use crate::space::ScreenedOp;
use serde::{Deserialize, Serialize};
use tox_poison::cleanse::Cleansed;
use tox_search::count::Counts;
use tox_search::final_training;
use tox_search::genes::Architecture;
use tox_search::nas::diagnostics::Diagnostics;
use tox_search::nas::{BadEdges, Trace};
use tox_search::table::{Baseline, Rank};

/// What a search found on data that may be poisoned, and how good that is on clean data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NasOutcome {
    /// The architecture found.
    pub genotype: Architecture,
    /// How the search went.
    pub trace: Trace,
    /// How good the architecture is; `None` if nobody asked.
    pub evaluation: Option<Evaluation>,
    /// What the poison did; `None` without a threat.
    pub poison: Option<Poison>,
    /// What the poison did to the signals that the search goes by; `None` without a threat.
    pub diagnostics: Option<Diagnostics>,
    /// What each countermeasure did to the data, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub cleansed: Vec<Cleansed>,
    /// What the searches on parts of the data found, under the defence `parts`; `trace` is that of
    /// the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Architecture>,
    /// The trained network under attack; `None` without a threat to inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attacked: Option<tox_robust::evaluation::Evaluation>,
    /// Edges that hold a bad op; `None` in a clean space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad_edges: Option<BadEdges>,
    /// What the screen dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub screened: Vec<ScreenedOp>,
}

/// The final accuracy of an architecture on clean data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Clean test accuracy in percent.
    pub accuracy: f64,
    /// Size of the network whose accuracy it is.
    pub counts: Counts,
    /// Accuracy in percent of always answering the most frequent class, where this one is no better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub majority: Option<f64>,
    /// Its place in the table, where it was looked up.
    pub table: Option<Place>,
    /// Its robust accuracies, where they were looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robustness: Option<Robustness>,
    /// Content hash of the data of its final training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<String>,
    /// How its final training went, where it was trained; `accuracy` is that after the last epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<final_training::Evaluation>,
}

/// Robust accuracies of an architecture, as others measured them for the weights that they trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robustness {
    /// BLAKE3 of the table's file.
    pub hash: String,
    /// One for each column that was asked for.
    pub columns: Vec<RobustColumn>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobustColumn {
    /// The column, such as `robbench_cifar10_autoattack`.
    pub column: String,
    /// In percent.
    pub accuracy: f64,
    /// Its rank.
    pub rank: Rank,
    /// The best of the table.
    pub best: f64,
    /// A random architecture: mean and deviation over the whole table.
    pub random: Baseline,
}

/// An architecture's place among all of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The column, such as `cifar10_test_200ep`.
    pub column: String,
    /// BLAKE3 of the table's file: files that circulate disagree.
    pub hash: String,
    /// Its rank.
    pub rank: Rank,
    /// The best accuracy of the table.
    pub best: f64,
    /// A random architecture: mean and deviation over the whole table.
    pub random: Baseline,
    /// Architectures that a random search of equal cost trains.
    pub draws: usize,
    /// What it finds: the best of them by validation accuracy after 12 epochs.
    pub random_search: Baseline,
    /// A random one of the cells whose input leads to their output. Records of earlier versions have none of these
    /// three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<Baseline>,
    /// A random one of the cells that the search may end with, whatever the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reachable: Option<Baseline>,
    /// What the search's own evaluations are worth; `None` too of a search that evaluates none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<OwnEvaluations>,
}

impl Place {
    /// What a search has to find more than to have searched: the random search of equal cost, or a random one of the
    /// cells that it may end with, whichever is better.
    pub fn bar(&self) -> f64 {
        let reachable = self.reachable.map(|random| random.mean);
        reachable.map_or(self.random_search.mean, |random| {
            random.max(self.random_search.mean)
        })
    }
}

/// How the accuracies that a search saw go with those of the table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnEvaluations {
    /// Architectures that it evaluated and the table has.
    pub evaluated: usize,
    /// Kendall's tau-b of both accuracies over these; `None` where it is undefined.
    pub tau: Option<f64>,
    /// What a random search of equal cost finds by these evaluations, as those architectures tell that were drawn at
    /// random before the search had learned anything; `None` of a search without such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_search: Option<Baseline>,
}
