//! Searches by every method.

use crate::world::*;
use std::collections::BTreeMap;
use tox_nn::nets::wrn::Shape;
use tox_rcnas::config::{
    Compression, Embedding, MetaUpdate, OverBudget, RobustBlocks, Sizes, SpaceConfig,
};
use tox_rcnas::{Cache, Evaluation, Inputs, Method, Outcome, RcnasConfig, Space, run};

/// What holds of every outcome.
fn sound(outcome: &Outcome, evaluations: usize) {
    let all = &outcome.evaluations;
    assert_eq!(all.len(), evaluations, "{:?}", outcome.method);
    let mut shapes: Vec<Shape> = all.iter().map(|e| e.shape).collect();
    shapes.sort();
    shapes.dedup();
    assert_eq!(shapes.len(), evaluations, "{:?}: distinct", outcome.method);
    let mut best: Option<f64> = None;
    for (i, e) in all.iter().enumerate() {
        assert_eq!(e.index, i + 1);
        assert_eq!(e.cost, cost(&outcome.target, &e.shape));
        assert_eq!(e.feasible, e.cost.macs <= outcome.budget);
        if let Some(measured) = e.measured.filter(|_| e.feasible) {
            assert_eq!(measured.robust, robust(&outcome.target, &e.shape));
            best = Some(best.map_or(measured.robust, |b: f64| b.max(measured.robust)));
        }
        assert_eq!(e.best_robust, best);
    }
    let found = outcome.found().map(|e| e.measured.unwrap().robust);
    assert_eq!(found, best);
}

#[test]
fn every_method_spends_the_same_and_says_what_it_did() {
    for method in METHODS {
        let outcome = fresh(&config(method), 1);
        sound(&outcome, 15);
        assert!(outcome.evaluations.iter().all(|e| e.feasible), "{method:?}");
        assert_eq!(outcome.meta.is_some(), method == Method::RcNas);
        let agent = matches!(method, Method::RcNas | Method::FromScratch);
        assert_eq!(outcome.steps.len(), if agent { 5 } else { 0 });
        if let Some(meta) = &outcome.meta {
            assert_eq!(meta.unseen, ["data", "attack"]);
            assert_eq!(meta.rounds.len(), 60);
            assert!(meta.evaluations > 0 && meta.evaluations + meta.repeats <= 60 * 4 * 5);
        }
        let json = serde_json::to_string(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome);
    }
    // One shape a stage at most; robust blocks as the teacher's: fewer within the budget than asked for.
    let mut small = config(Method::RcNas);
    small.space = SpaceConfig {
        depth_step: 3,
        width_step: 2,
        robust: RobustBlocks::AsTeacher,
    };
    small.evaluations = 100;
    let space = Space::new(&teacher(), &small.space);
    let task = target();
    let budget = task.budget.macs(cost(&task, &teacher()).macs);
    let feasible = space
        .iter()
        .filter(|s| cost(&task, s).macs <= budget)
        .count();
    assert!((1..8).contains(&feasible), "{feasible}");
    for method in METHODS {
        sound(&fresh(&RcnasConfig { method, ..small }, 2), feasible);
    }
}

#[test]
fn meta_training_pays_on_a_task_that_it_never_met() {
    let seeds = 0..8u64;
    let mut means: BTreeMap<String, [f64; 3]> = BTreeMap::new();
    for method in METHODS {
        let mut sum = [0.0; 3];
        for seed in seeds.clone() {
            let mut config = config(method);
            config.meta.rounds = 200;
            let outcome = fresh(&config, seed);
            for (sum, at) in sum.iter_mut().zip([3, 6, 15]) {
                *sum += outcome.evaluations[at - 1].best_robust.unwrap() / 8.0;
            }
        }
        means.insert(format!("{method:?}"), sum);
    }
    for control in ["FromScratch", "Random"] {
        for (at, ours) in means["RcNas"].iter().enumerate() {
            let theirs = means[control][at];
            assert!(*ours > theirs + 1.0, "{control} {at}: {ours} {theirs}");
        }
    }
}

#[test]
fn every_option_searches() {
    let base = config(Method::RcNas);
    let mut options = vec![base; 5];
    options[0].meta.update = MetaUpdate::Reptile;
    options[1].agent.embedding = Embedding::Ids;
    options[2].agent.sizes = Sizes::Absolute;
    options[3].reward.compression = Compression::N2n;
    options[4].agent.normalise = false;
    for mut config in options {
        config.meta.rounds = 10;
        sound(&fresh(&config, 3), 15);
    }
    // While the penalty grows, draws over the budget are evaluated and counted.
    let mut annealed = config(Method::FromScratch);
    annealed.reward.over_budget = OverBudget::Anneal;
    let outcome = fresh(&annealed, 3);
    sound(&outcome, 15);
    let over: Vec<_> = outcome.evaluations.iter().filter(|e| !e.feasible).collect();
    assert!(!over.is_empty());
    let first = over.iter().find(|e| e.step == 1).unwrap();
    let ratio = first.measured.unwrap().robust / outcome.teacher.measured.robust;
    let e = (14.0f64 / 15.0).powi(4);
    assert!((first.reward - ((e - 1.0) + e * ratio)).abs() < 1e-12);
    assert!(outcome.found().unwrap().feasible);
}

/// The policy learns from what the budget allows alone, so it is not driven away from the budget.
#[test]
fn what_is_drawn_again_teaches_nothing() {
    let mut means = Vec::new();
    for over_budget in [OverBudget::Redraw, OverBudget::Skip] {
        let mut config = config(Method::RcNas);
        config.reward.over_budget = over_budget;
        config.reward.compression = Compression::Budget;
        let (mut spent, mut count) = (0.0, 0.0);
        for seed in 0..4 {
            let outcome = fresh(&config, seed);
            sound(&outcome, 15);
            assert!(outcome.evaluations.iter().all(|e| e.feasible));
            let of = |e: &Evaluation| e.cost.macs as f64 / outcome.budget as f64;
            let first = outcome.evaluations.iter().take(5);
            first.for_each(|e| (spent, count) = (spent + of(e), count + 1.0));
        }
        means.push(spent / count);
    }
    assert!(means[0] > means[1], "{means:?}");
}

#[test]
fn an_interrupted_search_ends_with_the_same_outcome() {
    for method in METHODS {
        let mut config = config(method);
        config.meta.rounds = 5;
        let undisturbed = fresh(&config, 4);
        let (mut runs, mut evaluated) = (0, 0);
        let mut cache = Cache::default();
        let outcome = loop {
            let mut world = World {
                stop_after: Some(7),
                ..World::default()
            };
            let outcome = search(&config, 4, &mut world, &mut cache);
            runs += 1;
            evaluated += world.evaluations;
            match outcome {
                Some(outcome) => break outcome,
                None => assert!(runs < 100),
            }
        };
        assert!(runs > 1);
        assert_eq!(outcome, undisturbed);
        let mut whole = World::default();
        search(&config, 4, &mut whole, &mut Cache::default()).unwrap();
        assert_eq!(evaluated, whole.evaluations, "nothing is evaluated twice");
    }
}

#[test]
fn an_evaluation_that_dies_leaves_its_round_usable() {
    for method in METHODS {
        let mut world = World {
            diverges: Some(|shape| shape.stages[2].robust && *shape != teacher()),
            ..World::default()
        };
        let mut cache = Cache::default();
        let outcome = search(&config(method), 5, &mut world, &mut cache).unwrap();
        sound(&outcome, 15);
        let failed = outcome.evaluations.iter().filter(|e| e.failed.is_some());
        for e in failed.clone() {
            assert_eq!((e.reward, e.measured), (-1.0, None));
            assert!(e.failed.as_deref().unwrap().contains("NaN in epoch 3"));
        }
        if method == Method::Random {
            assert!(failed.count() > 0);
        }
    }
    let mut world = World {
        diverges: Some(|_| true),
        ..World::default()
    };
    let (tasks, target, config) = (buffers(), target(), config(Method::Random));
    let inputs = Inputs {
        config: &config,
        tasks: &tasks,
        target: &target,
        seed: 1,
    };
    let error = run(&inputs, &mut world, &mut Cache::default(), &mut |_, _| {}).unwrap_err();
    assert!(
        error.to_string().contains("loss is NaN in epoch 3"),
        "{error}"
    );
}
