"""The commands of `twinscore`, a module each."""
