"""The `query` of a sync: its text, or a file of SQL beside the sync's own."""

from collections.abc import Mapping
from pathlib import Path

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.dbt.names import Models
from reverse_etl_assets.dbt.query import QueryProblem, query_model
from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.spec.yaml_source import YamlSource


def with_query(source: YamlSource, sync: Sync, models: Mapping[str, Model]) -> Sync:
    """The sync with the text of its query, which `models` know from then on by its `model`. Raises SpecError."""
    assert sync.query is not None  # noqa: S101 - the caller has asked
    if sync.model_version is not None:
        raise source.error(("model_version",), "a query has no versions; name one in it: `ref('customers', v=1)`.")
    file = _file(source, sync.query)
    try:
        text = file.read_text(encoding="utf-8") if file else sync.query
        if not text.strip():
            raise QueryProblem(1, "it is empty; write one SELECT over `ref()` and `source()`.")
        model = query_model(sync.sync, text, models)
    except (OSError, UnicodeDecodeError) as error:
        raise source.error(("query",), f"{file} cannot be read ({type(error).__name__}).") from None
    except QueryProblem as problem:
        if file:
            raise SpecError(f"{file}:{problem.line}: {problem}") from None
        raise source.error(("query",), f"line {problem.line} of it: {problem}") from None
    if isinstance(models, Models):
        models.learn(model)
    elif isinstance(models, dict):
        models[model.name] = model
    return sync.model_copy(update={"model": model.name, "query": text})


def _file(source: YamlSource, query: str) -> Path | None:
    text = query.strip()
    return source.path.parent / text if text.endswith(".sql") and len(text.split()) == 1 else None
