"""Units for PyTorch output. Each top-level function or class is emitted by its name."""
