"""Units that work on lists of gradients, and operations with a gradient of their own."""

import tensorflow as tf


def add_gradients(total, gradients):
    """Sum of gradients over backward passes, as torch accumulates them in `.grad`."""
    if total is None:
        return gradients
    return [g if t is None else t if g is None else t + g for t, g in zip(total, gradients)]


class Function:
    """torch.autograd.Function: `forward` computes, `backward` gives the gradients."""

    def save_for_backward(self, *tensors):
        self.saved_tensors = tensors

    @classmethod
    def apply(cls, *args):
        places = [place for place, arg in enumerate(args) if hasattr(arg, "dtype")]

        @tf.custom_gradient
        def operation(*tensors):
            given = dict(enumerate(args)) | dict(zip(places, tensors))
            context = cls()
            context.needs_input_grad = [place in places for place in given]
            result = cls.forward(context, *given.values())

            def gradient(*upstream):
                found = cls.backward(context, *upstream)
                found = found if isinstance(found, tuple) else (found,)
                wanted = [found[place] for place in places]
                return wanted if len(wanted) > 1 else wanted[0]

            return result, gradient

        return operation(*(tf.convert_to_tensor(args[place]) for place in places))
