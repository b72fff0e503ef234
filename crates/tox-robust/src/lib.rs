//! Evasion attacks, adversarial training, and robust accuracy that can be trusted.
//!
//! Floor 3 of the house, for RC-NAS (Wang et al.): what an adversary can do to a trained network's
//! inputs. An attack sees a network as an [`Oracle`]: rows of pixels in, logits out, and the gradient of
//! any function of the logits by the pixels. Everything else, the steps, exact projections and random
//! streams, is arithmetic on host buffers in which every example is treated as if it were alone; but the
//! steps of a plain ascent an oracle may make [itself](Oracle::ascend), as networks on a GPU do.
//!
//! A linear model of two pixels, and the step of FGSM, whose answer is known:
//!
//! ```
//! use tox_robust::{Attack, Ball, Cotangent, Norm, Oracle, Points};
//!
//! /// Logits (0, 3 x - 4 y + 0.5).
//! struct Linear;
//!
//! impl Oracle for Linear {
//!     fn shape(&self) -> [usize; 3] {
//!         [1, 1, 2]
//!     }
//!     fn classes(&self) -> usize {
//!         2
//!     }
//!     fn logits(&self, pixels: &[f32]) -> Vec<f32> {
//!         let rows = pixels.chunks_exact(2);
//!         rows.flat_map(|x| [0.0, 3.0 * x[0] - 4.0 * x[1] + 0.5]).collect()
//!     }
//!     fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
//!         let logits = self.logits(pixels);
//!         let cotangent = cotangent(&logits);
//!         let rows = cotangent.chunks_exact(2);
//!         (logits, rows.flat_map(|d| [3.0 * d[1], -4.0 * d[1]]).collect())
//!     }
//! }
//!
//! // Class 1 by a margin of 0.25, of which a pixel more here and less there takes 7 epsilon.
//! let points = Points::new(&[0.25, 0.25], &[1]);
//! let ball = Ball { norm: Norm::Linf, epsilon: 0.0625 };
//! let fgsm: Attack = "fgsm".parse()?;
//! let found = fgsm.run(&Linear, points, ball, 0);
//! assert_eq!(found.fooled, [true]);
//! assert_eq!(found.pixels, [0.1875, 0.3125]);
//!
//! let safe = Ball { epsilon: 0.03125, ..ball };
//! assert_eq!(fgsm.run(&Linear, points, safe, 0).fooled, [false]);
//! # Ok::<(), tox_robust::attacks::NameError>(())
//! ```
//!
//! [`evaluate`] measures robust accuracy and says whether to believe it; `examples/attack_my_model.rs` does so
//! for a model and an attack of one's own.

pub mod attacks;
pub mod ball;
pub mod evaluation;
pub mod model;
pub mod oracle;
pub mod threat;
pub mod training;

/// Its former name.
pub use attacks as attack;
pub use attacks::{Attack, AttackError, Batch, Evasion, Facts, Found, Gradient, predicted};
pub use ball::{Ball, Norm};
pub use evaluation::{Evaluation, EvaluationError, Inputs, Reliable, evaluate};
pub use model::Model;
pub use oracle::{Cotangent, Oracle, Points};
pub use threat::EvasionThreat;
pub use training::{TrainingConfig, train};
