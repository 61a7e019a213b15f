"""A player's optimizer: which, its rate and how that falls, its loss scale."""

import math

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("zoo")
class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate as a function of the number of updates, so that it resumes exactly.

    It falls from `rate` at update `start` to `final` times that at update `end`, linearly or by half a cosine, and is multiplied by
    `decay` once an update.
    """

    def __init__(self, rate, shape="constant", start=0, end=1, final=0.0, decay=1.0):
        self.rate, self.shape, self.start, self.end, self.final, self.decay = rate, shape, start, end, final, decay

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        done = tf.clip_by_value((step - self.start) / (self.end - self.start), 0.0, 1.0)
        fallen = {"constant": 0.0, "linear": done, "cosine": (1 - tf.cos(math.pi * done)) / 2}[self.shape]
        return self.rate * (1 - (1 - self.final) * fallen) * tf.exp(math.log(self.decay) * step)

    def get_config(self):
        return vars(self)


def optimizer(config, rate, updates):
    """The optimizer that a configuration describes. rate: its learning rate; updates: how many of them make a round."""
    if config.schedule != "constant" or config.learning_rate_decay != 1:
        end = config.decay_end * updates
        start = min(round(config.steady * config.decay_end), config.decay_end - 1) * updates
        rate = Rate(rate, config.schedule, start, end, config.final_rate, config.learning_rate_decay)
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=config.beta_1)
    if config.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(rate, config.beta_2, epsilon=config.epsilon)
    return keras.optimizers.Adam(rate, config.beta_1, config.beta_2, config.epsilon)


def scaled(optimizer, policy):
    """The optimizer with a loss scale where the policy (Keras' name of it) needs one: Keras itself wraps one of two only."""
    if policy != "mixed_float16" or isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)
