"""Units for translations to PyTorch."""
