# denoising autoencoder, digits
import torch
import torch.nn as nn
import numpy as np
from sklearn.datasets import load_digits

num_epochs = 5
batch_size = 64
learning_rate = 1e-3
noise = 0.3

torch.manual_seed(99)

dev = torch.device('cuda:0') if torch.cuda.is_available() else torch.device('cpu')

X, _ = load_digits(return_X_y=True)
X = (X / 16.).astype(np.float32)
X_train, X_test = X[:1500], X[1500:]


class autoencoder(nn.Module):
    def __init__(self):
        super(autoencoder, self).__init__()
        self.encoder = nn.Sequential(
            nn.Linear(8 * 8, 48),
            nn.ReLU(True),
            nn.Linear(48, 24),
            nn.ReLU(True), nn.Linear(24, 12), nn.ReLU(True), nn.Linear(12, 6))
        self.decoder = nn.Sequential(
            nn.Linear(6, 12),
            nn.ReLU(True),
            nn.Linear(12, 24),
            nn.ReLU(True),
            nn.Linear(24, 48),
            nn.ReLU(True), nn.Linear(48, 8 * 8), nn.Sigmoid())

    def forward(self, x):
        x = self.encoder(x)
        x = self.decoder(x)
        return x


class conv_autoencoder(nn.Module):
    def __init__(self):
        super(conv_autoencoder, self).__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),  # b, 16, 4, 4
            nn.ReLU(True),
            nn.Conv2d(16, 8, 3, stride=2, padding=1),  # b, 8, 2, 2
            nn.ReLU(True),
            nn.MaxPool2d(2, stride=1)  # b, 8, 1, 1
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(8, 16, 2),  # b, 16, 2, 2
            nn.ReLU(True),
            nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1),  # b, 8, 4, 4
            nn.ReLU(True),
            nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),  # b, 1, 8, 8
            nn.Sigmoid()
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


class MyDataset(torch.utils.data.Dataset):
    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return torch.from_numpy(self.x[i])


dataloader = torch.utils.data.DataLoader(MyDataset(X_train), batch_size=batch_size, shuffle=True)


def add_noise(img):
    noisy = img + torch.randn(img.size()).to(img.device) * noise
    return torch.clamp(noisy, min=0., max=1.)


def fit(name, model, as_images):
    print('----', name)
    model = model.to(dev)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, weight_decay=1e-5)
    for epoch in range(num_epochs):
        for data in dataloader:
            img = data.to(dev)
            if as_images:
                img = img.view(img.size(0), 1, 8, 8)
            # ===================forward=====================
            output = model(add_noise(img))
            loss = criterion(output, img)
            # ===================backward====================
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        # ===================log========================
        print('epoch [{}/{}], loss:{:.4f}'.format(epoch + 1, num_epochs, loss.item()))
    return model


mlp = fit('mlp', autoencoder(), as_images=False)
conv = fit('conv', conv_autoencoder(), as_images=True)

test = torch.from_numpy(X_test).to(dev)
with torch.no_grad():
    a = mlp(test)
    b = conv(test.reshape(-1, 1, 8, 8)).flatten(start_dim=1)
    print('test mse  mlp %.4f  conv %.4f' % (((a - test) ** 2).mean().item(), ((b - test) ** 2).mean().item()))
    code = mlp.encoder(test[:1])
    print('code of the first test digit:', code.squeeze(0).cpu().numpy())

# keep both: the first one as a whole, of the second one only the weights
torch.save(mlp, 'mlp_ae.pth')
torch.save(conv.state_dict(), 'conv_ae.pth')

reloaded = torch.load('mlp_ae.pth', weights_only=False)
reloaded.eval()
again = conv_autoencoder().to(dev)
again.load_state_dict(torch.load('conv_ae.pth'))
with torch.no_grad():
    print('reloaded: ', torch.allclose(reloaded(test), a), torch.allclose(again(test.view(-1, 1, 8, 8)).view(-1, 64), b))
