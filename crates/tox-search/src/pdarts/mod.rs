//! P-DARTS (Chen et al. 2019), progressive differentiable architecture search.
//!
//! A search has stages. Each trains a supernet from new weights and new architecture weights (alphas)
//! with fewer ops on every edge than the stage before and more cells, so that what is searched comes
//! near what is used. In a step the alphas take one of Adam on a batch of their half of the training
//! images, at the present weights (first order), then the weights one of SGD on a batch of the other
//! half; in the first epochs of a stage the alphas are frozen.
//!
//! - [`config`]: every number; [`learner`]: a stage's supernet and its two kinds of steps;
//!   [`search`]: the machine that goes through the stages; [`found`]: what it is run on and gives.
//! - [`discretise`]: which ops survive a stage, how the last stage's probabilities become a genotype,
//!   how skip-connects are dropped out and restricted.
//!
//! # On NAS-Bench-201
//!
//! P-DARTS was made for the DARTS space; this is how the same steps run on NAS-Bench-201
//! ([`config::PdartsConfig::nasbench201`]), and every choice is a number of the config:
//!
//! - A stage's `cells` are those of each of the network's three parts: 1, 3 and 5 of them make, with
//!   both residual blocks, supernets of 5, 11 and 17 blocks, the depths of P-DARTS' own stages. The
//!   last is the depth of the benchmark itself.
//! - An edge has 5 ops, too few to be halved twice: by default one goes after each of the first two
//!   stages (5, 4, 3). A single stage with 5 ops is first-order DARTS with P-DARTS' schedules.
//! - All edges stay, so each takes its likeliest op, and `none` may be that op, as in the benchmark's
//!   own DARTS baseline: here it is the only way not to have an edge.
//! - The limit of skip-connects holds for the cell. The benchmark has none; `max_skips = 6` turns it
//!   off.

pub mod config;
pub mod discretise;
pub mod found;
pub mod learner;
pub mod search;
