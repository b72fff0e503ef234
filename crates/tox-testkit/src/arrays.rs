//! Files of NumPy's.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// An array with this header; `order` is `True` for Fortran's.
pub fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.extend(data);
    bytes
}

/// A zip archive of these members, as they are or deflated.
pub fn zip(members: &[(&str, Vec<u8>)], deflated: bool) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let method = match deflated {
        true => CompressionMethod::Deflated,
        false => CompressionMethod::Stored,
    };
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in members {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// An array of an archive.
pub struct Npy {
    /// As the header has it, such as `<f4`.
    pub descr: String,
    pub shape: Vec<usize>,
    /// Row by row.
    pub data: Vec<u8>,
}

/// The arrays of a `.npz` file by name.
pub fn unzipped(bytes: &[u8]) -> BTreeMap<String, Npy> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).unwrap();
        let name = member
            .name()
            .unwrap()
            .strip_suffix(".npy")
            .unwrap()
            .to_owned();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let header = String::from_utf8(bytes[10..start].to_vec()).unwrap();
        assert!(header.contains("'fortran_order': False"), "{header}");
        let behind = |key: &str, open: char, close: char| {
            let rest = header.split_once(key).unwrap().1;
            let rest = rest.split_once(open).unwrap().1;
            rest.split_once(close).unwrap().0.to_owned()
        };
        let sizes = behind("'shape':", '(', ')');
        let sizes = sizes
            .split(',')
            .map(str::trim)
            .filter(|size| !size.is_empty());
        let array = Npy {
            descr: behind("'descr':", '\'', '\''),
            shape: sizes.map(|size| size.parse().unwrap()).collect(),
            data: bytes[start..].to_vec(),
        };
        arrays.insert(name, array);
    }
    arrays
}
