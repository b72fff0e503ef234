//! Arrays beside NumPy's own reading of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Array;
use crate::input::Input;

/// Runs `tests/peers/npy.py`; what it prints.
fn numpy(task: &str, dir: &Path) -> usize {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/npy.py");
    let python = std::env::var("TOXSCREEN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(python)
        .arg(script)
        .arg(task)
        .arg(dir)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap()
}

/// Types, shapes, orders, byte orders and versions of headers; what NumPy refuses is refused, and what is read is
/// written back as the same array.
#[test]
#[ignore = "needs Python with NumPy (TOXSCREEN_PYTHON names it)"]
fn arrays_are_what_numpy_says() {
    let dir = tempfile::tempdir().unwrap();
    let count = numpy("make", dir.path());
    assert!(count >= 300, "{count}");
    let (mut read, mut stricter) = (0, Vec::new());
    for number in 0..count {
        let path = dir.path().join(format!("{number}.npy"));
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        let bytes = fs::read(&path).unwrap();
        let found = Array::read("a", Input::memory(&path, &bytes));
        let (found, expected) = match (found, expected.starts_with("refused")) {
            (Ok(found), false) => (found, expected),
            (Err(_), true) => continue,
            // Types that NumPy reads and nobody needs here.
            (Err(error), false) => {
                stricter.push(format!("{number}: {error}"));
                continue;
            }
            (Ok(_), true) => panic!("{number}: NumPy refuses it"),
        };
        let shape: Vec<String> = found.shape.iter().map(usize::to_string).collect();
        let mut told = vec![String::new(), shape.join(",")];
        if found.kind.is_text() {
            told[0] = "text".to_owned();
            let escaped = |text: String| -> String {
                let mut out = String::new();
                for c in text.chars() {
                    match c {
                        '\t' => out += "\\t",
                        c if c.is_ascii() => out.push(c),
                        c if u32::from(c) < 256 => out += &format!("\\x{:02x}", u32::from(c)),
                        c => out += &format!("\\u{:04x}", u32::from(c)),
                    }
                }
                out
            };
            told.extend(found.texts().map(escaped));
        } else if found.kind.is_float() {
            told[0] = "floats".to_owned();
            told.extend(
                found
                    .floats(&path)
                    .unwrap()
                    .map(|value| value.to_bits().to_string()),
            );
        } else {
            told[0] = "integers".to_owned();
            told.extend(
                found
                    .integers(&path)
                    .unwrap()
                    .map(|value| value.to_string()),
            );
        }
        assert_eq!(told.join("\n") + "\n", expected, "{number}");
        fs::write(path.with_extension("back.npy"), found.file()).unwrap();
        read += 1;
    }
    assert_eq!(stricter, Vec::<String>::new());
    assert!(read >= 250, "{read}");
    assert_eq!(numpy("check", dir.path()), read);
}
