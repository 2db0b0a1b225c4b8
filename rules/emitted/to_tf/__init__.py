"""Units for translations to TensorFlow and Keras."""
