//! Data that can be read, but whose numbers would be wrong.

use std::path::PathBuf;

use thiserror::Error;

/// Why data are refused that no reader stumbles over.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum Doubt {
    /// One class under several names.
    #[error(
        "{} writes the name of one class in several ways: {found}; expected one for each class. Write them alike \
         (pandas: df[\"LABEL\"] = df[\"LABEL\"].str.strip()), or call different classes by names that differ in \
         more than blanks and the way a number is written",
        path.display()
    )]
    Spellings { path: PathBuf, found: String },
    /// Images of which some parts are in 0..=1 and others in 0..=255.
    #[error(
        "the images of {} are not in one range: {first}, and {second}; expected all in 0 to 255, or all in 0 to 1. \
         Save the former with {key} = ({key} * 255).round(), or divide the latter by 255",
        path.display()
    )]
    Ranges {
        path: PathBuf,
        key: String,
        first: String,
        second: String,
    },
    /// Columns of another table.
    #[error(
        "{} has other columns than the training rows: it lacks {lacks}, and has {more}; expected the same names, in \
         any order. Name its columns as those of the training rows",
        path.display()
    )]
    Columns {
        path: PathBuf,
        lacks: String,
        more: String,
    },
    /// One-hot labels of which parts have other columns.
    #[error(
        "the one-hot labels of {} do not pair up: {first} columns, {second}; expected one column for each class in \
         every part. Make them of all labels together, or save the numbers of the classes, y = y.argmax(1)",
        path.display()
    )]
    OneHot {
        path: PathBuf,
        first: String,
        second: String,
    },
    /// Test rows of none of the classes that are learned.
    #[error(
        "no test row of {name} is of a class that a training row has: training rows are of {train}, test rows of \
         {test}; expected the same labels in both. Number or name the classes of both files alike"
    )]
    Apart {
        name: String,
        train: String,
        test: String,
    },
    /// A folder of parts of which only one is known.
    #[error(
        "{0} has a folder train/ of class folders and neither test/ nor val/: expected these names, or the class \
         folders themselves. Rename the folder of test images to test, or give {1}, of which a fifth is then \
         taken for test",
        path.display(), path.join(train).display()
    )]
    Parts { path: PathBuf, train: String },
    /// A column of labels whose first cell alone is text.
    #[error(
        "the first line of {} is a row of numbers but for {found:?}, and the labels below it are numbers: expected \
         a line of names, or a row. Put names above all columns that are no numbers, or take the line out",
        path.display()
    )]
    FirstLine { path: PathBuf, found: String },
    /// A name that several columns have.
    #[error(
        "{count} columns of {} are called `{label}`: expected one column of labels; rename the others, or give its \
         number, counted from 0",
        path.display()
    )]
    LabelTwice {
        path: PathBuf,
        label: String,
        count: usize,
    },
}
