import keras
import tensorflow as tf
from data import build_loaders
from model import TextCNN


def reduce_loss(loss, reduction):
    """The mean or sum over all elements, or the elements themselves ("none")."""
    if reduction == "none":
        return loss
    return tf.reduce_mean(loss) if reduction == "mean" else tf.reduce_sum(loss)


def binary_cross_entropy_with_logits(
    input, target, weight=None, reduction="mean", pos_weight=None
):
    """torch's function: weight per element, pos_weight for the positive targets."""
    target = tf.cast(target, input.dtype)
    if pos_weight is None:
        loss = tf.nn.sigmoid_cross_entropy_with_logits(target, input)
    else:
        loss = tf.nn.weighted_cross_entropy_with_logits(target, input, pos_weight)
    return reduce_loss(loss if weight is None else weight * loss, reduction)


SEED = 1
BATCH_SIZE = 32
N_EPOCHS = 5
LEARNING_RATE = 0.003


def binary_accuracy(preds, y):
    rounded_preds = tf.round(tf.sigmoid(preds))
    correct = tf.cast(rounded_preds == y, tf.float32)
    return tf.reduce_sum(correct) / correct.shape[0]


@tf.function
def train_step(model, criterion, optimizer, text, label):
    with tf.GradientTape() as tape:
        predictions = model(text, training=True)
        loss = criterion(predictions, label)
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return predictions, loss


def train(model, iterator, optimizer, criterion, device):
    epoch_loss = 0
    epoch_acc = 0
    for text, label in iterator:
        predictions, loss = train_step(model, criterion, optimizer, text, label)
        acc = binary_accuracy(predictions, label)
        epoch_loss += float(loss)
        epoch_acc += float(acc)
    return epoch_loss / len(iterator), epoch_acc / len(iterator)


def evaluate(model, iterator, criterion, device):
    epoch_loss = 0
    epoch_acc = 0
    for text, label in iterator:
        predictions = model(text, training=False)
        epoch_loss += float(criterion(predictions, label))
        epoch_acc += float(binary_accuracy(predictions, label))
    return epoch_loss / len(iterator), epoch_acc / len(iterator)


def main():
    keras.utils.set_random_seed(SEED)
    device = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"

    train_iterator, valid_iterator, vocab = build_loaders(BATCH_SIZE)
    model = TextCNN(len(vocab))

    optimizer = keras.optimizers.Adam(learning_rate=LEARNING_RATE, epsilon=1e-08)
    criterion = binary_cross_entropy_with_logits

    best_valid_loss = float("inf")
    for epoch in range(N_EPOCHS):
        train_loss, train_acc = train(
            model, train_iterator, optimizer, criterion, device
        )
        valid_loss, valid_acc = evaluate(model, valid_iterator, criterion, device)
        if valid_loss < best_valid_loss:
            best_valid_loss = valid_loss
            model.save_weights("textcnn.weights.h5")
        print(f"Epoch: {epoch + 1:02}")
        print(f"\tTrain Loss: {train_loss:.3f} | Train Acc: {train_acc * 100:.2f}%")
        print(f"\t Val. Loss: {valid_loss:.3f} |  Val. Acc: {valid_acc * 100:.2f}%")

    model.load_weights("textcnn.weights.h5")
    print("best: %.3f" % evaluate(model, valid_iterator, criterion, device)[0])


if __name__ == "__main__":
    main()
