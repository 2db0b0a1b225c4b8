"""Learning-rate schedules that are stepped by hand, as those of ``torch.optim.lr_scheduler``."""

import bisect
import math


def learning_rate_of(optimizer):
    """The learning rate as the number once assigned, without its float32 rounding."""
    return float(str(optimizer.learning_rate.numpy()))


def parts_of(optimizer):
    """The optimizers of an optimizer's groups, each with a learning rate of its own."""
    return [part for part, _ in getattr(optimizer, "groups", [(optimizer, None)])]


def set_momentum(optimizer, value):
    """Set the momentum (beta_1 of the Adam family) of each group, also in traced steps."""
    for part in parts_of(optimizer):
        name = "beta_1" if hasattr(part, "beta_1") else "momentum"
        getattr(part, name).assign(value)


def share_rate(optimizer):
    """Let parameter groups have one learning rate, whatever theirs were."""
    if hasattr(optimizer, "ratios"):
        optimizer.ratios = [1.0] * len(optimizer.ratios)


class EpochSchedule:
    """Sets learning_rate = minimum + (initial - minimum) * factor(epoch) at each step."""

    def __init__(self, optimizer, factor, minimum=0.0, last_epoch=-1):
        self.optimizer = optimizer
        self.factor = factor
        self.minimum = minimum
        if not hasattr(optimizer, "initial_lr"):  # later schedules start from it as well
            optimizer.initial_lr = learning_rate_of(optimizer)
        self.initial = optimizer.initial_lr
        self.last_epoch = last_epoch
        self.step()

    def rate(self, epoch):
        return self.minimum + (self.initial - self.minimum) * self.factor(epoch)

    def step(self, epoch=None):
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self.last_lr = self.rate(self.last_epoch)
        self.optimizer.learning_rate = self.last_lr
        if self.minimum and hasattr(self.optimizer, "ratios"):
            for (part, _), ratio in zip(self.optimizer.groups, self.optimizer.ratios):
                span = self.initial * ratio - self.minimum
                part.learning_rate = self.minimum + span * self.factor(self.last_epoch)

    def get_last_lr(self):
        parts = parts_of(self.optimizer)
        return [self.last_lr] if len(parts) == 1 else [learning_rate_of(part) for part in parts]

    def state_dict(self):
        return {"last_epoch": self.last_epoch, "initial": self.initial}

    def load_state_dict(self, state):
        self.initial = state["initial"]
        self.step(state["last_epoch"])


class ChainedSchedule(EpochSchedule):
    """An EpochSchedule that goes on from the rate it finds, which others change as well."""

    def step(self, epoch=None):
        if epoch is not None:
            super().step(epoch)
            return
        before = self.factor(self.last_epoch) if self.last_epoch >= 0 else 1.0
        self.last_epoch += 1
        ratio = self.factor(self.last_epoch) / before if before else 1.0
        for part in parts_of(self.optimizer):
            rate = learning_rate_of(part)
            part.learning_rate = self.minimum + (rate - self.minimum) * ratio
        self.last_lr = learning_rate_of(parts_of(self.optimizer)[0])

    def load_state_dict(self, state):
        self.initial, self.last_epoch = state["initial"], state["last_epoch"]


class GroupSchedules:
    """Sets the learning rate of each group to its initial one times a factor of its own."""

    def __init__(self, optimizer, factors, last_epoch=-1):
        self.schedules = [
            EpochSchedule(part, factor, last_epoch=last_epoch)
            for part, factor in zip(parts_of(optimizer), factors)
        ]

    def step(self, epoch=None):
        for schedule in self.schedules:
            schedule.step(epoch)

    def get_last_lr(self):
        return [schedule.last_lr for schedule in self.schedules]

    def state_dict(self):
        return {"schedules": [schedule.state_dict() for schedule in self.schedules]}

    def load_state_dict(self, state):
        for schedule, kept in zip(self.schedules, state["schedules"]):
            schedule.load_state_dict(kept)


def warm_restarts(period, growth=1):
    """Cosine from 1 to 0 over period epochs, restarted with growth times that period."""

    def factor(epoch):
        length = period
        while epoch >= length:
            epoch -= length
            length *= growth
        return (1 + math.cos(math.pi * epoch / length)) / 2

    return factor


class CyclicLR(EpochSchedule):
    """torch's CyclicLR: between base_lr and max_lr, momentum the other way."""

    def __init__(
        self,
        optimizer,
        base_lr,
        max_lr,
        step_size_up=2000,
        step_size_down=None,
        mode="triangular",
        gamma=1.0,
        scale_fn=None,
        scale_mode="cycle",
        cycle_momentum=True,
        base_momentum=0.8,
        max_momentum=0.9,
        last_epoch=-1,
    ):
        self.rates = base_lr, max_lr
        self.up = step_size_up
        self.total = step_size_up + (step_size_down or step_size_up)
        self.momenta = (max_momentum, base_momentum) if cycle_momentum else None
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
            scale_fn = {
                "triangular": lambda cycle: 1.0,
                "triangular2": lambda cycle: 0.5 ** (cycle - 1),
                "exp_range": lambda step: gamma**step,
            }[mode]
        self.scale_fn = scale_fn
        self.scale_mode = scale_mode
        share_rate(optimizer)
        super().__init__(optimizer, self.height, last_epoch=last_epoch)

    def height(self, step):
        cycle, position = divmod(step, self.total)
        if position <= self.up:
            height = position / self.up
        else:
            height = (self.total - position) / (self.total - self.up)
        return height * self.scale_fn(cycle + 1 if self.scale_mode == "cycle" else step)

    def rate(self, step):
        height = self.height(step)
        low, high = self.rates
        if self.momenta:
            start, end = self.momenta
            set_momentum(self.optimizer, start + (end - start) * height)
        return low + (high - low) * height


class OneCycleLR(EpochSchedule):
    """torch's OneCycleLR: up to max_lr and down again, momentum the other way."""

    def __init__(
        self,
        optimizer,
        max_lr,
        total_steps=None,
        epochs=None,
        steps_per_epoch=None,
        pct_start=0.3,
        anneal_strategy="cos",
        cycle_momentum=True,
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=1e4,
        three_phase=False,
        last_epoch=-1,
    ):
        total = total_steps or epochs * steps_per_epoch
        share_rate(optimizer)
        if isinstance(max_lr, (list, tuple)):  # one of each group: all go up and down alike
            optimizer.ratios = [rate / max_lr[0] for rate in max_lr]
            max_lr = max_lr[0]
        start = max_lr / div_factor
        # Each phase: its last step, then learning rate and momentum at its two ends.
        peak = pct_start * total - 1
        up = (peak, (start, max_lr), (max_momentum, base_momentum))
        if three_phase:
            down = (2 * peak, (max_lr, start), (base_momentum, max_momentum))
            final = (total - 1, (start, start / final_div_factor), (max_momentum, max_momentum))
            self.phases = [up, down, final]
        else:
            end = start / final_div_factor
            self.phases = [up, (total - 1, (max_lr, end), (base_momentum, max_momentum))]
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        super().__init__(optimizer, None, last_epoch=last_epoch)

    def anneal(self, start, end, part):
        if self.anneal_strategy == "linear":
            return start + (end - start) * part
        return end + (start - end) / 2 * (1 + math.cos(math.pi * part))

    def rate(self, step):
        begin = 0.0
        for end, rates, momenta in self.phases[:-1]:
            if step <= end:
                break
            begin = end
        else:
            end, rates, momenta = self.phases[-1]
        part = (step - begin) / (end - begin)
        if self.cycle_momentum:
            set_momentum(self.optimizer, self.anneal(*momenta, part))
        return self.anneal(*rates, part)


class SequentialLR:
    """One schedule after the other; each counts its own epochs from its milestone."""

    def __init__(self, optimizer, schedulers, milestones):
        self.optimizer = optimizer
        self.schedulers = schedulers
        self.milestones = milestones
        self.last_epoch = 0
        schedulers[0].step(0)

    @property
    def current(self):
        return self.schedulers[bisect.bisect_right(self.milestones, self.last_epoch)]

    def step(self):
        self.last_epoch += 1
        self.current.step(0 if self.last_epoch in self.milestones else None)

    def get_last_lr(self):
        return self.current.get_last_lr()

    def state_dict(self):
        states = [scheduler.state_dict() for scheduler in self.schedulers]
        return {"last_epoch": self.last_epoch, "schedulers": states}

    def load_state_dict(self, state):
        self.last_epoch = state["last_epoch"]
        for scheduler, own in zip(self.schedulers, state["schedulers"]):
            scheduler.load_state_dict(own)
        self.current.step(self.current.last_epoch)


class ChainedScheduler:
    """Several epoch schedules at once: their factors are multiplied."""

    def __init__(self, schedulers):
        self.schedulers = schedulers
        self.apply()

    def apply(self):
        factors = [s.factor(s.last_epoch) for s in self.schedulers]
        self.last_lr = self.schedulers[0].initial * math.prod(factors)
        self.schedulers[0].optimizer.learning_rate = self.last_lr

    def step(self):
        for scheduler in self.schedulers:
            scheduler.step()
        self.apply()

    def get_last_lr(self):
        return [self.last_lr]

    def state_dict(self):
        return {"schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state):
        for scheduler, own in zip(self.schedulers, state["schedulers"]):
            scheduler.load_state_dict(own)
        self.apply()


class ReduceLROnPlateau:
    """torch's ReduceLROnPlateau: relative threshold, reduced after patience + 1 bad epochs."""

    def __init__(
        self,
        optimizer,
        mode="min",
        factor=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=0.0,
        eps=1e-8,
    ):
        self.optimizer = optimizer
        self.sign = 1 if mode == "min" else -1
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.eps = eps
        self.best = self.sign * math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def is_better(self, value):
        margin = self.sign * self.threshold
        if self.threshold_mode == "rel":
            return self.sign * value < self.sign * (self.best * (1 - margin))
        return self.sign * value < self.sign * (self.best - margin)

    def step(self, metrics):
        value = float(metrics)
        self.last_epoch += 1
        if self.is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for part in parts_of(self.optimizer):
                old = learning_rate_of(part)
                new = max(old * self.factor, self.min_lr)
                if old - new > self.eps:
                    part.learning_rate = new
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_last_lr(self):
        return [learning_rate_of(part) for part in parts_of(self.optimizer)]

    def state_dict(self):
        names = "best", "num_bad_epochs", "cooldown_counter", "last_epoch"
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state):
        vars(self).update(state)
