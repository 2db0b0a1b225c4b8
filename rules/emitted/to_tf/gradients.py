"""Units that work on lists of gradients."""


def add_gradients(total, gradients):
    """Sum of gradients over backward passes, as torch accumulates them in `.grad`."""
    if total is None:
        return gradients
    return [g if t is None else t if g is None else t + g for t, g in zip(total, gradients)]
