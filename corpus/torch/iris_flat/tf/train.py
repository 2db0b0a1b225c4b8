# Classify the iris flowers with a small neural network
import keras
import tensorflow as tf
from keras import layers
import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

tf.random.set_seed(42)
np.random.seed(42)

# ---------------------------------------------------------
# Step 1: load the data
# ---------------------------------------------------------
iris = load_iris()
X = iris.data
y = iris.target
print(X.shape, y.shape)

X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.2, random_state=42
)

scaler = StandardScaler()
X_train = scaler.fit_transform(X_train)
X_test = scaler.transform(X_test)

# numpy -> torch
X_train = tf.constant(X_train, dtype=tf.float32)
X_test = tf.constant(X_test, dtype=tf.float32)
y_train = tf.constant(y_train, dtype=tf.int64)
y_test = tf.constant(y_test, dtype=tf.int64)

# ---------------------------------------------------------
# Step 2: define the model
# ---------------------------------------------------------
input_size = 4
hidden_size = 16
num_classes = 3
learning_rate = 0.05
num_epochs = 100


class Net(keras.Model):
    def __init__(self, input_size, hidden_size, num_classes):
        super(Net, self).__init__()
        self.fc1 = layers.Dense(hidden_size)
        self.relu = layers.ReLU()
        self.fc2 = layers.Dense(num_classes)

    def call(self, x):
        out = self.fc1(x)
        out = self.relu(out)
        out = self.fc2(out)
        # no softmax here, CrossEntropyLoss does it
        return out


model = Net(input_size, hidden_size, num_classes)
print(model)

# ---------------------------------------------------------
# Step 3: loss and optimizer
# ---------------------------------------------------------
criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = keras.optimizers.SGD(learning_rate=learning_rate)

# ---------------------------------------------------------
# Step 4: training loop
# ---------------------------------------------------------
loss_history = []


@tf.function
def train_step(X_train, y_train):
    with tf.GradientTape() as tape:
        # forward
        outputs = model(X_train)
        loss = criterion(y_train, outputs)
    # backward
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


for epoch in range(num_epochs):
    loss = train_step(X_train, y_train)

    loss_history.append(float(loss))
    if (epoch + 1) % 10 == 0:
        print("Epoch [{}/{}], Loss: {:.4f}".format(epoch + 1, num_epochs, float(loss)))

# ---------------------------------------------------------
# Step 5: test
# ---------------------------------------------------------
outputs = model(X_test)
predicted = tf.argmax(outputs, axis=1)
correct = int(tf.reduce_sum(tf.cast(predicted == y_test, tf.int64)))
total = y_test.shape[0]
print(
    "Accuracy of the network on the %d test flowers: %.1f %%"
    % (total, 100 * correct / total)
)

# one flower by hand
sample = tf.constant(scaler.transform([[5.9, 3.0, 5.1, 1.8]]), dtype=tf.float32)
probs = tf.nn.softmax(model(sample), axis=1)
print("probabilities:", probs.numpy().round(3))
print("this flower is a", iris.target_names[tf.argmax(probs, axis=1).numpy().item()])

model.save_weights("iris_model.weights.h5")
