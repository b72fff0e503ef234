//! Ops that are made of others (chains, normalised sums) against those, and what holds for all kernels:
//! threads change nothing, buffers that are used again do not show, gradients that nobody asks for are
//! not missed.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use support::{
    Array, ENGINES, assert_close, differentiate, geometries, instruction_sets, naive_conv, read,
    rng, side, widen,
};
use tox_nn::kernels::chain::{Around, Block, Link};
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::pool::Pool;
use tox_nn::ops::{self, Engine};

/// What a chain is tested with: a list of links, and how many channels each convolution makes.
fn chains(c: usize) -> Vec<(Vec<Link>, Vec<usize>)> {
    let link = |conv, norm| Link {
        relu: false,
        conv,
        norm,
    };
    let point = link(Geometry::same(1), Some(true));
    let mut all = vec![
        (vec![link(Geometry::same(3), Some(false))], vec![5]),
        (
            vec![link(Geometry::same(1).groups(c), Some(false))],
            vec![c],
        ),
        (
            vec![
                point,
                link(Geometry::same(5).groups(c), None),
                link(Geometry::same(1), Some(true)),
            ],
            vec![c, c, 7],
        ),
        // No batch norm behind the last one.
        (vec![point, link(Geometry::same(3), None)], vec![4, 3]),
        (vec![link(Geometry::same(3), None)], vec![3]),
    ];
    let second = geometries().into_iter();
    all.extend(second.map(|g| (vec![point, link(g, Some(true))], vec![c, 6])));
    // Separable convolutions of cells: ReLU first, and on what no batch norm made.
    let relu = |link: Link| Link { relu: true, ..link };
    for stride in [1, 2] {
        all.push((
            vec![
                relu(link(Geometry::same(3).groups(c).stride(stride), None)),
                link(Geometry::same(1), Some(false)),
                relu(link(Geometry::dilated(5, 2).groups(c), None)),
                relu(point),
            ],
            vec![c, c, c, 5],
        ));
    }
    all.push((
        vec![
            link(Geometry::same(3).stride(2), Some(true)),
            link(Geometry::same(3), Some(false)),
            point,
        ],
        vec![9, 2, 12],
    ));
    all
}

/// A chain is its ops apart, bit for bit: what each gives is tested above. Beside Burn's ops it is
/// right to rounding.
#[test]
fn a_chain_is_its_ops_one_after_the_other() {
    for (s, (n, map)) in [
        (1, (7, 7)),
        (5, (8, 8)),
        (3, (16, 12)),
        (40, (2, 3)),
        (9, (1, 1)),
        // Several tiles in each part of the gradients.
        (70, (16, 12)),
    ]
    .into_iter()
    .enumerate()
    {
        for c in [1, 3, 8] {
            for (links, outs) in chains(c) {
                let rng = &mut rng(s as u64);
                let mut inputs = vec![Array::uniform([n, c, map.0, map.1], -1.0, 1.0, rng)];
                let (mut ci, mut at) = (c, map);
                for (link, &co) in links.iter().zip(&outs) {
                    let k = link.conv.kernel;
                    let shape = [co, ci / link.conv.groups, k, k];
                    inputs.push(Array::uniform(shape, -1.0, 1.0, rng));
                    if link.norm.is_some() {
                        inputs.push(Array::uniform([co, 1, 1, 1], 0.5, 1.5, rng));
                        inputs.push(Array::uniform([co, 1, 1, 1], -0.5, 0.5, rng));
                    }
                    (ci, at) = (co, side(at, link.conv));
                }
                let dy = Array::uniform([n, ci, at.0, at.1], -1.0, 1.0, rng);
                let inputs: Vec<&Array> = inputs.iter().collect();
                let what = format!("{n} images {map:?}, {c} channels, {links:?}");
                let chain = |engine| {
                    differentiate(&inputs, &dy, |t| {
                        ops::chain(engine, t[0].clone(), &links, t[1..].to_vec())
                    })
                };
                let (out, gradients) = chain(Engine::Kernels);
                let apart = differentiate(&inputs, &dy, |t| {
                    let (mut x, mut weights) = (t[0].clone(), t[1..].iter().cloned());
                    let mut next = || weights.next().unwrap();
                    for link in &links {
                        if link.relu {
                            x = relu(x);
                        }
                        x = ops::conv(Engine::Kernels, x, next(), link.conv);
                        if let Some(relu) = link.norm {
                            x = ops::batch_norm(Engine::Kernels, x, next(), next(), relu);
                        }
                    }
                    x
                });
                assert_eq!(out, apart.0, "output: {what}");
                assert_eq!(gradients, apart.1, "gradients: {what}");
                // One value a channel has no variance: rounding would be all there is to compare.
                if n * at.0 * at.1 > 8 {
                    let (plain, plain_gradients) = chain(Engine::Plain);
                    assert_close(&what, &out, &widen(&plain), 1e-4, 1e-5);
                    for (ours, plain) in gradients.iter().zip(&plain_gradients) {
                        // Where rounding moves a value over ReLU's kink, so does the gradient.
                        let off = ours
                            .iter()
                            .zip(plain)
                            .filter(|(a, b)| (*a - *b).abs() > 1e-2 * (1.0 + b.abs()));
                        assert!(off.count() <= ours.len() / 50, "gradients: {what}");
                    }
                }
            }
        }
    }
}

/// Blocks to test: what leads, the links, what goes around; and channels out of all convolutions.
fn blocks(c: usize) -> Vec<(Block, Vec<usize>)> {
    let link = |relu, k, stride, norm| Link {
        relu,
        conv: Geometry::same(k).stride(stride).winograd(),
        norm,
    };
    // A pre-activation block: BN, ReLU, 3x3, BN, ReLU, 3x3.
    let pair = |relu, stride| vec![link(relu, 3, stride, Some(false)), link(true, 3, 1, None)];
    let block = |lead, links, around| Block {
        lead,
        links,
        around,
        given: None,
    };
    let one = |stride| Around::Conv(Geometry::same(1).stride(stride));
    vec![
        (block(true, pair(true, 1), Around::Input), vec![c, c]),
        (block(true, pair(true, 1), one(1)), vec![19, 17, 17]),
        (block(true, pair(true, 2), one(2)), vec![5, 18, 18]),
        (block(true, pair(false, 1), Around::Nothing), vec![4, 3]),
        (block(false, pair(true, 1), Around::Input), vec![6, c]),
        (block(false, pair(true, 1), one(1)), vec![6, 2, 2]),
        (block(false, pair(false, 1), Around::Input), vec![6, c]),
        (
            block(true, vec![link(true, 1, 1, Some(true))], Around::Nothing),
            vec![7],
        ),
    ]
}

/// A block of ops of the kernels, one after the other.
fn apart(block: &Block, t: &[Tensor<4>]) -> Tensor<4> {
    const KERNELS: Engine = Engine::Kernels;
    let (x, mut weights) = (t[0].clone(), t[1..].iter().cloned());
    let mut given = block.given.iter().flatten();
    let mut next = || weights.next().unwrap();
    let mut norm = |x, gamma, beta, relu| match given.next() {
        Some(given) => ops::batch_norm_given(KERNELS, x, (gamma, beta), given.clone(), relu),
        None => ops::batch_norm(KERNELS, x, gamma, beta, relu),
    };
    let mut y = x.clone();
    if block.lead {
        y = norm(y, next(), next(), false);
    }
    let mut first = None;
    for link in &block.links {
        y = if link.relu { relu(y) } else { y };
        first.get_or_insert(y.clone());
        y = ops::conv(KERNELS, y, next(), link.conv);
        if let Some(relu) = link.norm {
            y = norm(y, next(), next(), relu);
        }
    }
    match block.around {
        Around::Nothing => y,
        Around::Input => y + x,
        Around::Conv(g) => y + ops::conv(KERNELS, first.unwrap(), next(), g),
    }
}

/// A block's weights after an input of `c` channels, and the output's shape.
fn block_inputs(
    block: &Block,
    outs: &[usize],
    [n, c, h, w]: [usize; 4],
) -> (Vec<[usize; 4]>, [usize; 4]) {
    let mut shapes = vec![[n, c, h, w]];
    let norm = |shapes: &mut Vec<_>, c| shapes.extend([[c, 1, 1, 1]; 2]);
    if block.lead {
        norm(&mut shapes, c);
    }
    let (mut ci, mut at) = (c, (h, w));
    for (link, &co) in block.links.iter().zip(outs) {
        let k = link.conv.kernel;
        shapes.push([co, ci, k, k]);
        if link.norm.is_some() {
            norm(&mut shapes, co);
        }
        (ci, at) = (co, side(at, link.conv));
    }
    if let Around::Conv(g) = block.around {
        shapes.push([ci, c, g.kernel, g.kernel]);
    }
    (shapes, [n, ci, at.0, at.1])
}

/// Means and variances for the batch norms of a block.
fn given(block: &Block, outs: &[usize], c: usize) -> Vec<Vec<[f32; 2]>> {
    let links = block.links.iter().zip(outs);
    let behind = links.filter_map(|(link, co)| link.norm.map(|_| *co));
    let norms = block.lead.then_some(c).into_iter().chain(behind);
    let stats = |c| (0..c).map(|i| [0.1 * (i % 5) as f32 - 0.2, 0.5 + 0.3 * (i % 4) as f32]);
    norms.map(|c| stats(c).collect()).collect()
}

/// A block is its ops apart: its output bit for bit, its gradients but for the order in which those of
/// a map with several readers are added. Beside Burn's ops it is right to rounding.
#[test]
fn a_block_is_its_ops_one_after_the_other() {
    for (c, n, map) in [(3, 5, (7, 7)), (17, 3, (8, 8)), (16, 70, (16, 12))] {
        for (block, outs) in blocks(c) {
            for fixed in [false, true] {
                let given = fixed.then(|| given(&block, &outs, c));
                let block = Block {
                    given,
                    ..block.clone()
                };
                let rng = &mut rng(21);
                let (shapes, out) = block_inputs(&block, &outs, [n, c, map.0, map.1]);
                let fill = |&[a, b, h, w]: &[usize; 4]| match b * h * w {
                    1 => Array::uniform([a, 1, 1, 1], 0.5, 1.5, rng),
                    _ => Array::uniform([a, b, h, w], -1.0, 1.0, rng),
                };
                let inputs: Vec<Array> = shapes.iter().map(fill).collect();
                let inputs: Vec<&Array> = inputs.iter().collect();
                let dy = Array::uniform(out, -1.0, 1.0, &mut support::rng(22));
                let what = format!("{n} images {map:?}, {c} channels, {block:?}");
                let run = |engine| {
                    differentiate(&inputs, &dy, |t| {
                        let weights = t[1..].to_vec();
                        ops::block(engine, t[0].clone(), block.clone(), weights, false).0
                    })
                };
                let (out, gradients) = run(Engine::Kernels);
                let separate = differentiate(&inputs, &dy, |t| apart(&block, t));
                assert!(out == separate.0, "output: {what}");
                for (ours, other) in gradients.iter().zip(&separate.1) {
                    assert_close(&what, ours, &widen(other), 1e-4, 1e-5);
                }
                let (plain, plain_gradients) = run(Engine::Plain);
                assert_close(&what, &out, &widen(&plain), 1e-4, 1e-5);
                for (ours, plain) in gradients.iter().zip(&plain_gradients) {
                    // Where rounding moves a value over ReLU's kink, so does the gradient.
                    let peak = plain.iter().fold(1.0f32, |peak, v| peak.max(v.abs()));
                    let pairs = ours.iter().zip(plain);
                    let off = pairs.filter(|(a, b)| (*a - *b).abs() > 1e-2 * (peak + b.abs()));
                    assert!(off.count() <= ours.len() / 50, "gradients: {what}");
                }
            }
        }
    }
}

/// What batch norms measure on the way is mean and biased variance of what they see.
#[test]
fn statistics_are_those_of_the_maps() {
    let rng = &mut rng(12);
    let x = Array::uniform([5, 3, 7, 7], 2.0, 4.0, rng);
    let weight = Array::uniform([6, 3, 3, 3], -1.0, 1.0, rng);
    let [gamma, beta] = [0, 1].map(|v| Array::new([6, 1, 1, 1], vec![v as f32; 6]));
    let g = Geometry::same(3).stride(2);
    let (none, dy) = (x.clone(), Array::new([5, 6, 4, 4], vec![0.0; 480]));
    let check = |values: &[f64], c: usize, measured: Tensor<2>, what: &str| {
        let measured: Vec<f32> = measured.into_data().try_into_vec().unwrap();
        let plane = values.len() / 5 / c;
        let of = |channel: usize| -> Vec<f64> {
            let mine = |i: &usize| i / plane % c == channel;
            (0..values.len()).filter(mine).map(|i| values[i]).collect()
        };
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let means: Vec<f64> = (0..c).map(|ch| mean(&of(ch))).collect();
        let vars = (0..c).map(|ch| {
            let squares: Vec<f64> = of(ch).iter().map(|v| (v - means[ch]).powi(2)).collect();
            mean(&squares)
        });
        let expected: Vec<f64> = means.iter().copied().chain(vars).collect();
        assert_close(what, &measured, &expected, 1e-6, 1e-6);
    };
    let [y, ..] = naive_conv(&none, &weight, &dy, g);
    for engine in ENGINES {
        let what = format!("{engine:?}");
        let link = Link {
            relu: false,
            conv: g,
            norm: Some(true),
        };
        let weights = [&weight, &gamma, &beta].map(Array::leaf).to_vec();
        let (_, measured) = ops::block(engine, x.constant(), Block::of(&[link]), weights, true);
        assert_eq!(measured.len(), 1);
        check(&y, 6, measured[0].clone(), &what);
        let [gamma, beta] = [1, 0].map(|v| Array::new([3, 1, 1, 1], vec![v as f32; 3]).leaf());
        let (_, measured) = ops::batch_norm_measured(engine, x.leaf(), gamma, beta, false);
        check(&widen(&x.values), 3, measured, &what);
    }
}

/// The sum of maps and its batch norm are the additions and the batch norm.
#[test]
fn a_normalised_sum_is_the_sum_normalised() {
    for (maps, shape) in [
        (1, [3, 5, 7, 7]),
        (2, [1, 3, 2, 2]),
        (4, [5, 36, 9, 9]),
        (15, [2, 2, 3, 1]),
    ] {
        let rng = &mut rng(maps as u64);
        let mut inputs: Vec<Array> = (0..maps)
            .map(|_| Array::uniform(shape, -1.0, 1.0, rng))
            .collect();
        for (low, high) in [(0.5, 1.5), (-0.5, 0.5)] {
            inputs.push(Array::uniform([shape[1], 1, 1, 1], low, high, rng));
        }
        let dy = Array::uniform(shape, -1.0, 1.0, rng);
        let inputs: Vec<&Array> = inputs.iter().collect();
        let one = differentiate(&inputs, &dy, |t| {
            let (gamma, beta) = (t[maps].clone(), t[maps + 1].clone());
            ops::sum_norm(Engine::Kernels, t[..maps].to_vec(), gamma, beta, true)
        });
        let apart = differentiate(&inputs, &dy, |t| {
            let (gamma, beta) = (t[maps].clone(), t[maps + 1].clone());
            let sum = t[..maps].iter().cloned().reduce(|a, b| a + b).unwrap();
            ops::batch_norm(Engine::Kernels, sum, gamma, beta, true)
        });
        assert_eq!(one, apart, "{maps} maps of {shape:?}");
    }
}

/// An op with the shapes of its inputs.
type Case = (&'static str, Vec<[usize; 4]>, fn(&[Tensor<4>]) -> Tensor<4>);

/// The inputs of [`example`].
const BLOCK: [[usize; 4]; 8] = [
    [37, 16, 7, 9],
    [16, 1, 1, 1],
    [16, 1, 1, 1],
    [20, 16, 3, 3],
    [20, 1, 1, 1],
    [20, 1, 1, 1],
    [18, 20, 3, 3],
    [18, 16, 1, 1],
];

/// A pre-activation block with a convolution around it.
fn example(fixed: bool) -> Block {
    let link = |stride, norm| Link {
        relu: true,
        conv: Geometry::same(3).stride(stride).winograd(),
        norm,
    };
    Block {
        lead: true,
        links: vec![link(2, Some(false)), link(1, None)],
        around: Around::Conv(Geometry::same(1).stride(2)),
        given: fixed.then(|| vec![vec![[0.1, 0.8]; 16], vec![[-0.2, 1.5]; 20]]),
    }
}

/// Every kernel, on maps that are large enough to be shared out between threads and kept for the next.
fn cases() -> Vec<Case> {
    const KERNELS: Engine = Engine::Kernels;
    let (map, odd, wide) = ([97, 12, 8, 8], [97, 12, 7, 5], [97, 12, 3, 13]);
    let (point, dense, depthwise) = ([12, 12, 1, 1], [12, 12, 3, 3], [12, 1, 5, 5]);
    let channel = [12, 1, 1, 1];
    vec![
        ("1x1, rows that are planes", vec![map, point], |t| {
            ops::conv(KERNELS, t[0].clone(), t[1].clone(), Geometry::same(1))
        }),
        ("3x3", vec![odd, dense], |t| {
            ops::conv(KERNELS, t[0].clone(), t[1].clone(), Geometry::same(3))
        }),
        ("3x3, stride 2", vec![odd, dense], |t| {
            let g = Geometry::same(3).stride(2);
            ops::conv(KERNELS, t[0].clone(), t[1].clone(), g)
        }),
        ("depthwise 5x5", vec![wide, depthwise], |t| {
            let g = Geometry::same(5).groups(12);
            ops::conv(KERNELS, t[0].clone(), t[1].clone(), g)
        }),
        ("depthwise 5x5, stride 2", vec![map, depthwise], |t| {
            let g = Geometry::same(5).groups(12).stride(2);
            ops::conv(KERNELS, t[0].clone(), t[1].clone(), g)
        }),
        (
            "a chain",
            vec![
                map, depthwise, point, channel, channel, dense, channel, channel,
            ],
            |t| {
                let link = |relu, conv, norm| Link { relu, conv, norm };
                let links = [
                    link(true, Geometry::same(5).groups(12), None),
                    link(false, Geometry::same(1), Some(true)),
                    link(false, Geometry::same(3).stride(2), Some(false)),
                ];
                ops::chain(KERNELS, t[0].clone(), &links, t[1..].to_vec())
            },
        ),
        (
            "3x3 with fewer products",
            vec![[37, 16, 7, 9], [20, 16, 3, 3]],
            |t| {
                let g = Geometry::same(3).winograd();
                ops::conv(KERNELS, t[0].clone(), t[1].clone(), g)
            },
        ),
        (
            "a block with a convolution around it",
            BLOCK.to_vec(),
            |t| {
                ops::block(
                    KERNELS,
                    t[0].clone(),
                    example(false),
                    t[1..].to_vec(),
                    false,
                )
                .0
            },
        ),
        ("a block in evaluation", BLOCK.to_vec(), |t| {
            ops::block(KERNELS, t[0].clone(), example(true), t[1..].to_vec(), false).0
        }),
        (
            "batch norm in evaluation",
            vec![odd, channel, channel],
            |t| {
                let (weights, given) = ((t[1].clone(), t[2].clone()), vec![[0.1, 0.8]; 12]);
                ops::batch_norm_given(KERNELS, t[0].clone(), weights, given, true)
            },
        ),
        ("batch norm", vec![odd, channel, channel], |t| {
            ops::batch_norm(KERNELS, t[0].clone(), t[1].clone(), t[2].clone(), true)
        }),
        (
            "a normalised sum",
            vec![odd, odd, odd, channel, channel],
            |t| {
                let (gamma, beta) = (t[3].clone(), t[4].clone());
                ops::sum_norm(KERNELS, t[..3].to_vec(), gamma, beta, false)
            },
        ),
        ("average pool", vec![odd], |t| {
            ops::pool(KERNELS, t[0].clone(), Pool::Average)
        }),
        ("max pool", vec![odd], |t| {
            ops::pool(KERNELS, t[0].clone(), Pool::Max)
        }),
        ("gather", vec![odd], |t| ops::gather(KERNELS, t[0].clone())),
    ]
}

/// Random inputs.
fn inputs(shapes: &[[usize; 4]]) -> Vec<Array> {
    let rng = &mut rng(8);
    let each = shapes.iter();
    each.map(|&shape| Array::uniform(shape, -1.0, 1.0, rng))
        .collect()
}

/// Output and gradients of a case with a random cotangent; inputs that are not `tracked` are constants.
fn run(case: &Case, inputs: &[Array], tracked: &[bool]) -> (Vec<f32>, Vec<Option<Vec<f32>>>) {
    let each = inputs.iter().zip(tracked);
    let leaves: Vec<Tensor<4>> = each
        .map(|(x, &on)| if on { x.leaf() } else { x.constant() })
        .collect();
    let out = case.2(&leaves);
    let dy = Array::uniform(out.dims(), -1.0, 1.0, &mut rng(9));
    let gradients = (out.clone() * dy.constant()).sum().backward();
    let each = leaves.iter().zip(tracked);
    let each = each.map(|(x, &on)| on.then(|| read(x.grad(&gradients).expect("a gradient"))));
    (read(out), each.collect())
}

/// Buffers of maps are used again, with what they held.
#[test]
fn what_a_buffer_held_before_is_never_read() {
    let all = |bad: bool| -> Vec<_> {
        let each = cases().into_iter().map(|case| {
            let mut inputs = inputs(&case.1);
            if bad {
                inputs[0].values.fill(f32::NAN);
            }
            let tracked = vec![true; inputs.len()];
            run(&case, &inputs, &tracked)
        });
        each.collect()
    };
    let first = all(false);
    let values = first.iter().flat_map(|(out, gradients)| {
        let gradients = gradients.iter().flatten().flatten();
        out.iter().chain(gradients)
    });
    assert!(values.into_iter().all(|v| v.is_finite()));
    all(true);
    assert!(all(false) == first);
}

/// A gradient is the same whether the others are asked for or not.
#[test]
fn constants_among_the_inputs_change_no_other_gradient() {
    for case in cases() {
        let (inputs, n) = (inputs(&case.1), case.1.len());
        let (out, all) = run(&case, &inputs, &vec![true; n]);
        // One is a constant; one is none.
        for which in 0..if n > 1 { n } else { 0 } {
            for tracked in [true, false] {
                let tracked: Vec<bool> = (0..n).map(|i| (i == which) != tracked).collect();
                let (same, some) = run(&case, &inputs, &tracked);
                assert!(same == out, "{}: output", case.0);
                for (i, some) in some.iter().enumerate().filter(|(i, _)| tracked[*i]) {
                    assert!(*some == all[i], "{}: gradient {i} of {tracked:?}", case.0);
                }
            }
        }
    }
}

/// Sums are cut alike whatever the number of threads.
#[test]
fn threads_do_not_change_a_bit() {
    for case in cases() {
        let inputs = inputs(&case.1);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let tracked = vec![true; inputs.len()];
            pool.unwrap().install(|| run(&case, &inputs, &tracked))
        };
        let one = with(1);
        assert!(one.0.iter().any(|v| *v != 0.0));
        for threads in [2, 3, 8] {
            assert!(with(threads) == one, "{}: {threads} threads", case.0);
        }
    }
}

instruction_sets!();
