//! Fetching, against a server on this machine.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use md5::{Digest, Md5};
use tempfile::TempDir;
use tox_data::{Checksum, DataDir, FetchError, Remote, Source, fetch, fetch_from};

/// What the server does with each connection in turn; the last one repeats.
#[derive(Clone, Copy)]
enum Answer {
    Whole,
    /// Announces everything and sends this many bytes of it.
    Cut(usize),
    Status(u16),
    /// All of it as a part that nobody asked for.
    FalsePart,
    /// Twice as much, without a length.
    Endless,
    /// Announces far more than there is.
    Long,
}

/// Serves `body`, and notes the `Range` of each request.
fn serve(body: Vec<u8>, answers: Vec<Answer>) -> (String, Arc<Mutex<Vec<Option<usize>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let log = Arc::new(Mutex::new(Vec::new()));
    let ranges = Arc::clone(&log);
    thread::spawn(move || {
        for (turn, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut from = None;
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let line = line.unwrap().to_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(range) = line.strip_prefix("range: bytes=") {
                    from = range.trim_end_matches('-').parse().ok();
                }
            }
            ranges.lock().unwrap().push(from);
            let rest = &body[from.unwrap_or(0).min(body.len())..];
            let (status, send) = match answers[turn.min(answers.len() - 1)] {
                Answer::Whole if from.is_some() => (206, rest.len()),
                Answer::Whole => (200, rest.len()),
                Answer::Cut(count) => (if from.is_some() { 206 } else { 200 }, count),
                Answer::Status(status) => (status, 0),
                Answer::FalsePart => (206, rest.len()),
                Answer::Long => (200, rest.len()),
                Answer::Endless => {
                    let head = "HTTP/1.1 200 x\r\nConnection: close\r\n\r\n";
                    let _ = stream.write_all(head.as_bytes());
                    // Until nobody listens.
                    while stream.write_all(&body).is_ok() {}
                    continue;
                }
            };
            let long = matches!(answers[turn.min(answers.len() - 1)], Answer::Long);
            let length = if send == 0 { 0 } else { rest.len() };
            let range = from.map_or_else(String::new, |from| {
                format!(
                    "Content-Range: bytes {from}-{}/{}\r\n",
                    body.len() - 1,
                    body.len()
                )
            });
            let length = if long { 1 << 62 } else { length };
            let head = format!(
                "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n{range}Connection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&rest[..send]);
        }
    });
    (base, log)
}

fn source(base: &str, file: &str, body: &[u8], contents: &[&str]) -> Source {
    let md5 = Md5::digest(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Source {
        name: "test".to_owned(),
        base: base.to_owned(),
        files: vec![Remote {
            file: file.to_owned(),
            checksum: Checksum::Md5(md5),
            most: body.len() as u64 + 1,
        }],
        folder: "set".to_owned(),
        contents: contents.iter().map(|&name| name.to_owned()).collect(),
    }
}

fn data_dir(folder: &TempDir) -> DataDir {
    DataDir::resolve(Some(folder.path())).unwrap()
}

fn body() -> Vec<u8> {
    (0..200_000u32).map(|value| (value % 251) as u8).collect()
}

#[test]
fn a_whole_file_arrives_with_progress_and_is_not_fetched_twice() {
    let (base, log) = serve(body(), vec![Answer::Whole]);
    let folder = TempDir::new().unwrap();
    let source = source(&base, "file", &body(), &["file"]);
    let mut heard = Vec::new();
    let mut progress = |done, total| heard.push((done, total));
    let path = fetch_from(&source, &data_dir(&folder), &mut progress).unwrap();
    assert_eq!(std::fs::read(path.join("file")).unwrap(), body());
    assert!(!path.join("file.part").exists());
    assert_eq!(heard.first(), Some(&(0, Some(200_000))));
    assert_eq!(heard.last(), Some(&(200_000, Some(200_000))));
    fetch_from(&source, &data_dir(&folder), &mut |_, _| ()).unwrap();
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[test]
fn a_cut_download_goes_on_where_it_stopped_in_this_call_and_in_the_next() {
    let (base, log) = serve(
        body(),
        vec![Answer::Cut(1000), Answer::Cut(500), Answer::Whole],
    );
    let folder = TempDir::new().unwrap();
    let source_ = source(&base, "file", &body(), &["file"]);
    let path = fetch_from(&source_, &data_dir(&folder), &mut |_, _| ()).unwrap();
    assert_eq!(std::fs::read(path.join("file")).unwrap(), body());
    assert_eq!(*log.lock().unwrap(), [None, Some(1000), Some(1500)]);

    let folder = TempDir::new().unwrap();
    let (base, _) = serve(body(), vec![Answer::Cut(1000), Answer::Status(503)]);
    let source_ = source(&base, "file", &body(), &["file"]);
    let error = fetch_from(&source_, &data_dir(&folder), &mut |_, _| ()).unwrap_err();
    assert!(
        matches!(error, FetchError::Status { status: 503, .. }),
        "{error}"
    );
    let part = folder.path().join("set/file.part");
    assert_eq!(std::fs::read(part).unwrap(), body()[..1000]);
    let (base, log) = serve(body(), vec![Answer::Whole]);
    let source_ = source(&base, "file", &body(), &["file"]);
    fetch_from(&source_, &data_dir(&folder), &mut |_, _| ()).unwrap();
    assert_eq!(*log.lock().unwrap(), [Some(1000)]);
}

#[test]
fn false_parts_and_files_without_an_end_are_refused_with_the_reason() {
    for (answer, reason) in [
        (
            Answer::FalsePart,
            "the server sent a part of it (status 206)",
        ),
        (Answer::Endless, "but the file has fewer than 200001"),
        (
            Answer::Long,
            "sends 4611686018427387904 bytes, but the file",
        ),
    ] {
        let (base, _) = serve(body(), vec![answer]);
        let folder = TempDir::new().unwrap();
        let source = source(&base, "file", &body(), &["file"]);
        let error = fetch_from(&source, &data_dir(&folder), &mut |_, _| ()).unwrap_err();
        assert!(matches!(error, FetchError::Network { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        let left = std::fs::read_dir(folder.path().join("set")).unwrap();
        assert_eq!(left.count(), 0);
    }
}

#[test]
fn a_wrong_start_is_thrown_away_and_fetched_again() {
    let (base, log) = serve(body(), vec![Answer::Whole]);
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("set")).unwrap();
    std::fs::write(folder.path().join("set/file.part"), [9; 10]).unwrap();
    let source = source(&base, "file", &body(), &["file"]);
    let path = fetch_from(&source, &data_dir(&folder), &mut |_, _| ()).unwrap();
    assert_eq!(std::fs::read(path.join("file")).unwrap(), body());
    assert_eq!(*log.lock().unwrap(), [Some(10), None]);
}

#[test]
fn other_bytes_are_refused_and_removed() {
    let (base, _) = serve(body(), vec![Answer::Whole]);
    let folder = TempDir::new().unwrap();
    let mut other = body();
    other[7] ^= 1;
    let source = source(&base, "file", &other, &["file"]);
    let error = fetch_from(&source, &data_dir(&folder), &mut |_, _| ()).unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");
    assert_eq!(
        std::fs::read_dir(folder.path().join("set"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_file_of_the_users_own_is_not_overwritten() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("set")).unwrap();
    std::fs::write(folder.path().join("set/file"), b"mine").unwrap();
    let source = source("http://127.0.0.1:9", "file", &body(), &["file"]);
    let error = fetch_from(&source, &data_dir(&folder), &mut |_, _| ()).unwrap_err();
    assert!(matches!(error, FetchError::Present { .. }), "{error}");
    assert_eq!(
        std::fs::read(folder.path().join("set/file")).unwrap(),
        b"mine"
    );
}

#[test]
fn a_missing_page_and_a_refused_connection_say_what_to_do() {
    let folder = TempDir::new().unwrap();
    let (base, log) = serve(body(), vec![Answer::Status(404)]);
    let missing = source(&base, "file", &body(), &["file"]);
    let error = fetch_from(&missing, &data_dir(&folder), &mut |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("found 404"), "{error}");
    assert_eq!(log.lock().unwrap().len(), 1);

    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let refused = source(
        &format!("http://127.0.0.1:{port}"),
        "file",
        &body(),
        &["file"],
    );
    let error = fetch_from(&refused, &data_dir(&folder), &mut |_, _| ()).unwrap_err();
    assert!(matches!(error, FetchError::Network { .. }), "{error}");
    let place = folder.path().join("set/file").display().to_string();
    assert!(
        error.to_string().contains(&place) && error.to_string().contains("/file:"),
        "{error}"
    );
    let error = fetch("digit", &data_dir(&folder), &mut |_, _| ()).unwrap_err();
    assert!(matches!(error, FetchError::Unknown { .. }), "{error}");
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        Default::default(),
    ));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        // Set by hand: the library refuses to write names that leave the folder.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn an_archive_gives_the_wanted_files_and_nothing_else() {
    let body = archive(&[
        ("a/x.bin", b"xx"),
        ("../../evil", b"e"),
        ("a/readme.html", b"r"),
    ]);
    let (base, log) = serve(body.clone(), vec![Answer::Whole]);
    let folder = TempDir::new().unwrap();
    let good = source(&base, "a.tar.gz", &body, &["x.bin"]);
    let path = fetch_from(&good, &data_dir(&folder), &mut |_, _| ()).unwrap();
    let names = |path: &Path| {
        let entries = std::fs::read_dir(path).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&path), ["x.bin"]);
    assert_eq!(std::fs::read(path.join("x.bin")).unwrap(), b"xx");
    assert_eq!(names(folder.path()), ["set"]);
    fetch_from(&good, &data_dir(&folder), &mut |_, _| ()).unwrap();
    assert_eq!(log.lock().unwrap().len(), 1);

    let lacking = source(&base, "a.tar.gz", &body, &["x.bin", "y.bin"]);
    let error = fetch_from(&lacking, &data_dir(&folder), &mut |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("found no y.bin"), "{error}");
    let broken = b"no archive".to_vec();
    let (base, _) = serve(broken.clone(), vec![Answer::Whole]);
    let folder = TempDir::new().unwrap();
    let broken = source(&base, "a.tar.gz", &broken, &["x.bin"]);
    let error = fetch_from(&broken, &data_dir(&folder), &mut |_, _| ()).unwrap_err();
    assert!(matches!(error, FetchError::Archive { .. }), "{error}");
}
