"""Many hostile requests at one variant: what it answered, how long a probe took meanwhile, and whether it grew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.model.manifest import read_manifest
from shared.reliability.attack import AttackReport, attack
from shared.reliability.hostile import Grammar
from shared.reliability.services import Service

SETTINGS = {"TWINSCORE_DEADLINE_SECONDS": "2", "TWINSCORE_ACCESS_LOG": "false"}
WARM_UP = 0.05
"""The share of the cases that is sent first, so that memory is looked at when caches have filled."""


@dataclass
class SiegeReport:
    """Of one variant.

    Attributes:
        attack: what came back.
        memory: MB of all its processes after the warm-up, in the middle, and at the end.
        tracebacks: the lines of its log that have one.
        alive: `/readyz` says yes at the end.
    """

    variant: str
    attack: AttackReport
    memory: tuple[float, float, float]
    tracebacks: list[str]
    alive: bool


async def siege(
    variant: str,
    model: Path,
    folder: Path,
    *,
    count: int,
    seed: int,
    progress: Callable[[int], None] = lambda sent: None,
) -> SiegeReport:
    """Sends `count` cases of the seed to one worker. Raises StartError."""
    service = Service(variant, model, folder, environment=SETTINGS)
    features = len(read_manifest(model).features)

    async def send(number: int, cases: int, sent: int) -> AttackReport:
        grammar = Grammar(seed + number, features)
        return await attack(
            "127.0.0.1", service.port, grammar.cases(cases), progress=lambda more: progress(sent + more)
        )

    try:
        await service.start()
        first = max(1, int(count * WARM_UP))
        half = (count - first) // 2
        whole, memory, sent = AttackReport(), [], 0
        for number, cases in enumerate((first, half, count - first - half)):
            whole.add(await send(number, cases, sent))
            sent += cases
            memory.append(service.memory())
        return SiegeReport(
            variant,
            whole,
            (memory[0], memory[1], memory[2]),
            [line for line in service.log.read_text(errors="replace").splitlines() if "Traceback" in line],
            await asyncio.to_thread(service.is_ready),
        )
    finally:
        await asyncio.to_thread(service.kill)
