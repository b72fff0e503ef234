//! Every way in which data can be missing, damaged or wrongly described.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::doubt::Doubt;

/// Why a data set could not be loaded. Each message says what was done, what was expected, what
/// was found, in which file, and what to do.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum DataError {
    #[error(transparent)]
    Doubt(#[from] Doubt),
    /// Neither a known name nor a path that exists.
    #[error(
        "no data set is called `{name}`{hint}, and there is no such file or folder; known are \
         {known}, or give the path of an .npz file, of two .npy files (X.npy,y.npy), of a .csv or \
         .parquet file or of a folder of class folders"
    )]
    Unknown {
        name: String,
        hint: String,
        known: String,
    },
    /// A file of a kind that is not read.
    #[error(
        "{0} is no file that is read here: expected an .npz file, two .npy files (X.npy,y.npy), a \
         .csv or .parquet file or a folder of class folders; in Python two lines make one of any arrays:\n  \
         import numpy\n  numpy.savez(\"data.npz\", x=X, y=y)",
        path.display()
    )]
    Door { path: PathBuf },
    /// An array without its labels, or more arrays than are understood.
    #[error(
        "found {found} .npy file(s), the first `{first}`: expected an .npy file of rows and one of labels, \
         X.npy,y.npy, or these and two to test on, X.npy,y.npy,X_test.npy,y_test.npy; or in Python: \
         numpy.savez(\"data.npz\", x=X, y=y)"
    )]
    NpyFiles { first: String, found: usize },
    /// A table where images are needed.
    #[error(
        "{0} is a table, and images are needed here: expected to know their sides; if its columns are \
         pixels, two lines of Python make images of it, for a label in the first column:\n  t = \
         numpy.loadtxt(\"{0}\", delimiter=\",\", skiprows=1)\n  numpy.savez(\"images.npz\", \
         images=t[:, 1:].reshape(-1, HEIGHT, WIDTH), labels=t[:, 0])",
        path.display()
    )]
    TableImages { path: PathBuf },
    /// A key for images beside a table.
    #[error(
        "`{key}` is for images, and {name} is a table of numbers, whose rows have no sides: leave `{key}` out"
    )]
    TableKey { name: String, key: &'static str },
    /// A table that cannot be taken apart.
    #[error(
        "cannot read {} as a table: {reason}; expected lines of as many cells as the first, parted by \
         commas, semicolons or tabs, in UTF-8",
        path.display()
    )]
    Table { path: PathBuf, reason: String },
    /// A Parquet file in a build that reads none.
    #[error(
        "{0} is a Parquet file, and this toxscreen was built without them: build it with --features \
         parquet, or write a CSV file, pandas.read_parquet(\"{0}\").to_csv(\"data.csv\", index=False)",
        path.display()
    )]
    NoParquet { path: PathBuf },
    /// A Parquet file that cannot be taken apart.
    #[error("cannot read {} as a Parquet file: {reason}; write it again", path.display())]
    Parquet { path: PathBuf, reason: String },
    /// A value of a column that is missing, or no number or label.
    #[error("row {row} (counted from 0), column `{column}` of {} is {found}: {reason}", path.display())]
    Value {
        path: PathBuf,
        row: usize,
        column: Box<str>,
        found: Box<str>,
        reason: &'static str,
    },
    /// A column whose type is neither numbers nor labels.
    #[error("the column `{column}` of {} is {found}, expected {expected}", path.display())]
    ColumnType {
        path: PathBuf,
        column: String,
        found: String,
        expected: &'static str,
    },
    /// A cell that is no number, or no label.
    #[error("line {line}, column `{column}` of {} is {found:?}: {reason}", path.display())]
    Cell {
        path: PathBuf,
        line: u64,
        column: Box<str>,
        found: Box<str>,
        reason: &'static str,
    },
    /// No column has the labels.
    #[error("the column of labels of {} cannot be `{label}`: expected {expected}", path.display())]
    LabelColumn {
        path: PathBuf,
        label: String,
        expected: String,
    },
    /// A known data set whose files are not in the data folder.
    #[error(
        "{name} is not in the data folder: expected {}, found no such file; run `toxscreen data \
         fetch {name}`, or point --data-dir or TOXSCREEN_DATA at the folder that holds it",
        path.display()
    )]
    Missing { name: String, path: PathBuf },
    /// No option, no variable and no home folder tells where data live.
    #[error(
        "found no folder for data: the platform names no cache folder for this user; give \
         --data-dir DIR or set TOXSCREEN_DATA"
    )]
    NoDataDir,
    /// The operating system refused.
    #[error("cannot read {}: {source}; check that it exists and may be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The first bytes are not those of the format.
    #[error(
        "{} is not {format}: expected it to begin with {expected}, found {found}; fetch or export \
         the file again",
        path.display()
    )]
    Magic {
        path: PathBuf,
        format: &'static str,
        expected: String,
        found: String,
    },
    /// The file ends before what its header announces.
    #[error(
        "{} is cut off: {what} needs {expected} bytes, found {found}; fetch or export the file \
         again",
        path.display()
    )]
    Truncated {
        path: PathBuf,
        what: String,
        expected: u64,
        found: u64,
    },
    /// The file goes on after what its header announces.
    #[error(
        "{} is too long: expected it to end after {expected} bytes of {what}, found more; its \
         header or its end is wrong, fetch or export the file again",
        path.display()
    )]
    Trailing {
        path: PathBuf,
        what: String,
        expected: u64,
    },
    /// The header announces more than a data set here may hold, or more than the file can.
    #[error(
        "{} announces {claimed} bytes of {what}, expected at most {limit} (what this file can \
         hold); the header is wrong, or the data must be split into smaller sets",
        path.display()
    )]
    TooLarge {
        path: PathBuf,
        what: String,
        claimed: String,
        limit: u64,
    },
    /// The gzip stream is damaged.
    #[error(
        "cannot decompress {}: expected a gzip stream, found damage ({source}); fetch the file \
         again",
        path.display()
    )]
    Gzip { path: PathBuf, source: io::Error },
    /// Images and labels do not pair up.
    #[error(
        "{} holds {labels} labels, expected {images} because {} holds {images} images; take both \
         from the same export",
        labels_path.display(),
        images_path.display()
    )]
    Counts {
        images_path: PathBuf,
        images: usize,
        labels_path: PathBuf,
        labels: usize,
    },
    /// A label no class has.
    #[error(
        "label {index} (counted from 0) in {} is {found}, expected 0..={}; the file is damaged or \
         holds another data set",
        path.display(),
        classes.saturating_sub(1)
    )]
    Label {
        path: PathBuf,
        index: usize,
        found: i128,
        classes: usize,
    },
    /// The length of a file of fixed records is no multiple of the record.
    #[error(
        "{} has {length} bytes, expected a whole number of {record}-byte records; fetch the file \
         again",
        path.display()
    )]
    Records {
        path: PathBuf,
        length: u64,
        record: u64,
    },
    /// No image at all.
    #[error("{} holds no images or rows, expected at least one; check the export", path.display())]
    Empty { path: PathBuf },
    /// Training and test images differ in shape.
    #[error(
        "test images in {} have shape {found}, expected {expected} as the training images have; \
         take both from the same export",
        path.display()
    )]
    Shape {
        path: PathBuf,
        expected: String,
        found: String,
    },
    /// The .npz file is no readable zip archive.
    #[error(
        "cannot read {} as an .npz archive: expected a zip file, found: {reason}; write it again \
         with numpy.savez",
        path.display()
    )]
    Npz { path: PathBuf, reason: String },
    /// The .npz file lacks arrays.
    #[error(
        "{} lacks the array `{key}`: expected {expected}; found {found}",
        path.display()
    )]
    NpzKey {
        path: PathBuf,
        key: String,
        expected: &'static str,
        found: String,
    },
    /// Two arrays of which either could be meant.
    #[error(
        "the arrays {found} of {} may both be the {what}: expected one; leave the other out, \
         numpy.savez(FILE, x=..., y=...)",
        path.display()
    )]
    Ambiguous {
        path: PathBuf,
        what: &'static str,
        found: String,
    },
    /// The header of an array cannot be understood.
    #[error(
        "array `{key}` in {} has a header that is not NumPy's: {reason}; write it again with \
         numpy.savez",
        path.display()
    )]
    NpyHeader {
        path: PathBuf,
        key: String,
        reason: String,
    },
    /// An array of the wrong element type.
    #[error(
        "array `{key}` in {} has element type {found}, expected {expected}",
        path.display()
    )]
    NpyType {
        path: PathBuf,
        key: String,
        /// And the line that makes it so.
        expected: Box<str>,
        found: String,
    },
    /// An array whose shape is not that of images or labels.
    #[error(
        "array `{key}` in {} has shape {found:?}, expected {expected}",
        path.display()
    )]
    NpyShape {
        path: PathBuf,
        key: String,
        /// And the line that makes it so.
        expected: Box<str>,
        found: Vec<usize>,
    },
    /// A pixel out of range.
    #[error(
        "value {index} of array `{key}` in {} is {found}, expected pixels from 0 to 255, or floats \
         from 0 to 1; {remedy}",
        path.display()
    )]
    NpyRange {
        path: PathBuf,
        key: String,
        index: usize,
        found: f64,
        remedy: String,
    },
    /// A label that names no class.
    #[error(
        "label {index} of `{key}` in {} is {found}, expected the number or the name of a class; {remedy}",
        path.display()
    )]
    LabelValue {
        path: PathBuf,
        key: String,
        index: usize,
        found: f64,
        remedy: String,
    },
    /// Numbers beside text.
    #[error(
        "{} has the label {number} beside labels of text such as {text:?}, of which it names none: \
         expected text alone; save it with y = y.astype(str)",
        path.display()
    )]
    MixedLabels {
        path: PathBuf,
        number: i64,
        text: String,
    },
    /// Fewer names than classes.
    #[error(
        "{} names {names} classes and has the label {found}: expected labels 0 to {}; name all \
         classes, or leave the names out",
        path.display(),
        names.saturating_sub(1)
    )]
    ClassNames {
        path: PathBuf,
        names: usize,
        found: i64,
    },
    /// Rows in an order that their split is not made for.
    #[error(
        "the rows of {name} are not in random order: {found}; expected every part to have every class. \
         Shuffle them first, in Python order = numpy.random.default_rng(0).permutation(len(x)); x, y = \
         x[order], y[order]; a recipe can also draw them, split = \"random\" under [data]"
    )]
    Order { name: String, found: String },
    /// A class of the trusted set that the training set does not have.
    #[error(
        "{} has the class `{class}`, expected only those of the training set: {known}; give it the same \
         labels",
        path.display()
    )]
    OtherClass {
        path: PathBuf,
        class: String,
        known: String,
    },
    /// A feature that is not a finite float32.
    #[error(
        "row {row}, column {column} (counted from 0) of array `{key}` in {} is {found}{}",
        path.display(),
        match found.is_finite() {
            true => ", beyond float32 (3.4e38), in which is computed here: expected smaller numbers; \
                     scale the column or drop the row",
            false => ", expected a finite number; drop the row or fill the value in",
        }
    )]
    NotFinite {
        path: PathBuf,
        key: String,
        row: usize,
        column: usize,
        found: f64,
    },
    /// The operating system refused.
    #[error("cannot write {}: {source}; free space or fix the folder's rights", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A folder without class folders or images where they should be.
    #[error(
        "{} holds no {what}, expected one folder for each class with images in it (.png, .jpg, .bmp, \
         .webp, .tiff, .gif, .ppm), or train/ and test/ with such folders",
        path.display()
    )]
    Folder { path: PathBuf, what: &'static str },
    /// A class of test/ that train/ does not have.
    #[error(
        "the class folder {} is not in train/, expected only {known}; rename or remove it",
        path.display()
    )]
    FolderClass { path: PathBuf, known: String },
    /// An image file that cannot be decoded.
    #[error(
        "cannot decode {}: expected a whole image, found: {reason}; replace or remove the file",
        path.display()
    )]
    Image { path: PathBuf, reason: String },
    /// A MATLAB file without the arrays of a known data set.
    #[error(
        "cannot read {}: expected a MATLAB 5 file with the arrays of the official one, found: {reason}; \
         fetch the file again",
        path.display()
    )]
    Matlab { path: PathBuf, reason: String },
    /// Images of different sizes and no `resize`.
    #[error(
        "{} has {found} pixels (height x width), expected {expected} as the images before it; resize \
         them first, or have them resized: --resize SIDE, in a recipe resize = SIDE under [data]",
        path.display()
    )]
    MixedSizes {
        path: PathBuf,
        expected: String,
        found: String,
    },
    /// A line of the embedded digits that is not 65 numbers in range.
    #[error("line {line} of {} is wrong: {reason}; rebuild from a whole checkout", path.display())]
    Csv {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    /// Data that are not those that a study was made with.
    #[error(
        "the data {name} changed: their content has the hash {found}, expected {expected}; give the new \
         data a folder of their own with --out, or put the old ones back"
    )]
    Changed {
        name: String,
        expected: String,
        found: String,
    },
    /// A name that the loader knows, but that stands for no image set.
    #[error(
        "`{name}` is no image set: the `synthetic` learner draws it itself; use it with kind = \
         \"synthetic\" in the recipe's learner section, or name one of \
         those that `toxscreen data ls` shows"
    )]
    Synthetic { name: String },
    /// The classes to keep are not a choice from those of the set.
    #[error("`classes` = {found} does not fit {name}: expected {expected}; change `classes`")]
    Classes {
        name: String,
        found: String,
        expected: String,
    },
    /// All examples are of one class.
    #[error(
        "all examples of {name} are of one class, expected at least 2 classes; there is nothing \
         to tell apart"
    )]
    OneClass { name: String },
    /// A random split without the number of training images.
    #[error(
        "a random split of {name} needs `train`, found none: expected the number of training \
         {rows} to draw from all {pool}; set it in the recipe's data section"
    )]
    RandomTrain {
        name: String,
        rows: &'static str,
        pool: usize,
    },
    /// Too few examples of a class for a balanced split.
    #[error(
        "class {class} of {name} has {found} examples, expected at least {needed} ({train} for \
         training, {valid} for validation, {test} for test); ask for smaller `train`, `valid` or \
         `test`"
    )]
    FewOfClass {
        name: String,
        class: usize,
        found: usize,
        needed: usize,
        train: usize,
        valid: usize,
        test: usize,
    },
    /// The specification asks for what the data cannot give.
    #[error(
        "`{key}` = {found} does not fit {name}: expected {expected}; change `{key}` (an option, or a \
         key of a recipe's [data])"
    )]
    Spec {
        name: String,
        key: &'static str,
        found: usize,
        expected: String,
    },
}

impl DataError {
    /// An operating-system error on `path`.
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Read {
            path: path.to_path_buf(),
            source,
        }
    }
}
