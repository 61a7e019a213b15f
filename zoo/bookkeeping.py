"""What the step keeps beside the networks: seeds that resume, and means of what it saw."""

import threading

import keras
import tensorflow as tf


class Trace(threading.local):
    """What belongs to one tracing of the step: replicas are traced in threads of their own, which take turns."""

    place = 0

    def __init__(self):
        self.noted, self.gradients = {}, {}


class Randomness(keras.random.SeedGenerator):
    """Seeds that are a function of (seed, retries, round, place in the step, replica), so that a resumed run draws the same.

    It takes the place of every Keras layer's own seed generator, whose state no checkpoint holds and all replicas share.
    """

    def __init__(self, seed, retries, step):
        super().__init__(seed)
        self.retries, self.step, self.trace = retries, step, Trace()

    def restart(self):
        """A new round begins: its first draw is the next."""
        self.trace.place = 0

    def next(self, ordered=True):
        replica = tf.distribute.get_replica_context()
        seed = tf.constant([self._initial_seed, 0], tf.int64)
        for part in (self.retries.value, self.step.value, self.trace.place, replica.replica_id_in_sync_group if replica else 0):
            seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(part, tf.int64))
        self.trace.place += 1
        return seed


class Ledger(keras.metrics.Metric):
    """Means of named values in one variable: names may turn up while the step is traced, variables may not.

    Beside each sum stands the number of rounds until the value was not finite for the first time: that tells what went wrong, and when.
    """

    ROOM = 63  # values that are logged
    GRADIENTS = 1024  # weights whose gradients are watched

    class Column(keras.metrics.Metric):
        """One name's mean, as Keras wants to see it; NaN where the value was not finite in some round."""

        def __init__(self, ledger, index, name):
            super().__init__(name=name)
            self.read = lambda: ledger.mean(index)
            self.reset_state = ledger.reset_state

        def result(self):
            return self.read()

    def __init__(self):
        super().__init__(name="ledger")
        self.total = self.add_variable((2, self.ROOM + 1), "zeros", name="total")  # sums of the finite values; how many those were
        self.sound = self.add_variable((self.GRADIENTS,), "zeros", name="sound")  # rounds in which each weight's gradient was finite
        self.columns, self.watched, self.trace = {}, [], Trace()

    def restart(self):
        """A new round begins; what an abandoned tracing noted belongs to its own graph."""
        self.trace.noted, self.trace.gradients = {}, {}

    def note(self, values):
        """Keeps values of this round; what is noted several times (k discriminator updates) counts by its mean."""
        for name, value in values.items():
            self.trace.noted.setdefault(name, []).append(tf.cast(value, tf.float32))

    def inspect(self, network, squares):
        """Keeps whether the gradient of each of a network's weights is finite. squares: the sum of squares of each."""
        kept = self.trace.gradients
        for weight, fine in zip(network.trainable_variables, tf.unstack(tf.cast(tf.math.is_finite(squares), tf.float32))):
            name = f"{network.name}'s {weight.path}"
            kept[name] = kept[name] * fine if name in kept else fine

    def record(self):
        """Adds the round's values to the means."""
        noted, gradients = self.trace.noted, self.trace.gradients
        for name in noted:
            if name not in self.columns:
                self.columns[name] = self.Column(self, len(self.columns), name)
        self.watched.extend(path for path in gradients if path not in self.watched)
        row = tf.stack([tf.add_n(list(noted[name])) / len(noted[name]) for name in self.columns])
        fine, counts = tf.math.is_finite(row), self.total[1]
        rows = tf.stack([tf.where(fine, row, 0.0), tf.cast(fine & (counts[: row.shape[0]] >= counts[-1]), tf.float32)])
        self.total.assign_add(tf.concat([rows, tf.zeros([2, self.ROOM - row.shape[0]]), tf.ones([2, 1])], 1))
        sound = tf.stack([gradients.get(path, 1.0) for path in self.watched][: self.GRADIENTS])
        sound = tf.pad(sound, [[0, self.GRADIENTS - sound.shape[0]]])
        self.sound.assign_add(tf.where(self.sound >= counts[-1], sound, 0.0))

    def mean(self, index):
        """Of column number `index`, over the rounds since the means began."""
        sums, counts = self.total[0], self.total[1]
        return tf.where(counts[index] < counts[-1], float("nan"), sums[index] / tf.maximum(counts[-1], 1))

    def trouble(self, rounds):
        """What was not finite in the first bad one of these rounds: (its number from 0, names of values, names of weights), or None.

        What the discriminator's turn has broken breaks the generator's too: then only the former is named.
        """
        counts = keras.ops.convert_to_numpy(self.total)[1]
        sound = keras.ops.convert_to_numpy(self.sound)
        each = counts[-1] / rounds  # replicas
        found = {name: int(counts[i] / each) for i, name in enumerate(self.columns)}
        found |= {name: int(sound[i] / each) for i, name in enumerate(self.watched[: self.GRADIENTS])}
        first = min(found.values(), default=rounds)
        if first >= rounds:
            return None
        bad = [name for name, count in found.items() if count == first]
        if any(name.startswith("d_") for name in bad):
            bad = [name for name in bad if not name.startswith(("g_", "generator's"))]
        return first, [name for name in bad if name in self.columns], [name for name in bad if name not in self.columns]

    def result(self):
        return self.total[1, -1]
