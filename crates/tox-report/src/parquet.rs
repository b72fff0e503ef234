//! `results.parquet` and `wide.parquet`: the tables of the same name with their types, for readers of columns.
//!
//! Seeds are whole numbers, values and budgets numbers; in a learner's own table a column is of numbers where
//! every entry of it is one. Nothing stands where nothing stands in the text.

use crate::ReportError;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use std::path::Path;
use std::sync::Arc;
use tox_data::text::of_cell;

/// Columns that are text, whatever they look like: an id may be all digits.
const TEXT: [&str; 5] = ["study", "trial", "cell", "variant", "level"];

/// Columns that are numbers, even if all of them are whole.
const NUMBERS: [&str; 4] = ["value", "budget_space", "budget_data", "budget_inputs"];

/// Writes the table that `csv` is to `path`.
pub fn write(csv: &str, path: &Path) -> Result<(), ReportError> {
    let failed = |what: String| ReportError::Parquet {
        path: path.to_owned(),
        what,
    };
    let batch = batch(csv).map_err(failed)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut bytes = Vec::new();
    let written = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties));
    written
        .and_then(|mut writer| {
            writer.write(&batch)?;
            writer.close()
        })
        .map_err(|e| failed(e.to_string()))?;
    Ok(tox_study::files::write_atomic(path, &bytes)?)
}

fn batch(csv: &str) -> Result<RecordBatch, String> {
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    let heads = reader.headers().map_err(|e| e.to_string())?.clone();
    let mut columns: Vec<Vec<Option<String>>> = vec![Vec::new(); heads.len()];
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        for (column, cell) in columns.iter_mut().zip(&record) {
            column.push((!cell.is_empty()).then(|| of_cell(cell).to_owned()));
        }
    }
    let typed = heads.iter().zip(&columns);
    let typed = typed.map(|(head, cells)| (head.to_owned(), column(head, cells), true));
    RecordBatch::try_from_iter_with_nullable(typed).map_err(|e| e.to_string())
}

/// A column of the type that it has.
fn column(head: &str, cells: &[Option<String>]) -> ArrayRef {
    let text = || -> ArrayRef { Arc::new(StringArray::from_iter(cells)) };
    if TEXT.contains(&head) {
        return text();
    }
    if head == "seed" {
        return read::<u64>(cells).map_or_else(text, |n| Arc::new(UInt64Array::from(n)));
    }
    if !NUMBERS.contains(&head)
        && let Some(numbers) = read::<i64>(cells)
    {
        return Arc::new(Int64Array::from(numbers));
    }
    read::<f64>(cells).map_or_else(text, |n| Arc::new(Float64Array::from(n)))
}

/// Every entry as a number; `None` if one is none, or nothing stands in the column.
fn read<T: std::str::FromStr>(cells: &[Option<String>]) -> Option<Vec<Option<T>>> {
    if cells.iter().all(Option::is_none) {
        return None;
    }
    let number = |cell: &Option<String>| match cell {
        None => Some(None),
        Some(cell) => cell.parse().ok().map(Some),
    };
    cells.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    #[test]
    fn columns_have_their_types_and_gaps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let text = "trial,cell,seed,value,steps,note,budget_data\n\
            12345678,\"a,b\",18446744073709551615,2,3,x,0\n\
            00000001,'=c,1,,4,,0.1\n";
        write(text, &path).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let mut reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap()
            .build()
            .unwrap();
        let batch = reader.next().unwrap().unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap().clone();
        let texts = |name: &str| -> Vec<Option<String>> {
            let column = column(name);
            let texts = column.as_string::<i32>().iter();
            texts.map(|text| text.map(str::to_owned)).collect()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(texts("trial"), [some("12345678"), some("00000001")]);
        assert_eq!(texts("cell"), [some("a,b"), some("=c")]);
        assert_eq!(texts("note"), [some("x"), None]);
        assert_eq!(
            column("seed").as_primitive::<UInt64Type>().value(0),
            u64::MAX
        );
        assert_eq!(column("value").as_primitive::<Float64Type>().value(0), 2.0);
        assert!(column("value").is_null(1));
        assert_eq!(
            column("steps").as_primitive::<Int64Type>().values(),
            &[3, 4]
        );
        assert_eq!(
            column("budget_data").as_primitive::<Float64Type>().values(),
            &[0.0, 0.1]
        );
    }
}
