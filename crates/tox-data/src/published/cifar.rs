//! The binary versions of CIFAR-10 and CIFAR-100: records of one or two label bytes and 3,072
//! pixels in C, H, W order. Any whole number of records is taken, and the number told if it is not
//! the official one. CIFAR-100 labels are the fine ones.

use std::path::Path;

use super::{Published, Remote, Source, locate, unofficial};
use crate::dataset::{Images, Normalise, Split};
use crate::error::DataError;
use crate::files::{Files, Origin};
use crate::format::numbered;
use crate::input::{Input, MAX_BYTES, check_labels};

const PIXELS: usize = 3 * 32 * 32;

/// One of the two.
pub(crate) struct Cifar {
    name: &'static str,
    folder: &'static str,
    archive: &'static str,
    md5: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    /// Text file with one class name a line; classes are numbered if it is not there.
    names: &'static str,
    /// Files that are unpacked beside these.
    more: &'static [&'static str],
    classes: usize,
    /// Label bytes of a record; the last one is used.
    label_bytes: usize,
    /// Published mean and deviation of each channel (ssp.md for CIFAR-10, nas-poisoning.md for CIFAR-100).
    mean: [f32; 3],
    std: [f32; 3],
}

pub(crate) const CIFAR10: Cifar = Cifar {
    name: "cifar10",
    folder: "cifar-10-batches-bin",
    archive: "cifar-10-binary.tar.gz",
    md5: "c32a1d4ab5d03f1284b67883e8d87530",
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: "test_batch.bin",
    names: "batches.meta.txt",
    more: &[],
    classes: 10,
    label_bytes: 1,
    mean: [125.3 / 255.0, 123.0 / 255.0, 113.9 / 255.0],
    std: [63.0 / 255.0, 62.1 / 255.0, 66.7 / 255.0],
};

pub(crate) const CIFAR100: Cifar = Cifar {
    name: "cifar100",
    folder: "cifar-100-binary",
    archive: "cifar-100-binary.tar.gz",
    md5: "03b5dce01913d631647c71ecec9e9cb8",
    train: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
    more: &["coarse_label_names.txt"],
    classes: 100,
    label_bytes: 2,
    mean: [0.5071, 0.4867, 0.4408],
    std: [0.2675, 0.2565, 0.2761],
};

impl Cifar {
    fn record(&self) -> u64 {
        (self.label_bytes + PIXELS) as u64
    }

    fn records(&self, path: &Path, length: u64) -> Result<usize, DataError> {
        let (path, record) = (path.to_path_buf(), self.record());
        match length {
            0 => Err(DataError::Empty { path }),
            _ if length > MAX_BYTES => Err(DataError::TooLarge {
                path,
                what: "records".to_owned(),
                claimed: length.to_string(),
                limit: MAX_BYTES,
            }),
            _ if !length.is_multiple_of(record) => Err(DataError::Records {
                path,
                length,
                record,
            }),
            _ => Ok((length / record) as usize),
        }
    }

    /// Adds the records of `bytes`, the contents of `path`, to `split`, but for those of classes
    /// that are not among `keep`; returns how many `path` has.
    fn append(
        &self,
        path: &Path,
        bytes: &[u8],
        keep: Option<&[u16]>,
        split: &mut Split,
    ) -> Result<usize, DataError> {
        let count = self.records(path, bytes.len() as u64)?;
        let records = bytes.chunks_exact(self.record() as usize);
        let label = |record: &[u8]| u16::from(record[self.label_bytes - 1]);
        let labels: Vec<u16> = records.clone().map(label).collect();
        check_labels(path, &labels, self.classes)?;
        let kept = |label: &u16| keep.is_none_or(|keep| keep.contains(label));
        let room = labels.iter().filter(|label| kept(label)).count();
        split.images.pixels.reserve(room * PIXELS);
        for (record, label) in records.zip(labels).filter(|(_, label)| kept(label)) {
            let pixels = &record[self.label_bytes..];
            split.images.pixels.extend_from_slice(pixels);
            split.images.shape[0] += 1;
            split.labels.push(label);
        }
        Ok(count)
    }

    /// The kept records of `files`, and how many these have in all.
    fn split(
        &self,
        folder: &Path,
        files: &[&str],
        keep: Option<&[u16]>,
    ) -> Result<(Split, usize), DataError> {
        let images = Images {
            pixels: Vec::new(),
            shape: [0, 3, 32, 32],
        };
        let mut split = Split {
            images,
            labels: Vec::new(),
        };
        let mut count = 0;
        for file in files {
            let path = locate(self.name, folder, file)?;
            let bytes = Input::open(&path)?.all(MAX_BYTES, "records")?;
            count += self.append(&path, &bytes, keep, &mut split)?;
        }
        Ok((split, count))
    }

    fn class_names(&self, folder: &Path) -> Vec<String> {
        let text = Input::open(&folder.join(self.names)).and_then(|file| file.all(1 << 16, "text"));
        let text = text.unwrap_or_default();
        let names: Vec<String> = String::from_utf8_lossy(&text)
            .lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect();
        match names.len() == self.classes {
            true => names,
            false => numbered(self.classes),
        }
    }
}

impl Published for Cifar {
    fn name(&self) -> &'static str {
        self.name
    }

    fn folder(&self) -> Option<&'static str> {
        Some(self.folder)
    }

    fn licence(&self) -> &'static str {
        "no licence stated, cite Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"
    }

    fn shape(&self) -> [usize; 3] {
        [3, 32, 32]
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn source(&self) -> Option<Source> {
        let contents = [self.train, &[self.test, self.names], self.more].concat();
        Some(Source {
            name: self.name.to_owned(),
            base: "https://www.cs.toronto.edu/~kriz".to_owned(),
            files: vec![Remote::md5(self.archive, self.md5, 200 << 20)],
            folder: self.folder.to_owned(),
            contents: contents.into_iter().map(str::to_owned).collect(),
        })
    }

    fn counts(&self, folder: &Path) -> Result<[usize; 2], DataError> {
        let count = |file: &&str| {
            let path = locate(self.name, folder, file)?;
            let length = path.metadata().map_err(DataError::read(&path))?.len();
            self.records(&path, length)
        };
        let train = self.train.iter().map(count).sum::<Result<usize, _>>()?;
        Ok([train, count(&self.test)?])
    }

    fn load(&self, folder: &Path, keep: Option<&[u16]>) -> Result<Files, DataError> {
        let (train, all_train) = self.split(folder, self.train, keep)?;
        let (test, all_test) = self.split(folder, &[self.test], keep)?;
        let class_names = self.class_names(folder);
        let normalise = Normalise {
            mean: self.mean.to_vec(),
            std: self.std.to_vec(),
        };
        Ok(Files {
            normalise: Some(normalise),
            notes: unofficial(self.name, [all_train, all_test], [50_000, 10_000]),
            ..Files::of([train, test], class_names, Origin::Known)
        })
    }
}
