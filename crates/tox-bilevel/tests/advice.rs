//! Advice that is stopped anywhere and goes on: what was crafted is kept, and nothing else comes out.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use tox_bilevel::advice::{Advice, AdviceError, Question, Split, advise};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, Norm};
use tox_bilevel::sets::Sets;
use tox_data::checkpoint::Hooks;
use tox_testkit::stops::{belongs, stopped, undisturbed};

/// The digits 3 and 8 in two divisions.
fn splits() -> Vec<Split> {
    let sets = |seed: u64| {
        let data = tox_testkit::data::digits(None, 300, None);
        let mut sets = Sets::of(&data, Default::default()).unwrap();
        for points in [&mut sets.train, &mut sets.valid, &mut sets.test] {
            let two = |i: &usize| [3, 8].contains(&points.labels[*i]);
            let kept = (0..points.len()).filter(two).skip(seed as usize).take(60);
            *points = points.select(&kept.collect::<Vec<_>>());
            points
                .labels
                .iter_mut()
                .for_each(|l| *l = u16::from(*l == 8));
        }
        sets.class_names = vec!["3".into(), "8".into()];
        Split { sets, seed }
    };
    [0, 1].map(sets).into()
}

fn ask(hidden: &[usize], hooks: Hooks<'_>) -> Result<Option<Advice>, AdviceError> {
    let mut config = BilevelConfig {
        hidden: hidden.to_vec(),
        hyperiterations: 6,
        ..BilevelConfig::default()
    };
    (config.inner.steps, config.inner.lr) = (30, 0.2);
    let attack = BilevelAttack {
        batch: 3,
        batches: 2,
        lr: 0.5,
        norm: Norm::Point,
        target: None,
    };
    let question = Question {
        splits: &splits(),
        tested: 60,
        config: &config,
        attack: &attack,
        current: Some(-4.0),
        grid: &[-8.0, -4.0, 0.0],
    };
    advise(question, hooks)
}

#[test]
fn advice_stopped_anywhere_ends_the_same() {
    for hidden in [&[][..], &[4]] {
        let asked = AtomicUsize::new(0);
        let counted = |hooks: Hooks<'_>| {
            let Hooks {
                checkpoint,
                key,
                save_every,
                stop,
                progress,
            } = hooks;
            let mut stop = || {
                asked.fetch_add(1, Ordering::SeqCst);
                stop()
            };
            let hooks = Hooks {
                checkpoint,
                key,
                save_every,
                stop: &mut stop,
                progress: &mut *progress,
            };
            ask(hidden, hooks)
        };
        let whole = undisturbed(counted).unwrap();
        let once = asked.swap(0, Ordering::SeqCst);
        // More than the stages and the longest crafting, so that each part gets somewhere.
        for every in [once / 2, 33] {
            let (found, stops) = stopped(every, counted);
            assert_eq!(found.unwrap(), whole, "{hidden:?}, every {every}");
            assert!(stops > 0, "{hidden:?}: it was not stopped");
            // What was crafted was not crafted again.
            let again = asked.swap(0, Ordering::SeqCst);
            assert!(
                again < once + 40 * (stops + 1),
                "{again} of {once}, {stops} stops"
            );
        }
    }
}

#[test]
fn another_question_does_not_take_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    belongs(&dir.path().join("checkpoint.safetensors"), |hooks| {
        ask(&[], hooks)
    });
}
