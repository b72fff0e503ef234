//! Evaluations of models that live elsewhere: images of reals, and models that answer with logits alone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cnn;

use cnn::{Fixture, SmallCnn};
use std::cell::Cell;
use tox_data::checkpoint::Hooks;
use tox_robust::evaluation::{
    Evaluation, EvaluationError, Gap, Inputs, Pictures, Reliable, evaluate,
};
use tox_robust::{Attack, Ball, Cotangent, Model, Norm, Oracle};

/// A network without its gradients; counts who asks for them nevertheless.
struct Blind<'a> {
    network: Model<'a, SmallCnn>,
    asked: Cell<usize>,
}

impl Oracle for Blind<'_> {
    fn shape(&self) -> [usize; 3] {
        self.network.shape()
    }

    fn classes(&self) -> usize {
        self.network.classes()
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        self.network.logits(pixels)
    }

    fn pullback(&self, pixels: &[f32], _: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        self.asked.set(self.asked.get() + 1);
        (self.logits(pixels), vec![0.0; pixels.len()])
    }

    fn has_gradient(&self) -> bool {
        false
    }
}

fn evaluated(
    oracle: &dyn Oracle,
    split: Pictures<'_>,
    attacks: &str,
) -> Result<Evaluation, EvaluationError> {
    let attacks: Vec<Attack> = attacks.split(' ').map(|a| a.parse().unwrap()).collect();
    let rows: Vec<u32> = (0..60).collect();
    let inputs = Inputs {
        oracle,
        split,
        rows: &rows,
        ball: Ball {
            norm: Norm::Linf,
            epsilon: 0.06,
        },
        attacks: &attacks,
        seed: 3,
    };
    evaluate(&inputs, Hooks::none()).map(Option::unwrap)
}

#[test]
fn reals_that_are_bytes_give_what_bytes_give_and_others_say_nothing_of_8_bits() {
    let fixture = Fixture::load();
    let (model, bytes) = (fixture.model(), &fixture.images);
    let mut pixels: Vec<f32> = bytes
        .images
        .pixels
        .iter()
        .map(|&b| f32::from(b) / 255.0)
        .collect();
    let of = |pixels: &[f32]| {
        let reals = Pictures::Reals {
            pixels,
            shape: bytes.images.shape,
            labels: &bytes.labels,
        };
        evaluated(&model, reals, "fgsm square200")
    };
    let expected = evaluated(&model, bytes.into(), "fgsm square200").unwrap();
    assert_eq!(of(&pixels).unwrap(), expected);
    assert!(expected.attacks[0].eight_bit.is_some());

    pixels[0] = 0.3333;
    assert_eq!(of(&pixels).unwrap().attacks[0].eight_bit, None);
    pixels[0] = 1.5;
    let said = of(&pixels).unwrap_err().to_string();
    assert!(
        said.contains("a pixel is 1.5, expected numbers in 0..=1"),
        "{said}"
    );
    let said = of(&pixels[1..]).unwrap_err().to_string();
    assert!(said.contains("expected"), "{said}");
}

#[test]
fn a_model_without_gradients_is_judged_by_black_boxes_and_never_called_reliable() {
    let fixture = Fixture::load();
    let blind = Blind {
        network: fixture.model(),
        asked: Cell::new(0),
    };
    let found = evaluated(&blind, (&fixture.images).into(), "square1000").unwrap();
    assert_eq!(blind.asked.get(), 0);
    assert_eq!(found.reliable, Reliable::NotTested);
    assert!(found.upper_bound && found.own.is_none() && found.warnings.is_empty());
    let [untested] = &found.untested[..] else {
        panic!("{:?}", found.untested)
    };
    assert_eq!(untested.gap, Gap::WeakAttacks);
    assert!(
        untested.reason.contains("logits alone"),
        "{}",
        untested.reason
    );
    let seen = evaluated(&blind.network, (&fixture.images).into(), "square1000").unwrap();
    assert_eq!(found.attacks, seen.attacks);

    for (attacks, said) in [
        ("square pgd20", "pgd20 follows"),
        ("autoattack", "apgd-ce of autoattack follows"),
    ] {
        let refused = evaluated(&blind, (&fixture.images).into(), attacks).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains(said) && refused.contains("use square"),
            "{refused}"
        );
    }
}
