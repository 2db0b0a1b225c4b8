"""Calls that say the same as plainer ones."""

from translating import to_tf


def test_a_call_on_several_devices_is_a_call() -> None:
    code = to_tf(
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())

    def forward(self, x):
        if x.is_cuda:
            return nn.parallel.data_parallel(self.main, x, range(2))
        return self.main(x)

net = Net()
net(torch.randn(2, 3, 8, 8))
"""
    )
    assert "data_parallel" not in code
    assert code.count("self.main(x)") == 2
