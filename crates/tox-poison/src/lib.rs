//! What the adversary does, and the screen that looks for it.
//!
//! Floor 5 of the house. [`space`] poisons a search space with the sets of "A Recipe for
//! Disaster: Neural Architecture Search with Search Space Poisoning" (Wu, Saxena, Jain); [`screen`] finds
//! what it put there before a search runs. [`space_file`] reads spaces that people wrote. [`data`]
//! poisons the images and labels that a search learns from, with the attacks of "Data Poisoning of
//! NAS"; [`cleanse`] holds the countermeasures that clean them before a search, [`suspects`] ranks the rows that
//! are likely mislabelled or poisoned. [`classifier`] is
//! the network that both ask, [`logistic`] what they ask about tables of numbers.

pub mod classifier;
pub mod cleanse;
pub mod data;
pub mod logistic;
pub mod screen;
pub mod space;
pub mod space_file;
pub mod suspects;
