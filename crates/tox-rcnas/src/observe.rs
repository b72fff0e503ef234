//! The paper's observation on shapes found against strong attacks, as plain numbers: depth and width
//! early, a much smaller last stage, the robust block last.

use serde::{Deserialize, Serialize};
use tox_nn::nets::wrn::Shape;

/// How a sub-network's resources lie in its stages, beside those of its teacher.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Share of the depth that is in the first two stages, [0, 1]; 2/3 if all are as deep.
    pub early_depth: f64,
    /// The same of the teacher.
    pub teacher_early_depth: f64,
    /// Depth of the last stage over the mean depth of the others.
    pub last_depth: f64,
    /// Width `W_3` over the mean of the others; the width multipliers, not the channels, which double.
    pub last_width: f64,
    /// Which stages have a robust block appended.
    pub robust: [bool; 3],
    /// More of the depth is early than in the teacher.
    pub deeper_early: bool,
    /// The last stage is both shallower and narrower than the mean of the others.
    pub smaller_last: bool,
    /// There is a robust block in the last stage and in no other.
    pub robust_last: bool,
}

impl Topology {
    /// Of a sub-network of `teacher`.
    pub fn new(shape: &Shape, teacher: &Shape) -> Self {
        let depth = shape.stages.map(|s| s.depth as f64);
        let width = shape.stages.map(|s| s.width as f64);
        let robust = shape.stages.map(|s| s.robust);
        let last = |of: [f64; 3]| 2.0 * of[2] / (of[0] + of[1]);
        let (early, before) = (early_depth(shape), early_depth(teacher));
        let (last_depth, last_width) = (last(depth), last(width));
        Self {
            early_depth: early,
            teacher_early_depth: before,
            last_depth,
            last_width,
            robust,
            deeper_early: early > before,
            smaller_last: last_depth < 1.0 && last_width < 1.0,
            robust_last: robust == [false, false, true],
        }
    }
}

fn early_depth(shape: &Shape) -> f64 {
    let [first, second, third] = shape.stages.map(|s| s.depth as f64);
    (first + second) / (first + second + third)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_shapes_by_hand() {
        let teacher = Shape::new([14, 14, 14], [7, 7, 7], [false; 3]);
        // Tiny-ImageNet, AutoAttack: D 15,15,5, W 13,13,4, a robust block in stage 3.
        let strong = Topology::new(
            &Shape::new([15, 15, 5], [13, 13, 4], [false, false, true]),
            &teacher,
        );
        assert!((strong.early_depth - 30.0 / 35.0).abs() < 1e-12);
        assert!((strong.teacher_early_depth - 2.0 / 3.0).abs() < 1e-12);
        assert!((strong.last_depth - 1.0 / 3.0).abs() < 1e-12);
        assert!((strong.last_width - 4.0 / 13.0).abs() < 1e-12);
        assert!(strong.deeper_early && strong.smaller_last && strong.robust_last);
        let even = Topology::new(
            &Shape::new([3, 3, 3], [2, 2, 1], [true, false, true]),
            &teacher,
        );
        assert!(!even.deeper_early && !even.smaller_last && !even.robust_last);
        assert_eq!((even.last_depth, even.last_width), (1.0, 0.5));
    }
}
