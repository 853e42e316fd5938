"""A `FeatureState` as a file: written whole or not at all, and refused where a byte of it is damaged.

A line of JSON (what it is, and the digest of the rest), a line of JSON (ids and counts), then columns of 64-bit
little-endian numbers. It holds the transactions that the windows hold; the sums are made anew when it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from shared.contract.errors import UserError
from shared.model.features.state import FeatureState
from shared.model.features.state_customer import CustomerWindows, Id
from shared.model.features.state_terminal import TerminalWindows

FORMAT = "twinscore feature state"
VERSION = 1

_INTEGERS, _FLOATS = np.dtype("<i8"), np.dtype("<f8")


def write_snapshot(path: Path, state: FeatureState) -> None:
    """Write the state to `path`, in place of what was there.

    The file appears under its name only when all of it is on the disk: a crash at any moment leaves the file that was
    there before. One writer at a time; the state must not be updated meanwhile.

    Raises:
        UserError: the file cannot be written.
    """
    body = _body(state)
    head = {"format": FORMAT, "version": VERSION, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    # One name for all attempts, so that a killed writer's remains are written over by the next one.
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n")
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def read_snapshot(path: Path) -> FeatureState:
    """The state that was written to `path`; its next update gives what the written one's would have given.

    Raises:
        UserError: the file is missing, damaged, or not such a file.
    """
    try:
        first, _, body = path.read_bytes().partition(b"\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; give a file that write_snapshot wrote") from None
    head = _head(path, first)
    if len(body) != head.get("size") or hashlib.sha256(body).hexdigest() != head.get("sha256"):
        raise UserError(f"{path} is damaged: it does not match its digest; restore an older snapshot")
    return _state(body)


def _head(path: Path, line: bytes) -> dict[str, Any]:
    try:
        head = json.loads(line)
    except ValueError:
        head = None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise UserError(f"{path} is no snapshot of a feature state, or its beginning is damaged; give another file")
    if head.get("version") != VERSION:
        raise UserError(
            f"{path} has version {head.get('version')} of the format, and this release reads {VERSION}; "
            "read it with the release that wrote it"
        )
    return head


def _body(state: FeatureState) -> bytes:
    customers, terminals = state.customers, state.terminals
    visited = {name: None for windows in customers.values() for name in windows.terminals}
    # A customer's rows name terminals that may be idle by now; all others come in the order of their last use.
    names = list(terminals) + [name for name in visited if name not in terminals]
    number = {name: index for index, name in enumerate(names)}
    names_and_counts = {
        "updates": state.updates,
        "newest": state.newest,
        "max_jump_seconds": None if state.max_jump is None else state.max_jump.total_seconds(),
        "customers": list(customers),
        "customer_rows": [len(windows.times) for windows in customers.values()],
        "customer_before": [windows.before for windows in customers.values()],
        "terminals": len(terminals),
        "terminal_names": names,
        "terminal_rows": [len(windows.times) for windows in terminals.values()],
        "terminal_before": [windows.before for windows in terminals.values()],
        "frauds": [list(windows.frauds.items()) for windows in terminals.values()],
        "idle_customers": list(state.idle_customers.items()),
        "idle_terminals": list(state.idle_terminals.items()),
    }
    columns = [
        _column((time for windows in customers.values() for time in windows.times), _INTEGERS),
        _column((amount for windows in customers.values() for amount in windows.amounts), _FLOATS),
        _column((number[name] for windows in customers.values() for name in windows.terminals), _INTEGERS),
        _column((time for windows in terminals.values() for time in windows.times), _INTEGERS),
        _column((amount for windows in terminals.values() for amount in windows.amounts), _FLOATS),
    ]
    text = json.dumps(names_and_counts, separators=(",", ":")).encode()
    return b"".join([text, b"\n", *columns])


def _column(values: Iterable[float], kind: np.dtype[Any]) -> bytes:
    return np.fromiter(values, dtype=kind).tobytes()


def _state(body: bytes) -> FeatureState:
    text, _, columns = body.partition(b"\n")
    header = json.loads(text)
    of_customers, of_terminals = sum(header["customer_rows"]), sum(header["terminal_rows"])
    numbers = [(of_customers, kind) for kind in (_INTEGERS, _FLOATS, _INTEGERS)]
    numbers += [(of_terminals, kind) for kind in (_INTEGERS, _FLOATS)]
    parts, offset = [], 0
    for count, kind in numbers:
        parts.append(np.frombuffer(columns, dtype=kind, count=count, offset=offset).tolist())
        offset += 8 * count
    names: list[Id] = header["terminal_names"]

    seconds = header["max_jump_seconds"]
    state = FeatureState(max_jump=None if seconds is None else timedelta(seconds=seconds))
    state.updates, state.newest = header["updates"], header["newest"]
    rows = iter(zip(parts[0], parts[1], (names[number] for number in parts[2]), strict=True))
    each = zip(header["customers"], header["customer_before"], header["customer_rows"], strict=True)
    for name, before, count in each:
        customer = CustomerWindows(before)
        customer.extend(islice(rows, count))
        state.customers[name] = customer
    terminal_rows = iter(zip(parts[3], parts[4], strict=True))
    columns_of_terminals = (header["terminal_before"], header["terminal_rows"], header["frauds"])
    for name, before, count, frauds in zip(names[: header["terminals"]], *columns_of_terminals, strict=True):
        terminal = TerminalWindows(name, before)
        terminal.extend(islice(terminal_rows, count))
        terminal.frauds = dict(map(tuple, frauds))
        terminal.fraud_times = sorted(terminal.frauds.values())
        state.terminals[name] = terminal
    state.idle_customers = dict(map(tuple, header["idle_customers"]))
    state.idle_terminals = dict(map(tuple, header["idle_terminals"]))
    return state


def _sync_folder(folder: Path) -> None:
    """Put the new name itself on the disk, where the system lets folders be opened."""
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
