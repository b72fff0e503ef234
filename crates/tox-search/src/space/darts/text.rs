//! The text of a genotype.

use super::{Cell, Edge, Genotype, NODES, Op};
use crate::space::error::{SpaceError, hint};
use crate::space::reader::{Reader, short};
use crate::text::by_text;
use std::fmt;
use std::str::FromStr;

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edge = |e: &Edge| format!("('{}', {})", e.op, e.input);
        let edges: Vec<String> = self.edges().iter().map(edge).collect();
        write!(f, "[{}]", edges.join(", "))
    }
}

impl fmt::Display for Genotype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Genotype(normal={}, normal_concat=range(2, 6), reduce={}, reduce_concat=range(2, 6))",
            self.normal, self.reduce
        )
    }
}

const FORM: &str = "Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), \
                    reduce=[...], reduce_concat=range(2, 6))";
const PARTS: [&str; 4] = ["normal", "normal_concat", "reduce", "reduce_concat"];

impl FromStr for Genotype {
    type Err = SpaceError;

    fn from_str(text: &str) -> Result<Self, SpaceError> {
        let mut reader = Reader::new(text, FORM);
        // genotypes.py has lines such as `DARTS_V2 = Genotype(...)`.
        reader.skip_assignment()?;
        reader.word("Genotype")?;
        reader.mark('(')?;
        let mut cells = [None; 2];
        let mut given = [false; 4];
        let mut more = !reader.skip(')')?;
        while more {
            let part = part(&mut reader, &mut given)?;
            reader.mark('=')?;
            if part % 2 == 0 {
                cells[part / 2] = Some(cell(&mut reader, PARTS[part])?);
            } else {
                concat(&mut reader, PARTS[part])?;
            }
            more = reader.more(')')?;
        }
        reader.end()?;
        if let Some(missing) = given.iter().position(|given| !given) {
            return Err(SpaceError::MissingPart {
                part: PARTS[missing],
            });
        }
        match cells {
            [Some(normal), Some(reduce)] => Ok(Self { normal, reduce }),
            _ => Err(SpaceError::MissingPart { part: PARTS[0] }),
        }
    }
}

fn part(reader: &mut Reader<'_>, given: &mut [bool; 4]) -> Result<usize, SpaceError> {
    let (name, at) = reader.name("the name of a part, such as `normal`")?;
    let Some(part) = PARTS.iter().position(|part| *part == name) else {
        return Err(SpaceError::UnknownPart {
            found: short(name),
            place: reader.place(at),
            hint: hint(name, &PARTS),
        });
    };
    if std::mem::replace(&mut given[part], true) {
        return Err(SpaceError::RepeatedPart {
            part: PARTS[part],
            place: reader.place(at),
        });
    }
    Ok(part)
}

fn cell(reader: &mut Reader<'_>, part: &'static str) -> Result<Cell, SpaceError> {
    let mut edges = Vec::new();
    let close = reader.open("the list of edges, `[`")?;
    let mut more = !reader.skip(close)?;
    while more {
        let pair = reader.open("an edge, such as ('sep_conv_3x3', 0)")?;
        let name = reader.quoted("the name of an op in quotes")?;
        let op = reader.op(&Op::ALL, Op::name, name)?;
        reader.mark(',')?;
        let input = reader.number("the number of the state that the op reads")?;
        reader.skip(',')?;
        reader.mark(pair)?;
        edges.push(Edge { input, op });
        more = reader.more(close)?;
    }
    let nodes: &[[Edge; 2]] = edges.as_chunks().0;
    let nodes = <[[Edge; 2]; NODES]>::try_from(nodes).ok();
    let nodes = nodes
        .filter(|_| edges.len() == 2 * NODES)
        .ok_or(SpaceError::Edges {
            part,
            found: edges.len(),
        })?;
    Cell::new(nodes).map_err(|source| SpaceError::Part {
        part,
        source: Box::new(source),
    })
}

/// `range(2, 6)` or `[2, 3, 4, 5]`.
fn concat(reader: &mut Reader<'_>, part: &'static str) -> Result<(), SpaceError> {
    let what = "the number of a state";
    let found = if reader.skip_word("range")? {
        reader.mark('(')?;
        let start = reader.number(what)?;
        reader.mark(',')?;
        let end = reader.number(what)?;
        reader.mark(')')?;
        format!("range({start}, {end})")
    } else {
        let mut states = Vec::new();
        let close = reader.open("range(2, 6) or [2, 3, 4, 5]")?;
        let mut more = !reader.skip(close)?;
        while more {
            states.push(reader.number(what)?);
            more = reader.more(close)?;
        }
        format!("{states:?}")
    };
    if found == "range(2, 6)" || found == "[2, 3, 4, 5]" {
        return Ok(());
    }
    Err(SpaceError::Concat { part, found })
}

by_text!(Genotype, SpaceError);
