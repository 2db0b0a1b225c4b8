"""Fixtures that many tests use."""

import sys

import pytest
import stub_engine


@pytest.fixture
def quick_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that only swaps names, for tests of everything around the engine."""
    monkeypatch.setitem(sys.modules, "transpiler.convert", stub_engine.make_module())


@pytest.fixture(autouse=True, scope="module")
def single_precision() -> None:
    """Every file's tests start in the libraries' default, whatever ran before in the process."""
    if keras := sys.modules.get("keras"):
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    if torch := sys.modules.get("torch"):
        torch.set_default_dtype(torch.float32)
