"""Networks of genotypes against the numbers that the Rust tests are held to."""

import json
import subprocess
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from toxscreen.torch import build, load  # noqa: E402
from toxscreen.torch.darts import read_genotype  # noqa: E402

SEARCH = Path(__file__).parents[2] / "crates/tox-search/tests/fixtures"
GENOTYPE = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 0), ('avg_pool_3x3', 2), "
    "('sep_conv_5x5', 1), ('max_pool_3x3', 3), ('dil_conv_3x3', 2), ('skip_connect', 0)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('skip_connect', 1), ('sep_conv_3x3', 1), ('dil_conv_3x3', 2), ('avg_pool_3x3', 0), "
    "('sep_conv_5x5', 3), ('dil_conv_5x5', 1), ('skip_connect', 4)], reduce_concat=range(2, 6))"
)
CELL = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"


def only(tensors, prefix):
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@pytest.mark.parametrize(("name", "genotype"), [("darts_genotype", GENOTYPE), ("nb201_cell", CELL)])
def test_cells_give_the_logits_of_their_weights(tmp_path, name, genotype):
    settings = json.loads((SEARCH / "nas/networks.json").read_text())[name]
    tensors = safetensors.load_file(SEARCH / f"nas/{name}.safetensors")
    safetensors.save_file(
        {f"module.{key}": value for key, value in only(tensors, "weights.").items()}, tmp_path / "w.safetensors"
    )
    network = build(
        settings.get("genotype", genotype),
        classes=settings["classes"],
        channels=settings["channels"],
        cells=settings.get("cells") or settings["n"],
        weights=tmp_path / "w.safetensors",
    ).double()
    network.train()
    logits = network(tensors["images"].double())
    assert torch.allclose(logits, tensors["logits"].double(), rtol=1e-9, atol=1e-9)
    if "eval_logits" in tensors:
        assert torch.allclose(network.eval()(tensors["images"].double()), tensors["eval_logits"], rtol=1e-9, atol=1e-9)


def test_a_child_of_enas_gives_the_logits_of_its_weights(tmp_path):
    def tensor(entry):
        return torch.tensor(entry["values"], dtype=torch.float64).reshape(entry["shape"])

    for case in json.loads((SEARCH / "child.json").read_text())["cases"]:
        images, logits = tensor(case["images"]), tensor(case["logits"])
        record = {"outcome": {"genotype": {"layers": case["architecture"]}}}
        network = build(
            record,
            channels=case["channels"],
            inputs=images.shape[1],
            classes=logits.shape[1],
            keep_prob=1.0,
            pointwise=case.get("pointwise", "dense"),
            skips=case.get("skips", "separate"),
        ).double()
        weights = {name: tensor(entry) for name, entry in case["weights"].items()}
        names = dict(network.named_parameters())
        assert set(names) <= set(weights), case["name"]
        safetensors.save_file({name: weights[name] for name in names}, tmp_path / "w.safetensors")
        network.train()
        assert torch.allclose(load(network, tmp_path / "w.safetensors")(images), logits, rtol=1e-8, atol=1e-8)


FOUND = """
name = "found"
seeds = [0]
[data]
dataset = "digits"
train = 400
valid = 100
test = 200
[learner]
kind = "enas"
child = { layers = 4, channels = 6, batch = 16, epochs = 2 }
controller = { steps = 2, aggregate = 2, batch = 32 }
evaluation = { density_samples = 20 }
retrain = { epochs = 6 }
[[cell]]
label = "clean"
"""


def test_what_a_trial_found_answers_as_the_program_says(tmp_path):
    import toxscreen
    from toxscreen import _program

    try:
        program = _program.find()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    (tmp_path / "r.toml").write_text(FOUND)
    subprocess.run([program, "run", "r.toml", "--out", "s"], cwd=tmp_path, check=True, capture_output=True)
    (weights,) = tmp_path.glob("s/trials/*/found.safetensors")
    found = toxscreen.attack(
        weights, "digits", attacks=["fgsm", "pgd5"], epsilon="8/255", train=400, valid=100, images=40, out=tmp_path / "a", quiet=True
    )
    assert found.adversarial.shape == (40, 1, 8, 8) and found.attacks == ["fgsm", "pgd5"]
    assert found.fooled.any() and set(found.outcomes) <= {"fgsm", "pgd5", "robust", "misclassified"}
    assert (tmp_path / "a/report.html").exists()
    record = json.loads(weights.with_name("record.json").read_text())
    network = build(record, channels=6, inputs=1, classes=10, weights=weights).eval()
    mean, std = (torch.tensor(found.report["normalise"][key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        answers = network((torch.tensor(found.adversarial) - mean) / std).argmax(1).numpy()
    assert (answers == found.prediction).all()
    assert 100 * (answers == found.labels).mean() == pytest.approx(found.robust_accuracy)


def test_published_sizes():
    assert (
        sum(
            p.numel()
            for p in build(
                "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
            ).parameters()
        )
        == 1_531_546
    )
    grey = build(GENOTYPE, channels=4, cells=3, inputs=1, classes=3, auxiliary=False)
    assert grey(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize(
    "text", ["Genotype(__import__('os'))", "Genotype(normal=open('x'))", "f(1)", "Genotype(normal=[])", "|x~0|"]
)
def test_a_genotype_is_read_and_not_run(text):
    with pytest.raises(ValueError, match=r"is no genotype|is not a NAS-Bench-201 cell"):
        build(text)
    assert read_genotype(GENOTYPE).normal_concat == [2, 3, 4, 5]


def test_weights_of_another_network_are_refused(tmp_path):
    safetensors.save_file({"stem.0.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises((ValueError, RuntimeError)):
        build(CELL, weights=tmp_path / "w.safetensors")
    safetensors.save_file({"other": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="is of another network: it lacks .*, and has other too much"):
        build(CELL, weights=tmp_path / "w.safetensors")
