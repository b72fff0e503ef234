//! The known data sets: where they lie, where they come from, what they are.

use crate::dataset::Normalise;
use crate::format::numbered;

/// Names that [`crate::load`] knows besides paths.
pub const NAMES: [&str; 5] = ["digits", "mnist", "fashion-mnist", "cifar10", "cifar100"];

/// A published checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// MD5, as torchvision and the CIFAR page publish it: it guards against damage, not against an
    /// adversary who can make collisions.
    Md5(String),
}

/// One file to download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Name at the end of the address, and on disk.
    pub file: String,
    /// Checksum of the whole file.
    pub checksum: Checksum,
    /// Bytes of which it has fewer: more of them cannot be the file.
    pub most: u64,
}

/// Where a data set comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Known name.
    pub name: String,
    /// Address to which `/` and a file name are appended.
    pub base: String,
    /// Files to download; one that ends in `.tar.gz` is unpacked and removed.
    pub files: Vec<Remote>,
    /// Folder in the data folder.
    pub folder: String,
    /// Files the folder must hold in the end; of an archive, only these are unpacked.
    pub contents: Vec<String>,
}

/// Folder of a known data set in the data folder.
pub(crate) fn folder(name: &str) -> &str {
    match name {
        "cifar10" => "cifar-10-batches-bin",
        "cifar100" => "cifar-100-binary",
        _ => name,
    }
}

/// Published per-channel constants; ssp.md for CIFAR-10, nas-poisoning.md for the others.
pub(crate) fn normalise(name: &str) -> Normalise {
    let (mean, std) = match name {
        "cifar10" => (
            vec![125.3 / 255.0, 123.0 / 255.0, 113.9 / 255.0],
            vec![63.0 / 255.0, 62.1 / 255.0, 66.7 / 255.0],
        ),
        "cifar100" => (vec![0.5071, 0.4867, 0.4408], vec![0.2675, 0.2565, 0.2761]),
        "mnist" => (vec![0.1307], vec![0.3081]),
        _ => (vec![0.2856], vec![0.3385]),
    };
    Normalise { mean, std }
}

/// Class names of the sets whose files do not hold them.
pub(crate) fn class_names(name: &str) -> Vec<String> {
    match name {
        "fashion-mnist" => [
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ]
        .map(str::to_owned)
        .to_vec(),
        _ => numbered(10),
    }
}

/// Licence and citation, in a line.
pub(crate) fn licence(name: &str) -> &'static str {
    match name {
        "digits" => "CC BY 4.0; Alpaydin and Kaynak 1998, doi:10.24432/C50P49, via scikit-learn",
        "mnist" => "CC BY-SA 3.0; LeCun, Cortes and Burges 1998, yann.lecun.com/exdb/mnist",
        "fashion-mnist" => "MIT; Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747",
        _ => {
            "no licence stated, cite Krizhevsky 2009, Learning Multiple Layers of Features from \
             Tiny Images"
        }
    }
}

/// ` (did you mean ...?` if a known name is near, else nothing.
pub(crate) fn hint(name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), known));
    let best = near
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(String::new, |(_, known)| {
        format!(" (did you mean `{known}`?)")
    })
}

/// Official addresses and checksums of a known data set; none for `digits`, which is embedded.
pub fn official(name: &str) -> Option<Source> {
    let md5 = |file: &str, md5: &str, most: u64| Remote {
        file: file.to_owned(),
        checksum: Checksum::Md5(md5.to_owned()),
        most,
    };
    let idx = |sums: [&str; 4]| {
        let files = crate::format::idx::FILES.into_iter().flatten();
        files
            .zip(sums)
            .map(|(file, sum)| md5(&format!("{file}.gz"), sum, 40 << 20))
            .collect::<Vec<_>>()
    };
    let (base, files, contents): (_, _, Vec<&str>) = match name {
        "mnist" => (
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            idx([
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ]),
            vec![],
        ),
        "fashion-mnist" => (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            idx([
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ]),
            vec![],
        ),
        "cifar10" => (
            "https://www.cs.toronto.edu/~kriz",
            vec![md5(
                "cifar-10-binary.tar.gz",
                "c32a1d4ab5d03f1284b67883e8d87530",
                200 << 20,
            )],
            [
                crate::format::cifar::CIFAR10.train,
                &[
                    crate::format::cifar::CIFAR10.test,
                    crate::format::cifar::CIFAR10.names,
                ],
            ]
            .concat(),
        ),
        "cifar100" => (
            "https://www.cs.toronto.edu/~kriz",
            vec![md5(
                "cifar-100-binary.tar.gz",
                "03b5dce01913d631647c71ecec9e9cb8",
                200 << 20,
            )],
            vec![
                "train.bin",
                "test.bin",
                "fine_label_names.txt",
                "coarse_label_names.txt",
            ],
        ),
        _ => return None,
    };
    let contents = match contents.is_empty() {
        true => files.iter().map(|remote| remote.file.clone()).collect(),
        false => contents.into_iter().map(str::to_owned).collect(),
    };
    Some(Source {
        name: name.to_owned(),
        base: base.to_owned(),
        files,
        folder: folder(name).to_owned(),
        contents,
    })
}
