//! Computations that are stopped anywhere and go on from their checkpoint.

use std::path::Path;
use std::time::Duration;
use tox_data::checkpoint::Hooks;

/// Long enough that only a stop saves.
const NEVER: Duration = Duration::from_secs(3600);

/// Runs with a stop after every `steps` small steps, from the file each time: what came of it, and how often it
/// stopped.
pub fn stopped<T, E>(
    steps: usize,
    run: impl FnMut(Hooks<'_>) -> Result<Option<T>, E>,
) -> (Result<T, E>, usize) {
    told(steps, &mut is_a_share, run)
}

/// What every computation tells is a share of its work.
pub fn is_a_share(done: f64, _: &str) {
    assert!((0.0..=1.0).contains(&done), "{done}");
}

/// As [`stopped`], telling `progress`.
pub fn told<T, E>(
    steps: usize,
    progress: &mut dyn FnMut(f64, &str),
    run: impl FnMut(Hooks<'_>) -> Result<Option<T>, E>,
) -> (Result<T, E>, usize) {
    saving(NEVER, steps, progress, run)
}

/// As [`told`], with a checkpoint at least every `save_every`.
pub fn saving<T, E>(
    save_every: Duration,
    steps: usize,
    progress: &mut dyn FnMut(f64, &str),
    mut run: impl FnMut(Hooks<'_>) -> Result<Option<T>, E>,
) -> (Result<T, E>, usize) {
    let folder = tempfile::tempdir().unwrap();
    for stops in 0.. {
        let hooks = Hooks {
            checkpoint: &folder.path().join("checkpoint.safetensors"),
            key: "digits",
            save_every,
            stop: &mut countdown(steps),
            progress,
        };
        match run(hooks) {
            Ok(Some(found)) => return (Ok(found), stops),
            Ok(None) => {}
            Err(error) => return (Err(error), stops),
        }
    }
    unreachable!()
}

/// Asks to stop at question `steps`, from 1, and ever after.
pub fn countdown(steps: usize) -> impl FnMut() -> bool {
    let mut left = steps;
    move || {
        left = left.saturating_sub(1);
        left == 0
    }
}

/// Runs to the end, undisturbed.
pub fn undisturbed<T, E>(run: impl FnMut(Hooks<'_>) -> Result<Option<T>, E>) -> Result<T, E> {
    stopped(usize::MAX, run).0
}

/// Runs once with this checkpoint and key, until `stop` says so.
pub fn once<R>(
    checkpoint: &Path,
    key: &str,
    stop: &mut dyn FnMut() -> bool,
    run: impl FnOnce(Hooks<'_>) -> R,
) -> R {
    run(Hooks {
        checkpoint,
        key,
        save_every: NEVER,
        stop,
        progress: &mut is_a_share,
    })
}

/// That a computation, stopped at once under the key `one`, goes on under it, and is refused under another; the
/// computation is given its hooks.
pub fn belongs<T, E: std::fmt::Display>(
    checkpoint: &Path,
    run: impl Fn(Hooks<'_>) -> Result<Option<T>, E>,
) -> String {
    let go = |key| once(checkpoint, key, &mut || true, &run);
    for _ in 0..2 {
        assert!(matches!(go("one"), Ok(None)), "it was not stopped");
    }
    let Err(error) = go("other") else {
        panic!("it took the checkpoint of another");
    };
    let error = error.to_string();
    assert!(error.contains("belongs to one, not to other"), "{error}");
    error
}
