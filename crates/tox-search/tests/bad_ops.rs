//! Bad ops on the edges of cells: texts, sizes, layers, mixes.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use burn::tensor::{Tensor, TensorData};
use proptest::prelude::*;
use std::path::Path;
use tox_data::rng::stream;
use tox_data::spec::DataSpec;
use tox_data::{Batch, DataDir};
use tox_nn::Device;
use tox_nn::layers::{Draws, Mode, Network, Pass, State};
use tox_nn::ops::read;
use tox_search::cell::{CellSupernet, GenotypeNetwork, Mix, Supernet as _, SupernetShape};
use tox_search::count;
use tox_search::genes::{Architecture, GeneSpace};
use tox_search::pdarts::config::PdartsConfig;
use tox_search::pdarts::learner::Learner;
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_search::space::darts::{self, Inputs};
use tox_search::space::nasbench201::{self, Cell, EDGES};
use tox_search::space::{BadOp, BadOps, Op, PoisonedSpace};
use tox_search::tenas::Left;
use tox_search::tenas::network::{Score, Supernet};

const SPACES: [CellSpace; 2] = [CellSpace::Darts, CellSpace::NasBench201];

const NAMES: [&str; 12] = [
    "conv3",
    "sep5",
    "avgpool3",
    "maxpool3",
    "identity",
    "gaussian(0.5)",
    "dropout(1)",
    "dropout(0.25)",
    "transposed5",
    "rectified3",
    "mixed(3,1,0.5,0.2)",
    "stretched(3,50,50)",
];

const DRAWS: Draws<'static> = Draws {
    seed: 1,
    network: "test",
    step: 0,
};

fn poisoned(space: CellSpace, names: &[&str], count: usize) -> PoisonedSpace {
    let bad = names.iter().map(|name| BadOps {
        op: name.parse().unwrap(),
        count,
    });
    let bad = bad.collect();
    PoisonedSpace { space, bad }
}

fn cell(op: &str) -> Cell {
    format!("|{op}~0|+|skip_connect~0|{op}~1|+|none~0|nor_conv_3x3~1|{op}~2|")
        .parse()
        .unwrap()
}

fn shape(side: usize) -> SupernetShape {
    SupernetShape {
        channels: 4,
        cells: 3,
        classes: 4,
        input: [1, side, side],
    }
}

fn batch(n: usize) -> Batch {
    let spec = DataSpec {
        train: Some(n),
        test: Some(2),
        ..DataSpec::of("digits", 2)
    };
    let data = tox_data::load(&spec, &DataDir::resolve(Some(Path::new("."))).unwrap()).unwrap();
    let rows: Vec<u32> = (0..n as u32).collect();
    let mut batch = data.train.batch(&rows, &data.normalise, None);
    batch.labels.iter_mut().for_each(|label| *label %= 4);
    batch
}

fn images(batch: &Batch, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(batch.pixels.clone(), batch.shape), device)
}

#[test]
fn texts_name_bad_ops_and_read_them_back() {
    let text = cell("stretched(3,50,50)").to_string();
    assert_eq!(
        text,
        "|stretched(3,50,50)~0|+|skip_connect~0|stretched(3,50,50)~1|+|none~0|nor_conv_3x3~1|\
         stretched(3,50,50)~2|"
    );
    let spaced = text.replace('|', " | ").replace('~', " ~ ");
    assert_eq!(spaced.parse::<Cell>().unwrap().to_string(), text);
    assert_eq!(cell("identity").index(), None);
    assert!(cell("skip_connect").index().is_some());
    // One text an op, and no op that a map does not survive.
    for wrong in [
        "conv03",
        "conv(3)",
        "gaussian(1e1)",
        "gaussian(NaN)",
        "dropout(2)",
        "identity3",
        "transposed4",
        "stretched(3,50,40)",
        "stretched(3,50,50",
        "nothing",
        "",
    ] {
        let message = wrong.parse::<BadOp>().unwrap_err().to_string();
        assert!(message.contains("expected"), "{message}");
    }
    let message = "|conv4~0|+|none~0|none~1|+|none~0|none~1|none~2|".parse::<Cell>();
    let message = message.unwrap_err().to_string();
    assert!(
        message.contains("line 1, column 2: no op is called `conv4`"),
        "{message}"
    );
}

proptest! {
    #[test]
    fn random_genotypes_of_poisoned_spaces_are_texts(seed: u64, count in 1usize..50) {
        for space in SPACES {
            let space = poisoned(space, &NAMES, count);
            let genotype = space.random(&mut stream(seed, "test", &[]), Inputs::Independent);
            let (text, again) = match genotype {
                CellGenotype::Darts(g) => {
                    let text = g.to_string();
                    (text.clone(), CellGenotype::Darts(text.parse().unwrap()))
                }
                CellGenotype::NasBench201(c) => {
                    let text = c.to_string();
                    (text.clone(), CellGenotype::NasBench201(text.parse().unwrap()))
                }
            };
            prop_assert_eq!(again, genotype, "{}", text);
            let counted: usize = genotype.op_counts().iter().flatten().sum();
            prop_assert_eq!(counted + genotype.bad_ops().len(), genotype.edges());
            // Genes say the same network, those of a copy too.
            let genes = GeneSpace::Cell(space.clone());
            let architecture = genes.random(&mut stream(seed, "test", &[1]));
            let row = genes.encode(&architecture).unwrap();
            prop_assert_eq!(genes.decode(&row).unwrap(), architecture.clone());
            let clean = GeneSpace::Cell(PoisonedSpace::clean(space.space));
            let bad = architecture.bad_edges().unwrap()[0];
            prop_assert_eq!(clean.encode(&architecture).is_err(), bad > 0);
        }
    }
}

#[test]
fn clean_spaces_draw_as_before() {
    for space in SPACES {
        let clean = PoisonedSpace::clean(space);
        assert_eq!((clean.chance(), clean.branches()), (0.0, 0));
        let ops: Vec<String> = space.ops().into_iter().map(str::to_owned).collect();
        assert_eq!(clean.ops(), ops);
        for i in 0..20 {
            let draw = || stream(3, "test", &[i]);
            let inputs = Inputs::Independent;
            let (a, b) = (
                space.random(&mut draw(), inputs),
                clean.random(&mut draw(), inputs),
            );
            assert_eq!(a, b);
        }
    }
}

#[test]
fn copies_have_the_odds_of_their_branches() {
    for space in SPACES {
        for count in [1, 10, 400] {
            let space = poisoned(space, &["identity", "dropout(1)"], count);
            let (mut bad, mut all) = (0.0, 0.0);
            for i in 0..600 {
                let found = space.random(&mut stream(1, "odds", &[i]), Inputs::Independent);
                bad += found.bad_ops().len() as f64;
                all += found.edges() as f64;
            }
            let chance = space.chance();
            let deviation = (chance * (1.0 - chance) / all).sqrt();
            let share: f64 = bad / all;
            assert!(
                (share - chance).abs() < 4.0 * deviation + 1e-9,
                "{share} {chance}"
            );
        }
    }
    let share = poisoned(CellSpace::Darts, &["identity"], 7).chance();
    assert_eq!(share, 0.5);
    assert_eq!(
        poisoned(CellSpace::NasBench201, &["identity"], 5).chance(),
        0.5
    );
    let much = poisoned(CellSpace::Darts, &["identity"], 1001);
    assert!(
        much.check()
            .unwrap_err()
            .to_string()
            .contains("1000 at most")
    );
    assert!(
        poisoned(CellSpace::Darts, &["identity"], 0)
            .check()
            .is_err()
    );
}

/// A genotype that has the op on every edge, so on edges of stride 2 too.
fn everywhere(space: CellSpace, op: &str) -> CellGenotype {
    let op: BadOp = op.parse().unwrap();
    match space {
        CellSpace::NasBench201 => CellGenotype::NasBench201(Cell {
            ops: [nasbench201::Op::Bad(op); EDGES],
        }),
        CellSpace::Darts => {
            let edge = |input| darts::Edge {
                input,
                op: darts::Op::Bad(op),
            };
            let cell = darts::Cell::new([[edge(0), edge(1)]; 4]).unwrap();
            CellGenotype::Darts(darts::Genotype {
                normal: cell,
                reduce: cell,
            })
        }
    }
}

#[test]
fn networks_have_the_parameters_that_are_counted() {
    for (space, name) in SPACES.into_iter().flat_map(|s| NAMES.map(|n| (s, n))) {
        let genotype = everywhere(space, name);
        let (_, state) = GenotypeNetwork::new(&genotype, shape(8), (0, "test")).unwrap();
        let counts = match &genotype {
            CellGenotype::Darts(g) => count::darts(g, &shape(8).darts(false)).unwrap(),
            CellGenotype::NasBench201(c) => count::nasbench201(c, &shape(8).nasbench201()).unwrap(),
        };
        assert_eq!(counts.params, state.parameters() as u64, "{name}");
    }
    // By hand: six transposed 3x3 of 4, 8 and 16 channels on maps of 8, 4 and 2, three cells each.
    let macs = |name| {
        let CellGenotype::NasBench201(c) = everywhere(CellSpace::NasBench201, name) else {
            panic!()
        };
        count::nasbench201(&c, &shape(8).nasbench201())
            .unwrap()
            .macs
    };
    let of = |c: u64, side: u64| 18 * 9 * c * c * side * side;
    let expected = of(4, 8) + of(8, 4) + of(16, 2);
    assert_eq!(macs("transposed3") - macs("identity"), expected);
}

fn logits(net: &impl Network, state: &State, batch: &Batch, mode: Mode<'_>) -> Vec<f32> {
    let device = Device::flex();
    let pass = Pass::new(state, &device, mode);
    read(net.logits(&pass, images(batch, &device)))
}

#[test]
fn every_op_runs_everywhere_and_noise_is_of_training() {
    let batch = batch(6);
    for (space, name) in SPACES.into_iter().flat_map(|s| NAMES.map(|n| (s, n))) {
        let genotype = everywhere(space, name);
        let (net, state) = GenotypeNetwork::new(&genotype, shape(8), (0, "test")).unwrap();
        let of = |mode| logits(&net, &state, &batch, mode);
        let other = Draws { step: 1, ..DRAWS };
        let [evaluated, probed, trained, again, later] = [
            of(Mode::Evaluate),
            of(Mode::Probe),
            of(Mode::Train(DRAWS)),
            of(Mode::Train(DRAWS)),
            of(Mode::Train(other)),
        ];
        assert!(evaluated.iter().all(|v| v.is_finite()), "{name}");
        assert_eq!((evaluated.len(), &trained), (24, &again), "{name}");
        assert_eq!(probed, of(Mode::Probe));
        let drawn = ["gaussian(0.5)", "dropout(0.25)", "mixed(3,1,0.5,0.2)"].contains(&name);
        assert_eq!(trained != later, drawn, "{name}");
        assert_eq!(trained != probed, drawn, "{name}");
        if name == "dropout(1)" {
            // Nothing of an image gets through.
            let rows: Vec<_> = trained.chunks(4).collect();
            assert!(rows.iter().all(|row| row == &rows[0]), "{rows:?}");
        }
    }
}

/// What a skip does, an identity does on edges of stride 1.
#[test]
fn an_identity_is_a_skip_by_another_name() {
    let (batch, key) = (batch(6), (3, "test"));
    let nets = ["identity", "skip_connect"].map(|name| {
        let genotype = CellGenotype::NasBench201(cell(name));
        let (net, state) = GenotypeNetwork::new(&genotype, shape(8), key).unwrap();
        logits(&net, &state, &batch, Mode::Probe)
    });
    assert_eq!(nets[0], nets[1]);
}

/// Copies on an edge are one layer, whose weight is the sum of theirs.
#[test]
fn copies_share_a_layer_and_add_their_weights() {
    let (batch, device) = (batch(6), Device::flex());
    for kinds in SPACES {
        let names = ["transposed3", "stretched(3,50,50)"];
        let build = |count: usize| {
            let space = poisoned(kinds, &names, count);
            let all: Vec<usize> = (0..space.ops().len()).collect();
            let candidates = vec![vec![all; kinds.edges()]; kinds.kinds().len()];
            CellSupernet::new(&space, &candidates, shape(8), (1, "test")).unwrap()
        };
        let published = kinds.ops().len();
        let mixed = |count: usize, bad: f32| {
            let (net, state) = build(count);
            let mut weights = vec![Some(0.2); published];
            weights.extend(vec![Some(bad / count as f32); 2 * count]);
            let pass = Pass::new(&state, &device, Mode::Probe);
            let mix = Mix::given(&vec![weights; kinds.edges()], &pass);
            let mixes = vec![mix; kinds.kinds().len()];
            let logits = net.mixed(&pass, images(&batch, &device), &mixes, 0.0);
            (read(logits), state)
        };
        let ((one, state), (four, of_four)) = (mixed(1, 0.5), mixed(4, 0.5));
        assert_eq!(state.parameters(), of_four.parameters());
        // Names, and so weights, of the second op are those of its first branch.
        let named = |state: &State, place: usize| {
            let entries = state.params.entries().iter();
            entries
                .filter(|e| e.name.contains(&format!(".{place}.second")))
                .count()
        };
        assert!(named(&state, published + 1) > 0);
        assert_eq!(named(&state, published + 1), named(&of_four, published + 4));
        if kinds == CellSpace::NasBench201 {
            assert_ne!(one, mixed(1, 0.4).0);
        }
        assert_eq!(one.len(), four.len());
        let only = |count: usize| {
            let space = poisoned(kinds, &names[..1], count);
            let all: Vec<usize> = (0..space.ops().len()).collect();
            let candidates = vec![vec![all; kinds.edges()]; kinds.kinds().len()];
            let made = CellSupernet::new(&space, &candidates, shape(8), (1, "test")).unwrap();
            let pass = Pass::new(&made.1, &device, Mode::Probe);
            let mut weights = vec![Some(0.25); published];
            weights.extend(vec![Some(0.5 / count as f32); count]);
            let mix = Mix::given(&vec![weights; kinds.edges()], &pass);
            let mixes = vec![mix; kinds.kinds().len()];
            read(made.0.mixed(&pass, images(&batch, &device), &mixes, 0.0))
        };
        assert_eq!(only(1), only(4));
    }
}

/// The loss along the gradient of the alphas, those of copies among them.
#[test]
fn gradients_of_alphas_are_differences_of_losses() {
    let batch = batch(12);
    for kinds in SPACES {
        let names = [
            "identity",
            "dropout(0.5)",
            "transposed3",
            "stretched(3,50,50)",
            "sep3",
        ];
        let space = poisoned(kinds, &names, 3);
        let all: Vec<usize> = (0..space.ops().len()).collect();
        let candidates = vec![vec![all; kinds.edges()]; kinds.kinds().len()];
        let (config, device) = (PdartsConfig::default(), Device::flex());
        let key = (1, "test");
        let made = Learner::new(&space, &candidates, shape(8), &config, key, device);
        let mut learner = made.unwrap();
        let mode = || Mode::Train(DRAWS);
        let (gradient, _) = learner.alpha_gradient(&batch, mode(), 0.0);
        let square: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum();
        let step = 0.01 / square.sqrt();
        let mut loss = |sign: f64| {
            let kept = learner.alphas.values.clone();
            for (alpha, g) in learner.alphas.values.iter_mut().zip(&gradient) {
                *alpha += (sign * step * f64::from(*g)) as f32;
            }
            let (_, found) = learner.alpha_gradient(&batch, mode(), 0.0);
            learner.alphas.values = kept;
            f64::from(found.loss)
        };
        let slope = (loss(1.0) - loss(-1.0)) / (2.0 * step);
        assert!(
            (slope / square - 1.0).abs() < 0.03,
            "{kinds:?}: {slope} {square}"
        );
    }
}

/// Copies of a network side by side, each with the weights of one, give its logits.
#[test]
fn networks_side_by_side_do_not_touch() {
    let (batch, device) = (batch(5), Device::flex());
    for space in SPACES {
        let space = poisoned(space, &NAMES, 2);
        let left = Left::fresh(&space);
        let build = |copies| Supernet::new(&space, Score::Kernel, (1, 4), copies, (7, "test"));
        let (net, state) = build(1);
        let pass = Pass::new(&state, &device, Mode::Probe);
        let one = read(net.logits(&pass, images(&batch, &device), &left));
        let (wide, mut wide_state) = build(3);
        wide.widen(&mut wide_state, &state);
        let pass = Pass::new(&wide_state, &device, Mode::Probe);
        let x = images(&batch, &device).repeat_dim(1, 3);
        let all = read(wide.logits(&pass, x, &left));
        for copy in all.chunks(one.len()) {
            for (a, b) in copy.iter().zip(&one) {
                assert!((a - b).abs() < 1e-3 * (1.0 + b.abs()), "{space:?}: {a} {b}");
            }
        }
    }
}

#[test]
fn an_op_of_enas_has_one_name() {
    for name in NAMES {
        assert_eq!(Op::named(name).unwrap().to_string(), name);
    }
    let text = serde_json::to_string(&poisoned(CellSpace::Darts, &NAMES[5..6], 2).bad).unwrap();
    assert_eq!(text, r#"[{"op":"gaussian(0.5)","count":2}]"#);
    assert_eq!(
        serde_json::from_str::<Vec<BadOps>>(&text).unwrap()[0].count,
        2
    );
    let genotype = everywhere(CellSpace::Darts, "transposed3");
    let architecture = Architecture::Cell(genotype);
    let json = serde_json::to_string(&architecture).unwrap();
    assert_eq!(
        serde_json::from_str::<Architecture>(&json).unwrap(),
        architecture
    );
    assert_eq!(architecture.bad_edges(), Some([16, 16]));
}
