//! What is no search, and what meta-training may not draw.

use crate::world::*;
use std::collections::BTreeMap;
use tox_nn::nets::wrn::Shape;
use tox_rcnas::{Budget, Buffers, Cache, Inputs, Method, RcnasConfig, Task, run};

type Change<'a> = dyn Fn(&mut RcnasConfig, &mut Buffers, &mut Task) + 'a;

#[test]
fn what_cannot_be_searched_is_refused_with_its_reason() {
    let refuse = |change: &Change<'_>| {
        let (mut config, mut tasks, mut target) = (config(Method::RcNas), buffers(), target());
        change(&mut config, &mut tasks, &mut target);
        let inputs = Inputs {
            config: &config,
            tasks: &tasks,
            target: &target,
            seed: 1,
        };
        let mut world = World::default();
        let error = run(&inputs, &mut world, &mut Cache::default(), &mut |_, _| {});
        assert_eq!(world.evaluations, 0, "refused before anything is trained");
        error.unwrap_err().to_string()
    };
    let cheapest = Shape {
        base: 4,
        ..Shape::new([1; 3], [1; 3], [false; 3])
    };
    let least = cost(&target(), &cheapest).macs;
    let error = refuse(&|_, _, target| target.budget = Budget::Macs(least - 1));
    let wanted = format!(
        "meets the budget of {} MACs on cifar10: the cheapest, {cheapest}, has {least}",
        least - 1
    );
    assert!(error.contains(&wanted), "{error}");
    let cases: [(&Change<'_>, &str); 10] = [
        (
            &|_, _, t| t.budget = Budget::Share(1.5),
            "`budget.share` = 1.5",
        ),
        (
            &|_, _, t| t.attack.epsilon = -0.1,
            "`attack.epsilon` = -0.1",
        ),
        (
            &|_, _, t| t.teacher.stages[1].depth = 0,
            "depth of a stage of a network is 0",
        ),
        (
            &|_, b, _| b.budgets.push(Budget::Macs(10)),
            "meets the budget of 10 MACs on digits",
        ),
        (
            &|c, _, _| c.evaluations = 0,
            "`evaluations` = 0 is out of range",
        ),
        (
            &|c, _, _| c.fine_tune.steps = 16,
            "`fine_tune.steps` = 16 is out of range",
        ),
        (&|c, _, _| c.learn.lr = f64::NAN, "`learn.lr` = NaN"),
        (
            &|_, b, _| b.held_out.attacks.push("pgd".into()),
            "`pgd` is held out, but none is called so",
        ),
        (
            &|_, b, _| b.held_out.data = vec!["digits".into(), "mnist".into(), "cifar10".into()],
            "no data set is left",
        ),
        (&|_, b, _| b.teachers.push(teacher()), "listed twice"),
    ];
    for (change, wanted) in cases {
        let error = refuse(change);
        assert!(error.contains(wanted), "{error}: no {wanted}");
    }
}

#[test]
fn what_is_held_out_is_never_drawn() {
    let mut tasks = buffers();
    let small = Shape::parse("wrn-10-2-b4").unwrap();
    tasks.teachers.push(small);
    // Another spelling of the same.
    tasks.held_out.teachers.push("d1,1,1-w2,2,2-b4".to_owned());
    tasks.check().unwrap();
    let mut drawn = BTreeMap::new();
    for seed in 0..2000 {
        let mut rng = tox_data::rng::stream(seed, "test", &[]);
        let task = tasks.draw(&mut rng).unwrap();
        assert!(task.data.name != "cifar10" && task.attack.name != "autoattack");
        assert_eq!(task.teacher, teacher());
        *drawn.entry(format!("{task:?}")).or_insert(0usize) += 1;
    }
    assert_eq!(drawn.len(), 2 * 3 * 2, "all others are");
    assert!(
        drawn.values().all(|n| (100..240).contains(n)),
        "{:?}",
        drawn.values()
    );
    let mut unseen = target();
    unseen.teacher = small;
    assert_eq!(tasks.unseen(&unseen), ["data", "attack", "teacher"]);
}
