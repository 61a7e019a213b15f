"""What the step keeps beside the networks: seeds that resume, and means of what it saw."""

import threading

import keras
import tensorflow as tf


class Trace(threading.local):
    """What belongs to one tracing of the step: replicas are traced in threads of their own, which take turns."""

    place = 0

    def __init__(self):
        self.noted = {}


class Randomness(keras.random.SeedGenerator):
    """Seeds that are a function of (seed, round, place in the step, replica), so that a resumed run draws the same.

    It takes the place of every Keras layer's own seed generator, whose state no checkpoint holds and all replicas share.
    """

    def __init__(self, seed, step):
        super().__init__(seed)
        self.step, self.trace = step, Trace()

    def restart(self):
        """A new round begins: its first draw is the next."""
        self.trace.place = 0

    def next(self, ordered=True):
        replica = tf.distribute.get_replica_context()
        seed = tf.constant([self._initial_seed, 0], tf.int64)
        for part in (self.step.value, self.trace.place, replica.replica_id_in_sync_group if replica else 0):
            seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(part, tf.int64))
        self.trace.place += 1
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
        self.columns, self.trace = {}, Trace()

    def restart(self):
        """A new round begins; what an abandoned tracing noted belongs to its own graph."""
        self.trace.noted = {}

    def note(self, values):
        """Keeps values of this round; what is noted several times (k discriminator updates) counts by its mean."""
        for name, value in values.items():
            self.trace.noted.setdefault(name, []).append(tf.cast(value, tf.float32))

    def record(self):
        """Adds the round's values to the means."""
        noted = self.trace.noted
        for name in noted:
            if name not in self.columns:
                self.columns[name] = self.Column(self, len(self.columns), name)
        row = [tf.add_n(list(noted[name])) / len(noted[name]) for name in self.columns]
        self.total.assign_add(tf.stack(row + [0.0] * (self.ROOM - len(row)) + [1.0]))

    def result(self):
        return self.total[-1]
