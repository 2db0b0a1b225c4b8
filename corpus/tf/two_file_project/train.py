import argparse
import time

import tensorflow as tf

import dataset as songs
from network import BirdNet

parser = argparse.ArgumentParser(description="Tell birds by their songs")
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=5e-3)
parser.add_argument("--weight-decay", type=float, default=1e-4)
parser.add_argument("--output", type=str, default="birds.weights.h5")


class Runner:
    def __init__(self, args):
        self.args = args
        self.model = BirdNet(len(songs.BIRDS))
        self.loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="none"
        )
        self.optimizer = tf.keras.optimizers.Adam(args.learning_rate)
        self.mean_loss = tf.keras.metrics.Mean()
        self.accuracy = tf.keras.metrics.SparseCategoricalAccuracy()

    @tf.function
    def train_on(self, x, y):
        with tf.GradientTape() as tape:
            logits = self.model(x, training=True)
            loss = tf.reduce_mean(self.loss_fn(y, logits))
            decay = tf.add_n([tf.nn.l2_loss(v) for v in self.model.trainable_variables if len(v.shape) > 1])
            total = loss + self.args.weight_decay * decay
        grads = tape.gradient(total, self.model.trainable_variables)
        self.optimizer.apply_gradients(zip(grads, self.model.trainable_variables))
        self.mean_loss.update_state(total)
        self.accuracy.update_state(y, logits)

    @tf.function
    def test_on(self, x, y):
        logits = self.model(x, training=False)
        self.mean_loss.update_state(self.loss_fn(y, logits))
        self.accuracy.update_state(y, logits)

    def run_epoch(self, ds, step):
        self.mean_loss.reset_state()
        self.accuracy.reset_state()
        for x, y in ds:
            step(x, y)
        return float(self.mean_loss.result()), float(self.accuracy.result())

    def run(self):
        train = songs.get_dataset(512, 0, self.args.batch_size, augment=True)
        test = songs.get_dataset(150, 1, 75)
        best = 0.0
        for epoch in range(1, self.args.epochs + 1):
            t0 = time.perf_counter()
            loss, acc = self.run_epoch(train, self.train_on)
            test_loss, test_acc = self.run_epoch(test, self.test_on)
            print(f"[{epoch}/{self.args.epochs}] loss {loss:.4f} acc {acc:.3f} | test {test_loss:.4f} {test_acc:.3f}"
                  f" | {time.perf_counter() - t0:.0f}s")
            if test_acc >= best:
                best = test_acc
                self.model.save_weights(self.args.output)
        self.model.load_weights(self.args.output)
        print("best: %.4f %.3f" % self.run_epoch(test, self.test_on))


if __name__ == "__main__":
    tf.keras.utils.set_random_seed(17)
    Runner(parser.parse_args()).run()
