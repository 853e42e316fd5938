"""What can be wrong with settings and files is told before a server is started, in one line."""

from __future__ import annotations

from pathlib import Path

from shared.contract.errors import UserError
from shared.model.files import read_files
from shared.model.manifest import ONNX_FILE, read_manifest
from shared.serving.settings import Settings
from shared.telemetry.multiprocess import check_room
from shared.telemetry.start import check_tracing


def check(settings: Settings, directory: Path) -> None:
    """Reads all that a service will read when it starts.

    Raises:
        UserError: naming the setting or the file, and the reason.
    """
    settings.api_keys()
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        raise UserError("TWINSCORE_TLS_CERT_FILE and TWINSCORE_TLS_KEY_FILE go together: set both, or none")
    for name, path in (("CERT", settings.tls_cert_file), ("KEY", settings.tls_key_file)):
        if path is not None and not path.is_file():
            raise UserError(f"TWINSCORE_TLS_{name}_FILE={path}: there is no such file")
    if settings.tls_cert_file is not None and settings.tls_key_file is not None:
        _check_certificate(settings.tls_cert_file, settings.tls_key_file)
    if settings.backend is not None:
        from shared.model.predictor import check_backend

        check_backend(settings.backend)
    check_tracing()
    if settings.metrics:
        check_room(settings.workers)
    manifest = read_manifest(directory)
    if settings.backend == "onnxruntime" and ONNX_FILE not in manifest.files:
        raise UserError("TWINSCORE_BACKEND=onnxruntime: this package has no model.onnx; use xgboost")
    read_files(directory, manifest)


def _check_certificate(certificate: Path, key: Path) -> None:
    import ssl

    try:
        # Without a password a key that has one would be asked for at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"TWINSCORE_TLS_CERT_FILE={certificate} and TWINSCORE_TLS_KEY_FILE={key} cannot be used: {reason}; "
            "they are a PEM certificate and its key, without a password"
        ) from None
