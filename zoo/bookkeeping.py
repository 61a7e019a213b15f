"""What the step keeps beside the networks: seeds that resume, and means of what it saw."""

import keras
import tensorflow as tf


class Randomness(keras.random.SeedGenerator):
    """Seeds that are a function of (seed, round, place in the step, replica), so that a resumed run draws the same.

    It takes the place of every Keras layer's own seed generator, whose state no checkpoint holds and all replicas share.
    """

    def __init__(self, seed, step):
        super().__init__(seed)
        self.step, self.place = step, 0

    def next(self, ordered=True):
        replica = tf.distribute.get_replica_context()
        seed = tf.constant([self._initial_seed, 0], tf.int64)
        for part in (self.step.value, self.place, replica.replica_id_in_sync_group if replica else 0):
            seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(part, tf.int64))
        self.place += 1
        return seed


class Ledger(keras.metrics.Metric):
    """Means of named values in one variable: names may turn up while the step is traced, variables may not."""

    ROOM = 63

    class Column(keras.metrics.Metric):
        """One name's mean, as Keras wants to see it."""

        def __init__(self, ledger, index, name):
            super().__init__(name=name)
            self.read = lambda: ledger.total[index] / tf.maximum(ledger.total[-1], 1)
            self.reset_state = ledger.reset_state

        def result(self):
            return self.read()

    def __init__(self):
        super().__init__(name="ledger")
        self.total = self.add_variable((self.ROOM + 1,), "zeros", name="total")
        self.columns = {}

    def record(self, values):
        for name in values:
            if name not in self.columns:
                self.columns[name] = self.Column(self, len(self.columns), name)
        row = [tf.cast(values[name], tf.float32) for name in self.columns]
        self.total.assign_add(tf.stack(row + [0.0] * (self.ROOM - len(row)) + [1.0]))

    def result(self):
        return self.total[-1]
