"""`DataLoader(data, **options)`."""

from __future__ import annotations

from translating import reasons, to_tf

DATA = """
from torch.utils.data import DataLoader, TensorDataset
use_cuda = torch.cuda.is_available()
data = TensorDataset(torch.ones(8, 3), torch.ones(8))
"""


def test_options_of_the_host_alone_are_left_out() -> None:
    code = to_tf(
        DATA
        + """
kwargs = {"num_workers": 1, "pin_memory": True} if use_cuda else {}
loader = DataLoader(data, batch_size=4, shuffle=True, **kwargs)
for x, y in loader:
    print(x.shape)
"""
    )
    assert "kwargs" not in code
    assert ".shuffle(8).batch(4)" in code or ".shuffle(len(" in code


def test_options_that_are_there_and_options_that_may_be() -> None:
    code = to_tf(
        DATA
        + """
options = {"batch_size": 4}
if use_cuda:
    more = {"num_workers": 1, "shuffle": True}
    options.update(more)
loader = DataLoader(data, **options)
for x, y in loader:
    print(x.shape)
"""
    )
    assert 'batch_size=options["batch_size"]' in code
    assert 'shuffle=options.get("shuffle", False)' in code


def test_keywords_of_dict() -> None:
    code = to_tf(
        DATA
        + """
args = dict(batch_size=4, num_workers=2, pin_memory=True)
loader = DataLoader(data, shuffle=False, **args)
print(len(loader))
"""
    )
    assert '.batch(args["batch_size"])' in code


def test_options_of_which_nothing_is_known_are_told() -> None:
    assert reasons(DATA + "def load(**options):\n    return DataLoader(data, **options)\nload()\n")
    assert reasons(DATA + "o = {'batch_size': 2}\nfill(o)\nprint(DataLoader(data, **o))\n")
