//! What an evaluation says of itself, on networks made to deceive it: nothing that was not tested is called
//! reliable, and nothing that is in order is called wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cnn;

use burn::tensor::Tensor;
use cnn::Fixture;
use rand::RngExt;
use std::cell::Cell;
use std::time::{Duration, Instant};
use tox_data::rng::stream;
use tox_data::{Images, Normalise, Split};
use tox_nn::Device;
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{Builder, Conv, Init, Linear, Network, Pass, State};
use tox_robust::attacks::Attack;
use tox_robust::ball::{Ball, Norm};
use tox_robust::evaluation::{Evaluation, Gap, Inputs, Kind, Reliable, evaluate};
use tox_robust::model::Model;
use tox_robust::oracle::{Cotangent, Oracle};
use tox_testkit::stops::{once, undisturbed};

/// The fixture's network behind an input that is rounded to five levels by pairs of steep ramps, whose
/// gradients cancel, beside a linear path so weak that it changes nothing but the gradient.
struct Masked {
    ramps: Conv,
    merge: Conv,
    convs: [Conv; 2],
    head: Linear,
    leak: Linear,
}

impl Network for Masked {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        let leak = self.leak.forward(pass, x.clone().flatten(1, 3));
        let ramps = pass.relu(self.ramps.forward(pass, x));
        let mut x = self.merge.forward(pass, ramps);
        for conv in &self.convs {
            x = pass.relu(conv.forward(pass, x));
        }
        self.head.forward(pass, x.flatten(1, 3)) + leak
    }
}

/// Where the input goes up by one level.
const THRESHOLDS: [f32; 4] = [0.05, 0.3, 0.6, 0.95];
/// Half of this is how far a pixel is from a threshold when it has reached the level behind it.
const RAMP: f32 = 1.0 / 4096.0;

impl Masked {
    /// With a linear path of random weights up to `leak`.
    fn new(fixture: &Fixture, leak: f32) -> (Self, State) {
        let mut b = Builder::new(0, "masked", Init::Torch);
        let half = Geometry::same(3).stride(2);
        let network = Self {
            ramps: b.conv_with_bias("ramps", 1, 8, Geometry::same(1)),
            merge: b.conv_with_bias("merge", 8, 1, Geometry::same(1)),
            convs: [
                b.conv_with_bias("conv1", 1, 12, half),
                b.conv_with_bias("conv2", 12, 24, half),
            ],
            head: b.linear("fc", 24 * 4 * 4, 10),
            leak: b.linear("leak", 256, 10),
        };
        let mut state = b.finish();
        let mut rng = stream(1, "test/leak", &[]);
        let slope = 1.0 / RAMP;
        let pairs = || THRESHOLDS.iter().flat_map(|&t| [(t, 0.5), (t, -0.5)]);
        for entry in state.params.entries().to_vec() {
            let values = &mut state.params.values[entry.range()];
            match entry.name.as_str() {
                "ramps.weight" => values.fill(slope),
                "ramps.bias" => values
                    .iter_mut()
                    .zip(pairs())
                    .for_each(|(v, (t, up))| *v = up - slope * t),
                // A quarter for each level, then normalised as the fixture's images are.
                "merge.weight" => values
                    .iter_mut()
                    .zip(pairs())
                    .for_each(|(v, (_, up))| *v = 2.0 * up),
                "merge.bias" => values.fill(-2.0),
                "leak.weight" => values
                    .iter_mut()
                    .for_each(|v| *v = rng.random_range(-1.0..1.0) * leak),
                "leak.bias" => values.fill(0.0),
                name => values.copy_from_slice(fixture.weights(name)),
            }
        }
        (network, state)
    }
}

/// The fixture's network with its logits multiplied.
struct Scaled<O>(O, f32);

impl<O: Oracle> Oracle for Scaled<O> {
    fn shape(&self) -> [usize; 3] {
        self.0.shape()
    }

    fn classes(&self) -> usize {
        self.0.classes()
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        let logits = self.0.logits(pixels);
        logits.into_iter().map(|z| z * self.1).collect()
    }

    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        let mut scaled = Vec::new();
        let (_, gradient) = self.0.pullback(pixels, &mut |logits| {
            scaled = logits.iter().map(|z| z * self.1).collect();
            let cotangent = cotangent(&scaled);
            cotangent.into_iter().map(|c| c * self.1).collect()
        });
        (scaled, gradient)
    }
}

fn attacks(names: &str) -> Vec<Attack> {
    names.split(',').map(|name| name.parse().unwrap()).collect()
}

/// Under these attacks in a ball of `epsilon`; `None` if it was stopped.
fn evaluated(
    oracle: &dyn Oracle,
    split: &Split,
    rows: &[u32],
    (names, epsilon, seed): (&str, f64, u64),
    stop: &mut dyn FnMut() -> bool,
) -> Option<Evaluation> {
    let folder = tempfile::tempdir().unwrap();
    let inputs = Inputs {
        oracle,
        split: split.into(),
        rows,
        ball: Ball {
            norm: Norm::Linf,
            epsilon,
        },
        attacks: &attacks(names),
        seed,
    };
    let checkpoint = folder.path().join("checkpoint");
    let found = once(&checkpoint, "test", stop, |hooks| evaluate(&inputs, hooks)).unwrap();
    if let Some(found) = &found {
        let accuracies: Vec<f64> = found.attacks.iter().map(|a| a.accuracy).collect();
        println!(
            "{names}: clean {}, {accuracies:?}, {:?}, {:?}, {:?}, {:?}, {:?}",
            found.clean, found.reliable, found.own, found.warnings, found.untested, found.notes
        );
    }
    found
}

fn of(oracle: &dyn Oracle, split: &Split, n: u32, how: (&str, f64, u64)) -> Evaluation {
    let rows: Vec<u32> = (0..n).collect();
    evaluated(oracle, split, &rows, how, &mut || false).unwrap()
}

fn kinds(found: &Evaluation) -> Vec<Kind> {
    found.warnings.iter().map(|w| w.kind).collect()
}

fn gaps(found: &Evaluation) -> Vec<Gap> {
    found.untested.iter().map(|u| u.gap).collect()
}

#[test]
fn masked_gradients_are_found_out_without_square_in_the_list() {
    let fixture = Fixture::load();
    let plain = Normalise {
        mean: vec![0.0],
        std: vec![1.0],
    };
    let run = |leak: f32, names: &str| {
        let (network, state) = Masked::new(&fixture, leak);
        let shape = ([1, 16, 16], 10);
        let model = Model::new(&network, &state, &plain, shape, Device::flex());
        of(&model, &fixture.images, 300, (names, 0.08, 0))
    };
    let leaky = run(1e-4, "pgd20,cw40");
    assert_eq!(leaky.reliable, Reliable::No);
    assert!(kinds(&leaky).contains(&Kind::SquareBeatsGradients));
    let own = leaky.own.unwrap();
    assert!(own.square > Some(own.margin), "{own:?}");
    // Square in the list says the same, and leaves far fewer.
    let listed = run(1e-4, "pgd20,cw40,square500");
    assert!(kinds(&listed).contains(&Kind::SquareBeatsGradients));
    let [pgd, cw, square] = &listed.attacks[..] else {
        panic!()
    };
    assert!(pgd.accuracy.min(cw.accuracy) > square.accuracy + 10.0);
    // Without the leak all that is left of a gradient is rounding.
    let none = run(0.0, "pgd20");
    assert!(kinds(&none).contains(&Kind::ZeroGradient));
}

#[test]
fn weak_attacks_are_never_called_reliable() {
    let fixture = Fixture::load();
    let model = fixture.model();
    for names in ["fgsm", "pgd20", "fgsm,pgd20,cw40"] {
        let found = of(&model, &fixture.images, 200, (names, 0.06, 0));
        assert_eq!(kinds(&found), [], "{names}");
        assert_eq!(found.reliable, Reliable::NotTested, "{names}");
        assert_eq!(gaps(&found), [Gap::WeakAttacks], "{names}");
        assert!(found.untested[0].reason.contains("upper bound"));
    }
    // What AutoAttack is made of, or as good.
    let strong = of(
        &model,
        &fixture.images,
        60,
        ("apgd-ce,cw40,square1000", 0.06, 0),
    );
    assert_eq!((strong.reliable, gaps(&strong)), (Reliable::Yes, vec![]));
    // The same logits a thousand times smaller: the cross-entropy's gradient is a blend of all classes.
    let small = Scaled(fixture.model(), 1e-3);
    let found = of(&small, &fixture.images, 200, ("pgd20", 0.06, 0));
    assert_eq!(found.reliable, Reliable::No);
    assert_eq!(kinds(&found), [Kind::CrossEntropyMisleads]);
    // Attacks that do not go by it do not mind.
    let found = of(&small, &fixture.images, 200, ("cw40", 0.06, 0));
    assert_eq!(kinds(&found), []);
}

#[test]
fn square_ahead_of_a_weak_attack_is_no_alarm() {
    let fixture = Fixture::load();
    let model = fixture.model();
    for seed in 0..3 {
        for names in ["fgsm,square1000", "pgd20,square1000"] {
            let found = of(&model, &fixture.images, 128, (names, 0.06, seed));
            assert_eq!(kinds(&found), [], "{names} {seed}");
        }
    }
    // Far ahead, of an attack that stays where it is: what is said is which attack is missing.
    let lame = r#"{"kind": "pgd", "steps": 1, "step": 1e-6, "random_start": false}"#;
    let lame: Attack = serde_json::from_str(lame).unwrap();
    let rows: Vec<u32> = (0..128).collect();
    let inputs = Inputs {
        oracle: &model,
        split: (&fixture.images).into(),
        rows: &rows,
        ball: Ball {
            norm: Norm::Linf,
            epsilon: 0.06,
        },
        attacks: &[lame, "square1000".parse().unwrap()],
        seed: 0,
    };
    let found = undisturbed(|hooks| evaluate(&inputs, hooks)).unwrap();
    assert_eq!(kinds(&found), []);
    assert!(found.notes[0].contains("a stronger gradient attack is missing"));
}

/// Images that are all as `pixel` says, with these labels.
fn painted(labels: Vec<u16>, pixel: impl Fn(usize) -> u8) -> Split {
    let pixels = (0..labels.len() * 256).map(|i| pixel(i % 256)).collect();
    Split {
        images: Images {
            pixels,
            shape: [labels.len(), 1, 16, 16],
        },
        labels,
    }
}

#[test]
fn repeated_and_empty_images_are_no_alarm_and_no_proof() {
    let fixture = Fixture::load();
    let model = fixture.model();
    let names = "pgd20,square300,autoattack";
    // The images that Square is best at, many times each, are still those few images.
    let many: Vec<usize> = (0..200).map(|i| i % 4).collect();
    let repeated = fixture.images.rows(&many);
    let short = ("fgsm,pgd20,square300", 0.06, 0);
    let found = of(&model, &repeated, 200, short);
    assert_eq!(kinds(&found), []);
    assert_eq!(gaps(&found), [Gap::FewImages, Gap::WeakAttacks]);
    // Black images with labels of all classes; and of the one that the network sees in them.
    let black = painted((0..60).map(|i| i % 10).collect(), |_| 0);
    let found = of(&model, &black, 60, short);
    assert_eq!(
        (kinds(&found), found.reliable),
        (vec![], Reliable::NotTested)
    );
    assert!(
        gaps(&found).contains(&Gap::Majority),
        "{:?}",
        found.untested
    );
    let zeros = model.logits(&[0.0; 256]);
    let class = tox_robust::attacks::predicted(&zeros).unwrap() as u16;
    let found = of(
        &model,
        &painted(vec![class; 20], |_| 0),
        20,
        (names, 0.01, 0),
    );
    assert_eq!(
        (kinds(&found), found.reliable),
        (vec![], Reliable::NotTested)
    );
    assert_eq!(gaps(&found), [Gap::OneClass, Gap::FewImages]);
}

#[test]
fn what_is_no_test_is_not_called_one() {
    let fixture = Fixture::load();
    let model = fixture.model();
    let strong = "apgd-ce,cw40,square1000";
    let nothing = of(&model, &fixture.images, 60, (strong, 0.0, 0));
    assert_eq!(gaps(&nothing), [Gap::NoRoom]);
    assert_eq!(nothing.reliable, Reliable::NotTested);
    // The answers of another order of classes.
    let mut wrong = fixture.images.clone();
    wrong.labels.iter_mut().for_each(|l| *l = (*l + 1) % 10);
    let chance = of(&model, &wrong, 100, (strong, 0.06, 0));
    assert_eq!(chance.reliable, Reliable::NotTested);
    assert!(
        matches!(gaps(&chance)[0], Gap::Majority | Gap::NoneCorrect),
        "{:?}",
        chance.untested
    );
}

/// An oracle that takes its time, and counts passes.
struct Slow<'a, O>(O, &'a Cell<usize>);

impl<O: Oracle> Oracle for Slow<'_, O> {
    fn shape(&self) -> [usize; 3] {
        self.0.shape()
    }

    fn classes(&self) -> usize {
        self.0.classes()
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        self.1.set(self.1.get() + 1);
        self.0.logits(pixels)
    }

    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        self.1.set(self.1.get() + 1);
        self.0.pullback(pixels, cotangent)
    }
}

#[test]
fn every_attack_stops_before_its_next_pass() {
    let fixture = Fixture::load();
    let rows: Vec<u32> = (0..100).collect();
    for (names, after) in [
        ("fgsm", 1),
        ("pgd50", 9),
        ("apgd-ce", 9),
        ("apgd-dlr", 40),
        ("fab", 40),
        ("square", 100),
        ("autoattack", 300),
    ] {
        let passes = Cell::new(0);
        let oracle = Slow(fixture.model(), &passes);
        let began = Instant::now();
        let stop = &mut || passes.get() >= after;
        let how = (names, 0.06, 0);
        assert_eq!(evaluated(&oracle, &fixture.images, &rows, how, stop), None);
        assert_eq!(passes.get(), after, "{names}");
        assert!(began.elapsed() < Duration::from_secs(20), "{names}");
    }
}
