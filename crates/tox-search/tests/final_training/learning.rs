//! Trainings learn, and report what they did.

use crate::{BEST, DARTS_V2, best, bits, config, digits, shape, trained, v2};
use burn::tensor::Tensor;
use std::path::Path;
use tox_data::spec::DataSpec;
use tox_data::{DataDir, Dataset};
use tox_nn::Device;
use tox_nn::fit::evaluate;
use tox_nn::layers::{Init, Network, Pass};
use tox_nn::optim::cosine;
use tox_search::cell::GenotypeNetwork;
use tox_search::cell::darts::{CellNetwork, Regularisation};
use tox_search::count::{self, Counts};
use tox_search::final_training::{Evaluation, FinalConfig, Inputs, NAME, Protocol, Trained, train};
use tox_search::space::cells::CellGenotype;
use tox_search::space::nasbench201;
use tox_testkit::data::unpacked;
use tox_testkit::stops::undisturbed;

/// What the report says is what the network, built again, does.
fn check_report(genotype: &CellGenotype, data: &Dataset, config: &FinalConfig, made: &Trained) {
    let Evaluation {
        accuracy,
        best_accuracy,
        best_epoch,
        epochs,
        ..
    } = &made.evaluation;
    let settings = config.resolved(genotype.space().into());
    assert_eq!(epochs.len(), settings.fit.epochs);
    for (i, epoch) in epochs.iter().enumerate() {
        assert_eq!(epoch.epoch, i);
        let fit = &settings.fit;
        assert_eq!(epoch.lr, cosine(i, fit.lr_max, fit.lr_min, fit.epochs));
        let n = i + 1;
        let tested = n == epochs.len() || config.test_every > 0 && n % config.test_every == 0;
        assert_eq!(epoch.accuracy.is_some(), tested, "epoch {i}");
    }
    assert_eq!(epochs.last().unwrap().accuracy, Some(*accuracy));
    assert_eq!(epochs[*best_epoch].accuracy, Some(*best_accuracy));
    let all = epochs.iter().filter_map(|e| e.accuracy);
    assert_eq!(all.fold(0.0, f64::max), *best_accuracy);
    assert_eq!(made.evaluation.nonfinite_steps, 0);
    let [_, c, h, w] = data.train.images.shape;
    let shape = shape(settings.size.unwrap(), data.classes, [c, h, w]);
    let regularisation = Regularisation {
        drop_path: 0.0,
        auxiliary_weight: settings.auxiliary_weight,
    };
    let key = (0, "another");
    let (net, _) = GenotypeNetwork::regularised(genotype, shape, regularisation, key).unwrap();
    let (test, device) = (&data.test, Device::flex());
    let logits = evaluate::logits(&net, &made.state, test, &data.normalise, &device);
    let error = evaluate::error(&logits, &test.labels);
    assert!(
        (100.0 - error - accuracy).abs() < 1e-9,
        "{error} {accuracy}"
    );
}

#[test]
fn a_nasbench201_cell_learns_the_digits() {
    let data = digits(600, None);
    let config = FinalConfig {
        channels: Some(8),
        epochs: Some(5),
        test_every: 2,
        ..config()
    };
    let made = trained(&best(), &data, &config);
    check_report(&best(), &data, &config, &made);
    assert!(made.evaluation.accuracy > 80.0, "{:?}", made.evaluation);
    let shape = nasbench201::Network {
        channels: 8,
        cells: 1,
        classes: 10,
        input: [1, 8, 8],
    };
    let counts = count::nasbench201(&BEST.parse().unwrap(), &shape).unwrap();
    assert_eq!(made.evaluation.counts, counts);
    assert_eq!(made.state.parameters() as u64, counts.params);
}

/// With auxiliary head and drop path, on digits enlarged to 32x32.
#[test]
fn a_darts_cell_learns_the_digits_with_all_that_the_published_training_has() {
    let data = digits(250, Some(32));
    let config = FinalConfig {
        channels: Some(6),
        cells: Some(3),
        epochs: Some(10),
        batch: Some(16),
        lr_max: Some(0.05),
        auxiliary_weight: None,
        crop: Some(2),
        cutout: Some(4),
        test_every: 0,
        ..config()
    };
    let made = trained(&v2(), &data, &config);
    check_report(&v2(), &data, &config, &made);
    assert!(made.evaluation.accuracy > 35.0, "{:?}", made.evaluation);
    let shape = crate::shapes::darts([6, 3, 10], [1, 32, 32], false);
    let counts = count::darts(&DARTS_V2.parse().unwrap(), &shape).unwrap();
    assert_eq!(made.evaluation.counts, counts);
    assert!(made.state.parameters() as u64 > counts.params, "the head's");
}

#[test]
#[ignore = "needs ../shared/data"]
fn real_a_cell_learns_cifar_10() {
    let root = unpacked();
    let spec = DataSpec {
        train: Some(960),
        test: Some(200),
        ..DataSpec::of("cifar10", 32)
    };
    let data = tox_data::load(&spec, &DataDir::resolve(Some(root.path())).unwrap()).unwrap();
    let config = FinalConfig {
        channels: Some(4),
        cells: Some(1),
        epochs: Some(5),
        batch: Some(32),
        test_every: 0,
        ..FinalConfig::default()
    };
    let made = trained(&best(), &data, &config);
    check_report(&best(), &data, &config, &made);
    assert!(made.evaluation.accuracy > 18.0, "{:?}", made.evaluation);
}

/// DARTS V2 with 36 channels and 20 cells has 3,349,342 parameters for colour images.
#[test]
fn the_published_network_takes_a_step() {
    let spec = DataSpec {
        train: Some(2),
        test: Some(2),
        resize: Some(32),
        rgb: true,
        ..DataSpec::of("digits", 2)
    };
    let data = tox_data::load(&spec, &DataDir::resolve(Some(Path::new("."))).unwrap()).unwrap();
    let config = FinalConfig {
        epochs: Some(1),
        ..FinalConfig::default()
    };
    let made = trained(&v2(), &data, &config);
    assert_eq!(made.evaluation.counts.params, 3_349_342);
    assert_eq!(made.evaluation.epochs.len(), 1);
    assert!(made.evaluation.epochs[0].loss.unwrap() > 1.0);
    assert_eq!(made.evaluation.nonfinite_steps, 0);
}

/// A network that is none of a cell space, as an elastic one.
#[derive(Clone)]
struct Plain(CellNetwork);

impl Network for Plain {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        self.0.logits(pass, x)
    }
}

#[test]
fn any_network_can_be_trained() {
    let data = digits(65, None);
    let shape = crate::shapes::darts([4, 1, 10], [1, 8, 8], false);
    let config = FinalConfig {
        channels: None,
        cells: None,
        auxiliary_weight: None,
        ..config()
    };
    let (net, state) =
        CellNetwork::new(&DARTS_V2.parse().unwrap(), &shape, Init::Torch, (3, NAME)).unwrap();
    let counts = Counts { params: 1, macs: 2 };
    let inputs = Inputs {
        data: &data,
        config: &config,
        seed: 3,
        device: Device::flex(),
    };
    let whose = (Protocol::Elastic, counts);
    let mut network = Some((Plain(net), state));
    let made = undisturbed(|hooks| train(network.take().unwrap(), whose, &inputs, hooks)).unwrap();
    assert_eq!(made.evaluation.counts, counts);
    // The elastic space's numbers, which are not those of the DARTS space.
    assert_eq!(made.evaluation.epochs[0].lr, 0.01);
    // Streams do not depend on the space: with the numbers of the one, the other ends the same.
    let same = FinalConfig {
        channels: Some(4),
        cells: Some(1),
        lr_max: Some(0.01),
        weight_decay: Some(4e-5),
        drop_path: Some(0.0),
        ..crate::config()
    };
    let darts = trained(&v2(), &data, &same);
    assert_eq!(bits(&darts.state), bits(&made.state));
}
