//! Search spaces, genotypes and neural-architecture-search algorithms.
//!
//! Floor 4 of the house. [`space`] says what can be searched, as data; [`count`] how large a
//! network of it is; [`table`] how accurate, where that was measured; [`genotype`] what an ENAS
//! search found; [`cell`] the networks of the cell spaces. [`enas`] is ENAS macro search (Pham et
//! al. 2018) with the conventions of the code that the search-space-poisoning paper (Wu, Saxena,
//! Jain) ran, and random search over the same space.
//!
//! The searches of the data-poisoning study: [`pdarts`] is P-DARTS, [`tenas`] TE-NAS, [`robot`] RoBoT,
//! over the metrics of [`zero_cost`] and the optimisation of [`bayes`]. [`nsganet`] is NSGANetV2, over
//! [`nsga`], [`surrogate`], the integer encodings of [`genes`] and the networks of [`elastic`]. [`nas`] is
//! any of these searches, as an audit runs it; [`random`] their control, [`fixed`] an architecture that is given; [`final_training`] trains what
//! was found, and [`reward`] is the short training of searches that evaluate what they look at.
//!

pub mod bayes;
pub mod cell;
pub mod count;
pub mod elastic;
pub mod enas;
pub mod final_training;
pub mod fixed;
pub mod genes;
pub mod genotype;
pub mod nas;
mod noise;
pub mod nsga;
pub mod nsganet;
pub mod pdarts;
pub mod random;
pub mod reward;
pub mod robot;
pub mod space;
pub mod surrogate;
pub mod table;
pub mod tenas;
mod text;
pub mod zero_cost;

/// All searches over cells: a module above and a line here.
pub const SEARCHES: &[&dyn nas::Search] = &[
    &pdarts::PDarts,
    &tenas::TeNas,
    &robot::Robot,
    &nsganet::NsganetV2,
    &random::Random,
    &fixed::Fixed,
];
