//! What the adversary does, and the screen that looks for it.
//!
//! Floor 5 of the house. [`space`] poisons a search space with the sets of "A Recipe for
//! Disaster: Neural Architecture Search with Search Space Poisoning" (Wu, Saxena, Jain).

pub mod screen;
pub mod space;
