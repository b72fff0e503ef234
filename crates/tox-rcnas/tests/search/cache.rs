//! The cache of evaluations.

use crate::world::*;
use proptest::prelude::*;
use tox_nn::nets::wrn::Shape;
use tox_rcnas::{Budget, Cache, Evaluated, Task};

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
        asked in prop::collection::vec((any_task(), any_shape()), 1..40),
    ) {
        let mut cache = Cache::default();
        let mut expected: Vec<((Task, Shape), Evaluated)> = Vec::new();
        for (i, (task, shape)) in asked.into_iter().enumerate() {
            let mut budgetless = task.clone();
            budgetless.budget = Budget::Macs(1);
            let key = (budgetless, shape);
            let known = expected.iter().find(|(k, _)| *k == key).map(|(_, v)| v);
            prop_assert_eq!(cache.get(&task, &shape), known);
            if known.is_none() {
                let value = Evaluated::Failed { reason: i.to_string() };
                cache.put(&task, &shape, value.clone());
                expected.push((key, value));
            }
        }
    }
}
