//! The cell spaces and the elastic space: texts, encodings, sampling, refusals.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use std::collections::BTreeSet;
use tox_data::rng::stream;
use tox_search::space::cells::CellGenotype;
use tox_search::space::darts::{self, Edge, Genotype, Inputs, edge_index};
use tox_search::space::elastic::{Arch, ElasticSpace, GENES};
use tox_search::space::nasbench201::{CELLS, Cell, Op};
use tox_testkit::DARTS_V2;

fn v2() -> Genotype {
    DARTS_V2.parse().unwrap()
}

#[test]
fn a_published_genotype_is_read_and_written_as_python_writes_it() {
    use darts::Op::{Dil3, MaxPool3, Sep3, Skip};
    let cell = |edges: [(darts::Op, usize); 8]| {
        let edges = edges.map(|(op, input)| Edge { input, op });
        darts::Cell::new(std::array::from_fn(|i| [edges[2 * i], edges[2 * i + 1]])).unwrap()
    };
    let normal = [Sep3, Sep3, Sep3, Sep3, Sep3, Skip, Skip, Dil3];
    let normal = cell(std::array::from_fn(|i| {
        (normal[i], [0, 1, 0, 1, 1, 0, 0, 2][i])
    }));
    let reduce = [
        MaxPool3, MaxPool3, Skip, MaxPool3, MaxPool3, Skip, Skip, MaxPool3,
    ];
    let reduce = cell(std::array::from_fn(|i| {
        (reduce[i], [0, 1, 2, 1, 0, 2, 2, 1][i])
    }));
    assert_eq!(v2(), Genotype { normal, reduce });
    let python = DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6)");
    assert_eq!(v2().to_string(), python);
    let json = serde_json::to_string(&v2()).unwrap();
    assert_eq!(json, format!("\"{python}\""));
    assert_eq!(serde_json::from_str::<Genotype>(&json).unwrap(), v2());
}

/// The fixture's texts are what Python's `str` makes of a namedtuple.
#[test]
fn genotypes_printed_by_python_are_read_and_written_alike() {
    let fixture = include_str!("fixtures/counts.json");
    let fixture: serde_json::Value = serde_json::from_str(fixture).unwrap();
    let cases = fixture["darts"].as_array().unwrap();
    for case in cases {
        let text = case["genotype"].as_str().unwrap();
        let genotype: Genotype = text.parse().unwrap();
        assert_eq!(
            genotype.to_string(),
            text.replace("[2, 3, 4, 5]", "range(2, 6)")
        );
    }
    assert!(!cases.is_empty());
}

#[test]
fn the_same_genotype_is_read_from_all_that_python_would_read_as_it() {
    let wide = DARTS_V2
        .replace('(', " ( ")
        .replace(',', " ,\n\t")
        .replace('=', " = ");
    let lists = DARTS_V2.replace("('", "['").replace("),", "],");
    let lists = lists.replace(")]", "]]");
    let (normal, reduce) = DARTS_V2
        .trim_start_matches("Genotype(")
        .split_once(", reduce=")
        .unwrap();
    let swapped = format!(
        "Genotype(reduce={}, {normal})",
        reduce.trim_end_matches(')')
    );
    let (edges, concat) = normal.split_once(", normal_concat").unwrap();
    for text in [
        format!("DARTS_V2 = {DARTS_V2}"),
        format!("  # from a log\n{DARTS_V2} # best\n"),
        DARTS_V2.replace('\'', "\""),
        DARTS_V2.replace("[2, 3, 4, 5]", "range(2,6)"),
        DARTS_V2.replace("])", "],\n)").replace(")]", "),]"),
        DARTS_V2.replace("[2, 3, 4, 5]", "(2, 3, 4, 5)"),
        wide,
        lists,
        swapped,
        DARTS_V2.replace(normal, &format!("normal_concat{concat}, {edges}")),
    ] {
        assert_eq!(text.parse::<Genotype>().unwrap(), v2(), "{text}");
    }
}

fn refusal<T: std::str::FromStr<Err: std::error::Error> + std::fmt::Debug>(text: &str) -> String {
    text.parse::<T>().unwrap_err().to_string()
}

#[test]
fn wrong_genotypes_are_refused_with_the_place_and_what_was_expected() {
    let with = |from: &str, to: &str| {
        assert!(DARTS_V2.contains(from), "{from}");
        refusal::<Genotype>(&DARTS_V2.replacen(from, to, 1))
    };
    let cases = [
        refusal::<Genotype>(""),
        refusal::<Genotype>("|none~0|"),
        with("Genotype(", "Genotyp("),
        with("Genotype(", "Genotype["),
        with("dil_conv_3x3", "dil_conv_3x5"),
        with("dil_conv_3x3", "nor_conv_1x1_and_more"),
        with("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"),
        with("('sep_conv_3x3', 0)", "('sep_conv_3x3', 2)"),
        with("('dil_conv_3x3', 2)", "('dil_conv_3x3', -2)"),
        with(
            "('dil_conv_3x3', 2)",
            "('dil_conv_3x3', 99999999999999999999999)",
        ),
        with("('dil_conv_3x3', 2)", "('dil_conv_3x3', '2')"),
        with("('dil_conv_3x3', 2)", "('dil_conv_3x3')"),
        with("('dil_conv_3x3', 2)", "(dil_conv_3x3, 2)"),
        with(", ('dil_conv_3x3', 2)", ""),
        with("('dil_conv_3x3', 2)", "('none', 2), ('none', 2)"),
        with("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 3, 5]"),
        with("reduce_concat=[2, 3, 4, 5]", "reduce_concat=range(1, 6)"),
        with("reduce_concat=[2, 3, 4, 5]", "reduce_concat=6"),
        with(", reduce_concat=[2, 3, 4, 5]", ""),
        with("reduce=", "reduction="),
        with("reduce=", "normal="),
        with("[2, 3, 4, 5])", "[2, 3, 4, 5]"),
        with("('dil_conv_3x3', 2)]", "('dil_conv_3x3, 2)]"),
        with("reduce=", "\nreduce:"),
        refusal::<Genotype>(&format!("{DARTS_V2} é")),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

#[test]
fn wrong_arch_strings_are_refused_with_the_place_and_what_was_expected() {
    let cases = [
        "",
        DARTS_V2,
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|",
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|none~3|",
        "|nor_conv_3x3~0|+|none~0|none~0|+|none~0|none~1|none~2|",
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|sep_conv_3x3~2|",
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|avg_pool~2|",
        "|nor_conv_3x3|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|nor_conv_3x3~0||none~0|none~1|+|none~0|none~1|none~2|",
    ];
    insta::assert_snapshot!(cases.map(refusal::<Cell>).join("\n"));
}

/// The four P-DARTS searches on clean data that the poisoning paper's authors published, whose mean
/// op counts are known: 1.75 skips, no pools, 4.5 separable and 1.75 dilated convs.
#[test]
fn op_counts_of_the_published_clean_searches_are_the_published_means() {
    let clean = [
        "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 1), \
         ('skip_connect', 0), ('sep_conv_3x3', 2), ('sep_conv_3x3', 1), ('dil_conv_5x5', 4)",
        "('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), \
         ('skip_connect', 0), ('dil_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_5x5', 4)",
        "('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_3x3', 0), ('dil_conv_3x3', 1), \
         ('sep_conv_3x3', 0), ('sep_conv_5x5', 1), ('skip_connect', 0), ('sep_conv_3x3', 1)",
        "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('dil_conv_3x3', 2), \
         ('skip_connect', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), ('dil_conv_3x3', 3)",
    ];
    let mut sums = [0; 8];
    for edges in clean {
        let text = format!(
            "Genotype(normal=[{edges}], normal_concat=range(2, 6), reduce=[{edges}], \
             reduce_concat=range(2, 6))"
        );
        let counts = CellGenotype::Darts(text.parse().unwrap()).op_counts();
        sums.iter_mut()
            .zip(&counts[0])
            .for_each(|(sum, n)| *sum += n);
    }
    let [none, max_pool, avg_pool, skip, sep3, sep5, dil3, dil5] = sums;
    assert_eq!((none, max_pool + avg_pool, skip), (0, 0, 7));
    assert_eq!((sep3 + sep5, dil3 + dil5), (18, 7));
}

#[test]
fn edges_of_a_search_are_numbered_without_gaps() {
    let edges = (0..darts::NODES).flat_map(|node| (0..node + 2).map(move |i| edge_index(node, i)));
    assert!(edges.eq(0..darts::EDGES));
}

#[test]
fn canonical_genotypes_forget_the_order_of_a_node_s_edges_and_nothing_else() {
    let swap = |text: &str| {
        let (a, b) = (
            "('skip_connect', 0), ('dil_conv_3x3', 2)",
            "('dil_conv_3x3', 2), ('skip_connect', 0)",
        );
        text.replace(a, b).parse::<Genotype>().unwrap()
    };
    assert_ne!(swap(DARTS_V2), v2());
    assert_eq!(swap(DARTS_V2).canonical(), v2().canonical());
    let other: Genotype = DARTS_V2
        .replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 1)")
        .parse()
        .unwrap();
    assert_ne!(other.canonical(), v2().canonical());
}

/// How often each (first input, second input, first op, second op) came into each node, against
/// equal chances, in standard deviations; the largest over all.
fn worst(cells: &[darts::Cell], allowed: impl Fn(usize, usize) -> bool) -> f64 {
    let n = cells.len() as f64;
    let mut worst: f64 = 0.0;
    let mut check = |hits: usize, chance: f64| {
        worst = worst.max((hits as f64 - n * chance).abs() / (n * chance * (1.0 - chance)).sqrt());
    };
    for node in 0..darts::NODES {
        let pairs: Vec<(usize, usize)> = (0..node + 2)
            .flat_map(|a| (0..node + 2).map(move |b| (a, b)))
            .collect();
        let possible = pairs.iter().filter(|(a, b)| allowed(*a, *b)).count();
        for (a, b) in pairs {
            let of = |cell: &&darts::Cell| cell.nodes()[node].map(|e| e.input) == [a, b];
            let hits = cells.iter().filter(of).count();
            if allowed(a, b) && possible > 1 {
                check(hits, 1.0 / possible as f64);
            } else if !allowed(a, b) {
                assert_eq!(hits, 0);
            }
        }
        for first in &darts::Op::ALL[1..] {
            for second in &darts::Op::ALL[1..] {
                let of = |c: &&darts::Cell| c.nodes()[node].map(|e| e.op) == [*first, *second];
                check(cells.iter().filter(of).count(), 1.0 / 49.0);
            }
        }
    }
    worst
}

#[test]
fn random_genotypes_are_uniform_and_distributed_as_the_published_ones() {
    let cells = |inputs| -> Vec<darts::Cell> {
        (0..20_000)
            .map(|i| Genotype::random(&mut stream(3, "pool", &[i]), inputs))
            .flat_map(|g| [g.normal, g.reduce])
            .collect()
    };
    let distinct = worst(&cells(Inputs::Distinct), |a, b| a != b);
    assert!(distinct < 5.0, "{distinct}");
    let independent = worst(&cells(Inputs::Independent), |_, _| true);
    assert!(independent < 5.0, "{independent}");

    // RoBoT: 14 x 7 uniform numbers, softmax, the two edges with the largest op, the larger first.
    let robot: Vec<darts::Cell> = (0..20_000)
        .map(|i| {
            let mut rng = stream(3, "robot", &[i]);
            let alphas: [[f64; 7]; 14] =
                std::array::from_fn(|_| std::array::from_fn(|_| rng.random()));
            darts::Cell::new(std::array::from_fn(|node| {
                let mut edges: Vec<(f64, Edge)> = (0..node + 2)
                    .map(|input| {
                        let row = alphas[edge_index(node, input)];
                        let best = (0..7).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
                        let sum: f64 = row.iter().map(|v| v.exp()).sum();
                        let op = darts::Op::ALL[1 + best];
                        (row[best].exp() / sum, Edge { input, op })
                    })
                    .collect();
                edges.sort_by(|a, b| b.0.total_cmp(&a.0));
                [edges[0].1, edges[1].1]
            }))
            .unwrap()
        })
        .collect();
    let robot = worst(&robot, |a, b| a != b);
    assert!(robot < 5.0, "{robot}");
}

fn genotypes() -> impl Strategy<Value = Genotype> {
    let edge = (0..8usize, 0..1000usize);
    proptest::array::uniform16(edge).prop_map(|edges| {
        let cell = |start: usize| {
            darts::Cell::new(std::array::from_fn(|node| {
                [0, 1].map(|i| {
                    let (op, input) = edges[start + 2 * node + i];
                    Edge {
                        input: input % (node + 2),
                        op: darts::Op::ALL[op],
                    }
                })
            }))
            .unwrap()
        };
        Genotype {
            normal: cell(0),
            reduce: cell(8),
        }
    })
}

/// `text` with a piece cut out or doubled, or a character put in.
fn damaged(text: String) -> impl Strategy<Value = String> {
    let marks =
        proptest::sample::select(vec!["'", "(", "]", ",", "=", "9", "é", "#", "\n", "|", "~"]);
    (0..text.len(), 0..text.len(), marks, 0..3).prop_map(move |(a, b, mark, kind)| {
        let (a, b) = (a.min(b), a.max(b));
        match kind {
            0 => format!("{}{}", &text[..a], &text[b..]),
            1 => format!("{}{}", &text[..b], &text[a..]),
            _ => format!("{}{mark}{}", &text[..a], &text[a..]),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn genotypes_survive_their_text(genotype in genotypes()) {
        prop_assert_eq!(genotype.to_string().parse::<Genotype>().unwrap(), genotype);
    }

    /// A damaged text is refused, or is another genotype's: never a panic.
    #[test]
    fn damaged_texts_are_refused_or_mean_what_they_say(text in damaged(v2().to_string())) {
        if let Ok(genotype) = text.parse::<Genotype>() {
            prop_assert_eq!(genotype.to_string().parse::<Genotype>().unwrap(), genotype);
        }
    }

    #[test]
    fn damaged_arch_strings_are_refused_or_mean_what_they_say(
        text in damaged(Cell::from_index(9).unwrap().to_string())
    ) {
        if let Ok(cell) = text.parse::<Cell>() {
            prop_assert_eq!(cell.to_string().parse::<Cell>().unwrap(), cell);
        }
    }

    #[test]
    fn any_genes_in_range_are_an_architecture_and_back(
        genes in proptest::collection::vec(0..3usize, GENES - 1), r in 0..17usize
    ) {
        let space = ElasticSpace::published(1.0);
        let mut genes = genes;
        genes.push(r);
        let arch = space.decode(&genes).unwrap();
        let canonical = space.encode(&arch).unwrap();
        prop_assert_eq!(&space.decode(&canonical).unwrap(), &arch);
        for (i, (gene, canonical)) in genes.iter().zip(canonical).enumerate() {
            let layer = (i % 9 + 3) % 4;
            let expressed = i == 45 || i % 9 == 0 || layer < 2 + genes[i - i % 9];
            prop_assert_eq!(canonical, if expressed { *gene } else { 0 }, "gene {}", i);
        }
    }
}

#[test]
fn cells_have_the_numbers_in_which_the_published_code_generates_them() {
    let cell = |text: &str| text.parse::<Cell>().unwrap();
    let one = "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|";
    assert_eq!(
        cell(one).ops,
        [
            Op::Conv1,
            Op::None,
            Op::Skip,
            Op::AvgPool3,
            Op::Conv3,
            Op::None
        ]
    );
    assert_eq!(cell(one).index().unwrap(), 2 * 3125 + 125 + 4 * 25 + 3 * 5);
    assert_eq!(cell(one).node(2), [Op::None, Op::Skip]);
    assert_eq!(cell(&one.replace('|', " | ")), cell(one));
    let mut seen = BTreeSet::new();
    for (index, cell) in Cell::all().enumerate() {
        assert_eq!(
            (cell.index().unwrap(), Cell::from_index(index).unwrap()),
            (index, cell)
        );
        assert_eq!(cell.to_string().parse::<Cell>().unwrap(), cell);
        seen.insert(cell.to_string());
    }
    assert_eq!(seen.len(), CELLS);
    let json = serde_json::to_string(&cell(one)).unwrap();
    assert_eq!(json, format!("\"{one}\""));
    assert_eq!(serde_json::from_str::<Cell>(&json).unwrap(), cell(one));
    let refused = Cell::from_index(CELLS).unwrap_err().to_string();
    assert_eq!(
        refused,
        "no cell has index 15625; the space has 15625 cells, 0 to 15624"
    );

    let mut drawn = vec![0; 5];
    for i in 0..5000 {
        let cell = Cell::random(&mut stream(1, "cell", &[i]));
        let place = |op: &Op| Op::ALL.iter().position(|other| other == op).unwrap();
        cell.ops.iter().for_each(|op| drawn[place(op)] += 1);
    }
    assert!(drawn.iter().all(|n| (5700..6300).contains(n)), "{drawn:?}");
}

fn arch() -> Arch {
    Arch {
        ks: vec![3, 5, 7, 7, 3, 3, 5, 5, 7, 3, 3, 3, 5, 7, 5],
        e: vec![3, 3, 4, 4, 6, 6, 3, 3, 4, 4, 6, 6, 3, 4, 6],
        d: [2, 3, 4, 4, 2],
        r: 224,
    }
}

#[test]
fn the_integer_encoding_is_the_published_one() {
    let space = ElasticSpace::published(1.0);
    #[rustfmt::skip]
    let genes = [
        0,  0, 1, 0, 0,  0, 0, 0, 0,
        1,  2, 2, 0, 0,  1, 1, 2, 0,
        2,  0, 1, 1, 2,  2, 0, 0, 1,
        2,  0, 0, 0, 1,  1, 2, 2, 0,
        0,  2, 1, 0, 0,  1, 2, 0, 0,
        8,
    ];
    assert_eq!(space.encode(&arch()).unwrap(), genes);
    assert_eq!(space.decode(&genes).unwrap(), arch());
    // The form of a `.subnet` file.
    let json = serde_json::to_value(arch()).unwrap();
    assert_eq!(json["d"], serde_json::json!([2, 3, 4, 4, 2]));
    assert_eq!(json["r"], 224);
    assert_eq!(serde_json::from_value::<Arch>(json).unwrap(), arch());

    let [least, most] = space.extremes();
    assert_eq!(space.encode(&least).unwrap(), [0; GENES]);
    assert_eq!(space.encode(&most).unwrap(), space.highest());
    assert_eq!((least.r, most.r, space.highest()[45]), (192, 256, 16));
    assert_eq!(ElasticSpace::small(1.0).highest()[45], 2);
}

#[test]
fn random_elastic_architectures_are_uniform_in_depths_and_choices() {
    let space = ElasticSpace::published(1.0);
    let (mut depths, mut kernels, mut expansions) = ([0; 5], [0; 8], [0; 7]);
    let mut resolutions = vec![0; 257];
    for i in 0..10_000 {
        let arch = space.random(&mut stream(2, "doe", &[i]));
        space.check_arch(&arch).unwrap();
        arch.d.iter().for_each(|d| depths[*d] += 1);
        arch.ks.iter().for_each(|k| kernels[*k] += 1);
        arch.e.iter().for_each(|e| expansions[*e] += 1);
        resolutions[arch.r] += 1;
    }
    let near = |hits: i32, expected: i32| (hits - expected).abs() < expected / 20;
    assert!([2, 3, 4].iter().all(|d| near(depths[*d], 50_000 / 3)));
    assert!([3, 5, 7].iter().all(|k| near(kernels[*k], 50_000)));
    assert!([3, 4, 6].iter().all(|e| near(expansions[*e], 50_000)));
    assert!(
        (192..=256)
            .step_by(4)
            .all(|r| (450..730).contains(&resolutions[r]))
    );
}

#[test]
fn architectures_of_other_spaces_are_refused() {
    let space = ElasticSpace::published(1.0);
    let with = |change: fn(&mut Arch)| {
        let mut arch = arch();
        change(&mut arch);
        space.encode(&arch).unwrap_err().to_string()
    };
    let gene = |at: usize, value| {
        let mut genes = [0; GENES];
        genes[at] = value;
        space.decode(&genes).unwrap_err().to_string()
    };
    let layers = |space: ElasticSpace| space.layers(&arch()).unwrap_err().to_string();
    let cases = [
        with(|a| a.d[3] = 5),
        with(|a| a.d[3] = 3),
        with(|a| a.e.truncate(14)),
        with(|a| a.ks[14] = 9),
        with(|a| a.e[0] = 5),
        with(|a| a.r = 230),
        gene(0, 3),
        gene(13, 4),
        gene(17, 4),
        gene(45, 17),
        space.decode(&[0; 45]).unwrap_err().to_string(),
        layers(ElasticSpace::published(0.0)),
        layers(ElasticSpace::published(f64::NAN)),
        layers(ElasticSpace::small(1.0)),
        layers(ElasticSpace {
            resolutions: vec![32, 28],
            ..ElasticSpace::small(1.0)
        }),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}
