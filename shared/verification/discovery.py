"""What a service must tell about itself before it can be asked: the feature count."""

from __future__ import annotations

import json

from shared.contract.errors import UserError
from shared.verification.client import NoAnswer, Target, exchange, request_bytes


def feature_count(target: Target) -> int:
    """How many features the served model has, from `GET /model`.

    Raises:
        UserError: the service cannot be reached, or does not tell.
    """
    try:
        answer = exchange(target, "GET", request_bytes(target, "GET", "/model", (), None))
    except NoAnswer as error:
        raise UserError(
            f"{target.authority} cannot be asked ({error}): is a service running there, and is the URL right?"
        ) from None
    if answer.status != 200:
        raise UserError(
            f"{target.authority} answers {answer.status} to GET {target.prefix}/model, so its feature count is "
            f"unknown: check the URL, the API key, and /readyz"
        )
    try:
        number = len(json.loads(answer.body)["features"])
    except (ValueError, KeyError, TypeError):
        number = 0
    if number < 1:
        raise UserError(f"{target.authority}: GET {target.prefix}/model is no model card with features")
    return number
