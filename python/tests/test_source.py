"""Functions of notebooks and scripts as files."""

import subprocess
import sys
import textwrap

import pytest
from conftest import PACKAGES
from toxscreen import _source


def written(tmp_path, source, learn="learn"):
    """What `_source.of` makes of a function of a script, in another process, whose `__main__` the script is."""
    script = tmp_path / "script.py"
    tail = "from toxscreen import _source\ntry:\n    print(_source.of({}).text)\nexcept Exception as e:\n    print(type(e).__name__, e)\n"
    script.write_text(textwrap.dedent(source) + "\n" + tail.format(learn))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(PACKAGES), "PATH": ""}
    )
    return done.stdout


def test_a_function_brings_what_it_refers_to(tmp_path):
    text = written(
        tmp_path,
        """
        import os.path, json as js
        from pathlib import Path
        import numpy as np
        DEPTH, unused = 3, object()
        class Model:
            scale = DEPTH
            def fit(self, x): return np.abs(x) * self.scale
        def helper(x, model=Model()): return model.fit(x) if x else learn(x)
        def learn(task):
            y = js.loads("1")
            unused_local = [y for y in range(DEPTH)]
            return helper(task) + y, Path, os.path.sep
        """,
    )
    scope = {}
    exec(text, scope)
    assert scope["automl"] is scope["learn"]
    assert scope["automl"](2)[0] == 7
    assert "unused =" not in text and text.index("class Model") < text.index("def helper")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "import numpy as np\ntable = np.zeros(3)\ndef learn(task): return table",
            "learn uses table, a ndarray of this session",
        ),
        ("learn = lambda task: 0", "is a lambda"),
        (
            "def outer():\n    def learn(task): return 0\n    return learn\nlearn = outer()",
            "a function within a function",
        ),
        ("exec('def learn(task): return 0')", "the source of learn is not to be had"),
        ("learn = 3", "3 is a int"),
    ],
)
def test_what_no_file_can_stand_for_is_refused(tmp_path, source, said):
    assert said in written(tmp_path, source)


def test_files_and_modules_are_imported_from_where_they_are(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "learn.py").write_text("import numpy\ndef automl2(task): return 0\n")
    text = written(tmp_path, "from pack.learn import automl2 as learn")
    assert f"sys.path[:0] = [{str(tmp_path)!r}" in text and "from pack.learn import automl2 as automl" in text
    text = written(tmp_path, f"learn = {str(tmp_path / 'pack' / 'learn.py')!r} + ':automl2'")
    assert "from learn import automl2 as automl" in text
    assert "FileNotFoundError" in written(tmp_path, "learn = 'nowhere.py:f'")
    assert "ModuleNotFoundError" in written(tmp_path, "learn = 'no.such:f'")
    assert "names no function" in written(tmp_path, "learn = 'automl'")


def test_libraries_are_named_that_are_not_imported_here(monkeypatch):
    monkeypatch.delitem(sys.modules, "pytest")
    assert _source._libraries("import json\nimport pytest\nimport space_of_mine\n") == ["pytest"]
