"""Which tests are nearest to a module: those that would be run first by somebody who changes it.

Few and quick: each mutant runs them all. The first file finds most mistakes.
"""

_E = "tests/engine/test_"
_J = "tests/journal/test_"


def _engine(*names: str) -> tuple[str, ...]:
    return tuple(f"{_E}{name}.py" for name in names)


_PLAN = _engine("plan_oracle", "mapping_changes", "dedupe")
_UNDO = _engine("undo_change_set", "undo_asks", "undo")
_DISPATCH = _engine("dispatch", "ends_of_patience", "perhaps_done")
_FORGET = _engine("forget", "forget_records")

NEAREST: dict[str, tuple[str, ...]] = {
    # a run, in its order
    "runs/recovery.py": _engine("recovery", "job_results"),
    "plan/change_set.py": (*_engine("change_set"), *_PLAN, *_engine("narrowed_plan")),
    "state/versions.py": _engine("mapping_changes", "version_beginnings"),
    "state/cutover.py": _engine("versions", "version_beginnings"),
    "plan/trial.py": _engine("trial"),
    "plan/parents.py": _engine("after"),
    "guards/parents.py": _engine("after"),
    "dbt/settings.py": ("tests/test_dbt_profile.py",),
    "dbt/profile.py": ("tests/test_dbt_profile.py",),
    "dbt/duckdb_profile.py": ("tests/test_dbt_profile.py", *_engine("warehouse_databases")),
    "dbt/target.py": ("tests/test_dbt_manifest_target.py",),
    "dbt/names.py": ("tests/test_dbt_names.py",),
    "dbt/results.py": ("tests/test_dbt_results.py", "tests/test_remember_dbt_results.py"),
    "dbt/query.py": ("tests/test_queries.py",),
    "spec/query.py": ("tests/test_queries.py",),
    "warehouses/model_tables.py": _engine("warehouse_databases"),
    "spec/order.py": ("tests/test_order.py",),
    "spec/overlaps.py": ("tests/test_fitness.py",),
    "guards/before.py": _engine("guards", "guard_removed", "guard_properties"),
    "guards/finding.py": _engine("guards", "guard_properties"),
    "guards/__init__.py": (*_engine("guards", "approvals"), "tests/orchestration/test_runs.py"),
    "guards/judge.py": _engine("guards", "field_rules"),
    "guards/approval.py": _engine("approvals"),
    "accounts/budget.py": ("tests/test_budget.py",),
    "accounts/lease.py": ("tests/test_lease.py", "tests/test_pacing.py", "tests/test_budget.py"),
    "delivery/dispatcher.py": _DISPATCH,
    "delivery/feed.py": _DISPATCH,
    "delivery/retries.py": (*_DISPATCH, *_engine("long_waits")),
    "delivery/outcome_writer.py": (*_DISPATCH, *_engine("named_refusals")),
    "guards/in_flight.py": _engine("failure_window"),
    "delivery/addressing.py": _engine("addressing", "known_ids"),
    "delivery/field_rules.py": _engine("field_rules"),
    "state/outbox.py": _engine("dispatch", "held_rows"),
    "spec/route.py": _engine("field_rules", "key_texts", "forecast"),
    "runs/sending.py": _engine("check", "job_results"),
    "runs/context.py": _engine("recovery", "taken_over"),
    "state/facts.py": _engine("facts", "provenance"),
    "state/last_check.py": _engine("check"),
    "state/ledger.py": _engine("fold", "plan_oracle", "mapping_changes", "provenance"),
    "state/quarantine.py": _engine("quarantine_rows", "quarantine"),
    "state/held_rows.py": _engine("held_rows"),
    "state/shared_records.py": _engine("shared_rows", "shared_records"),
    "state/outcomes.py": ("tests/cli/test_why.py",),
    "accounts/transport.py": ("tests/test_budget.py", *_engine("endless_answers")),
    "readback/differences.py": _engine("differences", "verification"),
    "readback/verification.py": _engine("verification", "verification_stops", "drift"),
    "state/adopted_rows.py": _engine("adopted_rows", "adoption"),
    "state/images.py": _engine("before_images", "undo_asks"),
    "runs/undo/__init__.py": _UNDO,
    "runs/undo/plan.py": (*_UNDO, *_engine("undo_restores")),
    "runs/forget.py": _FORGET,
    "runs/forget_records.py": _FORGET,
    "state/erase.py": _FORGET,
    "journal/batches.py": (f"{_J}writer.py", f"{_J}packing.py"),
    "journal/usage.py": (f"{_J}usage.py", "tests/test_budget.py"),
    "destinations/base.py": ("tests/destinations/test_statuses.py", *_engine("perhaps_done")),
    "destinations/status_errors.py": ("tests/destinations/test_statuses.py", *_engine("perhaps_done")),
    # what is decided in SQL
    "sql/change_set.sql": _engine("change_set", "fold", "plan_oracle", "prefilter", "narrowed_plan", "key_texts"),
    "sql/missing_parents.sql": _engine("after"),
    "sql/narrow.sql": _engine("narrowed_plan"),
    "sql/duplicate_keys.sql": _engine("change_set", "bad_keys"),
    "sql/rejected_rows.sql": _engine("change_set", "bad_keys"),
    "sql/latest_of_keys.sql": _engine("change_set", "dedupe"),
    "sql/latest_rows.sql": _engine("change_set", "dedupe"),
    "sql/superseded_rows.sql": _engine("change_set", "dedupe"),
    "sql/quarantine.sql": _engine("quarantine_rows"),
    "sql/refused_rows.sql": _engine("quarantine_rows"),
    "sql/fold_outcomes.sql": _engine("fold"),
    "sql/fold_synced.sql": _engine("fold", "plan_oracle"),
    "sql/fold_images.sql": _engine("images", "undo_asks"),
    "sql/fold_conflicts.sql": _engine("fold"),
    "sql/fold_kept.sql": _engine("fold"),
    "sql/fold_written_over.sql": _engine("fold"),
    "sql/arrived.sql": _engine("fold", "held_rows"),
    "sql/acknowledged.sql": _engine("verification"),
    "sql/synced_sample.sql": _engine("drift"),
    "sql/adopting.sql": _engine("adopted_rows"),
    "sql/adopt.sql": _engine("adopted_rows"),
    "sql/mark_heirs.sql": _engine("shared_rows"),
    "sql/note_shared.sql": _engine("shared_rows"),
    "sql/shared_rows.sql": _engine("shared_rows"),
    "sql/forget.sql": _FORGET,
    "sql/undo.sql": (*_UNDO, *_engine("undo_restores")),
    "sql/migrations/2.sql": _engine("migrations"),
    "sql/migrations/3.sql": _engine("migrations"),
}
"""By file of the package. The engine's modules, in the order in which `make mutants` goes through them."""
