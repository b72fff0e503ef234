//! Data sets, weights, patches, checkpoints.

use crate::harness::{fuzz, kept, scratch};
use std::fs;
use std::path::Path;
use tox_data::checkpoint::Slot;
use tox_data::features::{FeatureSets, Features};
use tox_data::patch::Patch;
use tox_data::spec::DataSpec;
use tox_data::{DataDir, Images, Split, checkpoint, load, seal};
use tox_nn::layers::State;
use tox_nn::nets::wrn::{self, Shape, WrnConfig};

const NPY: [&str; 16] = [
    "'descr'",
    "'fortran_order'",
    "'shape'",
    "True",
    "False",
    "'<f4'",
    "'>f8'",
    "'|u1'",
    "'<i8'",
    "'|b1'",
    "'<f2'",
    "'|O'",
    "(6,)",
    "(6, 4, 4)",
    "(0, 3)",
    "()",
];

/// An archive of stored members, with the sizes and sums that fit them.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let sum = |bytes: &[u8]| {
        !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| {
                (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg())
            })
        })
    };
    let (mut out, mut central) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let at = out.len() as u32;
        let size = (bytes.len() as u32).to_le_bytes();
        // Version, flags, method, time and date; sum, sizes; lengths of the name and of the rest.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend(sum(bytes).to_le_bytes());
        common.extend([size, size].concat());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        out.extend([b"PK\x03\x04", &common[..], name.as_bytes(), bytes].concat());
        central.extend([b"PK\x01\x02\x14\x00", &common[..], &[0; 10]].concat());
        central.extend(at.to_le_bytes());
        central.extend(name.as_bytes());
    }
    let (size, at) = (central.len() as u32, out.len() as u32);
    let count = (members.len() as u16).to_le_bytes();
    out.extend(central);
    out.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count[..]].concat());
    out.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    out.extend([0, 0]);
    out
}

/// A NumPy array of bytes.
fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    out.extend(bytes);
    out
}

#[test]
fn npy_arrays() {
    let dir = scratch();
    let path = dir.path().join("a.npz");
    let labels = npy("(6,)", &[0, 1, 0, 1, 0, 1]);
    fuzz("npy", &kept("npy"), &NPY, |array| {
        // As the rows, or as the labels of other rows.
        let rows = [("x_train.npy", array), ("y_train.npy", &labels[..])];
        fs::write(&path, zip(&rows)).unwrap();
        let as_rows = FeatureSets::load(&path).is_ok();
        let images = npy("(6, 2, 2)", &[7; 24]);
        let labelled = [("images.npy", &images[..]), ("labels.npy", array)];
        fs::write(&path, zip(&labelled)).unwrap();
        as_rows | FeatureSets::load(&path).is_ok()
    });
}

#[test]
fn npz_archives() {
    let dir = scratch();
    let path = dir.path().join("a.npz");
    let spec = DataSpec::of(path.to_str().unwrap(), 1);
    let data = DataDir::resolve(Some(dir.path())).unwrap();
    fuzz("npz", &kept("npz"), &NPY, |archive| {
        fs::write(&path, archive).unwrap();
        FeatureSets::load(&path).is_ok() | load(&spec, &data).is_ok()
    });
}

fn idx(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let sizes_: Vec<u8> = sizes.iter().flat_map(|s| s.to_be_bytes()).collect();
    [&[0, 0, 8, sizes.len() as u8], &sizes_[..], data].concat()
}

#[test]
fn idx_files() {
    let dir = scratch();
    let folder = dir.path().join("mnist");
    fs::create_dir(&folder).unwrap();
    let labels = idx(&[6], &[0, 1, 2, 3, 4, 9]);
    for (name, bytes) in [
        ("train-labels-idx1-ubyte", &labels),
        ("t10k-labels-idx1-ubyte", &labels),
        ("t10k-images-idx3-ubyte", &idx(&[6, 2, 2], &[7; 24])),
    ] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let images = folder.join("train-images-idx3-ubyte");
    let zipped = folder.join("train-images-idx3-ubyte.gz");
    let (spec, data) = (DataSpec::of("mnist", 1), DataDir::resolve(Some(dir.path())));
    let data = data.unwrap();
    fuzz("idx", &kept("idx"), &[], |file| {
        let (path, other) = match file.starts_with(&[0x1f, 0x8b]) {
            true => (&zipped, &images),
            false => (&images, &zipped),
        };
        let _ = fs::remove_file(other);
        fs::write(path, file).unwrap();
        let read = load(&spec, &data).is_ok();
        // And as the labels of the test images.
        fs::write(folder.join("t10k-labels-idx1-ubyte"), file).unwrap();
        let _ = load(&spec, &data);
        fs::write(folder.join("t10k-labels-idx1-ubyte"), &labels).unwrap();
        read
    });
}

#[test]
fn cifar_files() {
    let dir = scratch();
    let record = |labels: &[u8]| [labels, &[9; 3072]].concat();
    let (ten, hundred) = (
        dir.path().join("cifar-10-batches-bin"),
        dir.path().join("cifar-100-binary"),
    );
    fs::create_dir(&ten).unwrap();
    fs::create_dir(&hundred).unwrap();
    for i in 1..=5 {
        fs::write(ten.join(format!("data_batch_{i}.bin")), record(&[3])).unwrap();
    }
    fs::write(hundred.join("test.bin"), record(&[1, 99])).unwrap();
    let data = DataDir::resolve(Some(dir.path())).unwrap();
    let specs = ["cifar10", "cifar100"].map(|name| DataSpec::of(name, 1));
    let corpus = [
        [record(&[0]), record(&[9])].concat(),
        [record(&[19, 99]), record(&[0, 0])].concat(),
    ];
    fuzz("cifar", &corpus, &[], |file| {
        fs::write(ten.join("test_batch.bin"), file).unwrap();
        fs::write(hundred.join("train.bin"), file).unwrap();
        specs
            .each_ref()
            .map(|s| load(s, &data).is_ok())
            .contains(&true)
    });
}

#[test]
fn matlab_files() {
    let dir = scratch();
    let folder = dir.path().join("svhn");
    fs::create_dir(&folder).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tox-data/tests/fixtures/svhn");
    let fixture = |file: &str| fs::read(fixtures.join(file)).unwrap();
    let corpus = ["train_32x32.mat", "test_32x32.mat"].map(fixture);
    fs::write(folder.join("train_32x32.mat"), &corpus[0]).unwrap();
    let data = DataDir::resolve(Some(dir.path())).unwrap();
    let spec = DataSpec::of("svhn", 1);
    fuzz("matlab", &corpus, &[], |file| {
        fs::write(folder.join("test_32x32.mat"), file).unwrap();
        load(&spec, &data).is_ok()
    });
}

#[test]
fn folders_of_images() {
    let dir = scratch();
    let kept = kept("images");
    for (class, file) in [("a", &kept[0]), ("b", &kept[0])] {
        fs::create_dir(dir.path().join(class)).unwrap();
        fs::write(dir.path().join(class).join("0.png"), file).unwrap();
    }
    let spec = DataSpec::of(dir.path().to_str().unwrap(), 0);
    let data = DataDir::resolve(Some(dir.path())).unwrap();
    let names = ["png", "jpg"].map(|end| dir.path().join(format!("b/1.{end}")));
    fuzz("images", &kept, &[], |file| {
        let jpeg = usize::from(file.starts_with(&[0xff, 0xd8]));
        let _ = fs::remove_file(&names[1 - jpeg]);
        fs::write(&names[jpeg], file).unwrap();
        load(&spec, &data).is_ok()
    });
}

/// A safetensors file whose header and length may be damaged apart from its buffers.
fn refit(file: &[u8]) -> Option<Vec<u8>> {
    let length: [u8; 8] = file.get(..8)?.try_into().ok()?;
    let end = 8usize.checked_add(usize::try_from(u64::from_le_bytes(length)).ok()?)?;
    let rest = file.get(end..)?;
    // The damage may have moved the header's end: it is behind the last brace before the buffers.
    let header = &file[8..end];
    let close = header.iter().rposition(|b| *b == b'}')? + 1;
    let mut out = (close as u64).to_le_bytes().to_vec();
    out.extend(&header[..close]);
    out.extend(rest);
    Some(out)
}

const TENSORS: [&str; 10] = [
    "\"dtype\"",
    "\"shape\"",
    "\"data_offsets\"",
    "\"F32\"",
    "\"F64\"",
    "\"I64\"",
    "\"BF16\"",
    "[0,0]",
    "\"__metadata__\"",
    "\"conv1.weight\"",
];

#[test]
fn weights() {
    let dir = scratch();
    let path = dir.path().join("w.safetensors");
    let config = WrnConfig::new(Shape::parse("d1,1,1-w1,1,1-b2").unwrap(), 1, 3);
    let fresh = || -> State { wrn::wrn(&config, wrn::INIT, (0, "fuzz")).1 };
    let mut state = fresh();
    state.save(&path).unwrap();
    let corpus = [fs::read(&path).unwrap()];
    fuzz("weights", &corpus, &TENSORS, |file| {
        let mut read = false;
        for file in [Some(file.to_vec()), refit(file)].into_iter().flatten() {
            fs::write(&path, file).unwrap();
            read |= wrn::load(&mut state, &path).is_ok();
            let _ = state.load(&path);
        }
        read
    });
}

/// Six images of 2x2 in two classes.
fn train() -> Features {
    let images = Images {
        pixels: (0..24).collect(),
        shape: [6, 1, 2, 2],
    };
    let labels = vec![0, 1, 0, 1, 0, 1];
    Features::of(Split { images, labels }, vec!["a".into(), "b".into()])
}

/// The files of a patch and of its manifest, both of them `.npz` and safetensors.
fn patches(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>, String)> {
    let train = train();
    ["p.npz", "p.safetensors"]
        .map(|name| {
            let path = dir.join(name);
            let settings = serde_json::json!({"budget": 0.3});
            let values = vec![0.5, 0.25, 0.0, 1.0, 0.1, 0.2, 0.3, 0.4];
            let mut patch =
                Patch::new(&train, vec![1, 4], vec![0, 1], values, "bilevel", settings).unwrap();
            patch.save(&path).unwrap();
            let manifest = fs::read_to_string(Patch::manifest_path(&path)).unwrap();
            (path.clone(), fs::read(&path).unwrap(), manifest)
        })
        .into()
}

#[test]
fn patch_files() {
    let dir = scratch();
    let made = patches(dir.path());
    let corpus: Vec<Vec<u8>> = made.iter().map(|m| m.1.clone()).collect();
    let words = [&NPY[..], &TENSORS[..]].concat();
    fuzz("patch", &corpus, &words, |file| {
        let mut read = false;
        for (path, whole, manifest) in &made {
            // The manifest vouches for the damaged bytes, so that they are decoded.
            let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
            let manifest = manifest.replace(&hash(whole), &hash(file));
            fs::write(path, file).unwrap();
            fs::write(Patch::manifest_path(path), manifest).unwrap();
            if let Ok(patch) = Patch::load(path) {
                read = true;
                let _ = patch.apply(&mut train());
                let _ = patch.apply_unrounded(train());
            }
        }
        read
    });
}

#[test]
fn manifests() {
    let dir = scratch();
    let made = patches(dir.path());
    let corpus: Vec<Vec<u8>> = made.iter().map(|m| m.2.clone().into_bytes()).collect();
    fuzz("manifest", &corpus, &[], |file| {
        let mut read = false;
        for (path, ..) in &made {
            fs::write(Patch::manifest_path(path), file).unwrap();
            if let Ok(patch) = Patch::load(path) {
                read = true;
                let _ = patch.apply(&mut train());
            }
        }
        read
    });
}

/// With a digest that fits, if there is a place for one: so that the rest is read.
fn resealed(mut file: Vec<u8>) -> Vec<u8> {
    let mark = format!("\"{}\":\"", seal::KEY);
    let mut windows = file.windows(mark.len());
    let start = windows.position(|window| window == mark.as_bytes());
    let place = start.map(|at| at + mark.len()..at + mark.len() + seal::OPEN.len());
    if let Some(place) = place.filter(|place| file.get(place.end) == Some(&b'"')) {
        file[place].copy_from_slice(seal::OPEN.as_bytes());
        seal::seal(&mut file);
    }
    file
}

#[test]
fn checkpoints() {
    let dir = scratch();
    let path = dir.path().join("checkpoint.safetensors");
    let slot = Slot {
        path: &path,
        key: "k",
    };
    let header = serde_json::json!({"step": 3, "losses": [0.5, 0.25]});
    let buffers: [(&str, &[f32]); 2] = [("weights", &[1.0, -2.0, 0.5]), ("empty", &[])];
    slot.write(&header, &buffers).unwrap();
    let whole = fs::read(&path).unwrap();
    // Made with another version whose file's name is ours: it was put aside and taken up for ever.
    let with = checkpoint::made_with();
    let mut windows = whole.windows(with.len());
    let at = windows.position(|window| window == with.as_bytes());
    let mut other = whole.clone();
    other[at.unwrap()..][..with.len()].copy_from_slice(with.replace(' ', "_").as_bytes());
    let corpus = [whole, resealed(other)];
    fuzz("checkpoint", &corpus, &TENSORS, |file| {
        let mut read = false;
        for file in [Some(file.to_vec()), refit(file)].into_iter().flatten() {
            for file in [file.clone(), resealed(file)] {
                fs::write(&path, file).unwrap();
                let found = slot.read::<serde_json::Value>(&mut |_| {});
                read |= matches!(found, Ok(Some(_)));
                // Put aside, under a name that came from the file: all there is goes.
                for entry in fs::read_dir(dir.path()).unwrap() {
                    fs::remove_file(entry.unwrap().path()).unwrap();
                }
            }
        }
        read
    });
}
