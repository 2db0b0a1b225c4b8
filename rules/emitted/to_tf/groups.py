"""A unit for optimizers that carry the variables they update."""

from __future__ import annotations


class ParameterGroups:
    """Optimizers with their own variables, stepped together like torch's parameter groups."""

    def __init__(self, *groups):
        self.groups = groups  # pairs: an optimizer and a function that lists its variables
        rates = [float(optimizer.learning_rate) for optimizer, _ in groups]
        self.ratios = [rate / rates[0] for rate in rates]

    @property
    def parameters(self):
        return [v for _, variables in self.groups for v in variables()]

    @property
    def variables(self):
        return [v for optimizer, _ in self.groups for v in optimizer.variables]

    @property
    def learning_rate(self):
        return self.groups[0][0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        for (optimizer, _), ratio in zip(self.groups, self.ratios):
            optimizer.learning_rate = value * ratio

    def build(self, variables):
        for optimizer, own in self.groups:
            optimizer.build(own())

    def apply_gradients(self, pairs):
        gradients = [gradient for gradient, _ in pairs]
        for optimizer, variables in self.groups:
            own = variables()
            optimizer.apply_gradients(zip(gradients[: len(own)], own))
            gradients = gradients[len(own) :]


def parameter_groups(make, groups):
    """One optimizer per group: make(**settings) with the settings that stand beside "params"."""

    def pair(group):
        settings = {name: value for name, value in group.items() if name != "params"}
        return make(**settings), lambda: list(group["params"])

    return ParameterGroups(*[pair(group) for group in groups])
