"""Units for TensorFlow/Keras output. Each top-level function or class is emitted by its name."""
