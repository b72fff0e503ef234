//! How good a found architecture is, on clean data.

use super::{Scene, TrialError};
use crate::record::nas::{Evaluation, Place};
use tox_search::count;
use tox_search::nas::Trace;
use tox_search::space::cells::CellGenotype;
use tox_search::space::nasbench201::Network;
use tox_search::table::{Column, Draws, Measure, Table};

/// Looks the architecture up in the table.
pub fn looked_up(
    scene: &Scene<'_>,
    table: &Table,
    genotype: &CellGenotype,
    trace: &Trace,
) -> Result<Evaluation, TrialError> {
    let CellGenotype::NasBench201(cell) = genotype else {
        unreachable!("the config's check lets no other space be looked up");
    };
    let column = scene.config.column;
    let values = table.values(column)?;
    let side = column.data.side();
    // What the benchmark trains.
    let network = Network {
        classes: column.data.classes(),
        input: [3, side, side],
        ..Network::default()
    };
    let select = Column {
        data: column.data,
        measure: Measure::Valid12,
    };
    let draws = scene.config.random_draws.unwrap_or(trace.trained()).max(1);
    let place = Place {
        column: column.to_string(),
        rank: table.rank(cell, column)?,
        best: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        random: table.random_search(column, column, 1, Draws::Distinct)?,
        draws,
        random_search: table.random_search(select, column, draws, Draws::Distinct)?,
    };
    Ok(Evaluation {
        accuracy: table.accuracy(cell, column)?,
        counts: count::nasbench201(cell, &network)?,
        table: Some(place),
    })
}
