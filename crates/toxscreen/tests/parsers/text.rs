//! Recipes, search spaces, tables, names.

use crate::harness::{fuzz, kept, scratch};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tox_audits::HOUSE;
use tox_data::DataDir;
use tox_data::features::{Ask, Opened};
use tox_nn::nets::wrn::Shape;
use tox_poison::space_file;
use tox_search::space::darts::Genotype;
use tox_search::space::nasbench201::Cell;
use tox_search::table::{Table, TableError};
use tox_study::recipe::{Overrides, Study};

/// All recipes of the repository but the schema and the spaces.
fn recipes() -> Vec<Vec<u8>> {
    fn below(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let recipe = name.ends_with(".toml") && !name.starts_with("space-");
            match path.is_dir() {
                true => below(&path, out),
                false if recipe => out.push(path),
                false => {}
            }
        }
    }
    let mut paths = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    below(&root, &mut paths);
    paths.sort();
    // The largest plan thousands of trials: many executions of small ones find more.
    let files = paths.iter().map(|p| fs::read(p).unwrap());
    files.filter(|f| f.len() < 4000).collect()
}

#[test]
fn recipes_and_studies() {
    let words = [
        "learner",
        "kind",
        "\"enas\"",
        "\"bilevel\"",
        "\"nas\"",
        "\"rc-nas\"",
        "\"synthetic\"",
        "seeds",
        "[[cell]]",
        "[[grid]]",
        "label",
        "q",
        "poison",
        "threat",
        "\"gc\"",
        "data",
        "dataset",
        "defence",
        "\"P3+\"",
    ];
    let mut corpus = recipes();
    // The resolved recipe is what stands in a study's folder.
    let quick = Study::parse(
        &HOUSE,
        "quick",
        tox_study::recipe::QUICKSTART,
        &Overrides::default(),
    );
    corpus.push(quick.unwrap().to_toml().into_bytes());
    fuzz("recipe", &corpus, &words, |file| {
        let text = String::from_utf8_lossy(file);
        let study = Study::parse(&HOUSE, "fuzz", &text, &Overrides::default());
        if let Ok(study) = &study {
            // What it writes it reads: `study.toml`.
            let again = Study::parse(&HOUSE, "again", &study.to_toml(), &Overrides::default());
            assert_eq!(&again.unwrap().trials, &study.trials);
        }
        study.is_ok()
    });
}

#[test]
fn search_spaces() {
    let words = [
        "[[op]]",
        "op",
        "k",
        "count",
        "poison",
        "q",
        "\"conv\"",
        "\"sep\"",
        "\"gaussian\"",
        "\"stretched\"",
        "padding",
        "dilation",
        "sigma",
        "\"P5\"",
    ];
    fuzz("space", &kept("space"), &words, |file| {
        let text = String::from_utf8_lossy(file);
        space_file::parse(&text, Path::new("space.toml")).is_ok()
    });
}

#[test]
fn tables_of_data() {
    let dir = scratch();
    let path = dir.path().join("table.csv");
    let name = path.to_str().unwrap();
    let data = DataDir::resolve(Some(dir.path())).unwrap();
    let words = [
        "label", "class", "target", ";", "\t", "?", "NA", "\"a,b\"", "1,5",
    ];
    fuzz("csv", &kept("csv"), &words, |file| {
        fs::write(&path, file).unwrap();
        let named = Ask {
            label: Some("b"),
            ..Ask::of(name)
        };
        Opened::of(&Ask::of(name), &data).is_ok() | Opened::of(&named, &data).is_ok()
    });
}

#[test]
fn tables_of_nasbench201() {
    let dir = scratch();
    let path = dir.path().join("table.csv");
    let whole: String = (0..)
        .map_while(|i| Cell::from_index(i).ok())
        .map(|cell| format!("{cell},91.5,90.0\n"))
        .collect();
    let header = "arch,cifar10_test_200ep,cifar10_val_12ep\n";
    fs::write(&path, format!("{header}{whole}")).unwrap();
    Table::read(&path).unwrap();
    // A whole one takes milliseconds: its damaged copies are of a few rows, the header's names count.
    let words = [
        "arch",
        "cifar10_test_200ep",
        "cifar10_val_12ep",
        "none~0",
        "|",
        "+",
    ];
    fuzz("nasbench", &kept("nasbench"), &words, |file| {
        fs::write(&path, file).unwrap();
        // All that can be said of a few rows that are read is which cells are missing.
        matches!(Table::read(&path), Ok(_) | Err(TableError::Rows { .. }))
    });
}

#[test]
fn tables_of_sub_networks() {
    let dir = scratch();
    let path = dir.path().join("table.csv");
    fuzz(
        "sub_networks",
        &kept("sub_networks"),
        &["seed", "macs", "lipschitz", "digits"],
        |file| {
            fs::write(&path, file).unwrap();
            tox_rcnas::table::Table::read(&path).is_ok()
        },
    );
}

#[test]
fn names_of_architectures() {
    let corpus = [
        "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|",
        "wrn-28-10",
        "rrn-a4",
        "d14,14,7-w5,7,3-r001-b8",
        "vulkan:0",
        "16/255",
        "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), \
         ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, \
         4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), \
         ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])",
    ];
    let corpus = corpus.map(|t| t.as_bytes().to_vec());
    let words = [
        "none",
        "skip_connect~0",
        "sep_conv_3x3",
        "normal",
        "reduce_concat",
        "wrn-",
        "-r",
        "-b",
    ];
    fuzz("names", &corpus, &words, |text| {
        let text = String::from_utf8_lossy(text);
        let read = [
            Cell::from_str(&text).is_ok(),
            Genotype::from_str(&text).is_ok(),
            Shape::parse(&text).is_ok(),
            tox_robust::ball::fraction::parse(&text).is_some(),
            tox_nn::device::parse(&text).is_ok(),
        ];
        read.contains(&true)
    });
}
