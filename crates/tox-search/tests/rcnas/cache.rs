//! The cache of evaluations.

use crate::world::*;
use proptest::prelude::*;
use tox_nn::nets::wrn::Shape;
use tox_search::rcnas::{Budget, Cache, Evaluated, Task};

fn any_shape() -> impl Strategy<Value = Shape> {
    let three = || prop::array::uniform3(1usize..4);
    (
        three(),
        three(),
        prop::array::uniform3(any::<bool>()),
        1usize..3,
    )
        .prop_map(|(depths, widths, robust, base)| Shape {
            base,
            ..Shape::new(depths, widths, robust)
        })
}

fn any_task() -> impl Strategy<Value = Task> {
    // Names that would run together if they were only joined.
    let name = || prop::sample::select(vec!["a", "a\" ", "ab", "b", "a b", "\"a\"", "a, b"]);
    (name(), name(), any_shape(), 1usize..3, 1u64..3).prop_map(|(d, a, teacher, steps, budget)| {
        Task {
            data: data(d, 10, 8),
            attack: attack(a, steps, 1, false),
            teacher,
            budget: Budget::Macs(budget),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_cache_never_gives_another_configurations_value(
        asked in prop::collection::vec((any_task(), any_shape(), any::<bool>()), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut caches = ["seed 1", "seed 2"].map(|c| Cache::open(folder.path(), c).unwrap());
        let mut expected: Vec<((bool, Task, Shape), Evaluated)> = Vec::new();
        for (i, (task, shape, other)) in asked.into_iter().enumerate() {
            let cache = &mut caches[usize::from(other)];
            let mut budgetless = task.clone();
            budgetless.budget = Budget::Macs(1);
            let key = (other, budgetless, shape);
            let known = expected.iter().find(|(k, _)| *k == key).map(|(_, v)| v.clone());
            prop_assert_eq!(cache.get(&task, &shape).unwrap(), known.clone());
            if known.is_none() {
                let value = Evaluated::Failed { reason: i.to_string() };
                cache.put(&task, &shape, &value).unwrap();
                expected.push((key, value));
            }
        }
        // The same from disk.
        let mut caches = ["seed 1", "seed 2"].map(|c| Cache::open(folder.path(), c).unwrap());
        for ((other, task, shape), value) in expected {
            let found = caches[usize::from(other)].get(&task, &shape).unwrap();
            prop_assert_eq!(found, Some(value));
        }
    }
}

#[test]
fn a_file_that_lies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let value = Evaluated::Failed {
        reason: "x".to_owned(),
    };
    let small = Shape::parse("wrn-10-1-b4").unwrap();
    let put = |shape: &Shape| {
        let mut cache = Cache::open(folder.path(), "").unwrap();
        cache.put(&target(), shape, &value).unwrap();
    };
    let files = || -> Vec<_> {
        let all = std::fs::read_dir(folder.path()).unwrap();
        all.map(|f| f.unwrap().path()).collect()
    };
    put(&small);
    let first = files().remove(0);
    put(&teacher());
    let second = files().into_iter().find(|f| *f != first).unwrap();
    let kept = std::fs::read(&second).unwrap();
    // The other's contents under this name, a torn file, and no file.
    let get = || {
        Cache::open(folder.path(), "")
            .unwrap()
            .get(&target(), &small)
    };
    for (bytes, wanted) in [(&kept[..], "found that of"), (&kept[..9], "EOF")] {
        std::fs::write(&first, bytes).unwrap();
        let error = get().unwrap_err().to_string();
        assert!(
            error.contains(wanted) && error.contains("remove it"),
            "{error}"
        );
    }
    std::fs::remove_file(&first).unwrap();
    assert_eq!(get().unwrap(), None);
}
