"""Names of models. The only place where a string becomes a model."""

import dataclasses
import inspect

from zoo.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered name: the class that plays and the configuration it starts from."""

    name: str
    model: type
    config: object

    @property
    def paper(self):
        """First line of the model file: system, authors, year, arXiv id."""
        return inspect.getdoc(inspect.getmodule(self.model)).splitlines()[0].rstrip(".")

    @property
    def line(self):
        """First line of the class: what it does."""
        return inspect.getdoc(self.model).splitlines()[0].rstrip(".")

    def configured(self, **overrides):
        """The configuration with some fields replaced. Raises UserError, naming the nearest, for a field that there is not."""
        fields = {field.name for field in dataclasses.fields(self.config)}
        for name in overrides:
            if name not in fields:
                raise UserError(f"{self.name} has no setting '{name}'{nearest(name, fields)} It has: {', '.join(sorted(fields))}")
        return dataclasses.replace(self.config, **overrides)

    def create(self, **overrides):
        """The model. What the data usually decide (`image_shape`, `num_classes`) falls back to the embedded digits'."""
        return self.model(self.configured(**overrides).resolved())


_entries = {}


def register(**presets):
    """Class decorator: each keyword is a model's name, its value the configuration that the name stands for.

    Raises ValueError for a name that is taken.
    """

    def decorate(model):
        for name, config in presets.items():
            if name in _entries:
                raise ValueError(f"the model name '{name}' is taken by {_entries[name].model.__module__}")
            _entries[name] = Entry(name, model, config)
        return model

    return decorate


def names():
    """All registered names, sorted."""
    return sorted(_entries)


def entry(name):
    """The `Entry` of a name. Raises UserError, naming the nearest, for an unknown one."""
    if name not in _entries:
        raise UserError(f"there is no model '{name}'{nearest(name, names())} There is: {', '.join(names())}")
    return _entries[name]


def create(name, **overrides):
    """A model by name; overrides replace fields of its configuration: `create("acgan", latent_dim=64)`."""
    return entry(name).create(**overrides)


def settings(record):
    """A configuration's fields as they come out of JSON, with lists as the tuples they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}


def table():
    """The models as text: each paper and what is made of it, below it the names with image size and what they need of the data."""
    width = max(map(len, _entries))
    lines, paper, line = [f"  {'name':{width}}  {'images':14}  needs of the data"], "", ""
    for name in names():
        found = entry(name)
        if found.paper != paper:
            lines += ["", found.paper]
        if (found.paper, found.line) != (paper, line):
            lines.append(found.line)
        paper, line = found.paper, found.line
        size = "x".join(map(str, found.config.image_shape)) if found.config.image_shape else found.config.sides
        lines.append(f"  {name:{width}}  {size:14}  {', '.join(found.model.batch_keys)}")
    return "\n".join(lines)
