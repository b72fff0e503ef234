//! Networks of the DARTS space, whose max pools and ReLUs are in chains of ops.

use crate::support::distance;
use tox_data::Batch;
use tox_data::rng::stream;
use tox_nn::layers::{Init, Network};
use tox_nn::params::Params;
use tox_nn::{Device, init};
use tox_poison::data::gc::{Objective, Victim};
use tox_search::cell::darts::{CellNetwork, DartsSupernet};
use tox_search::space::darts::{EDGES, Genotype, Network as Shape, Op};

/// With all choices held, the difference hardly depends on its length; with a single one that is
/// not, it would not settle at all.
fn settles<N: Network>(name: &str, mut victim: Victim<N>) {
    let mut rng = stream(2, "test", &[]);
    let [clean, poison] = [(); 2].map(|()| Batch {
        pixels: init::normal(8 * 3 * 16 * 16, 1.0, &mut rng),
        shape: [8, 3, 16, 16],
        labels: (0..8).collect(),
    });
    let clean = victim.gradient(&clean).values;
    let [long, short] = [0.01, 0.003].map(|difference| {
        let objective = Objective {
            clean: &clean,
            share: 0.1,
            difference,
        };
        objective.gradient(&mut victim, &poison).1
    });
    let short: Vec<f64> = short.iter().map(|v| f64::from(*v)).collect();
    let found = distance(&long, &short);
    assert!(found < 1e-2, "{name}: {found}");
}

#[test]
fn choices_are_held_in_all_ops_of_the_darts_space() {
    let shape = Shape {
        channels: 4,
        layers: 5,
        classes: 10,
        input: [3, 16, 16],
        auxiliary: false,
    };
    let v2: Genotype = "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), \
        ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), \
        ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], \
        reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), \
        ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), \
        ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
        .parse()
        .unwrap();
    let key = (0, "test");
    let (net, state) = CellNetwork::new(&v2, &shape, Init::Torch, key).unwrap();
    settles("DARTS V2", Victim::of_all(net, state, Device::flex()));
    let all = vec![Op::ALL.to_vec(); EDGES];
    let made = DartsSupernet::new([&all, &all], &shape, Init::Torch, key);
    let (net, state) = made.unwrap();
    let mut alphas = Params::default();
    for kind in ["normal", "reduce"] {
        let values = init::normal(EDGES * 8, 0.3, &mut stream(1, kind, &[]));
        alphas.add(kind.into(), [EDGES, 8], values);
    }
    let victim = Victim::of_alphas(net, state, &alphas, Device::flex());
    assert_eq!(victim.values(), alphas.values);
    settles("supernet", victim);
}
