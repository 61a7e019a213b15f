"""Training: the loop over `fit`, its callbacks, the monitor, TensorBoard, and how TensorFlow is set up. Nothing is imported here."""
