//! Which channels of a teacher matter most.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tox_nn::layers::{NormId, State};
use tox_nn::nets::wrn::{Block, Planned};

/// By what channels are kept; the larger the better, of equals the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Importance {
    /// The l1 norm of the filters that make the channel (Li et al. 2017), summed over the layers that
    /// write it.
    #[default]
    L1,
    /// The absolute gamma of the batch norms that read the channel (Liu et al. 2017), summed.
    Gamma,
}

/// The teacher's numbers by name.
pub(super) struct Source<'a> {
    state: &'a State,
    weights: BTreeMap<&'a str, usize>,
    norms: BTreeMap<&'a str, NormId>,
    by: Importance,
}

impl<'a> Source<'a> {
    pub fn new(state: &'a State, by: Importance) -> Self {
        let entries = state.params.entries().iter().enumerate();
        let norms = state.running.norms();
        Self {
            state,
            weights: entries.map(|(i, e)| (e.name.as_str(), i)).collect(),
            norms: norms.map(|(id, name, _)| (name, id)).collect(),
            by,
        }
    }

    /// Shape and values of a weight that is there.
    pub fn values(&self, name: &str) -> ([usize; 4], &'a [f32]) {
        let entry = &self.state.params.entries()[self.weights[name]];
        (entry.shape, &self.state.params.values[entry.range()])
    }

    /// Mean, variance and updates of a norm that is there.
    pub fn running(&self, name: &str) -> (&'a [f32], &'a [f32], u64) {
        let id = self.norms[name];
        let (mean, var) = self.state.running.of(id);
        (mean, var, self.state.running.batches(id))
    }

    /// The l1 norm of every filter of the layer `name`.
    pub fn filters(&self, name: &str) -> Vec<f64> {
        let (shape, values) = self.values(&format!("{name}.weight"));
        let rows = values.chunks_exact(values.len() / shape[0]);
        rows.map(|row| row.iter().map(|v| f64::from(v.abs())).sum())
            .collect()
    }

    /// How much the channels matter that the layer `filters` makes and the norm `norm` reads.
    fn between(&self, filters: &str, norm: &str) -> Vec<f64> {
        match self.by {
            Importance::L1 => self.filters(filters),
            // A vector's filters are its values.
            Importance::Gamma => self.filters(norm),
        }
    }

    /// How much every channel between a basic block's convolutions matters.
    pub fn inside(&self, block: &str) -> Vec<f64> {
        self.between(&format!("{block}.conv1"), &format!("{block}.bn2"))
    }

    /// How much every channel of a robust block's parts, of `part` channels, matters, all parts together.
    pub fn part(&self, block: &str, scales: usize, part: usize) -> Vec<f64> {
        let first = self.between(&format!("{block}.conv1"), &format!("{block}.bn2"));
        let mut scores = vec![0.0; part];
        first.chunks_exact(part).for_each(|s| add(&mut scores, s));
        for i in 0..scales - 1 {
            let (conv, norm) = (format!("{block}.conv2.{i}"), format!("{block}.bn3.{i}"));
            add(&mut scores, &self.between(&conv, &norm));
        }
        scores
    }

    /// How much every channel of the stream of stage `stage` matters, of which `blocks` are kept.
    pub fn stream(&self, blocks: &[Planned], stage: usize, channels: usize) -> Vec<f64> {
        let mut layers = Vec::new();
        match self.by {
            Importance::L1 => {
                for block in blocks {
                    let last = match block.kind {
                        Block::Basic => "conv2",
                        Block::Robust => "conv3",
                    };
                    layers.push(format!("{}.{last}", block.name()));
                    if block.shortcut() {
                        layers.push(format!("{}.convShortcut", block.name()));
                    }
                }
            }
            Importance::Gamma => {
                // Robust blocks without shortcut read the stream past their first norm.
                let inner = blocks.iter().filter(|b| b.place > 0);
                let inner = inner.filter(|b| b.kind == Block::Basic);
                layers.extend(inner.map(|b| format!("{}.bn1", b.name())));
                layers.push(match stage {
                    2 => "bn1".to_owned(),
                    _ => format!("block{}.layer.0.bn1", stage + 2),
                });
            }
        }
        let mut scores = vec![0.0; channels];
        for layer in layers {
            add(&mut scores, &self.filters(&layer));
        }
        scores
    }
}

fn add(to: &mut [f64], other: &[f64]) {
    to.iter_mut().zip(other).for_each(|(to, v)| *to += v);
}

/// The places of the `keep` largest, in order; of equals the first.
pub(super) fn top(scores: &[f64], keep: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    places.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    places.truncate(keep);
    places.sort_unstable();
    places
}
