//! The table as file and as environment.

use crate::world::*;
use std::path::Path;
use tox_nn::nets::wrn::Shape;
use tox_rcnas::config::SpaceConfig;
use tox_rcnas::table::{Row, Scores, Table, TableEnvironment};
use tox_rcnas::{
    Budget, Cache, Cost, Environment, Evaluated, Inputs, Method, Space, Task, TaskAttack, run,
};

/// The synthetic world as a table, with noise between seeds.
fn table(path: &Path) -> (Vec<String>, Vec<Row>) {
    let tasks = buffers();
    let small = Shape {
        base: 4,
        ..Shape::new([2, 2, 2], [2, 2, 2], [false; 3])
    };
    let mut rows = Vec::new();
    for data in &tasks.data {
        for shape in Space::new(&small, &SpaceConfig::default()).iter() {
            for seed in 0..2u64 {
                let task = |attack: &TaskAttack| Task {
                    data: data.clone(),
                    attack: attack.clone(),
                    teacher: small,
                    budget: Budget::Share(0.5),
                };
                let noise = seed as f64 / 3.0;
                let diverged = seed == 1 && shape == small;
                rows.push(Row {
                    data: data.name.clone(),
                    shape,
                    seed,
                    cost: cost(&task(&tasks.attacks[0]), &shape),
                    scores: (!diverged).then(|| Scores {
                        clean: 80.0 + noise,
                        robust: tasks
                            .attacks
                            .iter()
                            .map(|a| robust(&task(a), &shape) + noise)
                            .collect(),
                        lipschitz: 3.5,
                    }),
                });
            }
        }
    }
    let names: Vec<String> = tasks.attacks.iter().map(|a| a.name.clone()).collect();
    Table::write(path, &names, &rows).unwrap();
    (names, rows)
}

#[test]
fn a_table_gives_what_was_written_and_knows_its_best() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let (names, rows) = table(&path);
    let table = Table::read(&path).unwrap();
    assert_eq!(table.attacks(), names);
    assert_eq!(table.shapes("digits").count(), rows.len() / 3 / 2);
    let small = Shape::parse("d2,2,2-w2,2,2-b4").unwrap();
    let task = Task {
        teacher: small,
        ..target()
    };
    let space = Space::new(&small, &SpaceConfig::default());
    table.complete("cifar10", &space).unwrap();
    assert!(
        table
            .complete("cifar10", &Space::new(&teacher(), &SpaceConfig::default()))
            .is_err()
    );
    let budget = task.budget.macs(cost(&task, &small).macs);
    let value = |shape: &Shape| {
        let value = table.robust("cifar10", "autoattack", shape).unwrap();
        assert!((value.unwrap() - robust(&task, shape) - 0.5 / 3.0).abs() < 1e-9);
        value.unwrap()
    };
    let feasible = space.iter().filter(|s| cost(&task, s).macs <= budget);
    let best = feasible
        .max_by(|a, b| value(a).total_cmp(&value(b)))
        .unwrap();

    // One training is one of the rows, the same whenever asked, and not always the same one.
    let look = |seed, shape| TableEnvironment::new(&table, seed).evaluate(&task, shape);
    let one = |seed| match look(seed, &best) {
        Ok(Some(Evaluated::Measured(m))) => m.robust,
        other => panic!("{other:?}"),
    };
    let drawn: Vec<f64> = (0..20).map(one).collect();
    let written = [0.0, 1.0 / 3.0].map(|noise| robust(&task, &best) + noise);
    assert!(drawn.iter().all(|d| written.contains(d)));
    assert!(written.iter().all(|w| drawn.contains(w)));
    // A training that diverged is a failure where it is drawn.
    let failed = |seed| matches!(look(seed, &small).unwrap(), Some(Evaluated::Failed { .. }));
    assert!((0..20).any(failed) && !(0..20).all(failed));

    // Apart, the task is looked up in one training and all others in the other.
    let seeds: Vec<u64> = (0..9)
        .filter(|&s| table.trainings(|seed| seed == s).is_ok())
        .collect();
    let [one, other] = seeds[..] else {
        panic!("{seeds:?}")
    };
    let (mine, theirs) = (
        table.trainings(|seed| seed != other).unwrap(),
        table.trainings(|seed| seed == other).unwrap(),
    );
    let elsewhere = Task {
        attack: TaskAttack {
            black_box: true,
            ..task.attack.clone()
        },
        ..task.clone()
    };
    for seed in 0..20 {
        let mut apart = TableEnvironment::new(&mine, seed).apart(&theirs, &task);
        for (asked, of) in [(&task, one), (&elsewhere, other)] {
            let expected = table.trainings(|seed| seed == of).unwrap();
            let expected = expected.robust("cifar10", "autoattack", &best).unwrap();
            match apart.evaluate(asked, &best).unwrap() {
                Some(Evaluated::Measured(m)) => assert_eq!(Some(m.robust), expected),
                other => panic!("{other:?}"),
            }
        }
    }
    let none = table.trainings(|_| false).unwrap_err().to_string();
    assert!(none.contains(&format!("{one}, {other}")), "{none}");
    // Of every network but the one that diverged once there are two.
    let twice = table.twice("cifar10", "autoattack").unwrap();
    assert_eq!(twice.len() + 1, table.shapes("cifar10").count());
    let pair = twice.iter().find(|(shape, _)| **shape == best).unwrap().1;
    assert_eq!((pair[0] + pair[1]) / 2.0, value(&best));

    let (tasks, config) = (buffers(), config(Method::Evolution));
    let inputs = Inputs {
        config: &config,
        tasks: &tasks,
        target: &task,
        seed: 1,
    };
    let mut environment = TableEnvironment::new(&table, 1);
    let mut cache = Cache::default();
    let outcome = run(&inputs, &mut environment, &mut cache, &mut |_, _| {});
    let found = outcome.unwrap().unwrap().found().unwrap().shape;
    assert!(value(&found) > value(&best) - 10.0, "{found}");
}

#[test]
fn a_table_that_is_none_is_refused_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let header =
        "dataset,base,d1,d2,d3,w1,w2,w3,r1,r2,r3,seed,clean,fgsm,pgd20,macs,parameters,lipschitz";
    let good = "digits,4,1,1,2,1,2,1,0,0,1,0,90.5,50,40.25,1000,200,2.5";
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Table::read(&path)
    };
    let table = read(&format!("{header}\n{good}\n")).unwrap();
    let shape = Shape::parse("d1,1,2-w1,2,1-r001-b4").unwrap();
    assert_eq!(
        table.robust("digits", "pgd20", &shape).unwrap(),
        Some(40.25)
    );
    assert_eq!(
        table.cost("digits", &shape).unwrap(),
        Cost {
            macs: 1000,
            parameters: 200
        }
    );
    let row = |from: &str, to: &str| format!("{header}\n{good}\n{}\n", good.replacen(from, to, 1));
    let cases = [
        (
            header.replace("clean", "accuracy"),
            "column 13 of the header",
        ),
        (
            header.replace("fgsm,pgd20,", ""),
            "expected at least one attack",
        ),
        (header.replace("fgsm", "pgd20"), "a name that is there once"),
        (format!("{header}\n"), "has a header only"),
        (row(",2.5", ""), "line 3 of"),
        (row("", ""), "with seed 0 again"),
        (
            row("90.5", "190.5"),
            "`clean` is `190.5`, expected an accuracy in percent",
        ),
        (row("40.25", "NaN"), "`pgd20` is `NaN`"),
        (row("90.5", ""), "`clean` is ``"),
        (row(",0,0,1,", ",0,0,2,"), "`r3` is `2`, expected 0 or 1"),
        (
            row("digits,4,1", "digits,4,0"),
            "`d1` is `0`, expected a whole number, at least 1",
        ),
        (
            row("digits,4,1", "digits,4,999"),
            "expected a network that can be built",
        ),
        (
            row("1,0,90.5,50,40.25,1000", "1,1,90.5,50,40.25,1001"),
            "`macs` is `1001`, expected 1000",
        ),
    ];
    for (text, wanted) in cases {
        let error = read(&format!("{}\n", text.trim_end()))
            .unwrap_err()
            .to_string();
        assert!(error.contains(wanted), "{error}: no {wanted}");
        assert!(error.contains("table.csv"), "{error}");
    }
    let error = table
        .robust("digits", "cw40", &shape)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no column for the attack `cw40`; it has fgsm, pgd20"),
        "{error}"
    );
    assert!(
        table
            .robust("mnist", "fgsm", &shape)
            .unwrap_err()
            .to_string()
            .contains("it has digits")
    );
    assert!(Table::read(&folder.path().join("none.csv")).is_err());
}
