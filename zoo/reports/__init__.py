"""Reports on runs: the model card and the comparison."""
