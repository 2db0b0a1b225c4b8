"""torch.nn.utils.rnn and other helpers of torch.nn.utils."""

from __future__ import annotations

from typing import Any

from transpiler.rule import Unfit, rewrites
from transpiler.site import Site
from transpiler.template import call

_RNN = "torch.nn.utils.rnn."


@rewrites(_RNN + "pad_sequence", to="tf")
def pad_sequence(site: Site) -> Any:
    """Written out; Keras's pad_sequences makes NumPy arrays and pads in front."""
    if site.has("padding_side") and site.const("padding_side", None) != "right":
        raise Unfit("padding in front", "reverse the sequences first")
    site.context.emit("pad_sequence")
    known = ("batch_first", "padding_value")
    return call(
        "pad_sequence", site.arg("sequences"), **{n: site.args[n] for n in known if site.has(n)}
    )


UNSUPPORTED = {
    "torch.nn.utils.parameters_to_vector": "concatenate tf.reshape(v, [-1]) of the variables",
    "torch.nn.utils.vector_to_parameters": "assign slices of the vector to the variables",
}
