//! Evasion attacks, adversarial training, and robust accuracy that can be trusted.
//!
//! Floor 3 of the house, for RC-NAS (Wang et al.): what an adversary can do to a trained network's
//! inputs. An attack sees a network as an [`Oracle`](oracle::Oracle): rows of pixels in, logits out,
//! and the gradient of any function of the logits by the pixels. Everything else, the steps, exact
//! projections and random streams, is arithmetic on host buffers, the same on every device, in which
//! every example is treated as if it were alone.

pub mod attack;
pub mod ball;
pub mod evaluation;
pub mod model;
pub mod oracle;
pub mod threat;
pub mod training;
