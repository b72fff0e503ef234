//! What must not change a bit: buffers, constants, threads.

use super::*;

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
        (
            "5x5 with fewer products",
            vec![[97, 18, 8, 8], [20, 18, 5, 5]],
            |t| {
                let g = Geometry::same(5).winograd();
                ops::conv(KERNELS, t[0].clone(), t[1].clone(), g)
            },
        ),
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
