//! What a step descends.

use crate::{DARTS_V2, bits, config, digits, shape, trained, v2};
use burn::tensor::{Int, Tensor};
use tox_data::Batch;
use tox_nn::Device;
use tox_nn::fit::evaluate::images;
use tox_nn::fit::labels;
use tox_nn::layers::{Choices, Draws, Init, Mode, Network, Pass, State};
use tox_nn::ops::{cross_entropy, read};
use tox_nn::params::ParamId;
use tox_search::cell::GenotypeNetwork;
use tox_search::cell::darts::{CellNetwork, Regularisation};
use tox_search::final_training::{FinalConfig, NAME};

/// Any training step: all passes draw the same.
const DRAWS: Draws<'static> = Draws {
    seed: 0,
    network: "test",
    step: 0,
};

/// A small network with an auxiliary head, drop path at its strongest, and a batch for it.
fn small() -> (CellNetwork, State, Batch) {
    let shape = crate::shapes::darts([4, 3, 5], [3, 32, 32], true);
    let genotype = DARTS_V2.parse().unwrap();
    let (net, state) = CellNetwork::new(&genotype, &shape, Init::Torch, (1, "test")).unwrap();
    let net = net.regularised(Regularisation {
        drop_path: 0.5,
        auxiliary_weight: 0.4,
    });
    let pixel = |i: usize| ((i * 37 + i / 32 * 11) % 101) as f32 / 50.0 - 1.0;
    let batch = Batch {
        pixels: (0..6 * 3 * 32 * 32).map(pixel).collect(),
        shape: [6, 3, 32, 32],
        labels: vec![0, 1, 2, 3, 4, 0],
    };
    (net, state, batch)
}

/// A value and its gradients by the weights.
type Gradients = Vec<(ParamId, Vec<f32>)>;

/// Of what `loss` makes of a training pass.
fn descend(
    state: &State,
    batch: &Batch,
    choices: Option<&Choices>,
    loss: impl Fn(&Pass<'_>, Tensor<4>, Tensor<1, Int>) -> Tensor<1>,
) -> (f64, Gradients) {
    let device = Device::flex().autodiff();
    let mut pass = Pass::new(state, &device, Mode::Train(DRAWS));
    if let Some(choices) = choices {
        pass = pass.holding(choices);
    }
    let loss = loss(
        &pass,
        images(batch, &device),
        labels(&batch.labels, &device),
    );
    let gradients = pass.finish(loss.backward()).gradients;
    (f64::from(read(loss)[0]), gradients)
}

#[test]
fn the_schedule_of_drop_path_by_hand() {
    let published = Regularisation {
        drop_path: 0.3,
        auxiliary_weight: 0.4,
    };
    for (epoch, expected) in [(0, 0.0), (1, 0.0005), (300, 0.15), (599, 0.2995)] {
        let found = published.drop_path(epoch, 600);
        assert!((found - expected).abs() < 1e-12, "{epoch}: {found}");
    }
    // The network trains by it, and begins without.
    let (mut net, state, batch) = small();
    let logits = |net: &CellNetwork, drop_path: Option<f32>| {
        let device = Device::flex();
        let pass = Pass::new(&state, &device, Mode::Train(DRAWS));
        let x = images(&batch, &device);
        read(match drop_path {
            Some(p) => net.forward(&pass, x, p).0,
            None => net.logits(&pass, x),
        })
    };
    assert_eq!(logits(&net, None), logits(&net, Some(0.0)));
    for (epoch, p) in [(1, 0.125), (3, 0.375), (0, 0.0)] {
        net.set_epoch(epoch, 4);
        assert_eq!(logits(&net, None), logits(&net, Some(p)), "epoch {epoch}");
    }
    assert_ne!(logits(&net, Some(0.125)), logits(&net, Some(0.375)));
    // A genotype's network hands it on.
    let shape = shape([4, 3], 5, [3, 32, 32]);
    let regularisation = Regularisation {
        drop_path: 0.5,
        auxiliary_weight: 0.4,
    };
    let made = GenotypeNetwork::regularised(&v2(), shape, regularisation, (1, "test"));
    let (mut whole, same) = made.unwrap();
    assert_eq!(same.params.values, state.params.values);
    whole.set_epoch(1, 4);
    net.set_epoch(1, 4);
    let loss = |net: &dyn Network| {
        let of = |pass: &Pass<'_>, x, labels| net.loss(pass, x, labels).0;
        descend(&state, &batch, None, of).0
    };
    assert_eq!(loss(&whole), loss(&net));
}

#[test]
fn the_loss_is_that_of_both_heads_and_so_is_its_gradient() {
    let (mut net, state, batch) = small();
    net.set_epoch(3, 4);
    let whole = descend(&state, &batch, None, |pass, x, labels| {
        net.loss(pass, x, labels).0
    });
    let main = descend(&state, &batch, None, |pass, x, labels| {
        cross_entropy(net.forward(pass, x, 0.375).0, labels)
    });
    let head = descend(&state, &batch, None, |pass, x, labels| {
        cross_entropy(net.forward(pass, x, 0.375).1.unwrap(), labels)
    });
    assert!(
        main.0 > 1.0 && head.0 > 1.0 && main.0 != head.0,
        "near ln 5"
    );
    assert!((whole.0 - (main.0 + 0.4 * head.0)).abs() < 1e-6);
    let of = |gradients: &Gradients, id: ParamId| {
        let found = gradients.iter().find(|(i, _)| *i == id);
        found.map(|(_, g)| g.clone())
    };
    let (mut both, mut head_alone) = (0, 0);
    for (id, gradient) in &whole.1 {
        let (m, h) = (of(&main.1, *id), of(&head.1, *id));
        (both, head_alone) = (
            both + usize::from(m.is_some() && h.is_some()),
            head_alone + usize::from(m.is_none()),
        );
        let zeros = vec![0.0; gradient.len()];
        let (m, h) = (m.unwrap_or(zeros.clone()), h.unwrap_or(zeros));
        let largest = gradient.iter().fold(0.0f32, |l, g| l.max(g.abs()));
        for ((g, m), h) in gradient.iter().zip(m).zip(h) {
            assert!((g - (m + 0.4 * h)).abs() <= 1e-5 * largest + 1e-7);
        }
    }
    assert_eq!(head_alone, 8, "two convolutions, two norms, a classifier");
    assert!(both > 50, "stem and cells before the head: {both}");
    // Tested, the network answers without the head.
    let device = Device::flex();
    let pass = Pass::new(&state, &device, Mode::Evaluate);
    let x = images(&batch, &device);
    let (loss, logits) = net.loss(&pass, x, labels(&batch.labels, &device));
    let expected = cross_entropy(logits, labels(&batch.labels, &device));
    assert_eq!(read(loss), read(expected));
}

/// Along the gradient itself, with every ReLU and max pool held to its choice, see
/// [`tox_nn::layers::Choices`].
#[test]
fn the_gradient_of_the_loss_by_finite_differences() {
    let (mut net, state, batch) = small();
    net.set_epoch(3, 4);
    let device = Device::flex();
    let pass = Pass::new(&state, &device, Mode::Train(DRAWS)).noting();
    net.loss(
        &pass,
        images(&batch, &device),
        labels(&batch.labels, &device),
    );
    let choices = pass.choices();
    let loss = |pass: &Pass<'_>, x: Tensor<4>, labels: Tensor<1, Int>| net.loss(pass, x, labels).0;
    let (_, gradient) = descend(&state, &batch, Some(&choices), loss);
    for part in ["stem", "cells.0", "cells.2", "auxiliary_head.features", ""] {
        let mut direction = vec![0.0f32; state.params.values.len()];
        for (id, g) in &gradient {
            let entry = state.params.entry(*id);
            if entry.name.starts_with(part) {
                direction[entry.range()].copy_from_slice(g);
            }
        }
        let norm = direction.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
        let at = |h: f64| {
            let mut moved = state.clone();
            let step = h / norm.sqrt();
            for (w, d) in moved.params.values.iter_mut().zip(&direction) {
                *w += (step * f64::from(*d)) as f32;
            }
            descend(&moved, &batch, Some(&choices), loss).0
        };
        let h = 0.005;
        let found = (at(h) - at(-h)) / (2.0 * h);
        let expected = norm.sqrt();
        assert!(
            (found / expected - 1.0).abs() < 0.01,
            "{part}: {found} {expected}"
        );
    }
}

/// Of all images at once, which are not changed, so that the first epoch's loss is that of the new
/// network.
#[test]
fn a_training_descends_the_loss_of_both_heads_and_drops_paths_from_the_second_epoch_on() {
    let data = digits(32, Some(32));
    let config = |epochs, auxiliary_weight, drop_path| FinalConfig {
        cells: Some(3),
        epochs: Some(epochs),
        batch: Some(64),
        auxiliary_weight: Some(auxiliary_weight),
        drop_path: Some(drop_path),
        crop: Some(0),
        cutout: Some(0),
        ..config()
    };
    let made = trained(&v2(), &data, &config(1, 0.4, 0.3));
    let shape = shape([4, 3], 10, [1, 32, 32]);
    let regularisation = Regularisation {
        drop_path: 0.3,
        auxiliary_weight: 0.4,
    };
    let new = GenotypeNetwork::regularised(&v2(), shape, regularisation, (3, NAME));
    let (net, state) = new.unwrap();
    let all_images = data.pool().images().unwrap();
    assert_eq!(all_images.len(), 64);
    let all: Vec<u32> = (0..64).collect();
    let batch = all_images.batch(&all, &data.normalise, None);
    let (loss, _) = descend(&state, &batch, None, |pass, x, labels| {
        net.loss(pass, x, labels).0
    });
    let (main, _) = descend(&state, &batch, None, |pass, x, labels| {
        cross_entropy(net.logits(pass, x), labels)
    });
    assert!(loss > 1.2 * main, "{loss} {main}");
    let found = made.evaluation.epochs[0].loss.unwrap();
    assert!((found - loss).abs() < 1e-5 * loss, "{found} {loss}");

    let ends =
        |epochs, drop_path| bits(&trained(&v2(), &data, &config(epochs, 0.0, drop_path)).state);
    assert_eq!(ends(1, 0.3), ends(1, 0.0));
    assert_ne!(ends(2, 0.3), ends(2, 0.0));
}
