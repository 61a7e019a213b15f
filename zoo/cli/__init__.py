"""The command line, one command per file. Option dataclasses import nothing heavy, so that `--help` is instant."""
