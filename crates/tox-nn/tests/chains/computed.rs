//! What chains and blocks compute.

use super::*;

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
    for engine in engines() {
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
