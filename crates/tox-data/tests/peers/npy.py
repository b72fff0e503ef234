"""300 arrays as NumPy writes them, and what it reads of them: `npy.py make DIR`, `npy.py check DIR`.

Beside `N.npy` lies `N.txt`: kind, shape, then a line for each element in C order (floats as the bits of a
float64). `check` holds `N.back.npy`, which the reader under test wrote, against `N.npy`.
"""
import sys
from pathlib import Path

import numpy as np

where = Path(sys.argv[2])
TYPES = ["b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "U1", "U7", "S3"]
REFUSED = ["c8", "f16", "O", "M8[s]", "V4", [("a", "<f4"), ("b", "<i2")]]
SHAPES = [(), (0,), (1,), (5,), (2, 3), (3, 2), (2, 0, 3), (4, 1), (2, 3, 4), (2, 1, 3, 2), (1, 1), (7, 5)]


def elements(dtype, count, rng):
    kind = np.dtype(dtype).kind
    if kind == "U":
        return np.array(["", "a", "zebra", "äß漢", "a b\tc"])[rng.integers(0, 5, count)].astype(dtype)
    if kind == "S":
        return np.array([b"", b"a", b"xyz"])[rng.integers(0, 3, count)].astype(dtype)
    if kind == "b":
        return rng.integers(0, 2, count).astype(dtype)
    if kind in "ui":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, count, dtype=np.dtype(dtype).newbyteorder("="), endpoint=True).astype(dtype)
    values = rng.normal(size=count) * 10.0 ** rng.integers(-6, 5, count)
    return values.astype(dtype)


def told(array):
    kind = array.dtype.kind
    flat = array.ravel(order="C")
    lines = [{"b": "integers", "u": "integers", "i": "integers", "f": "floats", "U": "text", "S": "text"}[kind]]
    lines.append(",".join(map(str, array.shape)))
    for value in flat:
        if kind == "f":
            lines.append(str(int(np.float64(value).view(np.uint64))))
        elif kind in "US":
            text = value.decode() if kind == "S" else str(value)
            lines.append(text.encode("unicode_escape").decode())
        else:
            lines.append(str(int(value)))
    return "\n".join(lines) + "\n"


def by_hand(text, data, version=1):
    header = text.encode("latin1")
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + data


def make():
    rng = np.random.default_rng(0)
    number = 0
    for dtype in TYPES:
        for at, shape in enumerate(SHAPES):
            for order in ["<", ">"] if at % 3 == 0 and dtype[0] != "S" else ["<"]:
                full = np.dtype(order + dtype)
                array = elements(full, int(np.prod(shape, dtype=int)), rng).reshape(shape).astype(full)
                if at % 2:
                    array = np.asfortranarray(array)
                if at == 4 and dtype == "f4":
                    array = np.ascontiguousarray(array)[::-1]
                with open(where / f"{number}.npy", "wb") as out:
                    version = [(1, 0), (2, 0), (3, 0)][number % 3]
                    np.lib.format.write_array(out, array, version=version)
                (where / f"{number}.txt").write_text(told(array), encoding="utf-8")
                number += 1
    for dtype in REFUSED:
        np.save(where / f"{number}.npy", np.zeros(3, dtype=dtype), allow_pickle=True)
        (where / f"{number}.txt").write_text("refused\n")
        number += 1
    # Headers by hand: NumPy's own answer is what is right.
    data = bytes(range(12))
    for version in 1, 2, 3:
        for text in [
            "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }",
            "{'shape': (2, 3), 'descr': '<u2', 'fortran_order': True}\n",
            "{'shape': (9, 9), 'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }",
            "{'descr': '<f8', 'descr': '>u2', 'fortran_order': False, 'shape': (6,)}",
            "{'descr': '<u2', 'fortran_order': True, 'fortran_order': False, 'shape': (3, 2)}",
            '{"descr": "<u2", "fortran_order": False, "shape": (6,)}',
            "{'descr':'<u2','fortran_order':False,'shape':(2,3)}",
            "  {  'descr' : '<u2' , 'fortran_order' : False , 'shape' : ( 2 , 3 , ) , }   \n",
            "{'descr': '<u2', 'fortran_order': False, 'shape': (2L, 3L), }",
            "{'descr': '<u2', 'fortran_order': False, 'shape': (6)}",
            "{'descr': '<u2', 'fortran_order': False, 'shape': 6}",
            "{'descr': '<u2', 'fortran_order': False, 'shape': [2, 3]}",
            "{'descr': '<u2', 'fortran_order': 0, 'shape': (6,)}",
            "{'descr': '<u2', 'fortran_order': False, 'shape': (-6,)}",
            "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), 'x': 1}",
            "{'descr': '<u2', 'fortran_order': False}",
            "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), } x",
            "{'descr': '<u3', 'fortran_order': False, 'shape': (4,), }",
            "{'descr': '=u2', 'fortran_order': False, 'shape': (6,), }",
            "{'descr': '|u2', 'fortran_order': False, 'shape': (6,), }",
        ]:
            path = where / f"{number}.npy"
            path.write_bytes(by_hand(text, data, version))
            try:
                answer = told(np.load(path, allow_pickle=False))
            except Exception:
                answer = "refused\n"
            (where / f"{number}.txt").write_text(answer)
            number += 1
    print(number)


def check():
    held = 0
    for path in sorted(where.glob("*.back.npy")):
        mine, back = np.load(path.with_name(path.name.replace(".back", ""))), np.load(path)
        assert mine.dtype == back.dtype and mine.shape == back.shape, path
        assert mine.tobytes() == back.tobytes(), path
        if mine.ndim > 1 and mine.size > 1:
            assert mine.flags.c_contiguous == back.flags.c_contiguous, path
        held += 1
    print(held)


{"make": make, "check": check}[sys.argv[1]]()
