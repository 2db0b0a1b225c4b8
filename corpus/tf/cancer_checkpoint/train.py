"""Training that can be interrupted: tf.train.Checkpoint with a manager.

Run it twice to see it go on where it stopped.
"""
import argparse
import os

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_breast_cancer


def parse():
    p = argparse.ArgumentParser()
    p.add_argument('--ckpt_dir', default='./tf_ckpts')
    p.add_argument('--epochs', type=int, default=6)
    p.add_argument('--batch_size', type=int, default=32)
    p.add_argument('--seed', type=int, default=3)
    return p.parse_args()


class Net(tf.keras.Model):
    """Two layers with batch norm."""

    def __init__(self):
        super().__init__()
        self.l1 = tf.keras.layers.Dense(24)
        self.bn = tf.keras.layers.BatchNormalization(momentum=0.9, name='bn')
        self.l2 = tf.keras.layers.Dense(1)

    def call(self, x, training=False):
        x = tf.nn.leaky_relu(self.bn(self.l1(x), training=training), alpha=0.1)
        return tf.squeeze(self.l2(x), -1)


def get_datasets(batch_size):
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    x, y = x.astype(np.float32), y.astype(np.float32)
    ds = tf.data.Dataset.from_tensor_slices((x, y))
    ds = ds.shuffle(len(x), seed=0, reshuffle_each_iteration=False)
    train = ds.take(400).cache().shuffle(400).batch(batch_size)
    valid = ds.skip(400).batch(128)
    return train, valid


@tf.function
def train_step(net, optimizer, x, y):
    with tf.GradientTape() as tape:
        logits = net(x, training=True)
        per_example = tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logits)
        loss = tf.reduce_mean(per_example)
    variables = net.trainable_variables
    gradients = tape.gradient(loss, variables)
    optimizer.apply_gradients(zip(gradients, variables))
    return loss


def validate(net, ds):
    hits = tf.zeros((), tf.int32)
    count = 0
    loss = tf.keras.metrics.Mean()
    for x, y in ds:
        logits = net(x)
        loss.update_state(tf.nn.sigmoid_cross_entropy_with_logits(y, logits))
        hits += tf.reduce_sum(tf.cast((logits > 0) == (y > 0.5), tf.int32))
        count += x.shape[0]
    return loss.result().numpy(), hits.numpy() / count


def main():
    args = parse()
    tf.keras.utils.set_random_seed(args.seed)
    train, valid = get_datasets(args.batch_size)

    net = Net()
    net(tf.zeros((1, 30)))          # creates the variables
    opt = tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.PiecewiseConstantDecay([40, 60], [5e-3, 1e-3, 3e-4]))
    opt.build(net.trainable_variables)

    ckpt = tf.train.Checkpoint(step=tf.Variable(0), epoch=tf.Variable(0), optimizer=opt, net=net)
    manager = tf.train.CheckpointManager(ckpt, args.ckpt_dir, max_to_keep=2)
    ckpt.restore(manager.latest_checkpoint)
    if manager.latest_checkpoint:
        print('Restored from {}'.format(manager.latest_checkpoint))
    else:
        print('Initializing from scratch.')

    best = np.inf
    for epoch in range(int(ckpt.epoch), args.epochs):
        for x, y in train:
            loss = train_step(net, opt, x, y)
            ckpt.step.assign_add(1)
            if int(ckpt.step) % 10 == 0:
                print('step {:3d} loss {:.4f}'.format(int(ckpt.step), loss.numpy()))
        ckpt.epoch.assign_add(1)
        save_path = manager.save()
        val_loss, val_acc = validate(net, valid)
        print('epoch %d val_loss %.4f val_acc %.4f -> %s' % (epoch + 1, val_loss, val_acc, os.path.basename(save_path)))
        if val_loss < best:
            best = val_loss
            net.save_weights('best.weights.h5')

    print('kept:', [os.path.basename(c) for c in manager.checkpoints])

    # load the best weights into a new network
    if os.path.exists('best.weights.h5'):
        again = Net()
        again(tf.zeros((1, 30)))
        again.load_weights('best.weights.h5')
        print('best val_loss %.4f, accuracy %.4f' % validate(again, valid))


if __name__ == '__main__':
    main()
