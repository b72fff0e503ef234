"""Tables of a study in pandas and polars, of a folder that needs no program."""

import pytest
import toxscreen as tx

HEAD = (
    "study,trial,cell,variant,seed,dataset,learner,threat_space,budget_space,threat_data,budget_data,"
    "threat_inputs,budget_inputs,defence,metric,level,value,unit\n"
)


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.toml").write_text('name = "x"\n')
    rows = HEAD
    for trial, cell, budget, error in (("0123", "clean", "0", "2"), ("4e56", "none", "0.1", "3.5")):
        start = f"x,{trial},{cell},,0,digits,l,none,0,rlf,{budget},none,0,none"
        rows += f"{start},clean_error,,{error},%\n{start},claimed_error,,1.25,%\n{start},test_error,5,9,%\n"
    (tmp_path / "results.csv").write_text(rows)
    return tx.Study(tmp_path)


@pytest.mark.parametrize("engine", ["pandas", "polars"])
def test_tables_say_the_same_in_either_library(study, engine):
    library = pytest.importorskip(engine)
    tidy, wide = study.tidy(engine), study.results(engine)
    assert isinstance(tidy, library.DataFrame) and isinstance(wide, library.DataFrame)
    assert len(tidy) == 6 and list(tidy["trial"])[::3] == ["0123", "4e56"], "an id is text"
    assert list(tidy["cell"])[::3] == ["clean", "none"] and list(tidy["defence"]) == ["none"] * 6
    assert list(wide["trial"]) == ["0123", "4e56"] and list(wide["clean_error"]) == [2.0, 3.5]
    assert list(wide["claimed_error"]) == [1.25, 1.25] and "test_error" not in wide.columns


def test_another_library_is_refused(study):
    with pytest.raises(ValueError, match="expected 'pandas' or 'polars'"):
        study.tidy("arrow")
