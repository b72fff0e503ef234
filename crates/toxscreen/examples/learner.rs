//! A learner outside of toxscreen, in a language of its own choice: nearest class means, with the shrinkage
//! chosen by the validation rows. It speaks `toxscreen-learner/1` (docs/guide/external.md) with nothing but
//! files, and is what the tests audit.
//!
//! ```console
//! $ learner [MISCHIEF] REQUEST
//! ```

use serde_json::{Value, json};
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Shrinkages of the class means that it chooses among.
const CHOICES: [f64; 3] = [0.0, 0.3, 0.9];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (mischief, request) = match args.as_slice() {
        [request] => ("", request),
        [mischief, request] => (mischief.as_str(), request),
        _ => return Err("usage: learner [MISCHIEF] REQUEST".into()),
    };
    let request = Path::new(request);
    let work = request.parent().ok_or("the request has no folder")?;
    let asked: Value = serde_json::from_slice(&std::fs::read(request)?)?;
    let classes = asked["task"]["classes"].as_u64().ok_or("classes")? as usize;
    if asked["phase"] == "predict" {
        return serve(mischief, work, &asked);
    }
    if mischief == "slow" {
        slow(work, &asked)?;
    }
    let data = |part: &str, key: &str| -> Result<Rows> {
        let name = asked["data"][part][key].as_str().ok_or("a file")?;
        read(&work.join(name))
    };
    let (x, y) = (data("train", "x")?, data("train", "y")?);
    let test = data("test", "x")?;
    // Without validation rows the training rows do.
    let (xv, yv) = match asked["data"]["valid"].is_null() {
        true => (data("train", "x")?, data("train", "y")?),
        false => (data("valid", "x")?, data("valid", "y")?),
    };
    let accuracy = |shrink: f64| {
        let found = predict(&means(&x, &y, classes, shrink), &xv);
        let right = found.iter().zip(&yv.values).filter(|(a, b)| **a == **b);
        right.count() as f64 / yv.rows as f64
    };
    let mut candidates: Vec<(f64, f64)> = CHOICES.iter().map(|c| (*c, accuracy(*c))).collect();
    if let Some(shrink) = asked["choice"]["shrink"].as_f64() {
        candidates = vec![(shrink, accuracy(shrink))];
    }
    let out = work.join(asked["out"].as_str().ok_or("out")?);
    let mut listed = Vec::new();
    for (i, (shrink, claim)) in candidates.iter().enumerate() {
        let name = format!("c{i}.npy");
        let found = predict(&means(&x, &y, classes, *shrink), &test);
        write(&out.join(&name), &[found.len()], &found)?;
        listed.push(json!({"choice": {"shrink": shrink}, "claim": claim, "predictions": name}));
    }
    let first = candidates.iter().enumerate();
    let best = first.fold(
        0,
        |best, (i, c)| if c.1 > candidates[best].1 { i } else { best },
    );
    let mut answer = listed[best].clone();
    answer["evaluations"] = json!(candidates.len());
    answer["candidates"] = json!(listed);
    let shrink = candidates[best].0;
    std::fs::create_dir(out.join("model"))?;
    let found = json!(means(&x, &y, classes, shrink));
    std::fs::write(out.join("model").join("means.json"), found.to_string())?;
    answer["model"] = json!("model");
    misbehave(mischief, &out, &mut answer, (test.rows, classes))?;
    std::fs::write(out.join("result.json"), answer.to_string())?;
    Ok(())
}

/// A float array, row by row.
struct Rows {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

fn read(path: &Path) -> Result<Rows> {
    let bytes = std::fs::read(path)?;
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + length])?;
    let body = &bytes[10 + length..];
    let values: Vec<f64> = match () {
        () if header.contains("'|u1'") => body.iter().map(|b| f64::from(*b) / 255.0).collect(),
        () if header.contains("'<f4'") => body
            .chunks_exact(4)
            .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
            .collect(),
        () => body
            .chunks_exact(8)
            .map(|b| f64::from(b[0]) + 256.0 * f64::from(b[1]))
            .collect(),
    };
    let shape = header.split("'shape': (").nth(1).ok_or("no shape")?;
    let rows: usize = shape
        .split([',', ')'])
        .next()
        .ok_or("no rows")?
        .trim()
        .parse()?;
    Ok(Rows {
        rows,
        columns: values.len() / rows.max(1),
        values,
    })
}

fn write(path: &Path, shape: &[usize], values: &[f64]) -> Result<()> {
    let shape: String = shape.iter().map(|size| format!("{size},")).collect();
    let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape}), }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = length - 1).bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Ok(std::fs::write(path, bytes)?)
}

/// The mean of each class, drawn towards the mean of all.
fn means(x: &Rows, y: &Rows, classes: usize, shrink: f64) -> Vec<Vec<f64>> {
    let mut sums = vec![(vec![0.0; x.columns], 0.0); classes + 1];
    for (row, label) in x.values.chunks_exact(x.columns).zip(&y.values) {
        for to in [*label as usize, classes] {
            sums[to].1 += 1.0;
            sums[to]
                .0
                .iter_mut()
                .zip(row)
                .for_each(|(sum, v)| *sum += v);
        }
    }
    let mean = |(sum, count): &(Vec<f64>, f64)| -> Vec<f64> {
        sum.iter().map(|sum| sum / count.max(1.0)).collect()
    };
    let all = mean(&sums[classes]);
    let drawn = |own: Vec<f64>| -> Vec<f64> {
        own.iter()
            .zip(&all)
            .map(|(own, all)| own + shrink * (all - own))
            .collect()
    };
    sums[..classes].iter().map(|sum| drawn(mean(sum))).collect()
}

fn predict(means: &[Vec<f64>], x: &Rows) -> Vec<f64> {
    let far = |row: &[f64], mean: &Vec<f64>| -> f64 {
        row.iter().zip(mean).map(|(a, b)| (a - b).powi(2)).sum()
    };
    let rows = x.values.chunks_exact(x.columns);
    rows.map(|row| {
        let all: Vec<f64> = means.iter().map(|mean| far(row, mean)).collect();
        let nearest = |best: usize, i: usize| if all[i] < all[best] { i } else { best };
        (1..all.len()).fold(0, nearest) as f64
    })
    .collect()
}

/// Answers queries about rows: minus the distance to the mean of each class.
fn serve(mischief: &str, work: &Path, asked: &Value) -> Result<()> {
    let model = work
        .join(asked["model"].as_str().ok_or("a model")?)
        .join("means.json");
    let means: Vec<Vec<f64>> = serde_json::from_slice(&std::fs::read(model)?)?;
    for line in std::io::stdin().lines() {
        let query: Value = serde_json::from_str(&line?)?;
        let name = |key: &str| query[key].as_str().ok_or("a name");
        let x = read(&work.join(name("x")?))?;
        let far = |row: &[f64], mean: &Vec<f64>| -> f64 {
            -row.iter()
                .zip(mean)
                .map(|(a, b)| (a - b).powi(2))
                .sum::<f64>()
        };
        let rows = x.values.chunks_exact(x.columns);
        let scores: Vec<f64> = rows
            .flat_map(|row| means.iter().map(|m| far(row, m)))
            .collect();
        write(&work.join(name("scores")?), &[x.rows, means.len()], &scores)?;
        match mischief {
            "mumble" => println!("well"),
            "refuse" => println!("{}", json!({"error": "no more"})),
            "die" => return Err("it is too hard".into()),
            _ => println!("{}", json!({"ok": true})),
        }
    }
    Ok(())
}

/// Takes a second in small steps, and can be stopped and go on: what it did is in its checkpoint.
fn slow(work: &Path, asked: &Value) -> Result<()> {
    let folder = work.join(asked["checkpoint"].as_str().ok_or("checkpoint")?);
    let path = folder.join("steps");
    let mut done = match asked["resume"].as_bool() {
        Some(true) => std::fs::read_to_string(&path)?.trim().parse()?,
        _ => 0,
    };
    let events = work.join(asked["events"].as_str().ok_or("events")?);
    let mut events = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(events)?;
    while done < 10 {
        std::thread::sleep(Duration::from_millis(50));
        done += 1;
        // Whole or not at all, whenever it is killed.
        let part: PathBuf = folder.join("steps.part");
        std::fs::write(&part, done.to_string())?;
        std::fs::rename(&part, &path)?;
        writeln!(
            events,
            "{}",
            json!({"done": f64::from(done) / 10.0, "message": "slow"})
        )?;
    }
    Ok(())
}

fn misbehave(
    mischief: &str,
    out: &Path,
    answer: &mut Value,
    (rows, classes): (usize, usize),
) -> Result<()> {
    let path = out.join("bad.npy");
    let mut bad = |shape: &[usize], value: f64| {
        answer["predictions"] = json!("bad.npy");
        write(&path, shape, &vec![value; shape.iter().product()])
    };
    match mischief {
        "" | "slow" | "mumble" | "refuse" | "die" => {}
        "nan" => bad(&[rows, classes], f64::NAN)?,
        "shape" => bad(&[rows - 1], 0.0)?,
        "class" => bad(&[rows], classes as f64)?,
        "half" => bad(&[rows], 0.5)?,
        "huge" => bad(&[rows * classes * 8], 0.0)?,
        "claim" => answer["claim"] = json!(97.3),
        "choice" => answer["choice"] = json!({"shrink": 0.123}),
        "key" => answer["accuracy"] = json!(0.9),
        "flood" => {
            let line = [b'x'; 1 << 16];
            for _ in 0..512 {
                std::io::stdout().write_all(&line)?;
                std::io::stderr().write_all(&line)?;
            }
        }
        other => return Err(format!("no mischief {other}").into()),
    }
    Ok(())
}
