//! What depth, width and robust block of each stage are worth on average.

use super::gather::{Data, Gathered, Net};
use tox_nn::nets::wrn::Stage;

/// Mean accuracies of the networks that share a number of a stage.
pub struct Level {
    /// Stage and what of it, such as `depth of stage 1`.
    pub factor: String,
    /// The number.
    pub level: String,
    /// Networks.
    pub nets: usize,
    /// Mean accuracy on images as they are, percent.
    pub clean: f64,
    /// Under each attack.
    pub robust: Vec<f64>,
    /// Whether it is the first of its factor.
    pub first: bool,
}

/// The levels of a data set.
pub struct Effects {
    /// The data set.
    pub title: String,
    /// Factor after factor; those with one level are left out.
    pub levels: Vec<Level>,
}

/// What is counted of a stage, and its name.
type Factor = (&'static str, fn(&Stage) -> usize);

const FACTORS: [Factor; 3] = [
    ("depth", |s| s.depth),
    ("width", |s| s.width),
    ("robust block", |s| s.robust as usize),
];

/// One table a data set.
pub fn all(all: &Gathered) -> Vec<Effects> {
    let data = all.data.iter().filter(|d| !d.nets.is_empty());
    data.map(|d| of(d, all.attacks.len())).collect()
}

fn of(data: &Data, attacks: usize) -> Effects {
    let mut levels = Vec::new();
    for (what, number) in FACTORS {
        for stage in 0..3 {
            let at = |net: &Net| number(&net.shape.stages[stage]);
            let mut values: Vec<usize> = data.nets.iter().map(at).collect();
            values.sort_unstable();
            values.dedup();
            if values.len() < 2 {
                continue;
            }
            for value in &values {
                let nets: Vec<&Net> = data.nets.iter().filter(|n| at(n) == *value).collect();
                let mean = |of: &dyn Fn(&Net) -> f64| {
                    nets.iter().map(|n| of(n)).sum::<f64>() / nets.len() as f64
                };
                levels.push(Level {
                    factor: format!("{what} of stage {}", stage + 1),
                    level: match (what, value) {
                        ("robust block", 0) => "without".to_owned(),
                        ("robust block", _) => "with".to_owned(),
                        (_, value) => value.to_string(),
                    },
                    nets: nets.len(),
                    clean: mean(&|n| n.clean),
                    robust: (0..attacks).map(|i| mean(&|n| n.robust[i])).collect(),
                    first: *value == values[0],
                });
            }
        }
    }
    Effects {
        title: data.name.clone(),
        levels,
    }
}
