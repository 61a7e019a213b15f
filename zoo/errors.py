"""A user's mistake, said in one line."""

import difflib


class UserError(Exception):
    """What was wrong, what there is, and what to type; the command line prints it alone and exits with status 2."""


def nearest(name, offer):
    """`"; did you mean 'acgan'?"`, or a full stop where no name of `offer` is near."""
    found = difflib.get_close_matches(name, list(offer), n=1)
    return f"; did you mean '{found[0]}'?" if found else "."
