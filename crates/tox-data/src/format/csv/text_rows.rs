//! The rows of a table of text as their file has them: where each stands, and the file again with some of them.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, WriterBuilder};

use super::{Lines, delimiter, is_header, label_column, unnamed};
use crate::atomic;
use crate::error::DataError;
use crate::input::{Input, MAX_BYTES};

const MARK: &[u8] = b"\xef\xbb\xbf";

/// A table of text and where its rows are.
#[derive(Clone, Debug)]
pub struct TextRows {
    bytes: Vec<u8>,
    /// Bytes before the first row: a byte order mark, a line of names.
    head: usize,
    rows: Vec<Row>,
    /// The column of labels.
    label: usize,
    /// Where the first column only counts the rows: the number of the first row.
    counted: Option<usize>,
    delimiter: u8,
}

#[derive(Clone, Debug)]
struct Row {
    /// Its bytes, with the line break behind it.
    at: Range<usize>,
    /// The number of its first line, from 1.
    line: usize,
    /// Its label, as it is written.
    label: String,
    /// Its first cell, if that is a count.
    count: Option<usize>,
}

impl TextRows {
    /// Reads the table at `path`, which `super::read` has read; `label` is its column of labels.
    pub(crate) fn read(path: &Path, label: Option<&str>) -> Result<Self, DataError> {
        let bytes = Input::open(path)?.all(MAX_BYTES, "text")?;
        let mark = match bytes.starts_with(MARK) {
            true => MARK.len(),
            false => 0,
        };
        let delimiter = delimiter(&bytes[mark..]);
        let mut lines = Lines {
            path,
            reader: ReaderBuilder::new()
                .has_headers(false)
                .delimiter(delimiter)
                .from_reader(&bytes[mark..]),
        };
        let mut records: Vec<(usize, StringRecord)> = Vec::new();
        while let Some((_, record)) = lines.next()? {
            let at = record.position().map_or(0, csv::Position::byte) as usize + mark;
            // A record begins behind the line breaks before it.
            let breaks = bytes[at..]
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'));
            records.push((at + breaks.count(), record));
        }
        let Some((_, first)) = records.first() else {
            return Err(DataError::Empty {
                path: path.to_path_buf(),
            });
        };
        let second = records.get(1).map(|(_, record)| record);
        let headed = is_header(first, second, label);
        let names: Vec<String> = first.iter().map(|name| name.trim().to_owned()).collect();
        let label = label_column(path, label, headed, &names, &mut Vec::new())?;
        let ends = records.iter().skip(1).map(|record| record.0);
        let ends: Vec<usize> = ends.chain([bytes.len()]).collect();
        let (mut rows, mut line, mut counted) = (Vec::new(), 1, 0);
        for ((start, record), end) in records.iter().zip(&ends) {
            line += bytes[counted..*start]
                .iter()
                .filter(|b| **b == b'\n')
                .count();
            counted = *start;
            rows.push(Row {
                at: *start..*end,
                line,
                label: record.get(label).unwrap_or_default().to_owned(),
                count: record.get(0).and_then(|cell| cell.trim().parse().ok()),
            });
        }
        let head = match headed {
            true => rows.remove(0).at.end,
            false => mark,
        };
        let first = rows.first().and_then(|row| row.count);
        let from = |from: &usize| {
            let mut numbered = rows.iter().enumerate();
            *from <= 1 && numbered.all(|(at, row)| row.count == Some(from + at))
        };
        let index = headed && label != 0 && names.len() > 2 && unnamed(&names[0]);
        let counted = first.filter(from).filter(|_| index);
        Ok(Self {
            bytes,
            head,
            rows,
            label,
            counted,
            delimiter,
        })
    }

    /// Those of its rows alone that are `kept`, which must be there.
    pub(crate) fn select(mut self, kept: &[usize]) -> Self {
        self.rows = kept.iter().map(|row| self.rows[*row].clone()).collect();
        self
    }

    /// The line of the file on which each row begins, from 1.
    pub fn lines(&self) -> Vec<usize> {
        self.rows.iter().map(|row| row.line).collect()
    }

    /// Writes the table to `path` with the rows `kept` alone, to the byte as they were; a first column that only
    /// counts the rows counts those that are left. Each pair of `relabelled` is a row and one whose label it gets.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// If a row is not below the number of rows.
    pub fn write(
        &self,
        kept: &[usize],
        relabelled: &[(usize, usize)],
        path: &Path,
    ) -> std::io::Result<()> {
        let relabelled: BTreeMap<usize, usize> = relabelled.iter().copied().collect();
        let mut out = self.bytes[..self.head].to_vec();
        for (at, &row) in kept.iter().enumerate() {
            let bytes = &self.bytes[self.rows[row].at.clone()];
            let like = relabelled.get(&row);
            let label = like.map(|like| self.rows[*like].label.as_str());
            let count = self.counted.map(|first| (first + at).to_string());
            match (label, &count) {
                (None, None) => out.extend_from_slice(bytes),
                (_, count) => out.extend(self.edited(bytes, label, count.as_deref())?),
            }
            if !out.ends_with(b"\n") {
                out.push(b'\n');
            }
        }
        atomic::write_named(path, |file| file.write_all(&out))
    }

    /// A row with another label, another first cell, or both.
    fn edited(
        &self,
        bytes: &[u8],
        label: Option<&str>,
        first: Option<&str>,
    ) -> std::io::Result<Vec<u8>> {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .delimiter(self.delimiter)
            .from_reader(bytes);
        let mut record = StringRecord::new();
        reader.read_record(&mut record)?;
        let cells = record.iter().enumerate().map(|(at, cell)| match at {
            at if at == self.label => label.unwrap_or(cell),
            0 => first.unwrap_or(cell),
            _ => cell,
        });
        let terminator = match bytes.windows(2).any(|pair| pair == b"\r\n") {
            true => csv::Terminator::CRLF,
            false => csv::Terminator::Any(b'\n'),
        };
        let mut writer = WriterBuilder::new()
            .delimiter(self.delimiter)
            .terminator(terminator)
            .from_writer(Vec::new());
        writer.write_record(cells)?;
        writer.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// Whether a table of text is to be written to `path`.
pub fn is_text(path: &Path) -> bool {
    let end = path.extension().unwrap_or_default().to_ascii_lowercase();
    end == "csv" || end == "tsv"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written of `text`.
    fn again(text: &str, kept: &[usize], relabelled: &[(usize, usize)]) -> (String, Vec<usize>) {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a.csv"), dir.path().join("b.csv"));
        std::fs::write(&from, text).unwrap();
        let rows = TextRows::read(&from, None).unwrap();
        rows.write(kept, relabelled, &to).unwrap();
        (std::fs::read_to_string(&to).unwrap(), rows.lines())
    }

    #[test]
    fn rows_that_stay_are_the_bytes_that_they_were() {
        let text = "\u{feff}a,\"b\",label\n1, 2.50,0\n3,-4e1,1\n5,6,0";
        let (written, lines) = again(text, &[0, 1, 2], &[]);
        assert_eq!(written, format!("{text}\n"));
        assert_eq!(lines, [2, 3, 4]);
        let (written, _) = again(text, &[2, 0], &[]);
        assert_eq!(written, "\u{feff}a,\"b\",label\n5,6,0\n1, 2.50,0\n");
    }

    #[test]
    fn a_new_label_is_written_as_another_row_has_it() {
        let text = "a;kind;b\r\n1;\"x;y\";2\r\n\r\n3;z;\"4\"\r\n5;z;6\r\n";
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a.csv"), dir.path().join("b.csv"));
        std::fs::write(&from, text).unwrap();
        let rows = TextRows::read(&from, Some("kind")).unwrap();
        rows.write(&[0, 1], &[(1, 0)], &to).unwrap();
        assert_eq!(rows.lines(), [2, 4, 5]);
        let written = std::fs::read_to_string(&to).unwrap();
        assert_eq!(written, "a;kind;b\r\n1;\"x;y\";2\r\n\r\n3;\"x;y\";4\r\n");
    }

    #[test]
    fn a_column_that_counts_the_rows_still_does() {
        // As pandas writes its index; a table that begins elsewhere would have a feature more.
        let text = ",a,b,y\n0,1,2,0\n1,3,4,1\n2,5,6,0\n";
        let (written, _) = again(text, &[0, 2], &[]);
        assert_eq!(written, ",a,b,y\n0,1,2,0\n1,5,6,0\n");
    }

    #[test]
    fn a_table_without_names_begins_with_a_row() {
        let (written, lines) = again("1,2,0\n3,4,1\n5,6,0\n", &[1], &[]);
        assert_eq!((written.as_str(), lines), ("3,4,1\n", vec![1, 2, 3]));
    }
}
