//! MNIST and Fashion-MNIST, four IDX files each.

use std::path::Path;

use super::{Published, Remote, Source};
use crate::dataset::Normalise;
use crate::error::DataError;
use crate::files::Files;
use crate::format::{idx, numbered};

/// One of the two.
pub(crate) struct Mnist {
    name: &'static str,
    licence: &'static str,
    base: &'static str,
    /// MD5 of the four files.
    sums: [&'static str; 4],
    /// Names of the classes, which the files do not hold; their numbers if there are none.
    class_names: &'static [&'static str],
    /// Published mean and deviation of the pixels (nas-poisoning.md).
    mean: f32,
    std: f32,
}

pub(crate) const MNIST: Mnist = Mnist {
    name: "mnist",
    licence: "CC BY-SA 3.0; LeCun, Cortes and Burges 1998, yann.lecun.com/exdb/mnist",
    base: "https://ossci-datasets.s3.amazonaws.com/mnist",
    sums: [
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ],
    class_names: &[],
    mean: 0.1307,
    std: 0.3081,
};

pub(crate) const FASHION: Mnist = Mnist {
    name: "fashion-mnist",
    licence: "MIT; Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747",
    base: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    sums: [
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ],
    class_names: &[
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
    ],
    mean: 0.2856,
    std: 0.3385,
};

impl Published for Mnist {
    fn name(&self) -> &'static str {
        self.name
    }

    fn folder(&self) -> Option<&'static str> {
        Some(self.name)
    }

    fn licence(&self) -> &'static str {
        self.licence
    }

    fn shape(&self) -> [usize; 3] {
        [1, 28, 28]
    }

    fn classes(&self) -> usize {
        10
    }

    fn source(&self) -> Option<Source> {
        let files = idx::FILES.into_iter().flatten().zip(self.sums);
        let files: Vec<Remote> = files
            .map(|(file, sum)| Remote::md5(&format!("{file}.gz"), sum, 40 << 20))
            .collect();
        Some(Source {
            name: self.name.to_owned(),
            base: self.base.to_owned(),
            folder: self.name.to_owned(),
            contents: files.iter().map(|remote| remote.file.clone()).collect(),
            files,
        })
    }

    fn counts(&self, folder: &Path) -> Result<[usize; 2], DataError> {
        let mut counts = [0; 2];
        for (count, files) in counts.iter_mut().zip(idx::FILES) {
            for file in files {
                let path = idx::find(self.name, folder, file)?;
                if file == files[0] {
                    *count = idx::peek(&path)?[0];
                }
            }
        }
        Ok(counts)
    }

    fn load(&self, folder: &Path, _keep: Option<&[u16]>) -> Result<Files, DataError> {
        let class_names = match self.class_names {
            [] => numbered(self.classes()),
            names => names.iter().map(|&name| name.to_owned()).collect(),
        };
        let normalise = Normalise {
            mean: vec![self.mean],
            std: vec![self.std],
        };
        idx::load(self.name, folder, class_names, normalise)
    }
}
