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


def test_special_methods_by_name() -> None:
    code = to_tf(
        """
from torch.utils.data import DataLoader, TensorDataset
data = TensorDataset(torch.ones(8, 3), torch.ones(8))
loader = DataLoader(data, batch_size=4)
print(loader.dataset.__len__() // 4)
x, y = loader.__iter__().__next__()
"""
    )
    assert "x, y = next(iter(loader))" in code
    assert "__len__()" not in code


def test_branches_that_differ_in_the_device_alone() -> None:
    code = to_tf(
        """
use_cuda = torch.cuda.is_available()
x = torch.ones(2, 3)
# the noise
if use_cuda:
    z = (x * torch.ones(2, 3).cuda()).cuda()
else:
    z = (x * torch.ones(2, 3))
if use_cuda:
    y = x.cuda() + 1
else:
    y = x + 2
print(z, y)
"""
    )
    assert "# the noise\nz = x * tf.ones([2, 3])\n" in code
    assert "    y = x + 1\nelse:\n    y = x + 2" in code
