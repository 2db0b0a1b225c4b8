"""`fit` as a training loop: epochs, batches, logs, and the places of callbacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.planners.keras_callbacks import Callback
from transpiler.planners.keras_training import Training, has_own
from transpiler.syntax import code
from transpiler.template import fill_statements

ACTIVATIONS = {"softmax": "outputs.softmax(-1)", "sigmoid": "outputs.sigmoid()"}


@dataclass
class Loop:
    """What a training loop is written from."""

    training: Training
    model: cst.BaseExpression
    names: dict[str, str]
    epochs: cst.BaseExpression
    rounds: cst.BaseExpression
    history: cst.BaseExpression | None = None
    callbacks: list[Callback] = field(default_factory=list)
    validation: cst.BaseExpression | None = None
    """The validation's results, where there is validation data."""
    validation_freq: Any = None
    batches: Any = None
    """What the inner loop goes over, where it is more than the loader."""
    kind: str = "one"
    spread: bool = False
    weights: bool = False
    only_inputs: bool = False
    whole: bool = False
    """Whether a batch goes as it is to the model's own training step."""
    penalties: tuple[str, ...] = ()
    shown: bool = True
    constrained: bool = False
    texts: bool = False
    """Whether inputs are texts, which have no device."""
    inference: bool = False
    """Whether the model is not told that it trains."""

    def write(self) -> list[cst.BaseStatement]:
        training = self.training
        holes: dict[str, Any] = {n: cst.Name(v) for n, v in self.names.items()}
        for what in ("criterion", "optimizer", "metrics"):
            holes[what] = training.name(what, self.model)
        if training.device is not None:
            holes["device"] = training.device
        if training.schedule:
            holes["scheduler"] = cst.Name(training.names["scheduler"])
        text = self.steps_text() if training.stepped else self.batches_text()
        calls = self.callbacks
        return fill_statements(
            text + self.end_text(), **holes, model=self.model, rounds=self.rounds,
            epochs=self.epochs, validation=self.validation or cst.Name("x"),
            history=self.history or cst.Name("history"), freq=self.validation_freq or 1,
            batches=self.batches or holes["train_loader"],
            starts=[s for c in calls for s in c.at_start],
            batch_starts=[s for c in calls for s in c.batch_start],
            batch_ends=[s for c in calls for s in c.batch_end],
            logged=once([s for c in calls for s in c.logged]),
            ends=[s for c in calls for s in c.at_end] + [s for c in calls for s in c.stops],
        )  # fmt: skip

    # ---- the batches of an epoch -------------------------------------------------------------

    def head(self, parts: str) -> str:
        counts = any(c.counts for c in self.callbacks)
        if not counts:
            return f"    for {parts} in batches:\n"
        inner = f"({parts})" if "," in parts else parts
        return f"    for batch, {inner} in enumerate(batches):\n"

    def batches_text(self) -> str:
        training = self.training
        parts = "inputs, targets" + (", weights" if self.weights else "")
        if self.only_inputs:
            parts = "inputs" if self.whole else "inputs,"
        mode = "eval" if self.inference else "train"
        text = f"for epoch in rounds:\n    starts\n    model.{mode}()\n    total = count = 0\n"
        if training.has_metrics:
            text += "    for metric in metrics.values():\n        metric.reset_state()\n"
        text += self.head(parts) + self.move_text()
        text += "        batch_starts\n        optimizer.zero_grad()\n"
        text += f"        outputs = {self.call_text()}\n        loss = {self.loss_text()}\n"
        text += "        loss.backward()\n        optimizer.step()\n"
        if self.constrained:
            text += "        apply_constraints(model)\n"
        if training.schedule:
            text += "        scheduler.step()\n"
        size = self.size_text()
        text += f"        total += loss.item() * {size}\n        count += {size}\n"
        if training.has_metrics:
            shown = "outputs"
            if training.probabilities and training.removed:
                shown = ACTIVATIONS[training.removed]
            weights = ", weights" if self.weights and training.weighs_metrics else ""
            text += "        for metric in metrics.values():\n"
            text += f"            metric.update_state(targets, {shown}{weights})\n"
        if any(c.reads_logs for c in self.callbacks):
            text += '        logs = {"loss": total / count}\n' + self.metric_logs("        ")
        text += "        batch_ends\n"
        return text + '    logs = {"loss": total / count}\n' + self.metric_logs("    ")

    def move_text(self) -> str:
        """A batch to where the model is."""
        training = self.training
        if training.device is None:
            return ""
        plain = ["inputs"] if self.kind == "one" and not self.texts else []
        if not self.only_inputs and training.single is not None:
            plain.append("targets")
        names = ["inputs"] if self.only_inputs else ["inputs", "targets"]
        if self.weights:
            plain.append("weights")
            names.append("weights")
        nested = [n for n in names if n not in plain]
        text = "".join(f"        {n} = to_device({n}, device)\n" for n in nested)
        names = [n for n in names if n in plain]
        if nested:
            training.context.emit("to_device")
        if names:
            values = ", ".join(f"{n}.to(device)" for n in names)
            text += f"        {', '.join(names)} = {values}\n"
        return text

    def metric_logs(self, indent: str) -> str:
        if not self.training.has_metrics:
            return ""
        return f"{indent}logs |= {{key: float(value.result()) for key, value in metrics.items()}}\n"

    def call_text(self) -> str:
        if not self.spread:
            return "model(inputs)"
        return "model(**inputs)" if self.kind == "named" else "model(*inputs)"

    def loss_text(self) -> str:
        weights = ", weights" if self.weights else ""
        terms = [f"criterion(outputs, targets{weights})"] if self.training.has_loss else []
        return " + ".join([*terms, *(f"{name}(model)" for name in self.penalties)])

    def size_text(self) -> str:
        if self.only_inputs:
            if self.kind == "one":
                return "len(inputs)"
            return "len(next(iter(inputs.values())))" if self.kind == "named" else "len(inputs[0])"
        key = self.training.outputs[0].target_key
        if len(self.training.outputs) == 1 or key is None:
            return "len(targets)"
        return f"len(targets[{key!r}])"

    def steps_text(self) -> str:
        """The model's own training step on every batch."""
        training = self.training
        parts = "data" if self.whole or not self.only_inputs else "data,"
        text = "for epoch in rounds:\n    starts\n    model.train()\n"
        held = "model.metrics"
        if not all(has_own(m, "metrics") for m in training.models):
            held = f"{training.context.emit('metrics_of')}(model)"
        text += f"    for metric in {held}:\n        metric.reset_state()\n"
        text += self.head(parts) + "        batch_starts\n"
        text += "        logs = model.train_step(data)\n        batch_ends\n"
        return text + "    logs = {key: float(value) for key, value in logs.items()}\n"

    # ---- the end of an epoch -----------------------------------------------------------------

    def end_text(self) -> str:
        text = ""
        if self.validation is not None:
            line = 'logs |= {f"val_{key}": value for key, value in validation.items()}\n'
            if self.validation_freq is not None:
                text += f"    if (epoch + 1) % freq == 0:\n        {line}"
            else:
                text += f"    {line}"
        text += "    logged\n"
        if self.history is not None:
            text += "    for key, value in logs.items():\n"
            text += "        history.setdefault(key, []).append(value)\n"
        if self.shown:
            last = code(self.epochs) if isinstance(self.epochs, cst.Integer) else "{epochs}"
            text += f'    print(f"Epoch {{epoch + 1}}/{last} - " + '
            text += '" - ".join(f"{key}: {value:.4f}" for key, value in logs.items()))\n'
        return text + "    ends\n"


def once(statements: list[cst.BaseStatement]) -> list[cst.BaseStatement]:
    """Statements without those that stand there already."""
    found: dict[str, cst.BaseStatement] = {}
    for statement in statements:
        found.setdefault(cst.Module([statement]).code, statement)  # type: ignore[list-item]
    return list(found.values())
