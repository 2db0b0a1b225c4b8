"""Checkpoints converted for the other framework: training goes on as if nothing had happened."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from transpiler.config import Config
from transpiler.convert import convert as translate
from transpiler.verify import Workshop
from transpiler.weights.cargo import CheckpointError
from transpiler.weights.cli import main
from transpiler.weights.transfer import convert

NETS = Path(__file__).parent / "weights_twins"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with Workshop() as found:
        yield found


def run_script(script: Path, *arguments: str, folder: Path) -> list[str]:
    """What a script prints, run alone with no tool of ours around it."""
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return done.stdout.splitlines()


def assert_same_curve(ours: list[str], theirs: list[str], tolerance: float) -> None:
    """Equal words and numbers, line by line."""
    assert len(ours) == len(theirs) > 0
    for mine, other in zip(ours, theirs, strict=True):
        *words, value = mine.split()
        *other_words, other_value = other.split()
        assert words == other_words
        assert float(value) == pytest.approx(float(other_value), rel=tolerance), mine


@pytest.mark.parametrize("to", ["tf", "torch"])
def test_training_goes_on_in_the_other_framework(to: str, shop: Workshop, tmp_path: Path) -> None:
    """CNN with batch norm, LSTM, GRU, a transformer block, tied weights; five optimizers."""
    source, target = NETS / "nets_torch.py", NETS / "nets_tf.py"
    if to == "torch":
        source, target = target, source
    saved, converted = tmp_path / "saved.pt", tmp_path / "converted.pt"
    if to == "tf":
        converted = tmp_path / "converted"
    run_script(source, "--save", str(saved), folder=tmp_path)
    given = tmp_path / "saved.pt.index" if to == "torch" else saved
    moved = convert(given, source, target, to, converted, workshop=shop)  # type: ignore[arg-type]
    expected = run_script(source, "--resume", str(saved), folder=tmp_path)
    found = run_script(target, "--resume", str(converted), folder=tmp_path)
    assert len(expected) == 41
    assert_same_curve(found, expected, 1e-9)
    assert len(moved.items) == 11
    allowed = ("num_batches_tracked", "out.weight", "beta_1")
    assert all(left.name.endswith(allowed) for left in moved.left)


BUNDLE = """
import argparse
import torch
import torch.nn as nn
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--resume", default="")
parser.add_argument("--epochs", type=int, default=6)
args = parser.parse_args()
rng = np.random.RandomState(0)
x = torch.from_numpy(rng.randn(24, 1, 6, 6).astype(np.float32))
y = torch.from_numpy(rng.randint(0, 3, 24))
torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.fc = nn.Linear(64, 3)

    def forward(self, x):
        return self.fc(self.features(x).view(-1, 64))


model = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 4, gamma=0.5)
start = 0
if args.resume:
    checkpoint = torch.load(args.resume)
    start = checkpoint["epoch"]
    model.load_state_dict(checkpoint["net"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    scheduler.load_state_dict(checkpoint["scheduler"])
for epoch in range(start, start + args.epochs):
    model.train()
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    scheduler.step()
    print(epoch, loss.item())
torch.save({
    "epoch": start + args.epochs,
    "net": model.state_dict(),
    "optimizer": optimizer.state_dict(),
    "scheduler": scheduler.state_dict(),
}, "last.pth")
"""


def test_a_translation_resumes_with_its_own_code(shop: Workshop, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    (ours / "train.py").write_text(BUNDLE)
    code = translate(BUNDLE, "tf", config=Config(fidelity="exact")).code
    (theirs / "train.py").write_text(code)
    run_script(ours / "train.py", folder=ours)
    out = theirs / "converted.pth"
    moved = convert(
        ours / "last.pth", ours / "train.py", theirs / "train.py", "tf", out, workshop=shop
    )
    assert [line.partition(":")[0] for line in moved.items] == [
        "net",
        "optimizer",
        "epoch",
        "scheduler",
    ]
    expected = run_script(ours / "train.py", "--resume", "last.pth", folder=ours)
    found = run_script(theirs / "train.py", "--resume", str(out), folder=theirs)
    assert_same_curve(found, expected, 1e-5)


PLAIN = """
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
gen, dis = nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4))
opt_g = torch.optim.SGD(gen.parameters(), lr=0.1)
opt_d = torch.optim.SGD(dis.parameters(), lr=0.2)
for step in range(4):
    loss = F.mse_loss(dis(gen(torch.ones(2, 4))), torch.zeros(2, 4))
    opt_d.zero_grad()
    opt_g.zero_grad()
    loss.backward()
    opt_d.step()
    opt_g.step()
    print(loss.item())
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A script with two networks of equal shapes, and its translation."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "train.py").write_text(PLAIN)
    (folder / "train_tf.py").write_text(translate(PLAIN, "tf").code)
    return folder / "train.py", folder / "train_tf.py"


def make_state(scale: float) -> dict[str, np.ndarray]:
    weight = np.arange(16, dtype=np.float32).reshape(4, 4) * scale
    return {"0.weight": weight, "0.bias": np.arange(4, dtype=np.float32) * scale}


def save_torch(path: Path, value: object) -> Path:
    torch = pytest.importorskip("torch")
    torch.save(value, path)
    return path


def tensors(state: dict[str, np.ndarray]) -> dict[str, object]:
    torch = pytest.importorskip("torch")
    return {name: torch.from_numpy(array) for name, array in state.items()}


def test_equal_networks_are_told_apart_by_their_names(
    shop: Workshop, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    """Keys of a bundle are the script's variables; what stands under one key is written alone."""
    bundle = {"netD": tensors(make_state(2)), "gen_state": tensors(make_state(1)), "epoch": 3}
    bundle["dis"] = bundle.pop("netD")
    given = save_torch(tmp_path / "both.pt", bundle)
    moved = convert(given, *pair, "tf", tmp_path / "both.pkl", workshop=shop)
    written = pickle.loads((tmp_path / "both.pkl").read_bytes())
    assert np.array_equal(written["gen_state"][0], make_state(1)["0.weight"].T)
    assert np.array_equal(written["dis"][0], make_state(2)["0.weight"].T)
    assert written["epoch"] == 3
    assert not moved.left
    with pytest.raises(CheckpointError, match="choose with --key"):
        convert(given, *pair, "tf", tmp_path / "both.weights.h5", workshop=shop)
    assert not (tmp_path / "both.weights.h5").exists()


def test_what_does_not_fit_is_an_error_and_nothing_is_written(
    shop: Workshop, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    wrong = tensors(make_state(1)) | tensors({"0.weight": np.zeros((5, 4), np.float32)})
    given = save_torch(tmp_path / "wrong.pt", wrong)
    with pytest.raises(CheckpointError, match=r"weight: \(5, 4\) in the checkpoint, \(4, 4\) here"):
        convert(given, *pair, "tf", tmp_path / "out.pkl", workshop=shop)
    short = save_torch(tmp_path / "short.pt", {"0.weight": wrong["0.weight"]})
    with pytest.raises(CheckpointError, match=r"0.bias \(4,\): not in the checkpoint"):
        convert(short, *pair, "tf", tmp_path / "out.pkl", workshop=shop)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["short.pt", "wrong.pt"]


class Evil:
    """Something that runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def test_nothing_in_a_checkpoint_is_executed(
    shop: Workshop, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    given = save_torch(tmp_path / "evil.pt", {"state": Evil()})
    with pytest.raises(CheckpointError, match="nothing in a checkpoint is executed"):
        convert(given, *pair, "tf", tmp_path / "out.pkl", workshop=shop)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps([Evil()]))
    with pytest.raises(CheckpointError, match="nothing in a checkpoint is executed"):
        convert(tmp_path / "evil.pkl", *pair[::-1], "torch", tmp_path / "out.pt", workshop=shop)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello world\n", b"\x89HDF\r\n\x1a\n" + bytes(50)])
def test_a_damaged_file_of_torch_is_an_error_in_words(
    name: str, content: bytes, tmp_path: Path
) -> None:
    from transpiler.weights import torch_files

    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name} "):
        torch_files.read(tmp_path / name)


@pytest.mark.parametrize("content", [b"\x89HDF\r\n\x1a\n" + bytes(50), b"PK\x03\x04" + bytes(50)])
def test_a_damaged_file_of_keras_is_an_error_in_words(content: bytes, tmp_path: Path) -> None:
    from transpiler.weights import keras_files

    (tmp_path / "a.weights.h5").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a.weights.h5 can not be read"):
        keras_files.read_h5(tmp_path / "a.weights.h5")
    (tmp_path / "ckpt.index").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"ckpt can not be read"):
        keras_files.read_checkpoint(str(tmp_path / "ckpt"))


COMPILED = """
import keras
import numpy as np

keras.utils.set_random_seed(1)
x = np.random.RandomState(0).randn(40, 5).astype("float32")
y = (x.sum(1) > 0).astype("float32")
model = keras.Sequential([
    keras.layers.Dense(6, activation="relu"),
    keras.layers.BatchNormalization(),
    keras.layers.Dense(1),
])
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
model.fit(x, y, epochs=2, batch_size=10, verbose=0)
model.save_weights("kept.weights.h5")
model.save("kept.keras")
"""
TORCH = """
import numpy as np
import torch
from torch import nn

from transpiler.rules.emitted.to_torch.optimizers import KerasAdam

x = torch.from_numpy(np.random.RandomState(0).randn(40, 5).astype("float32"))
y = (x.sum(1) > 0).float()
model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.BatchNorm1d(6, eps=1e-3), nn.Linear(6, 1))
optimizer = KerasAdam(model.parameters(), lr=0.01)
for epoch in range(2):
    for rows in torch.randperm(40).split(10):
        loss = (model(x[rows]).squeeze(1) - y[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a compiled model's script, its translation and its files."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "train.py").write_text(COMPILED)
    (folder / "train_torch.py").write_text(TORCH)
    run_script(folder / "train.py", folder=folder)
    return folder


@pytest.mark.parametrize("name", ["kept.weights.h5", "kept.keras"])
def test_files_of_keras_and_back(name: str, compiled: Path, shop: Workshop, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    scripts = compiled / "train.py", compiled / "train_torch.py"
    moved = convert(
        compiled / name, *scripts, "torch", tmp_path / "a.pt", bundle=True, workshop=shop
    )
    bundle = torch.load(tmp_path / "a.pt", weights_only=True)
    assert set(bundle) == {"model", "optimizer"}
    assert bundle["model"]["0.weight"].shape == (6, 5)
    assert bundle["optimizer"]["param_groups"][0]["iterations"] == 8
    assert bundle["optimizer"]["state"][0]["momentum"].abs().sum() > 0
    assert [left.name for left in moved.left] == ["2.num_batches_tracked"]
    convert(
        tmp_path / "a.pt", *scripts[::-1], "tf", tmp_path / "b.weights.h5", key="model",
        workshop=shop,
    )  # fmt: skip
    convert(compiled / name, *scripts, "torch", tmp_path / "c.safetensors", workshop=shop)
    convert(tmp_path / "c.safetensors", *scripts[::-1], "tf", tmp_path / "d.keras", workshop=shop)
    from transpiler.weights.keras_files import read_h5

    first = {k: v for k, v in read_h5(compiled / name).items() if not k.startswith("optimizer")}
    for other in ("b.weights.h5", "d.keras"):
        second = read_h5(tmp_path / other)
        assert all(np.array_equal(array, second[key]) for key, array in first.items())


def test_the_command_names_everything(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = save_torch(tmp_path / "g.pt", {"gen": tensors(make_state(1)), "note": "best"})
    out, account = tmp_path / "g.weights.h5", tmp_path / "g.json"
    code = main(
        [str(given), "--script", str(pair[0]), "--to", "tf", "-o", str(out), "-v",
         "--json", str(account)]
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert "moved  gen: 2 tensors" in printed
    assert "kernel (4, 4)" in printed
    assert "left   note: a weights file holds weights alone" in printed
    assert out.exists()
    assert account.exists()


def test_a_missing_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.py").write_text(PLAIN)
    arguments = ["no.pt", "--script", str(tmp_path / "train.py"), "--to", "tf", "-o", "x.keras"]
    assert main(arguments) == 2
    assert "no.pt: no such file" in capsys.readouterr().err
