"""One training step of the game: updates, tapes, loss scales, replicas, gradient accumulation, EMA. It is written here, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from zoo.core import optimizers

if TYPE_CHECKING:
    from zoo.core.game import Game

Terms = dict[str, tf.Tensor]
Closure = Callable[[tf.GradientTape], Terms]  # the loss terms of one micro-batch, recorded on the tape


def train_step(game: Game, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`discriminator_steps` updates of the discriminator, each on its own minibatch, then one of the generator.

    Returns:
        The means of the logged values since the last reset, by the names of `Game.metrics`.
    """
    game.seeds.restart()
    game.step_metrics.restart()
    config = game.config
    *earlier, last = (split(part, config.gradient_accumulation) for part in split(batch, config.discriminator_steps))
    for micro_batches in earlier:
        update_player(game, "d", [_discriminator_closure(game, part) for part in micro_batches])
    if game.generator and len(last) == 1:
        update_player(game, "g", [_shared_fake_closure(game, last[0])])
    else:
        update_player(game, "d", [_discriminator_closure(game, part) for part in last])
        update_player(game, "g", [_generator_closure(game, part) for part in last])
    _update_ema(game)
    game.step_counter.assign_add(1)
    game.step_metrics.update()
    return game.step_metrics.results()


def test_step(game: Game, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The loss terms of a batch, with no update: what the forward passes change (batch statistics, buffers) is restored."""
    game.seeds.restart()
    game.step_metrics.restart()
    states = [variable.value for variable in game.non_trainable_variables]
    before = [tf.identity(state) for state in states]
    fake = game.generate(batch)
    terms = game.discriminator_loss(batch, fake) if game.discriminator else {}
    if game.generator:
        terms |= game.generator_loss(batch, fake)
    with tf.control_dependencies(list(terms.values())):
        for state, value in zip(states, before, strict=True):
            state.assign(value)
    game.step_metrics.log(terms)
    game.step_metrics.update()
    means = game.step_metrics.results()
    return {name: means[name] for name in game.step_metrics.trace.values}  # fewer than in training


def _discriminator_closure(game: Game, batch: dict[str, tf.Tensor], fake: Any = None) -> Closure:
    """The discriminator's terms, against images that are generated here or given; no gradient reaches the generator."""

    def terms(tape: tf.GradientTape) -> Terms:
        with tape.stop_recording():
            generated = game.generate(batch) if fake is None else fake
        return game.discriminator_loss(batch, tf.nest.map_structure(tf.stop_gradient, generated))

    return terms


def _generator_closure(game: Game, batch: dict[str, tf.Tensor]) -> Closure:
    return lambda tape: game.generator_loss(batch, game.generate(batch))


def _shared_fake_closure(game: Game, batch: dict[str, tf.Tensor]) -> Closure:
    """The generator's terms, from images that the discriminator learns from first: they are generated once."""

    def terms(tape: tf.GradientTape) -> Terms:
        fake = game.generate(batch)
        with tape.stop_recording():
            update_player(game, "d", [_discriminator_closure(game, batch, fake)])
        return game.generator_loss(batch, fake)

    return terms


def update_player(game: Game, player: str, closures: list[Closure]) -> None:
    """One update of one player, by the mean loss of its micro-batches. The only place with a tape, a loss scale and an `apply`.

    Args:
        game: The model.
        player: "g" or "d"; nothing happens where the model has no such player.
        closures: One for each micro-batch.
    """
    if player not in game.players:
        return
    network, optimizer = game.players[player], optimizers.by_player(game)[player]
    replicas, weights = tf.distribute.get_strategy().num_replicas_in_sync, network.trainable_variables
    gradients: list[tf.Tensor | None] = [None] * len(weights)
    finished: list[tf.Tensor] = []
    for closure in closures:
        with tf.control_dependencies(finished), tf.GradientTape() as tape:  # one after another: all at once would not fit into memory
            terms = closure(tape)
            # Keras sums gradients over replicas: each minimizes its share of the loss; the whole loss is logged.
            loss = optimizer.scale_loss(tf.add_n(list(terms.values())) / (replicas * len(closures)))
        gradients = [_add(old, new) for old, new in zip(gradients, _dense_gradients(tape, loss, weights), strict=True)]
        finished = [gradient for gradient in gradients if gradient is not None]
        game.step_metrics.log(terms)
    squares = 2 * tf.stack([tf.nn.l2_loss(gradient) if gradient is not None else 0.0 for gradient in gradients])
    norm = tf.sqrt(tf.reduce_sum(squares)) * replicas / optimizer.scale_loss(1.0)  # with replicas: the mean of their own norms
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        norm = tf.where(tf.math.is_finite(norm), norm, 0.0)  # the scale was too large: this update is skipped
    else:
        game.step_metrics.watch_gradients(network, squares)
    updates = [(gradient, weight) for gradient, weight in zip(gradients, weights, strict=True) if gradient is not None]
    optimizer.apply([gradient for gradient, _ in updates], [weight for _, weight in updates])  # layers of a later stage have no gradient
    game.step_metrics.log({f"{player}_gradient_norm": norm})


def _dense_gradients(tape: tf.GradientTape, loss: tf.Tensor, weights: list[keras.Variable]) -> list[tf.Tensor | None]:
    """The gradient of each weight; that of an embedding, too, is a tensor and not only the rows that were looked up."""
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    return [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]


def _add(old: tf.Tensor | None, new: tf.Tensor | None) -> tf.Tensor | None:
    """The sum of two gradients, either of which may be missing."""
    return new if old is None else old if new is None else old + new


def _update_ema(game: Game) -> None:
    """Moves the EMA generator towards the live one; the decay rises from 0.1 to `ema_decay` over the first steps."""
    completed = tf.cast(game.step_counter.value, tf.float32)
    share = 1 - tf.minimum(game.config.ema_decay, (1 + completed) / (10 + completed))
    for average, weight in zip(game.ema_generator.weights, sampling_network(game).weights, strict=True):
        current = tf.convert_to_tensor(average.value)
        average.assign(current + share * (weight.value - current))


def build_function(game: Game, one_step: Callable[[Any], Any]) -> Callable[[Any], dict[str, tf.Tensor]]:
    """What `fit` and `evaluate` call: `steps_per_execution` steps on all replicas.

    Keras' own function fails for several steps on several replicas, and for one step on several machines.

    Args:
        game: The model.
        one_step: `train_step` or `test_step` of the model.

    Returns:
        Function of an iterator of batches that returns the means of the logged values.
    """
    strategy, count, eager = game.distribute_strategy, game.steps_per_execution, game.run_eagerly
    logged: dict[str, None] = {}  # names

    def run_replica(batch: Any) -> None:
        logged.update(dict.fromkeys(one_step(batch)))

    def run_step(batch: Any) -> None:
        strategy.run(run_replica, args=(batch,))

    if not eager:
        run_step = tf.function(run_step, autograph=False, reduce_retracing=True, jit_compile=game.jit_compile)

    def run_steps(iterator: Any) -> dict[str, tf.Tensor]:
        def run_next(done: Any) -> list[Any]:
            run_step(next(iterator))
            return [done + 1]

        if eager or count == 1:
            for done in range(count):
                run_next(done)
        else:
            tf.while_loop(lambda done: done < count, run_next, [tf.constant(0)])
        with strategy.scope():
            results = game.step_metrics.results()
        return {name: results[name] for name in logged}

    return run_steps if eager else tf.function(run_steps, autograph=False, reduce_retracing=True)


def sampling_network(game: Game) -> keras.Model:
    """The live network that samples come from: the generator, or the discriminator of a model that has none."""
    return game.generator or game.discriminator


def split(batch: dict[str, tf.Tensor], count: int) -> list[dict[str, tf.Tensor]]:
    """A batch as `count` batches of equal size."""
    parts = zip(*(tf.split(value, count) for value in batch.values()), strict=True)
    return [dict(zip(batch, values, strict=True)) for values in parts]


def add_counter(model: keras.Model, name: str) -> keras.Variable:
    """An int64 variable that starts at 0 and is the same on all replicas."""
    return model.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False, name=name, aggregation="only_first_replica")
