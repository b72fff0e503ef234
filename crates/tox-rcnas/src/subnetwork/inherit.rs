//! Weights of a sub-network, from the teacher that it is a part of.

use super::channels::{Importance, Source, top};
use super::error::InheritError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use tox_nn::layers::{Init, NormId, State};
use tox_nn::nets::wrn::{Block, Planned, Wrn, WrnConfig, wrn};

/// Which blocks of a stage are kept. The first always is: it changes the map's shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// The first ones.
    #[default]
    First,
    /// The first one and the last ones.
    Last,
    /// The first one, the last one and others at even distances.
    Even,
}

/// How a robust block begins that the teacher has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fresh {
    /// As the identity, so that the network begins with the function that it has without the block:
    /// its last convolution and the gamma of its squeeze-and-excitation are 0, all else is drawn.
    #[default]
    Identity,
    /// Drawn, as in a network of its own.
    Random,
}

/// How weights are inherited. The papers do not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Inheritance {
    /// By what channels are kept.
    pub channels: Importance,
    /// Which blocks are kept.
    pub depth: Depth,
    /// How robust blocks begin that the teacher has not.
    pub fresh: Fresh,
}

/// The network `student` with weights and running statistics of `teacher`.
///
/// Within a stage one choice of channels serves all that is added up there, each block has one of its
/// own for what is inside; of a robust block, one for all parts, which are added up too, in each
/// group. A block that is dropped leaves the identity in its place. What is not the teacher's (robust
/// blocks that it has not) is drawn by `init` from streams keyed by `seed` and `network`, and begins
/// as `how` says. Where a first stage of width 1 comes from a wider one, its first block has no
/// shortcut convolution any more and the stem's channels go on as they are.
///
/// # Errors
/// Shapes that are none; a student that is not within the teacher: more depth or width in a stage,
/// other base, blocks, image channels, classes or, if both have any, robust blocks; weights that are not
/// the teacher's.
pub fn inherit(
    (teacher, weights): (&WrnConfig, &State),
    student: &WrnConfig,
    how: Inheritance,
    init: Init,
    (seed, network): (u64, &str),
) -> Result<(Wrn, State), InheritError> {
    within(teacher, student)?;
    fitting(teacher, weights)?;
    let (network, state) = wrn(student, init, (seed, network));
    let blocks = pairs(teacher, student, how.depth);
    let source = Source::new(weights, how.channels);
    let mut to = Target::new(&source, state);
    let image: Vec<usize> = (0..student.in_channels).collect();
    let mut stream: Vec<usize> = (0..student.shape.base).collect();
    to.weight("conv1", "conv1", &stream, |_| &image);
    for stage in 0..3 {
        let here: Vec<_> = blocks.iter().filter(|(s, _)| s.stage == stage).collect();
        let kept: Vec<Planned> = here.iter().filter_map(|(_, t)| *t).collect();
        let scores = source.stream(&kept, stage, teacher.shape.channels(stage));
        let next = top(&scores, student.shape.channels(stage));
        for (ours, theirs) in here {
            let from = if ours.place == 0 { &stream } else { &next };
            match theirs {
                Some(theirs) => to.block(student, (ours, theirs), teacher, (from, &next)),
                None if how.fresh == Fresh::Identity => to.identity(&ours.name()),
                None => {}
            }
        }
        stream = next;
    }
    to.norm("bn1", "bn1", &stream);
    let classes: Vec<usize> = (0..student.classes).collect();
    to.weight("fc", "fc", &classes, |_| &stream);
    to.vector("fc.bias", "fc.bias", &classes);
    Ok((network, to.state))
}

fn within(teacher: &WrnConfig, student: &WrnConfig) -> Result<(), InheritError> {
    teacher.check()?;
    student.check()?;
    let (t, s) = (&teacher.shape, &student.shape);
    let robust = |c: &WrnConfig| c.blocks().iter().any(|b| b.kind == Block::Robust);
    let cells = |c: &WrnConfig| format!("{:?}", c.cells);
    let both = robust(teacher) && robust(student);
    let same = [
        ("base", s.base.to_string(), t.base.to_string()),
        ("block", format!("{:?}", s.block), format!("{:?}", t.block)),
        (
            "number of image channels",
            student.in_channels.to_string(),
            teacher.in_channels.to_string(),
        ),
        (
            "number of classes",
            student.classes.to_string(),
            teacher.classes.to_string(),
        ),
        (
            "kind of robust block",
            cells(if both { student } else { teacher }),
            cells(teacher),
        ),
    ];
    for (what, student, teacher) in same {
        if student != teacher {
            return Err(InheritError::Other {
                what,
                student,
                teacher,
            });
        }
    }
    for (i, (s, t)) in s.stages.iter().zip(&t.stages).enumerate() {
        for (what, student, teacher) in [("depth", s.depth, t.depth), ("width", s.width, t.width)] {
            if student > teacher {
                return Err(InheritError::Larger {
                    what,
                    stage: i + 1,
                    student,
                    teacher,
                });
            }
        }
    }
    Ok(())
}

/// Whether `weights` has the tensors of `teacher`.
fn fitting(teacher: &WrnConfig, weights: &State) -> Result<(), InheritError> {
    let (_, expected) = wrn(teacher, Init::Zero, (0, "inherit"));
    let shapes = |state: &State| {
        let entries = state.params.entries().iter();
        let mut shapes: Vec<_> = entries.map(|e| (e.name.clone(), e.shape)).collect();
        let norms = state.running.norms();
        shapes.extend(norms.map(|(_, name, c)| (format!("{name}.running_mean"), [c, 1, 1, 1])));
        shapes.sort();
        shapes
    };
    let (expected, found) = (shapes(&expected), shapes(weights));
    if expected == found {
        return Ok(());
    }
    let differs = expected.iter().find(|shape| !found.contains(shape));
    Err(InheritError::Weights {
        teacher: teacher.shape.to_string(),
        found: found.len(),
        expected: expected.len(),
        example: differs.map(|(name, _)| name.clone()),
    })
}

/// Every block of the student with that of the teacher that it comes from.
fn pairs(
    teacher: &WrnConfig,
    student: &WrnConfig,
    depth: Depth,
) -> Vec<(Planned, Option<Planned>)> {
    let blocks = teacher.blocks();
    let find = |stage, place| {
        let mut of = blocks.iter();
        of.find(|b: &&Planned| (b.stage, b.place) == (stage, place))
            .copied()
    };
    let student_blocks = student.blocks().into_iter();
    student_blocks
        .map(|b| {
            let (s, t) = (student.shape.stages[b.stage], teacher.shape.stages[b.stage]);
            let from = match b.place {
                place if place == s.depth => t.robust.then_some(t.depth),
                0 => Some(0),
                place => Some(match depth {
                    Depth::First => place,
                    Depth::Last => t.depth - s.depth + place,
                    Depth::Even => (place * (t.depth - 1) + (s.depth - 1) / 2) / (s.depth - 1),
                }),
            };
            (b, from.and_then(|place| find(b.stage, place)))
        })
        .collect()
}

/// The student's numbers, as they are filled in.
struct Target<'a> {
    source: &'a Source<'a>,
    state: State,
    weights: BTreeMap<String, ([usize; 4], Range<usize>)>,
    norms: BTreeMap<String, NormId>,
}

impl<'a> Target<'a> {
    fn new(source: &'a Source<'a>, state: State) -> Self {
        let entries = state.params.entries().iter();
        let weights = entries.map(|e| (e.name.clone(), (e.shape, e.range())));
        let weights = weights.collect();
        let norms = state.running.norms();
        let norms = norms.map(|(id, name, _)| (name.to_owned(), id)).collect();
        Self {
            source,
            state,
            weights,
            norms,
        }
    }

    fn block(
        &mut self,
        student: &WrnConfig,
        (ours, theirs): (&Planned, &Planned),
        teacher: &WrnConfig,
        (from, to): (&[usize], &[usize]),
    ) {
        let (us, them, source) = (ours.name(), theirs.name(), self.source);
        let names = |part: &str| (format!("{us}.{part}"), format!("{them}.{part}"));
        let mut weight = |part: &str, rows: &[usize], columns: &dyn Fn(usize) -> Vec<usize>| {
            let (us, them) = names(part);
            let columns: Vec<_> = (0..rows.len()).map(columns).collect();
            self.weight(&us, &them, rows, |row| &columns[row]);
        };
        let mut norms = vec![("bn1".to_owned(), from.to_vec())];
        match ours.kind {
            Block::Basic => {
                let inside = top(&source.inside(&them), ours.c);
                weight("conv1", &inside, &|_| from.to_vec());
                weight("conv2", to, &|_| inside.clone());
                norms.push(("bn2".to_owned(), inside));
            }
            Block::Robust => {
                let (cells, groups) = (&student.cells, student.cells.cardinality);
                let (part, full) = (cells.part(ours.c), teacher.cells.part(theirs.c));
                let scores = source.part(&them, cells.scales, full);
                // Within a group, and within a part.
                let kept = scores.chunks_exact(full / groups);
                let kept: Vec<_> = kept.map(|scores| top(scores, part / groups)).collect();
                let inside = kept.iter().enumerate();
                let inside = inside.flat_map(|(g, kept)| kept.iter().map(move |j| (g, *j)));
                let inside: Vec<usize> = inside.map(|(g, j)| g * (full / groups) + j).collect();
                let middle =
                    (0..cells.scales).flat_map(|s| inside.iter().map(move |i| s * full + i));
                let middle: Vec<usize> = middle.collect();
                weight("conv1", &middle, &|_| from.to_vec());
                for i in 0..cells.scales - 1 {
                    let columns = |row: usize| kept[row / (part / groups)].clone();
                    weight(&format!("conv2.{i}"), &inside, &columns);
                    norms.push((format!("bn3.{i}"), inside.clone()));
                }
                weight("conv3", to, &|_| middle.clone());
                let hidden = source.filters(&format!("{them}.se.fc.0"));
                let hidden = top(&hidden, cells.hidden(ours.c));
                weight("se.fc.0", &hidden, &|_| to.to_vec());
                weight("se.fc.2", to, &|_| hidden.clone());
                norms.extend([
                    ("bn2".to_owned(), middle),
                    ("se_bn".to_owned(), to.to_vec()),
                ]);
            }
        }
        if ours.shortcut() && theirs.shortcut() {
            weight("convShortcut", to, &|_| from.to_vec());
        }
        for (part, channels) in norms {
            let (us, them) = names(&part);
            self.norm(&us, &them, &channels);
        }
    }

    /// Makes a robust block without shortcut the identity.
    fn identity(&mut self, name: &str) {
        for part in ["conv3", "se_bn"] {
            let (_, range) = self.weights[&format!("{name}.{part}.weight")].clone();
            self.state.params.values[range].fill(0.0);
        }
    }

    /// The teacher's `rows` of a weight, of the row at place `i` the columns `columns(i)`.
    fn weight<'c>(
        &mut self,
        ours: &str,
        theirs: &str,
        rows: &[usize],
        columns: impl Fn(usize) -> &'c Vec<usize>,
    ) {
        let (shape, values) = self.source.values(&format!("{theirs}.weight"));
        let (_, range) = self.weights[&format!("{ours}.weight")].clone();
        let taps = shape[2] * shape[3];
        let mut to = self.state.params.values[range].chunks_exact_mut(taps);
        for (i, row) in rows.iter().enumerate() {
            for (column, to) in columns(i).iter().zip(&mut to) {
                let from = (row * shape[1] + column) * taps;
                to.copy_from_slice(&values[from..from + taps]);
            }
        }
    }

    fn vector(&mut self, ours: &str, theirs: &str, channels: &[usize]) {
        let (_, values) = self.source.values(theirs);
        let (_, range) = self.weights[ours].clone();
        let to = self.state.params.values[range].iter_mut();
        to.zip(channels).for_each(|(to, i)| *to = values[*i]);
    }

    /// Gamma, beta and running statistics.
    fn norm(&mut self, ours: &str, theirs: &str, channels: &[usize]) {
        for part in ["weight", "bias"] {
            self.vector(
                &format!("{ours}.{part}"),
                &format!("{theirs}.{part}"),
                channels,
            );
        }
        let (mean, var, batches) = self.source.running(theirs);
        let id = self.norms[ours];
        let (to_mean, to_var) = self.state.running.of_mut(id);
        for (i, from) in channels.iter().enumerate() {
            (to_mean[i], to_var[i]) = (mean[*from], var[*from]);
        }
        *self.state.running.batches_mut(id) = batches;
    }
}
