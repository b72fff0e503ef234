//! Attacks whose steps a GPU, or a software driver, makes, beside the same on the CPU.
#![allow(clippy::unwrap_used)]

mod cnn;

use cnn::Fixture;
use std::cell::Cell;
use tox_data::Normalise;
use tox_nn::ascent::{Ascended, Ascent, Bounds, Raised};
use tox_robust::attacks::{Cw, Fgsm, Pgd, losses};
use tox_robust::oracle::Cotangent;
use tox_robust::{Attack, Ball, Found, Norm, Oracle, Points, predicted};

/// An oracle of which nothing but ascents is asked, which are counted.
struct Whole<'a> {
    oracle: &'a dyn Oracle,
    asked: Cell<usize>,
}

impl Oracle for Whole<'_> {
    fn shape(&self) -> [usize; 3] {
        self.oracle.shape()
    }

    fn classes(&self) -> usize {
        self.oracle.classes()
    }

    fn logits(&self, _: &[f32]) -> Vec<f32> {
        unreachable!("a pass of its own")
    }

    fn pullback(&self, _: &[f32], _: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        unreachable!("a pass of its own")
    }

    fn ascend(&self, ascent: &Ascent<'_>) -> Option<Ascended> {
        self.asked.set(self.asked.get() + 1);
        self.oracle.ascend(ascent)
    }
}

/// Images that the network answers rightly, with their labels.
fn points(fixture: &Fixture, n: u32) -> (Vec<f32>, Vec<u16>) {
    let (model, split) = (fixture.model(), &fixture.images);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for row in 0..n {
        let image = split.batch(&[row], &Normalise::identity(1), None).pixels;
        let label = split.labels[row as usize];
        if predicted(&model.logits(&image)) == Some(label.into()) {
            pixels.extend(image);
            labels.push(label);
        }
    }
    (pixels, labels)
}

fn fooled(found: &Found) -> usize {
    found.fooled.iter().filter(|fooled| **fooled).count()
}

/// Of 120 images and four attacks in two norms: as many are fooled but for two, each fooled image is wrong on the
/// CPU too but for two, what is not fooled is as near to an error, and no image leaves its ball.
#[test]
#[ignore = "needs a Vulkan driver"]
fn vulkan_attacks_find_what_those_of_the_cpu_find() {
    let fixture = Fixture::load();
    let (pixels, labels) = points(&fixture, 140);
    let points = Points::new(&pixels, &labels);
    let (cpu, device) = (fixture.model(), tox_nn::device::parse("vulkan:0").unwrap());
    let model = fixture.model_on(device);
    let twice = Pgd {
        restarts: 2,
        random_start: false,
        ..Pgd::new(5)
    };
    let attacks: [(Attack, usize); 4] = [
        (Fgsm {}.into(), 1),
        (Pgd::new(20).into(), 1),
        (Cw::new(10).into(), 1),
        (twice.into(), 2),
    ];
    for (norm, epsilon) in [(Norm::Linf, 0.1), (Norm::L2, 1.0)] {
        let ball = Ball { norm, epsilon };
        for (attack, runs) in &attacks {
            let whole = Whole {
                oracle: &model,
                asked: Cell::new(0),
            };
            let (ours, theirs) = (
                attack.run(&whole, points, ball, 3),
                attack.run(&cpu, points, ball, 3),
            );
            let name = attack.name();
            assert_eq!(whole.asked.get(), *runs, "{name} in {norm:?}");
            let (here, there) = (fooled(&ours), fooled(&theirs));
            assert!(here > 0 && here < labels.len(), "{name}: {here}");
            assert!(here.abs_diff(there) <= 2, "{name} {norm:?}: {here} {there}");
            let (mut unlike, mut unconfirmed, mut passes) = (0, 0, 0);
            for (i, (x, clean)) in ours.pixels.chunks(256).zip(pixels.chunks(256)).enumerate() {
                assert!(ball.allows(x, clean));
                let logits = cpu.logits(x);
                let margin = |logits: &[f32]| {
                    let label = usize::from(labels[i]);
                    losses::margin(logits, label, &mut [0.0; 10])
                };
                let wrong = predicted(&logits) != Some(labels[i].into());
                unconfirmed += usize::from(wrong != ours.fooled[i]);
                let on_cpu = cpu.logits(&theirs.pixels[i * 256..][..256]);
                let near = (margin(&logits) - margin(&on_cpu)).abs() < 0.02;
                unlike += usize::from(!near && !ours.fooled[i]);
                passes += usize::from(
                    (ours.forward[i], ours.backward[i]) != (theirs.forward[i], theirs.backward[i]),
                );
            }
            println!(
                "{name} {norm:?}: {here} of {} fooled, {there} on the CPU; {unconfirmed} unconfirmed, {unlike} \
                 unlike, {passes} in other passes",
                labels.len()
            );
            assert!(unconfirmed <= 2 && unlike <= 2 && passes <= 4);
        }
    }
}

/// An ascent by its definition, on the host: steps along the gradient's sign or direction, each back into the ball.
fn by_definition(
    model: &dyn Oracle,
    ball: Ball,
    (clean, start): (&[f32], &[f32]),
    raised: Raised<'_>,
    (steps, length): (usize, f64),
) -> Vec<f32> {
    let mut x = start.to_vec();
    for _ in 0..steps {
        let (_, gradient) = model.pullback(&x, &mut |logits| {
            let mut derivative = vec![0.0; logits.len()];
            let rows = logits.chunks(10).zip(derivative.chunks_mut(10));
            rows.enumerate().for_each(|(row, (logits, d))| {
                losses::raised(raised, row, logits, d);
            });
            derivative
        });
        let rows = x.chunks_mut(256).zip(gradient.chunks(256));
        for ((x, gradient), clean) in rows.zip(clean.chunks(256)) {
            let size = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
            for (x, g) in x.iter_mut().zip(gradient) {
                let step = match ball.norm {
                    Norm::Linf => f64::from(*g).signum() * f64::from(u8::from(*g != 0.0)),
                    Norm::L2 => f64::from(*g) / size.sqrt(),
                };
                *x = (f64::from(*x) + length * step) as f32;
            }
            ball.project(x, clean);
        }
    }
    x
}

/// Those that do not stop, as the adversary of a training makes them, by all three losses.
#[test]
#[ignore = "needs a Vulkan driver"]
fn vulkan_ascents_end_where_their_definition_does() {
    let fixture = Fixture::load();
    let (pixels, labels) = points(&fixture, 20);
    let device = tox_nn::device::parse("vulkan:0").unwrap();
    let (cpu, model) = (fixture.model(), fixture.model_on(device));
    let clean = cpu.logits(&pixels);
    let noisy = pixels.iter().enumerate();
    let noisy = noisy.map(|(i, v)| v + 0.01 * (i as f32 * 0.7).sin());
    let start: Vec<f32> = noisy.collect();
    for (norm, epsilon) in [(Norm::Linf, 0.1), (Norm::L2, 1.0)] {
        let (ball, steps, length) = (Ball { norm, epsilon }, 5, epsilon / 4.0);
        let side = |by: f32| -> Vec<f32> {
            let reached = pixels.iter().map(|v| (v + by).clamp(0.0, 1.0));
            reached.collect()
        };
        let (low, high) = (side(-0.1), side(0.1));
        let bounds = match norm {
            Norm::Linf => Bounds::Box {
                low: &low,
                high: &high,
            },
            Norm::L2 => Bounds::Sphere {
                clean: &pixels,
                radius: epsilon,
            },
        };
        for (name, raised) in [
            ("cross-entropy", Raised::CrossEntropy(&labels)),
            ("margin", Raised::Margin(&labels)),
            ("divergence", Raised::Divergence(&clean)),
        ] {
            let ascent = Ascent {
                start: &start,
                raised,
                bounds,
                steps,
                length,
                stops: false,
            };
            let ours = model.ascend(&ascent).unwrap().pixels;
            assert_eq!(cpu.ascend(&ascent), None);
            let expected = by_definition(&cpu, ball, (&pixels, &start), raised, (steps, length));
            let pairs = ours.iter().zip(&expected);
            let apart = pairs.filter(|(a, b)| (*a - *b).abs() > 1e-4).count();
            println!("{norm:?} {name}: {apart} of {} pixels apart", ours.len());
            assert!(apart * 200 <= ours.len(), "{norm:?} {name}: {apart}");
        }
    }
}

/// A network whose logits are the pixels' normalised values times these weights, of which what is found is known.
#[test]
#[ignore = "needs a Vulkan driver"]
fn vulkan_steps_by_hand() {
    use burn::tensor::Tensor;
    use tox_nn::ascent::{Images, run};
    let device = tox_nn::device::parse("vulkan:0").unwrap();
    // Logits (4 (3 a - 4 b), 0) of pixels (a, b) of two channels, normalised by 0.5 and 0.25.
    let line = |x: Tensor<4>, device: &tox_nn::Device| {
        let n = x.dims()[0];
        let w = Tensor::<2>::from_floats([[3.0, 0.0], [-4.0, 0.0]], device);
        x.reshape([n, 2]).matmul(w)
    };
    let images = Images {
        shape: [2, 1, 1],
        mean: &[0.5, 0.5],
        std: &[0.25, 0.25],
    };
    let ascent = |bounds, length, steps, stops| Ascent {
        start: &[0.5, 0.5, 0.75, 0.5, 0.5, 0.75],
        raised: Raised::CrossEntropy(&[0, 0, 0]),
        bounds,
        steps,
        length,
        stops,
    };
    let all = Bounds::Box {
        low: &[0.25; 6],
        high: &[0.75; 6],
    };
    // The first image is a tie, which is answered by class 0; the second is of class 0 by 3; the third of class 1.
    let found = run(&ascent(all, 0.125, 2, true), images, &device, &line).unwrap();
    assert_eq!(found.fooled, [Some(1), Some(1), Some(0)]);
    assert_eq!(found.pixels, [0.375, 0.625, 0.625, 0.625, 0.5, 0.75]);
    assert_eq!(found.margins, [3.5, 0.5, 4.0]);
    let found = run(&ascent(all, 0.125, 9, false), images, &device, &line).unwrap();
    assert_eq!(found.pixels, [0.25, 0.75, 0.25, 0.75, 0.25, 0.75]);
    // No step: what fools is the start.
    let found = run(&ascent(all, 0.0, 1, true), images, &device, &line).unwrap();
    assert_eq!(found.fooled, [None, None, Some(0)]);
    assert_eq!(found.pixels, [0.5, 0.5, 0.75, 0.5, 0.5, 0.75]);
    assert_eq!(found.margins, [0.0, -3.0, 4.0]);
    let sphere = Bounds::Sphere {
        clean: &[0.5, 0.5, 0.75, 0.5, 0.5, 0.75],
        radius: 0.25,
    };
    let found = run(&ascent(sphere, 0.5, 3, false), images, &device, &line).unwrap();
    // Down the gradient (3, -4) / 5.
    for (found, expected) in found.pixels.iter().zip([0.35, 0.7, 0.6, 0.7, 0.35, 0.95]) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
    let nan = |x: Tensor<4>, device: &tox_nn::Device| line(x, device) * f32::NAN;
    let found = run(&ascent(all, 0.125, 2, true), images, &device, &nan).unwrap();
    assert_eq!(found.fooled, [Some(0); 3]);
    assert_eq!(found.pixels, [0.5, 0.5, 0.75, 0.5, 0.5, 0.75]);
}
