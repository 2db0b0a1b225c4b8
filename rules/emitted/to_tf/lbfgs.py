"""The quasi-Newton method of ``torch.optim``, which evaluates its closure several times a step."""

import math

import tensorflow as tf


class LBFGS:
    """torch.optim.LBFGS: steps along directions that the changes of the last gradients give.

    The closure computes the loss and hands its gradients to `apply_gradients`, which keeps them.
    """

    def __init__(
        self,
        learning_rate=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search=None,
    ):
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        self.tolerance_grad = tolerance_grad
        self.tolerance_change = tolerance_change
        self.history_size = history_size
        self.line_search = line_search
        self.memory = []  # changes of gradient and weights, and their inner product
        self.scale = 1.0
        self.steps = 0

    def apply_gradients(self, gradients):
        gradients, self.variables = zip(*gradients)
        dense = [
            tf.zeros_like(v) if g is None else tf.convert_to_tensor(g)
            for g, v in zip(gradients, self.variables)
        ]
        self.gradient = tf.concat([tf.reshape(g, [-1]) for g in dense], axis=0)

    def step(self, closure):
        first = closure()
        loss, evaluations = float(first), 1
        if self.largest(self.gradient) <= self.tolerance_grad:
            return first
        for iteration in range(1, self.max_iter + 1):
            self.steps += 1
            direction = self.find_direction()
            start, previous, length = self.gradient, loss, self.learning_rate
            if self.steps == 1:
                length *= min(1.0, 1.0 / float(tf.reduce_sum(tf.abs(start))))
            slope = self.product(start, direction)
            if slope <= -self.tolerance_change:
                if self.line_search is not None:
                    length, loss, self.gradient, count = self.line_search(
                        lambda t: self.evaluate(closure, t, direction),
                        (0.0, loss, start, slope), length, direction, self.max_eval - evaluations,
                    )  # fmt: skip
                    evaluations += count
                self.move(length, direction)
                if self.line_search is None and iteration < self.max_iter:
                    loss, evaluations = float(closure()), evaluations + 1
            self.last = (start, direction, length)
            if (
                slope > -self.tolerance_change
                or evaluations >= self.max_eval
                or self.largest(self.gradient) <= self.tolerance_grad
                or self.largest(direction * length) <= self.tolerance_change
                or abs(loss - previous) < self.tolerance_change
            ):
                break
        return first

    def find_direction(self):
        """The gradient by the inverse Hessian that the memory stands for (two-loop recursion)."""
        if self.steps == 1:
            return -self.gradient
        start, direction, length = self.last
        change, moved = self.gradient - start, direction * length
        product = self.product(change, moved)
        if product > 1e-10:
            self.memory = [*self.memory, (change, moved, product)][-self.history_size :]
            self.scale = product / self.product(change, change)
        result, factors = -self.gradient, []
        for change, moved, product in reversed(self.memory):
            factors.append(self.product(moved, result) / product)
            result -= factors[-1] * change
        result *= self.scale
        for change, moved, product in self.memory:
            result += (factors.pop() - self.product(change, result) / product) * moved
        return result

    def evaluate(self, closure, length, direction):
        """Loss, gradient and slope after a step that is taken back."""
        before = [tf.identity(v) for v in self.variables]
        self.move(length, direction)
        loss = float(closure())
        for variable, value in zip(self.variables, before):
            variable.assign(value)
        return length, loss, self.gradient, self.product(self.gradient, direction)

    def move(self, length, direction):
        parts = tf.split(direction, [math.prod(v.shape) for v in self.variables])
        for variable, part in zip(self.variables, parts):
            variable.assign_add(length * tf.reshape(part, variable.shape))

    def product(self, x, y):
        return float(tf.tensordot(x, y, 1))

    def largest(self, x):
        return float(tf.reduce_max(tf.abs(x)))


def strong_wolfe(evaluate, start, length, direction, max_evaluations):
    """A step that lowers loss and slope enough: its length, loss and gradient, and evaluations.

    Points are (length, loss, gradient, slope). Brackets such a step, then narrows the bracket.
    """
    _, loss, _, slope = start

    def is_high(point):
        return point[1] > loss + 1e-4 * point[0] * slope

    previous, point = start, evaluate(length)
    searches, narrow = 0, True
    bracket = None
    while bracket is None and searches < max_evaluations:
        if is_high(point) or (searches > 1 and point[1] >= previous[1]):
            bracket = [previous, point]
        elif abs(point[3]) <= -0.9 * slope:
            bracket, narrow = [point, point], False
        elif point[3] >= 0:
            bracket = [previous, point]
        else:
            bounds = (point[0] + 0.01 * (point[0] - previous[0]), point[0] * 10)
            previous, point = point, evaluate(cubic_minimum(previous, point, bounds))
            searches += 1
    bracket = bracket or [start, point]
    low = 0 if bracket[0][1] <= bracket[1][1] else 1
    stuck, size = False, float(tf.reduce_max(tf.abs(direction)))
    while narrow and searches < max_evaluations:
        left, right = sorted(p[0] for p in bracket)
        if (right - left) * size < 1e-9:
            break
        length, margin = cubic_minimum(*bracket, (left, right)), 0.1 * (right - left)
        close = min(right - length, length - left) < margin
        if close and (stuck or length >= right or length <= left):
            to_right = abs(length - right) < abs(length - left)
            length = right - margin if to_right else left + margin
            close = False
        stuck = close
        point = evaluate(length)
        searches += 1
        if is_high(point) or point[1] >= bracket[low][1]:
            bracket[1 - low] = point
            low = 0 if bracket[0][1] <= bracket[1][1] else 1
            continue
        narrow = abs(point[3]) > -0.9 * slope
        if narrow and point[3] * (bracket[1 - low][0] - bracket[low][0]) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = point
    length, loss, gradient, _ = bracket[low]
    return length, loss, gradient, searches + 1


def cubic_minimum(one, other, bounds):
    """Where the cubic through two points with these slopes is least, within bounds."""
    (x1, f1, _, g1), (x2, f2, _, g2) = sorted((one, other), key=lambda point: point[0])
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1**2 - g1 * g2
    if square < 0:
        return sum(bounds) / 2
    d2 = math.sqrt(square)
    least = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    return min(max(least, bounds[0]), bounds[1])
