"""The servers that are measured: a file each, and `catalog` which says how each is started and asked."""
