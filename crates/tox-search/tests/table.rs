//! The table of NAS-Bench-201: reading, look-ups, random search in closed form.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use tox_search::space::nasbench201::{CELLS, Cell};
use tox_search::table::{
    Baseline, Column, DataSet, Draws, FILE, Measure, ROBUST_FILE, Rank, Table, TableError, best_of,
};

fn column(data: DataSet, measure: Measure) -> Column {
    Column { data, measure }
}

fn final_test() -> Column {
    column(DataSet::Cifar10, Measure::Test200)
}

/// A file with all cells; test accuracy 20 + index / 1000, validation accuracy 1 to 5 by the last
/// op.
fn rows() -> Vec<String> {
    let row = |cell: Cell| {
        let index = cell.index().unwrap();
        let test = 20.0 + index as f64 / 1000.0;
        format!("{index},{cell},{test},{},{}", 1 + index % 5, 30 + index)
    };
    let header = "index,arch,cifar10_test_200ep,cifar10_val_12ep,cifar10_cost_12ep_s";
    let mut rows = vec![header.to_owned()];
    // The order of rows means nothing.
    rows.extend(Cell::all().map(row));
    rows[1..].reverse();
    rows
}

fn read(text: &str) -> Result<Table, TableError> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("table.csv");
    fs::write(&path, text).unwrap();
    Table::read(&path)
}

/// 341 of the 15,625 cells lead nowhere (benches/results/nasbench201_controls.csv); by hand: of two ops in a row
/// one is `none`, and the other ways are shut.
#[test]
fn a_random_one_of_some_cells_is_their_mean() {
    let table = read(&rows().join("\n")).unwrap();
    let connected = Cell::all().filter(Cell::is_connected).count();
    assert_eq!(CELLS - connected, 341);
    let cell = |text: &str| text.parse::<Cell>().unwrap();
    let shut = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|";
    let open = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|";
    assert!(!cell(shut).is_connected() && cell(open).is_connected());
    // Of the indices 0 to 4: 20.002, deviation sqrt(2) thousandths.
    let few = table.random_of(final_test(), |cell| cell.index().unwrap() < 5);
    let few = few.unwrap().unwrap();
    assert!((few.mean - 20.002).abs() < 1e-9, "{few:?}");
    assert!((few.sd - 0.001 * 2f64.sqrt()).abs() < 1e-9, "{few:?}");
    assert!(table.random_of(final_test(), |_| false).unwrap().is_none());
}

#[test]
fn a_table_is_looked_up_by_cell_data_set_and_column() {
    let table = read(&rows().join("\n")).unwrap();
    let cell = Cell::from_index(7).unwrap();
    let valid = column(DataSet::Cifar10, Measure::Valid12);
    assert_eq!(table.accuracy(&cell, final_test()).unwrap(), 20.007);
    assert_eq!(table.accuracy(&cell, valid).unwrap(), 3.0);
    assert_eq!(table.costs().unwrap()[7], 37.0);
    let rank = |rank, tied| Rank {
        rank,
        tied,
        of: CELLS,
    };
    assert_eq!(table.rank(&cell, final_test()).unwrap(), rank(CELLS - 7, 1));
    assert_eq!(
        table.rank(&cell, valid).unwrap(),
        rank(2 * CELLS / 5 + 1, CELLS / 5)
    );
    let names: Vec<String> = table.columns().map(|c| c.to_string()).collect();
    assert_eq!(names, ["cifar10_test_200ep", "cifar10_val_12ep"]);
    // Quotes, a byte order mark, other line ends, a blank last line: what R and Excel write.
    let quoted = rows()
        .join("\r\n")
        .replace(",|", ",\"|")
        .replace("|,", "|\",");
    let same = read(&format!("\u{feff}{quoted}\r\n\r\n")).unwrap();
    assert_eq!(
        same.values(final_test()).unwrap(),
        table.values(final_test()).unwrap()
    );
}

#[test]
fn tables_that_cannot_be_believed_are_refused() {
    let refused = |error: TableError| {
        let message = error.to_string();
        let start = message.find("/table.csv").map(|end| {
            let from = message[..end].rfind(' ').map_or(0, |space| space + 1);
            from..end + 1
        });
        match start {
            Some(range) => message.replace(&message[range.clone()], ""),
            None => message,
        }
    };
    let with = |change: fn(&mut Vec<String>)| {
        let mut rows = rows();
        change(&mut rows);
        refused(read(&rows.join("\n")).unwrap_err())
    };
    let replace = |from: &str, to: &str| {
        let text = rows().join("\n");
        assert!(text.contains(from));
        refused(read(&text.replace(from, to)).unwrap_err())
    };
    let table = read(&rows().join("\n")).unwrap();
    let (one, valid) = (final_test(), column(DataSet::Cifar10, Measure::Valid12));
    let missing = TempDir::new().unwrap();
    let ask = |draws, kind| refused(table.random_search(valid, one, draws, kind).unwrap_err());
    let unasked = column(DataSet::ImageNet16, Measure::Test200Robot);
    let cases = [
        refused(Table::read(&missing.path().join("table.csv")).unwrap_err()),
        refused(read("").unwrap_err()),
        replace("arch,", "cell,"),
        replace("cifar10_test_200ep,cifar10_val_12ep", "test,val"),
        replace("cifar10_test_200ep", "cifar10_val_12ep"),
        with(|rows| rows[3].push_str(",1")),
        with(|rows| rows[4] = rows[4].replace("avg_pool_3x3~0", "avg_pool_3x4~0")),
        with(|rows| rows[6] = rows[5].clone()),
        with(|rows| drop(rows.remove(9))),
        with(|rows| rows.truncate(1)),
        replace(",20.5,", ",nan,"),
        replace(",20.5,", ",,"),
        replace(",20.5,", ",120.5,"),
        replace(",20.5,", ",-1,"),
        replace(",530\n", ",0\n"),
        refused(
            table
                .accuracy(&Cell::from_index(0).unwrap(), unasked)
                .unwrap_err(),
        ),
        ask(0, Draws::Independent),
        ask(CELLS + 1, Draws::Distinct),
    ];
    insta::assert_snapshot!(cases.join("\n"));
    let row = |cell: Cell| format!("{cell},{}", cell.index().unwrap() as f64 / CELLS as f64);
    let fractions: Vec<String> = Cell::all().map(row).collect();
    let fractions = format!("arch,cifar10_val_12ep\n{}", fractions.join("\n"));
    let refusal = read(&fractions).unwrap_err();
    assert!(matches!(refusal, TableError::Fractions { .. }), "{refusal}");
}

/// All draws of `draws` of `n` positions in order.
fn all_draws(n: usize, draws: usize, kind: Draws) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for _ in 0..draws {
        all = all
            .into_iter()
            .flat_map(|drawn: Vec<usize>| {
                let free = (0..n).filter(|i| kind == Draws::Independent || !drawn.contains(i));
                let more = free.map(|i| [drawn.as_slice(), &[i]].concat());
                more.collect::<Vec<_>>()
            })
            .collect();
    }
    all
}

/// The mean and standard deviation over every draw; the first drawn of equals is taken.
fn brute_force(select: &[f64], report: &[f64], draws: usize, kind: Draws) -> Baseline {
    let reported: Vec<f64> = all_draws(select.len(), draws, kind)
        .into_iter()
        .map(|drawn| {
            let better = |best: usize, i: usize| if select[i] > select[best] { i } else { best };
            report[drawn.into_iter().reduce(better).unwrap()]
        })
        .collect();
    let n = reported.len() as f64;
    let mean = reported.iter().sum::<f64>() / n;
    let variance = reported.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    Baseline {
        mean,
        sd: variance.sqrt(),
    }
}

fn assert_near(found: Baseline, expected: Baseline) {
    assert!(
        (found.mean - expected.mean).abs() < 1e-9,
        "{found:?}, expected {expected:?}"
    );
    assert!(
        (found.sd - expected.sd).abs() < 1e-6,
        "{found:?}, expected {expected:?}"
    );
}

/// Two draws of three, of which the first two are equal: by hand.
#[test]
fn the_best_of_two_is_what_one_works_out_by_hand() {
    let (select, report) = ([5.0, 5.0, 1.0], [10.0, 20.0, 90.0]);
    // Nine pairs: the third alone only in one.
    let found = best_of(&select, &report, 2, Draws::Independent).unwrap();
    assert!((found.mean - (8.0 / 9.0 * 15.0 + 10.0)).abs() < 1e-12);
    // Three pairs: always a five in it.
    let found = best_of(&select, &report, 2, Draws::Distinct).unwrap();
    assert_near(
        found,
        Baseline {
            mean: 15.0,
            sd: 5.0,
        },
    );
    for (select, report, draws, kind) in [
        (&select[..], &report[..2], 1, Draws::Distinct),
        (&select[..], &report[..], 0, Draws::Distinct),
        (&select[..], &report[..], 4, Draws::Distinct),
        (&[], &[], 1, Draws::Independent),
        (&[f64::NAN], &[1.0], 1, Draws::Independent),
    ] {
        assert_eq!(best_of(select, report, draws, kind), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Values of few kinds, so that there are ties.
    #[test]
    fn the_closed_form_is_the_mean_over_all_draws(
        cells in proptest::collection::vec((0..4u8, 0..100u8), 1..7),
        draws in 1..5usize,
    ) {
        let select: Vec<f64> = cells.iter().map(|c| f64::from(c.0)).collect();
        let report: Vec<f64> = cells.iter().map(|c| f64::from(c.1)).collect();
        for kind in [Draws::Independent, Draws::Distinct] {
            let found = best_of(&select, &report, draws, kind);
            if kind == Draws::Distinct && draws > cells.len() {
                prop_assert_eq!(found, None);
            } else {
                assert_near(found.unwrap(), brute_force(&select, &report, draws, kind));
            }
        }
    }
}

/// A real table from `../shared/data`.
fn real(file: &str) -> Table {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let packed = data.join(format!("{file}.xz"));
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let unpacked = fs::File::create(&path).unwrap();
    let mut xz = std::process::Command::new("xz");
    let xz = xz.args(["--decompress", "--stdout"]).arg(packed);
    assert!(xz.stdout(unpacked).status().unwrap().success());
    Table::read(&path).unwrap()
}

#[test]
#[ignore = "needs ../shared/data"]
fn real_table_has_the_published_accuracies() {
    let table = real(FILE);
    assert!(
        table
            .columns()
            .eq(Column::all().filter(|column| !column.is_robust()))
    );
    // The optimum on CIFAR-10, and the best accuracies of Dong and Yang 2020, table 5.
    let best: Cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|\
                      nor_conv_3x3~1|nor_conv_1x1~2|"
        .parse()
        .unwrap();
    let rank = table.rank(&best, final_test()).unwrap();
    // Another cell is as good: the same with the ops into the last node from nodes 1 and 2
    // exchanged.
    assert_eq!((rank.rank, rank.tied, rank.of), (1, 2, CELLS));
    for (data, highest) in DataSet::ALL.into_iter().zip([94.37, 73.51, 47.31]) {
        let values = table.values(column(data, Measure::Test200)).unwrap();
        let max = values.iter().copied().fold(0.0, f64::max);
        assert_eq!((max * 100.0).floor() / 100.0, highest, "{}", data.title());
    }
    // A cell that passes nothing on is at chance.
    let none = Cell::from_index(0).unwrap();
    assert_eq!(table.accuracy(&none, final_test()).unwrap(), 10.0);
    let (first, second) = (
        table.values(final_test()).unwrap(),
        table
            .values(column(DataSet::Cifar10, Measure::Test200Robot))
            .unwrap(),
    );
    assert!(first.iter().zip(second).any(|(a, b)| a != b));
    assert_eq!(table.costs().unwrap().len(), CELLS);
}

#[test]
#[ignore = "needs ../shared/data"]
fn real_table_search_at_random_goes_from_the_mean_to_the_best() {
    let table = real(FILE);
    let valid = column(DataSet::Cifar10, Measure::Valid12);
    let search = |draws, kind| {
        let found = table.random_search(valid, final_test(), draws, kind);
        found.unwrap()
    };
    let values = table.values(final_test()).unwrap();
    let mean = values.iter().sum::<f64>() / CELLS as f64;
    for kind in [Draws::Distinct, Draws::Independent] {
        assert!((search(1, kind).mean - mean).abs() < 1e-9);
        let means: Vec<f64> = [1, 10, 100].map(|n| search(n, kind).mean).to_vec();
        assert!(means.is_sorted(), "{means:?}");
    }
    // All cells drawn: the best by validation, one of the equals if there are any.
    let all = search(CELLS, Draws::Distinct);
    let valid = table.values(valid).unwrap();
    let top = valid.iter().copied().fold(0.0, f64::max);
    let best: Vec<f64> = (0..CELLS)
        .filter(|i| valid[*i] == top)
        .map(|i| values[i])
        .collect();
    assert!((all.mean - best.iter().sum::<f64>() / best.len() as f64).abs() < 1e-9);
    // Of ten, with and without replacement hardly differ among 15,625.
    let gap = search(10, Draws::Distinct).mean - search(10, Draws::Independent).mean;
    assert!((0.0..0.05).contains(&gap), "{gap}");
}

#[test]
fn columns_are_written_as_their_names_in_the_file() {
    for column in Column::all() {
        let text = serde_json::to_string(&column).unwrap();
        assert_eq!(text, format!("\"{column}\""));
        assert_eq!(serde_json::from_str::<Column>(&text).unwrap(), column);
        assert_eq!(column.to_string().parse(), Ok(column));
    }
    assert_eq!("cifar10_test_200ep".parse(), Ok(final_test()));
    let message = "cifar10_test_200"
        .parse::<Column>()
        .unwrap_err()
        .to_string();
    insta::assert_snapshot!(message, @"no column of accuracies is called `cifar10_test_200`, did you mean `cifar10_test_200ep`?; the columns are cifar10_test_200ep, cifar10_val_12ep, cifar10_test_12ep, cifar10_test_200ep_robot, cifar100_test_200ep, cifar100_val_12ep, cifar100_test_12ep, cifar100_test_200ep_robot, imagenet16_test_200ep, imagenet16_val_12ep, imagenet16_test_12ep, imagenet16_test_200ep_robot; and of robust accuracies, such as robbench_cifar10_autoattack and jung_cifar10_pgd");
    let schema = schemars::schema_for!(Column);
    let names = schema.get("enum").unwrap().as_array().unwrap();
    assert_eq!(names.len(), Column::all().count());
    assert!(names.contains(&"imagenet16_val_12ep".into()));
}

#[test]
fn robust_columns_are_those_of_their_own_file() {
    let robust: Vec<Column> = Column::all().filter(|column| column.is_robust()).collect();
    assert_eq!(robust.len(), 35);
    let names = [
        "robbench_cifar10_autoattack",
        "robbench_imagenet16_val_pgd_8_acc",
        "jung_cifar100_corr",
    ];
    for name in names {
        let column: Column = name.parse().unwrap();
        assert!(column.is_robust());
        assert_eq!(column.to_string(), name);
    }
    assert!(!final_test().is_robust());
}

#[test]
#[ignore = "needs ../shared/data"]
fn real_robust_accuracies_fall_with_the_strength_of_the_attack() {
    let table = real(ROBUST_FILE);
    assert!(
        table
            .columns()
            .eq(Column::all().filter(|column| column.is_robust()))
    );
    let clean = real(FILE);
    for data in DataSet::ALL {
        let values = |measure| table.values(column(data, measure)).unwrap().to_vec();
        let falling = [
            values(Measure::RobBenchClean),
            values(Measure::RobBenchPgd3),
            values(Measure::RobBenchPgd8),
            values(Measure::RobBenchAutoAttack),
        ];
        let fall = |pair: &[Vec<f64>]| pair[0].iter().zip(&pair[1]).all(|(a, b)| a >= b);
        assert!(falling.windows(2).all(fall), "{}", data.title());
    }
    // Jung et al. attack the published weights, whose clean accuracy is that of one of the seeds of the other table.
    let own = table
        .values(column(DataSet::Cifar10, Measure::JungClean))
        .unwrap();
    let theirs = clean.values(final_test()).unwrap();
    let near = own
        .iter()
        .zip(theirs)
        .filter(|(a, b)| (*a - *b).abs() < 2.0)
        .count();
    assert!(near > CELLS * 19 / 20, "{near}");
}
