"""Model packages in BentoML's model store: the same files under the same name and version."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import bentoml
import yaml
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml.exceptions import NotFound
from bentoml.models import BentoModel

from shared.contract.errors import UserError
from shared.model.locate import DEFAULT_NAME, latest_package, version_key
from shared.model.manifest import Manifest, read_manifest
from shared.model.package import load_package


def import_package(directory: Path) -> str:
    """Copies a verified package into the store and returns its tag. Importing it again changes nothing.

    A model of the same name and version with other content is replaced: the folder is the source of truth.

    Raises:
        UserError: the package cannot be served.
    """
    manifest = read_manifest(directory)
    tag = f"{manifest.name}:{manifest.version}"
    if _stored(tag, manifest):
        return tag
    load_package(directory)
    with _locked():
        if not _stored(tag, manifest):
            with contextlib.suppress(NotFound):
                bentoml.models.delete(tag)
            with bentoml.models.create(tag, metadata={"sha256": manifest.sha256}) as model:
                shutil.copytree(directory, model.path, dirs_exist_ok=True)
    return tag


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Two services that start at once would both find the model missing, and BentoML refuses to store it twice."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (Path(BentoMLContainer.bentoml_home.get()) / ".twinscore.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def store_latest() -> Path:
    """Sees to it that the latest package under models/, if there is any, is stored; returns the folder that is served.

    Raises:
        UserError: there is none in either place, or it cannot be served.
    """
    try:
        import_package(latest_package())
    except UserError as error:
        try:
            latest_tag()
        except UserError:
            raise error from None
    return stored_model(None)[1]


def carried_tag() -> str | None:
    """The model that the Bento around this code was built with; None where there is no Bento."""
    description = Path(__file__).resolve().parents[2] / "bento.yaml"
    if not description.is_file():
        return None
    services = yaml.safe_load(description.read_text())["services"]
    return next((str(model["tag"]) for service in services for model in service["models"]), None)


def latest_tag(name: str = DEFAULT_NAME) -> str:
    """The stored model of the highest semantic version; BentoML's own `latest` is the one stored last.

    Raises:
        UserError: there is none.
    """
    stored = [model.tag for model in bentoml.models.list() if model.tag.name == name]
    if not stored:
        raise UserError(
            f"BentoML's model store has no {name}: run `twinscore models store`, or set TWINSCORE_MODEL to a folder"
        )
    return str(max(stored, key=lambda tag: version_key(tag.version or "0.0.0")))


def current_tag() -> str:
    """The stored model that FastAPI would serve from here; without a package under models/, the highest one in the store.

    Raises:
        UserError: there is none.
    """
    with contextlib.suppress(UserError):
        manifest = read_manifest(latest_package())
        tag = f"{manifest.name}:{manifest.version}"
        if _stored(tag, manifest):
            return tag
    return latest_tag()


def stored_model(folder: Path | None) -> tuple[BentoModel | None, Path]:
    """What the service declares as its model, so that a Bento carries it, and the folder to load it from.

    Args:
        folder: a package outside the store to serve in its place.
    """
    if folder is not None:
        return None, folder
    model = BentoModel(carried_tag() or current_tag())
    return model, Path(model.resolve().path)


def _stored(tag: str, manifest: Manifest) -> bool:
    """Whether the store has this very model under the tag."""
    try:
        return read_manifest(Path(bentoml.models.get(tag).path)).sha256 == manifest.sha256
    except (NotFound, UserError):
        return False


def main() -> None:
    """`python -m bento_service.store DIRECTORY`."""
    try:
        print(f"BentoML's model store has {import_package(Path(sys.argv[1]))}", file=sys.stderr)  # noqa: T201
    except UserError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
