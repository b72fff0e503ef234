//! The sub-networks of a teacher.
//!
//! A stage has 1 to `D_i` blocks of width 1 to `W_i`, and a robust block appended or not. None at all is
//! no option: the first block of a stage brings the stride and the change of channels that the next
//! stage is built on.

use super::config::{RobustBlocks, SpaceConfig};
use rand::{Rng, RngExt};
use tox_nn::nets::wrn::{Shape, Stage};

/// Decisions for a sub-network.
pub const GENES: usize = 9;

/// A sub-network as indices into [`Space::options`]: depth, width and robust block of each stage.
pub type Genes = [usize; GENES];

/// Why a shape is no sub-network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{shape} is no sub-network of {teacher} in this space: {what} is {found}, expected {expected}"
)]
pub struct NotInSpace {
    shape: Box<Shape>,
    teacher: Box<Shape>,
    what: String,
    found: String,
    expected: String,
}

/// All sub-networks of a teacher that an agent may propose, the teacher among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    teacher: Shape,
    options: [Vec<usize>; GENES],
}

impl Space {
    /// The sub-networks of a teacher.
    pub fn new(teacher: &Shape, config: &SpaceConfig) -> Self {
        let up_to = |most: usize, step: usize| -> Vec<usize> {
            let mut steps: Vec<usize> = (1..=most / step).map(|i| i * step).collect();
            if steps.last() != Some(&most) {
                steps.push(most);
            }
            steps
        };
        let options = std::array::from_fn(|gene| {
            let stage = teacher.stages[gene / 3];
            match gene % 3 {
                0 => up_to(stage.depth, config.depth_step),
                1 => up_to(stage.width, config.width_step),
                _ => match config.robust {
                    RobustBlocks::Free => vec![0, 1],
                    RobustBlocks::AsTeacher => vec![usize::from(stage.robust)],
                },
            }
        });
        Self {
            teacher: *teacher,
            options,
        }
    }

    /// The teacher.
    pub fn teacher(&self) -> &Shape {
        &self.teacher
    }

    /// What each decision may be, ascending: depths, widths, and 0 or 1 for robust blocks.
    pub fn options(&self) -> &[Vec<usize>; GENES] {
        &self.options
    }

    /// Number of sub-networks.
    pub fn count(&self) -> u64 {
        self.options.iter().map(|o| o.len() as u64).product()
    }

    /// The sub-network of genes; each below the number of its options.
    pub fn decode(&self, genes: &Genes) -> Shape {
        let value = |gene: usize| self.options[gene][genes[gene]];
        Shape {
            stages: [0, 1, 2].map(|i| Stage {
                depth: value(3 * i),
                width: value(3 * i + 1),
                robust: value(3 * i + 2) == 1,
            }),
            ..self.teacher
        }
    }

    /// The genes of a sub-network.
    ///
    /// # Errors
    /// A shape that is not in the space: of another family or base, a stage deeper or wider than the
    /// teacher's, or between the steps.
    pub fn encode(&self, shape: &Shape) -> Result<Genes, NotInSpace> {
        let refuse = |what: &str, found: String, expected: String| NotInSpace {
            shape: Box::new(*shape),
            teacher: Box::new(self.teacher),
            what: what.to_owned(),
            found,
            expected,
        };
        let teacher = &self.teacher;
        if shape.base != teacher.base {
            let (found, expected) = (shape.base.to_string(), teacher.base.to_string());
            return Err(refuse("its base", found, expected));
        }
        if shape.block != teacher.block {
            let expected = format!("{:?}", teacher.block);
            return Err(refuse("its block", format!("{:?}", shape.block), expected));
        }
        let mut genes = [0; GENES];
        for (i, gene) in genes.iter_mut().enumerate() {
            let stage = shape.stages[i / 3];
            let (what, value) = match i % 3 {
                0 => ("depth", stage.depth),
                1 => ("width", stage.width),
                _ => ("number of robust blocks", usize::from(stage.robust)),
            };
            let options = &self.options[i];
            *gene = options.iter().position(|o| *o == value).ok_or_else(|| {
                let what = format!("the {what} of stage {}", i / 3 + 1);
                refuse(&what, value.to_string(), format!("one of {options:?}"))
            })?;
        }
        Ok(genes)
    }

    /// The one that costs least: every number its smallest.
    pub fn cheapest(&self) -> Shape {
        self.decode(&[0; GENES])
    }

    /// All of them, the cheapest first, the last gene running fastest.
    pub fn iter(&self) -> impl Iterator<Item = Shape> {
        (0..self.count()).map(|mut index| {
            let mut genes = [0; GENES];
            for (gene, options) in genes.iter_mut().zip(&self.options).rev() {
                *gene = (index % options.len() as u64) as usize;
                index /= options.len() as u64;
            }
            self.decode(&genes)
        })
    }

    /// One of them, uniformly.
    pub fn random(&self, rng: &mut impl Rng) -> Shape {
        let genes = std::array::from_fn(|gene| rng.random_range(0..self.options[gene].len()));
        self.decode(&genes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn teacher() -> Shape {
        Shape::new([3, 2, 1], [4, 3, 2], [false, false, true])
    }

    #[test]
    fn every_sub_network_once_and_none_larger() {
        let space = Space::new(&teacher(), &SpaceConfig::default());
        assert_eq!(space.count(), (3 * 4 * 2) * (2 * 3 * 2) * (2 * 2));
        let all: Vec<Shape> = space.iter().collect();
        let different: BTreeSet<Shape> = all.iter().copied().collect();
        assert_eq!(different.len() as u64, space.count());
        assert_eq!(all[0], space.cheapest());
        assert_eq!(all[0], Shape::new([1; 3], [1; 3], [false; 3]));
        for shape in &all {
            assert_eq!(space.decode(&space.encode(shape).unwrap()), *shape);
            for (stage, most) in shape.stages.iter().zip(teacher().stages) {
                assert!((1..=most.depth).contains(&stage.depth));
                assert!((1..=most.width).contains(&stage.width));
            }
        }
        assert!(different.contains(&teacher()));
    }

    #[test]
    fn steps_keep_the_teachers_own_size() {
        let config = SpaceConfig {
            depth_step: 2,
            width_step: 5,
            robust: RobustBlocks::AsTeacher,
        };
        let space = Space::new(&teacher(), &config);
        let wanted = [[2, 3].to_vec(), [4].to_vec(), [0].to_vec()];
        assert_eq!(space.options()[..3], wanted);
        assert_eq!(space.options()[6..], [vec![1], vec![2], vec![1]]);
    }

    #[test]
    fn what_is_no_sub_network_is_refused_by_name() {
        let space = Space::new(&teacher(), &SpaceConfig::default());
        let mut deep = teacher();
        deep.stages[1].depth = 3;
        let mut base = teacher();
        base.base = 8;
        for (shape, what) in [
            (deep, "the depth of stage 2 is 3, expected one of [1, 2]"),
            (base, "its base is 8, expected 16"),
        ] {
            let error = space.encode(&shape).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
