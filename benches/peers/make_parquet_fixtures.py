"""Writes crates/tox-data/tests/fixtures/parquet: tables by pandas and pyarrow, images as Hugging Face's `datasets` writes them.

    pip install pandas pyarrow pillow numpy
    python make_parquet_fixtures.py
"""

import io
import json
import pathlib

import numpy
import pandas
import pyarrow
import pyarrow.parquet
from PIL import Image

OUT = pathlib.Path(__file__).parents[2] / "crates/tox-data/tests/fixtures/parquet"
ROWS = 20


def table():
    """Columns of many types; the class is the parity of the row."""
    row = numpy.arange(ROWS)
    return pandas.DataFrame(
        {
            "small": (row - 10).astype(numpy.int8),
            "wide": row.astype(numpy.uint64) * 1000,
            "half": (row / 4).astype(numpy.float16),
            "real": row * 0.5 - 3,
            "flag": row % 3 == 0,
            "kind": numpy.where(row % 2 == 0, "ham", "spam"),
        }
    )


def images():
    """4 x 3 images, red 20 x, green 20 y, blue the row; the class is row % 2."""
    files = []
    for row in range(ROWS):
        pixels = numpy.zeros((3, 4, 3), numpy.uint8)
        pixels[..., 0] = 20 * numpy.arange(4)[None, :]
        pixels[..., 1] = 20 * numpy.arange(3)[:, None]
        pixels[..., 2] = row
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        files.append({"bytes": out.getvalue(), "path": f"{row}.png"})
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
    }
    schema = pyarrow.schema([("image", image), ("label", pyarrow.int64())])
    schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    labels = [row % 2 for row in range(ROWS)]
    return pyarrow.Table.from_arrays([pyarrow.array(files, image), pyarrow.array(labels)], schema=schema)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    frame = table()
    frame.to_parquet(OUT / "table.parquet")
    frame["kind"] = frame["kind"].astype("category")
    # An index that is a column, as dropna leaves it, and other compressions.
    frame.index = range(1, 2 * ROWS, 2)
    frame[frame.index != 5].to_parquet(OUT / "indexed.parquet", compression="zstd")
    frame.reset_index(drop=True).to_parquet(OUT / "lz4.parquet", compression="lz4", row_group_size=7)
    holes = table()
    holes["wide"] = holes["wide"].astype("UInt64")
    holes.loc[7, "wide"] = pandas.NA
    holes.to_parquet(OUT / "null.parquet")
    holes = table()
    holes.loc[3, "real"] = numpy.nan
    # pandas itself would write a null.
    columns = {name: pyarrow.array(holes[name].to_numpy(), from_pandas=False) for name in holes}
    pyarrow.parquet.write_table(pyarrow.table(columns), OUT / "nan.parquet")
    dates = table()
    dates["when"] = pandas.Timestamp("2026-01-01")
    dates.to_parquet(OUT / "date.parquet")
    pyarrow.parquet.write_table(images(), OUT / "images.parquet")
    # What was read, for the test: columns in order, row after row.
    frame = table()
    numbers = frame.drop(columns="kind").astype(float).to_numpy().tolist()
    (OUT / "table.json").write_text(json.dumps({"x": numbers, "y": frame["kind"].tolist()}) + "\n")


if __name__ == "__main__":
    main()
