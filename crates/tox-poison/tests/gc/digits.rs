//! The whole attack on the digits.

use crate::support::{Net, changes, crafted, hooks};
use serde_json::json;
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_data::features::Features;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_nn::fit::{FitConfig, Inputs, fit};
use tox_poison::data::PoisonError;
use tox_poison::data::gc::{Attack, Gc, Victim, craft_rows};

fn digits() -> Dataset {
    tox_testkit::data::digits(None, 300, None)
}

/// A small network that has learned the digits: convolution, batch norm, ReLU, max pooling.
fn learned(data: &Dataset, clean: &Features, epochs: usize) -> Victim<Net> {
    let (net, state) = Net::conv(1, 16, true, true, 10);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("victim.safetensors");
    let (mut stop, mut progress) = (|| false, |_: f64, _: &str| {});
    let inputs = Inputs {
        train: &clean.images().unwrap(),
        normalise: &data.normalise,
        augment: &Augment::default(),
        config: &FitConfig {
            epochs,
            batch: 32,
            ..FitConfig::default()
        },
        seed: 3,
        name: "victim",
        device: Device::flex(),
    };
    let hooks = hooks(&path, &mut stop, &mut progress);
    let fitted = fit(net.clone(), state, &inputs, hooks).unwrap().unwrap();
    Victim::of_all(net, fitted.state, Device::flex())
}

fn attack<'a>(data: &'a Dataset, clean: &'a Features, gc: Gc) -> Attack<'a> {
    Attack {
        clean,
        normalise: &data.normalise,
        gc,
        seed: 4,
        source: json!("digits"),
    }
}

#[test]
fn on_the_digits_the_poison_turns_against_the_clean_gradient() {
    let data = digits();
    let clean = data.pool();
    let victim = learned(&data, &clean, 8);
    let made = |radius, budget| {
        let gc = Gc {
            iterations: 60,
            radius,
            ..Gc::default()
        };
        crafted(&victim, &attack(&data, &clean, gc), budget, usize::MAX).unwrap()
    };
    let at_rest = made(0.0, 0.1);
    for (crafted, budget, points) in [(&made(0.05, 0.1), 0.1, 143), (&made(0.05, 0.5), 0.5, 718)] {
        let check = &crafted.check;
        assert_eq!(
            (check.points, check.moved, check.flipped),
            (points, points, 0)
        );
        assert_eq!((check.linf, check.unreliable.as_deref()), (16.0, None));
        assert!(changes(crafted, &clean).iter().all(|c| c.abs() <= 16));
        let cancelled = check.cancelled.as_ref().unwrap();
        let (before, after) = (cancelled.before(), cancelled.after);
        assert!(
            after.loss < 0.5 * before.loss,
            "{budget}: {before:?} {after:?}"
        );
        assert!(before.cosine > 0.3, "{budget}: {before:?}");
        assert!(after.cosine < -0.7, "{budget}: {after:?}");
        assert_eq!(cancelled.curve.len(), 60);
        assert!(
            (cancelled.ascent - 0.05).abs() < 1e-6,
            "{}",
            cancelled.ascent
        );
        let unmoved = at_rest.check.cancelled.as_ref().unwrap();
        assert!(cancelled.clean_loss > unmoved.clean_loss);
        assert!(cancelled.clean_gradient > unmoved.clean_gradient);
        // Of the same images, rounded, at the model that they were made for.
        let snapshot = cancelled.curve[cancelled.snapshot];
        assert!(after.loss < 1.2 * snapshot.loss, "{snapshot:?} {after:?}");
        let settings = &crafted.patch.manifest().settings;
        assert_eq!(settings["share"], budget);
        assert_eq!(settings["gc"]["bound"], 16);
        assert_eq!(settings["victim"], "digits");
        let mut poisoned = data.clone();
        crafted.patch.apply_to(&mut poisoned).unwrap();
        assert_ne!(poisoned.train, data.train);
    }
    // Measured from outside, where the victim has not moved: all rows in other batches.
    let mut poisoned = clean.clone();
    at_rest.patch.apply(&mut poisoned).unwrap();
    let gradient = |rows: &Features, indices: &[u32]| -> Vec<f64> {
        let images = rows.images().unwrap();
        let mut sum = vec![0.0; victim.values().len()];
        for indices in indices.chunks(72) {
            let batch = images.batch(indices, &data.normalise, None);
            let found = victim.gradient(&batch).values;
            let weight = indices.len() as f64;
            sum.iter_mut()
                .zip(&found)
                .for_each(|(s, g)| *s += weight * f64::from(*g));
        }
        sum
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let everything: Vec<u32> = (0..clean.rows as u32).collect();
    let chosen: Vec<u32> = at_rest.patch.indices().iter().map(|i| *i as u32).collect();
    let of_clean = gradient(&clean, &everything);
    let before = cosine(&of_clean, &gradient(&clean, &chosen));
    let after = cosine(&of_clean, &gradient(&poisoned, &chosen));
    assert!(before > 0.2 && after < -0.7, "{before} {after}");
}

#[test]
fn an_attack_goes_on_where_it_stopped_and_threads_do_not_change_it() {
    let data = digits();
    let clean = data.pool();
    let victim = learned(&data, &clean, 1);
    let gc = Gc {
        iterations: 4,
        snapshot_every: 2,
        ..Gc::default()
    };
    let attack = attack(&data, &clean, gc);
    let undisturbed = crafted(&victim, &attack, 0.1, usize::MAX).unwrap();
    // 23 batches twice, then 4 times 3, then 3.
    for steps in [2, 6, 11] {
        let stopped = crafted(&victim, &attack, 0.1, steps).unwrap();
        assert_eq!(stopped, undisturbed, "stopped every {steps} steps");
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let made = pool
            .unwrap()
            .install(|| crafted(&victim, &attack, 0.1, usize::MAX));
        assert_eq!(made.unwrap(), undisturbed, "{threads} threads");
    }
    let other = Attack { seed: 5, ..attack };
    let other = crafted(&victim, &other, 0.1, usize::MAX).unwrap();
    assert_ne!(other.patch.indices(), undisturbed.patch.indices());
}

/// The whole clean set in one batch: the ascent is one step of length `radius` along its normalised gradient, and the
/// aim is where it ends. Without an ascent it is the victim itself. No record has it.
#[test]
fn the_aim_is_where_the_ascent_ends() {
    let data = digits();
    let clean = data.pool().rows(&(0..50).collect::<Vec<_>>());
    let victim = learned(&data, &clean, 2);
    let made = |radius| {
        let gc = Gc {
            iterations: 1,
            radius,
            ..Gc::default()
        };
        crafted(&victim, &attack(&data, &clean, gc), 0.1, 3).unwrap()
    };
    let start = victim.values();
    let mut unmoved = made(0.0).check;
    assert_eq!(unmoved.take_aim(), start);
    let mut check = made(0.25).check;
    let text = serde_json::to_string(&check).unwrap();
    assert!(!text.contains("aim"), "{text}");
    let aim = check.take_aim();
    assert_eq!(check.take_aim(), Vec::<f32>::new());
    let rows: Vec<u32> = (0..50).collect();
    let batch = clean.images().unwrap().batch(&rows, &data.normalise, None);
    let gradient = victim.gradient(&batch).values;
    let squares = gradient.iter().map(|g| f64::from(*g).powi(2));
    let length = squares.sum::<f64>().sqrt();
    let expected = start.iter().zip(&gradient);
    let expected: Vec<f64> = expected
        .map(|(w, g)| f64::from(*w) + 0.25 * f64::from(*g) / length)
        .collect();
    let moved = |to: f64, from: f32| to - f64::from(from);
    let (mut off, mut way) = (0.0, 0.0);
    for ((found, expected), start) in aim.iter().zip(expected).zip(&start) {
        off += (f64::from(*found) - expected).powi(2);
        way += moved(expected, *start).powi(2);
    }
    assert!((way.sqrt() - 0.25).abs() < 1e-9, "{way}");
    assert!((off / way).sqrt() < 1e-4, "{off} of {way}");
}

#[test]
fn what_no_attack_can_use_is_refused() {
    let data = digits();
    let clean = data.pool();
    let (net, state) = Net::conv(1, 4, true, false, 10);
    let victim = Victim::of_all(net, state, Device::flex());
    let base = || attack(&data, &clean, Gc::default());
    let refused = |victim: &Victim<Net>, attack: &Attack<'_>, budget, part: &str| {
        let error = crafted(victim, attack, budget, usize::MAX).unwrap_err();
        assert!(error.to_string().contains(part), "{part}: {error}");
    };
    for budget in [0.0, -0.1, 1.1, f64::NAN] {
        refused(&victim, &base(), budget, "expected a budget above 0");
    }
    refused(&victim, &base(), 1e-4, "nothing would be poisoned");
    let with = |change: fn(&mut Gc)| {
        let mut attack = base();
        change(&mut attack.gc);
        attack
    };
    for (attack, part) in [
        (with(|gc| gc.bound = 0), "`bound` = 0"),
        (with(|gc| gc.radius = -1.0), "`radius` = -1"),
        (with(|gc| gc.clean_batch = 1), "`clean_batch` = 1"),
        (with(|gc| gc.lr = f64::NAN), "`lr` = NaN"),
        (with(|gc| gc.iterations = 0), "`iterations` = 0"),
        (with(|gc| gc.batch = 0), "`batch` = 0"),
        (with(|gc| gc.snapshot_every = 0), "`snapshot_every` = 0"),
        (with(|gc| gc.difference = 0.0), "`difference` = 0"),
    ] {
        refused(&victim, &attack, 0.1, part);
    }
    let floats = clean.clone().into_floats();
    let of_floats = attack(&data, &floats, Gc::default());
    refused(&victim, &of_floats, 0.1, "8-bit images, found floats");
    let untargeted = Victim {
        targets: Vec::new(),
        ..victim.clone()
    };
    refused(&untargeted, &base(), 0.1, "no target parameters");
    let mut diverged = victim.clone();
    diverged.state.params.values[0] = f32::NAN;
    refused(&diverged, &base(), 0.1, "has norm NaN");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gc.safetensors");
    let rows = |rows: Vec<u64>, key: &str| {
        let (mut stop, mut progress) = (|| true, |_: f64, _: &str| {});
        let hooks = Hooks {
            key,
            ..hooks(&path, &mut stop, &mut progress)
        };
        craft_rows(victim.clone(), &base(), rows, 0.1, hooks)
    };
    for (wrong, part) in [(vec![], "no"), (vec![3, 3], "3"), (vec![1_437], "1437")] {
        let error = rows(wrong, "one").unwrap_err();
        assert!(matches!(error, PoisonError::Patch(_)), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(rows(vec![1, 2], "one").unwrap().is_none());
    assert!(rows(vec![1, 2], "one").unwrap().is_none());
    let error = rows(vec![1, 2], "other").unwrap_err().to_string();
    assert!(error.contains("belongs to one, not to other"), "{error}");
    let error = rows(vec![1], "one").unwrap_err().to_string();
    assert!(error.contains("has another length"), "{error}");
}
