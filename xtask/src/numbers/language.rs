//! What an expression of a marker may say: minijinja's, over columns of rows.

use super::rows::{Column, Files, fault};
use minijinja::value::{Kwargs, Object, Rest, Value, ValueKind};
use minijinja::{Environment, Error, State, UndefinedBehavior};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tox_report::stats::{self, Interval};
use tox_report::verdict::{Expect, Verdict, judge};
use tox_study::stats::{Mean, t_quantile};

/// What an expression comes to.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// Numbers, each with half of its interval where it has one.
    Numbers(Vec<(f64, Option<f64>)>),
    Word(String),
}

#[derive(Debug)]
struct Shown(Interval);

impl Object for Shown {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "mean" => Some(self.0.mean.into()),
            "half" => self.0.half.map(Value::from),
            _ => None,
        }
    }
}

/// The language, with the definitions of a page.
pub struct Language {
    env: Environment<'static>,
}

impl Language {
    pub fn new(root: &Path) -> Self {
        let files = Arc::new(Files::below(root));
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.add_function("rows", move |name: String, filters: Kwargs| {
            files.rows(&name, &filters).map(Value::from_object)
        });
        measures(&mut env);
        between(&mut env);
        by_seed(&mut env);
        env.add_function("wilson", |hits: f64, of: f64| {
            let (low, high) = stats::wilson(hits as usize, of as usize);
            vec![100.0 * low, 100.0 * high]
        });
        env.add_function("verdict", verdict);
        env.add_function("holm", holm);
        env.add_function("apart", apart);
        Self { env }
    }

    /// A definition `NAME = EXPRESSION` or `NAME(A, B) = EXPRESSION`, which later ones may use.
    pub fn define(&mut self, definition: &str) -> Result<(), String> {
        let parts = definition.split_once(" = ");
        let (head, body) = parts.ok_or("a definition is `NAME = EXPRESSION`")?;
        let (head, body) = (head.trim(), body.trim().to_owned());
        let Some((name, parameters)) = head.split_once('(') else {
            let value = self.value(&body, BTreeMap::new())?;
            self.env.add_global(head.to_owned(), value);
            return Ok(());
        };
        let parameters = parameters.trim_end_matches(')').split(',');
        let parameters: Vec<String> = parameters.map(|p| p.trim().to_owned()).collect();
        self.env
            .compile_expression_owned(body.clone())
            .map_err(|e| told(&e))?;
        let (name, whole) = (name.to_owned(), head.to_owned());
        let called = move |state: &State, given: Rest<Value>| {
            if given.len() != parameters.len() {
                return Err(fault(format!("`{whole}` got {} arguments", given.len())));
            }
            let named = parameters.iter().cloned().zip(given.iter().cloned());
            let context = named.collect::<BTreeMap<String, Value>>();
            state.env().compile_expression(&body)?.eval(context)
        };
        self.env.add_function(name, called);
        Ok(())
    }

    fn value(&self, expression: &str, context: BTreeMap<String, Value>) -> Result<Value, String> {
        let compiled = self
            .env
            .compile_expression(expression)
            .map_err(|e| told(&e))?;
        compiled.eval(context).map_err(|e| told(&e))
    }

    /// What an expression comes to where `context` says what its variables are.
    pub fn found(&self, expression: &str, context: &[(String, String)]) -> Result<Found, String> {
        let context = context.iter().map(|(k, v)| (k.clone(), Value::from(v)));
        let value = self.value(expression, context.collect())?;
        if let Some(word) = value.as_str() {
            return Ok(Found::Word(word.to_owned()));
        }
        let mut all = Vec::new();
        flatten(&value, &mut all)?;
        Ok(Found::Numbers(all))
    }
}

fn flatten(value: &Value, all: &mut Vec<(f64, Option<f64>)>) -> Result<(), String> {
    if let Some(shown) = value.downcast_object_ref::<Shown>() {
        all.push((shown.0.mean, shown.0.half));
    } else if value.kind() == ValueKind::Number {
        all.push((f64::try_from(value.clone()).map_err(|e| told(&e))?, None));
    } else if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        for one in value.try_iter().map_err(|e| told(&e))? {
            flatten(&one, all)?;
        }
    } else if value.downcast_object_ref::<Column>().is_some() {
        return Err("this is a column: take its `mean`, `median`, `least`, `most`, `each`".into());
    } else {
        return Err(format!("this is no number and no word, but {value:?}"));
    }
    Ok(())
}

fn told(error: &Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    match deepest.downcast_ref::<Error>().and_then(Error::detail) {
        Some(detail) => detail.to_owned(),
        None => deepest.to_string(),
    }
}

fn one(env: &mut Environment<'static>, name: &'static str, of: fn(Vec<f64>) -> f64) {
    env.add_function(name, move |c: Arc<Column>| c.numbers().map(of));
}

/// Functions of one column.
fn measures(env: &mut Environment<'static>) {
    env.add_function("mean", |c: Arc<Column>| {
        let found = stats::mean(&c.numbers()?);
        let found = found.ok_or_else(|| fault("no value"))?;
        Ok::<_, Error>(Value::from_object(Shown(found)))
    });
    one(env, "avg", |v| v.iter().sum::<f64>() / v.len() as f64);
    one(env, "total", |v| v.iter().sum());
    one(env, "least", |v| {
        v.into_iter().fold(f64::INFINITY, f64::min)
    });
    one(env, "most", |v| {
        v.into_iter().fold(f64::NEG_INFINITY, f64::max)
    });
    one(env, "sd", |v| {
        Mean::of(&v).and_then(|m| m.sd).unwrap_or(f64::NAN)
    });
    one(env, "median", |mut v| {
        v.sort_by(f64::total_cmp);
        (v[(v.len() - 1) / 2] + v[v.len() / 2]) / 2.0
    });
    env.add_function("count", |c: Arc<Column>| c.items.len());
    env.add_function("distinct", |c: Arc<Column>| {
        c.items
            .iter()
            .map(|(_, field)| field)
            .collect::<BTreeSet<_>>()
            .len()
    });
    env.add_function("text", |c: Arc<Column>| match c.items.as_slice() {
        [(_, field)] => Ok(field.clone()),
        items => Err(fault(format!(
            "{} has {} rows, not one",
            c.name,
            items.len()
        ))),
    });
    env.add_function("each", |c: Arc<Column>| c.numbers());
    env.add_function("sizes", |c: Arc<Column>| {
        let sizes = c.numbers()?.into_iter().map(f64::abs);
        let keys = c.items.iter().map(|(key, _)| key.clone());
        let all = keys.zip(sizes).collect::<Vec<_>>();
        Ok::<_, Error>(Value::from_object(Column::of(c.name.clone(), all)))
    });
    env.add_function("parts", parts);
}

/// Of fields that hold several numbers between spaces: their mean, or the one at a place, their `least` or `most`.
fn parts(c: Arc<Column>, which: Option<Value>) -> Result<Value, Error> {
    let of = |(key, field): &(String, String)| {
        let numbers: Result<Vec<f64>, _> = field.split(' ').map(str::parse).collect();
        let numbers = numbers.map_err(|_| fault(format!("`{field}` is not of numbers")))?;
        let found = match &which {
            None => Some(numbers.iter().sum::<f64>() / numbers.len() as f64),
            Some(which) => match which.as_str() {
                Some("least") => numbers.into_iter().reduce(f64::min),
                Some("most") => numbers.into_iter().reduce(f64::max),
                _ => which.as_usize().and_then(|at| numbers.get(at).copied()),
            },
        };
        let found = found.ok_or_else(|| fault(format!("`{field}` has no such part")))?;
        Ok((key.clone(), found))
    };
    let all: Result<Vec<_>, Error> = c.items.iter().map(of).collect();
    Ok(Value::from_object(Column::of(c.name.clone(), all?)))
}

fn paired(a: &Value, b: &Value, sign: &str, of: fn(f64, f64) -> f64) -> Result<Column, Error> {
    let column = |v: &Value| v.downcast_object::<Column>();
    let number =
        |v: &Value| f64::try_from(v.clone()).map_err(|_| fault("expected a column or a number"));
    match (column(a), column(b)) {
        (Some(a), Some(b)) => {
            let pairs = a.pairs(&b)?.into_iter();
            let name = format!("{} {sign} {}", a.name, b.name);
            Ok(Column::of(name, pairs.map(|(key, a, b)| (key, of(a, b)))))
        }
        (Some(a), None) => {
            let (b, numbers) = (number(b)?, a.numbers()?);
            let all = a
                .items
                .iter()
                .zip(numbers)
                .map(|((k, _), a)| (k.clone(), of(a, b)));
            Ok(Column::of(a.name.clone(), all))
        }
        _ => Err(fault("expected a column first")),
    }
}

/// Functions of two columns, paired by seed, or of a column and a number.
fn between(env: &mut Environment<'static>) {
    type Of = fn(f64, f64) -> f64;
    let ways: [(&'static str, &'static str, Of); 5] = [
        ("less", "-", |a, b| a - b),
        ("plus", "+", |a, b| a + b),
        ("times", "*", |a, b| a * b),
        ("over", "/", |a, b| a / b),
        ("larger", "or", f64::max),
    ];
    for (name, sign, of) in ways {
        env.add_function(name, move |a: Value, b: Value| {
            paired(&a, &b, sign, of).map(Value::from_object)
        });
    }
    type Holds = fn(f64, f64) -> bool;
    let counts: [(&'static str, Holds); 3] = [
        ("above", |a, b| a > b),
        ("at_least", |a, b| a >= b),
        ("equal", |a, b| a == b),
    ];
    for (name, holds) in counts {
        env.add_function(name, move |a: Arc<Column>, b: Value| {
            let a = Value::from_dyn_object(a);
            let differences = paired(&a, &b, "-", |a, b| a - b)?.numbers()?;
            let those = differences.into_iter().filter(|d| holds(*d, 0.0));
            Ok::<_, Error>(those.count())
        });
    }
    env.add_function("spearman", |a: Arc<Column>, b: Arc<Column>| {
        let pairs = a.pairs(&b)?;
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().map(|(_, a, b)| (a, b)).unzip();
        stats::spearman(&a, &b).ok_or_else(|| fault("a side has one value only"))
    });
}

/// Functions that make one row of those of a seed.
fn by_seed(env: &mut Environment<'static>) {
    type Of = fn(&[f64]) -> f64;
    let ways: [(&'static str, Of); 4] = [
        ("totals", |v| v.iter().sum()),
        ("means", |v| v.iter().sum::<f64>() / v.len() as f64),
        ("leasts", |v| {
            v.iter().copied().fold(f64::INFINITY, f64::min)
        }),
        ("mosts", |v| {
            v.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        }),
    ];
    for (name, of) in ways {
        env.add_function(name, move |c: Arc<Column>| {
            let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            for ((key, _), number) in c.items.iter().zip(c.numbers()?) {
                all.entry(key).or_default().push(number);
            }
            let all = all.into_iter().map(|(key, v)| (key.to_owned(), of(&v)));
            Ok::<_, Error>(Value::from_object(Column::of(c.name.clone(), all)))
        });
    }
}

/// The verdict of the reports on a difference.
fn verdict(found: Value, expect: String) -> Result<&'static str, Error> {
    let found = found.downcast_object_ref::<Shown>().map(|shown| shown.0);
    let found = found.ok_or_else(|| fault("`verdict` judges a `mean`"))?;
    let expect = match expect.as_str() {
        "up" => Expect::Up,
        "down" => Expect::Down,
        "near" => Expect::Near,
        "little" => Expect::Little,
        _ => return Err(fault("`verdict` expects up, down, near or little")),
    };
    Ok(match judge(Some(found), expect) {
        Verdict::Held => "held",
        Verdict::NotHeld => "not held",
        Verdict::CannotTell => "cannot tell",
    })
}

/// The difference of the means of two columns that are not paired, with Student's 95 % interval (one variance for both).
fn apart(a: Arc<Column>, b: Arc<Column>) -> Result<Value, Error> {
    let of = |c: &Column| {
        let values = c.numbers()?;
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Ok::<_, Error>((values.len(), mean, squares))
    };
    let ((n, mean, squares), (m, other, more)) = (of(&a)?, of(&b)?);
    if n < 2 || m < 2 {
        return Err(fault("`apart` needs two values on each side"));
    }
    let df = n + m - 2;
    let variance = (squares + more) / df as f64 * (1.0 / n as f64 + 1.0 / m as f64);
    Ok(Value::from_object(Shown(Interval {
        // Of a mean with as many degrees of freedom.
        n: df + 1,
        mean: mean - other,
        half: Some(t_quantile(0.975, df as u64) * variance.sqrt()),
    })))
}

/// P values of means against 0, two-sided by Student's t, for as many tests as there are means (Holm's step-down).
fn holm(found: Vec<Value>) -> Result<Vec<f64>, Error> {
    let p = |found: &Value| {
        let shown = found.downcast_object_ref::<Shown>().map(|shown| shown.0);
        let shown = shown.ok_or_else(|| fault("`holm` is of a list of `mean`s"))?;
        let half = shown.half.filter(|half| *half > 0.0);
        let half = half.ok_or_else(|| fault("`holm` needs means of values that differ"))?;
        let df = shown.n as u64 - 1;
        let t = shown.mean.abs() / half * t_quantile(0.975, df);
        // Of the quantiles, which are what there is, the share below t.
        let (mut low, mut high) = (0.5, 1.0 - f64::EPSILON);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            match t_quantile(middle, df) < t {
                true => low = middle,
                false => high = middle,
            }
        }
        Ok(2.0 * (1.0 - low))
    };
    let all: Result<Vec<f64>, Error> = found.iter().map(p).collect();
    let mut all = all?;
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|a, b| all[*a].total_cmp(&all[*b]));
    let mut least: f64 = 0.0;
    for (done, &i) in order.iter().enumerate() {
        least = least.max((all[i] * (order.len() - done) as f64).min(1.0));
        all[i] = least;
    }
    Ok(all)
}
