"""The customers of Stripe that the demo's accounts have paid as, before there was a sync."""

from pathlib import Path

import duckdb
import httpx

_ACCOUNTS = "select distinct account_id, company from raw.product_events order by account_id"


def open_accounts(sandbox: str, warehouse: Path) -> None:
    """Each account has a customer, whose id the product keeps: see the model `billable_usage`."""
    with duckdb.connect(str(warehouse), read_only=True) as con:
        accounts = con.sql(_ACCOUNTS).fetchall()
    with httpx.Client(trust_env=False) as client:
        for account, company in accounts:
            customer = {"id": f"cus_{account}", "name": company}
            client.post(f"{sandbox}/_sandbox/records/stripe/customers", json=customer).raise_for_status()
