"""Starting both services as child processes, for `twinscore compare --serve`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping

from shared.compare.target import Target

STOP_SECONDS = 30.0
DEFAULTS: Mapping[str, str] = {"TWINSCORE_ACCESS_LOG": "false", "OTEL_BSP_SCHEDULE_DELAY": "250"}
"""For the children, where the caller has not set them: a quiet terminal, traces within a second."""

DRAIN: Mapping[str, str] = {"TWINSCORE_DRAIN_SECONDS": "0"}
"""No balancer sends requests here: there is nothing to wait for at the end."""


class Children:
    """`twinscore serve` once for each variant."""

    def __init__(self) -> None:
        self._running: list[asyncio.subprocess.Process] = []

    async def start(self, targets: list[Target], otlp: str | None) -> None:
        """Starts them; they become ready later."""
        environment = {**DEFAULTS, **os.environ, **DRAIN}
        if otlp is not None:
            # The variables of traces alone: they win over what the caller may have set for all signals.
            environment["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{otlp}/v1/traces"
            environment["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
        for target in targets:
            arguments = ["-m", "shared.cli", "serve", target.variant, "--host", target.host]
            self._running.append(
                await asyncio.create_subprocess_exec(
                    sys.executable,
                    *arguments,
                    *("--port", str(target.port)),
                    env=environment,
                    # Ctrl-C in a terminal then reaches this process alone, which passes it on once.
                    start_new_session=True,
                    preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                )
            )

    async def first_exit(self) -> int:
        """Waits until one ends; its exit code. Never returns where none was started."""
        if not self._running:
            await asyncio.Event().wait()
        waits = [asyncio.ensure_future(child.wait()) for child in self._running]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for wait in waits:
                wait.cancel()

    async def stop(self) -> None:
        """Ends them, and waits."""
        for child in self._running:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.gather(*(child.wait() for child in self._running)), STOP_SECONDS)
        except TimeoutError:
            for child in self._running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)


def _die_with_parent() -> None:
    """In the child: SIGTERM when the parent is gone, even by SIGKILL."""
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
