"""What happens when things go wrong, measured on real processes: load, overload, hostile input, restarts and kills."""
