"""The deployments that were put together in this process, so that commands find what a team's own module builds."""

from reverse_etl_assets.deployment.deployment import Deployment

_BUILT: list[Deployment] = []


def remember(deployment: Deployment) -> None:
    _BUILT.append(deployment)


def built() -> list[Deployment]:
    """In the order in which they were built."""
    return list(_BUILT)
