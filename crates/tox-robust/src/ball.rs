//! The set that an evasion attack may move an image in: a norm ball around it, cut with the image
//! range 0..=1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};
use tox_nn::ascent::Bounds;

/// How the size of a perturbation is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Largest absolute change of a pixel.
    Linf,
    /// Euclidean length of the change of all pixels.
    L2,
}

/// A norm ball of perturbations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ball {
    /// The norm.
    pub norm: Norm,
    /// Its radius where pixels lie in 0..=1: a number, or a fraction such as `"8/255"`.
    #[serde(deserialize_with = "fraction::deserialize")]
    #[schemars(schema_with = "fraction::schema")]
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
}

impl Ball {
    /// Whether it is a ball, and not all of the image range.
    ///
    /// # Errors
    /// A radius that is none, or that allows every image.
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let holds = self.norm != Norm::Linf || self.epsilon <= 1.0;
        let expected = "at most 1 in L-inf, which allows every image; pixels lie in 0..=1, so 8 of 255 is \
                        written 8/255 or 0.03137";
        OutOfRange::unless(holds, "epsilon", self.epsilon, expected)
    }

    /// Distance of `x` from `clean`, in f64.
    pub fn distance(&self, x: &[f32], clean: &[f32]) -> f64 {
        let changes = x
            .iter()
            .zip(clean)
            .map(|(x, c)| f64::from(*x) - f64::from(*c));
        match self.norm {
            Norm::Linf => changes.fold(0.0, |most: f64, change| most.max(change.abs())),
            Norm::L2 => changes.map(|change| change * change).sum::<f64>().sqrt(),
        }
    }

    /// Whether `x` is a perturbation of `clean` that the adversary may make, as stored: in f64, no
    /// tolerance.
    pub fn allows(&self, x: &[f32], clean: &[f32]) -> bool {
        x.iter().all(|x| (0.0..=1.0).contains(x)) && self.distance(x, clean) <= self.epsilon
    }

    /// The lowest and the highest value of a pixel that is `c` when clean, in L-inf.
    fn sides(&self, c: f32) -> (f32, f32) {
        let centre = f64::from(c);
        let low = above(centre - self.epsilon).max(0.0);
        let high = below(centre + self.epsilon).min(1.0);
        (low.min(c), high.max(c))
    }

    /// Where images may go, for an ascent on a device.
    pub(crate) fn reach<'a>(&self, clean: &'a [f32]) -> Reach<'a> {
        match self.norm {
            Norm::Linf => {
                let (low, high) = clean.iter().map(|&c| self.sides(c)).unzip();
                Reach::Box { low, high }
            }
            Norm::L2 => Reach::Sphere {
                clean,
                radius: self.epsilon,
            },
        }
    }

    /// Moves one image `x` to a point that [`Ball::allows`]: for L-inf the nearest; for L2 what
    /// scaling towards `clean` and then clipping to 0..=1 gives, as usual, for clipping brings no
    /// pixel farther from one that lies in 0..=1 itself. Rounding never leads out of the ball. A NaN
    /// becomes the clean pixel.
    pub fn project(&self, x: &mut [f32], clean: &[f32]) {
        let epsilon = self.epsilon;
        match self.norm {
            Norm::Linf => {
                for (x, &c) in x.iter_mut().zip(clean) {
                    let (low, high) = self.sides(c);
                    *x = if x.is_nan() { c } else { x.clamp(low, high) };
                }
            }
            Norm::L2 => {
                let finite = x.iter_mut().zip(clean);
                finite.for_each(|(x, &c)| *x = if x.is_finite() { *x } else { c });
                let distance = self.distance(x, clean);
                if distance > epsilon {
                    let share = epsilon / distance;
                    for (x, &c) in x.iter_mut().zip(clean) {
                        let centre = f64::from(c);
                        *x = towards(centre + share * (f64::from(*x) - centre), c);
                    }
                }
                x.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0));
            }
        }
    }
}

/// [`Bounds`] with what they borrow.
pub(crate) enum Reach<'a> {
    Box { low: Vec<f32>, high: Vec<f32> },
    Sphere { clean: &'a [f32], radius: f64 },
}

impl Reach<'_> {
    pub fn bounds(&self) -> Bounds<'_> {
        match self {
            Self::Box { low, high } => Bounds::Box { low, high },
            &Self::Sphere { clean, radius } => Bounds::Sphere { clean, radius },
        }
    }
}

/// The smallest f32 that is not below `v`.
fn above(v: f64) -> f32 {
    let rounded = v as f32;
    match f64::from(rounded) < v {
        true => rounded.next_up(),
        false => rounded,
    }
}

/// The largest f32 that is not above `v`.
fn below(v: f64) -> f32 {
    -above(-v)
}

/// `v` rounded to the side of `c`, so that rounding never lengthens the change.
fn towards(v: f64, c: f32) -> f32 {
    match v > f64::from(c) {
        true => below(v),
        false => above(v),
    }
}

/// Numbers that may be written as fractions, such as `"8/255"`.
pub mod fraction {
    use schemars::{Schema, SchemaGenerator, json_schema};
    use serde::{Deserialize, Deserializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number, or a fraction such as \"8/255\"")]
    enum Written {
        Number(f64),
        Text(String),
    }

    /// Reads `8/255` or a plain number; `None` if `text` is neither.
    pub fn parse(text: &str) -> Option<f64> {
        match text.split_once('/') {
            Some((above, below)) => {
                let number = |part: &str| part.trim().parse::<f64>().ok();
                Some(number(above)? / number(below).filter(|below| *below != 0.0)?)
            }
            None => text.trim().parse().ok(),
        }
    }

    /// For `#[serde(deserialize_with)]`. Written, it is a number.
    ///
    /// # Errors
    /// Anything that is neither a number nor a fraction.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        match Written::deserialize(from)? {
            Written::Number(number) => Ok(number),
            Written::Text(text) => parse(&text).ok_or_else(|| {
                D::Error::custom(format!(
                    "\"{text}\" is neither a number nor a fraction such as \"8/255\""
                ))
            }),
        }
    }

    /// As [`deserialize`], of a key that may be absent.
    ///
    /// # Errors
    /// Those of [`deserialize`].
    pub fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        deserialize(from).map(Some)
    }

    /// For `#[schemars(schema_with)]`.
    pub fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever an attack writes, what is stored obeys norm and range to the last bit; inside,
        /// nothing is moved.
        #[test]
        fn a_projection_is_allowed(
            pixels in prop::collection::vec((0.0f32..=1.0, -3.0f32..3.0), 1..40),
            epsilon in prop_oneof![Just(0.0), Just(8.0 / 255.0), 0.0f64..2.0],
        ) {
            let (clean, change): (Vec<f32>, Vec<f32>) = pixels.into_iter().unzip();
            for norm in [Norm::Linf, Norm::L2] {
                let ball = Ball { norm, epsilon };
                let mut x: Vec<f32> = clean.iter().zip(&change).map(|(c, d)| c + d).collect();
                ball.project(&mut x, &clean);
                prop_assert!(ball.allows(&x, &clean), "{:?} {}", norm, ball.distance(&x, &clean));
                let before = x.clone();
                ball.project(&mut x, &clean);
                prop_assert_eq!(before, x);
            }
        }
    }

    #[test]
    fn a_radius_may_be_a_fraction() {
        let read = |text: &str| serde_json::from_str::<Ball>(text);
        let ball = read(r#"{"norm": "linf", "epsilon": "8/255"}"#).unwrap();
        assert_eq!(ball.epsilon, 8.0 / 255.0);
        let again = serde_json::to_string(&ball).unwrap();
        assert_eq!(read(&again).unwrap(), ball);
        assert_eq!(
            read(r#"{"norm": "l2", "epsilon": 0.5}"#).unwrap().epsilon,
            0.5
        );
        let refused = read(r#"{"norm": "l2", "epsilon": "8/0"}"#).unwrap_err();
        assert!(
            refused.to_string().contains("neither a number"),
            "{refused}"
        );
    }

    #[test]
    fn projections_by_hand() {
        let (clean, x) = ([0.5f32, 0.0, 1.0], [1.5f32, -0.5, 0.9]);
        let project = |norm, epsilon| {
            let mut x = x;
            Ball { norm, epsilon }.project(&mut x, &clean);
            x
        };
        assert_eq!(project(Norm::Linf, 0.25), [0.75, 0.0, 0.9]);
        assert_eq!(project(Norm::Linf, 0.0), clean);
        // The change (1, -0.5, -0.1) has length sqrt(1.26); half of that is half of each.
        let found = project(Norm::L2, 0.5 * 1.26f64.sqrt());
        let expected = [1.0, 0.0, 0.95];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let mut nan = [f32::NAN, f32::INFINITY, 1.0];
        Ball {
            norm: Norm::Linf,
            epsilon: 0.125,
        }
        .project(&mut nan, &clean);
        assert_eq!(nan, [0.5, 0.125, 1.0]);
    }
}
