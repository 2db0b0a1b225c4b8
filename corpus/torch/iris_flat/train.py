# Classify the iris flowers with a small neural network
import torch
import torch.nn as nn
import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

torch.manual_seed(42)
np.random.seed(42)

# ---------------------------------------------------------
# Step 1: load the data
# ---------------------------------------------------------
iris = load_iris()
X = iris.data
y = iris.target
print(X.shape, y.shape)

X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)

scaler = StandardScaler()
X_train = scaler.fit_transform(X_train)
X_test = scaler.transform(X_test)

# numpy -> torch
X_train = torch.FloatTensor(X_train)
X_test = torch.FloatTensor(X_test)
y_train = torch.LongTensor(y_train)
y_test = torch.LongTensor(y_test)

# ---------------------------------------------------------
# Step 2: define the model
# ---------------------------------------------------------
input_size = 4
hidden_size = 16
num_classes = 3
learning_rate = 0.05
num_epochs = 100


class Net(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super(Net, self).__init__()
        self.fc1 = nn.Linear(input_size, hidden_size)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
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
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)

# ---------------------------------------------------------
# Step 4: training loop
# ---------------------------------------------------------
loss_history = []
for epoch in range(num_epochs):
    # forward
    outputs = model(X_train)
    loss = criterion(outputs, y_train)

    # backward
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

    loss_history.append(loss.item())
    if (epoch + 1) % 10 == 0:
        print('Epoch [{}/{}], Loss: {:.4f}'.format(epoch + 1, num_epochs, loss.item()))

# ---------------------------------------------------------
# Step 5: test
# ---------------------------------------------------------
with torch.no_grad():
    outputs = model(X_test)
    _, predicted = torch.max(outputs.data, 1)
    correct = (predicted == y_test).sum().item()
    total = y_test.size(0)
    print('Accuracy of the network on the %d test flowers: %.1f %%' % (total, 100 * correct / total))

    # one flower by hand
    sample = torch.tensor(scaler.transform([[5.9, 3.0, 5.1, 1.8]]), dtype=torch.float32)
    probs = torch.softmax(model(sample), dim=1)
    print('probabilities:', probs.numpy().round(3))
    print('this flower is a', iris.target_names[probs.argmax(dim=1).item()])

torch.save(model.state_dict(), 'iris_model.pt')
