"""Make, change, spoil and remove the demo's source data.

    python -m demo.data --customers 2000 --seed 7 .reverse_etl/warehouse.duckdb

Every value follows from the seed and the row number by integer arithmetic written out below, so the same seed
gives the same rows on every machine, with every number of threads and with every DuckDB release. All e-mail
addresses end in a domain that RFC 2606 reserves; all phone numbers carry the exchange 555.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

TODAY = date(2026, 6, 30)
MIN_CUSTOMERS, MAX_CUSTOMERS = 100, 10_000_000

# Country code, calling code, five first and five last names; "name|slug" where the slug is not just the lower case.
_NAMES = """
US 1 James Maria Zoe DeShawn José|jose Smith Johnson O'Brien|obrien Nguyen Lee
DE 49 Jürgen|juergen Zoë|zoe Anke Björn|bjoern Käthe|kaethe Müller|mueller Schäfer|schaefer Groß|gross Weber Vogt
GB 44 Oliver Siân|sian Amelia Priya George Taylor Davies O'Connor|oconnor Patel Evans
FR 33 Chloé|chloe François|francois Léa|lea Hugo Inès|ines Lefèvre|lefevre Dubois D'Arcy|darcy Moreau Roux
PL 48 Łukasz|lukasz Zofia Paweł|pawel Jan Bożena|bozena Wójcik|wojcik Dąbrowski|dabrowski Zając|zajac Nowak Lis
JP 81 花子|hanako 太郎|taro 陽菜|hina 健|ken 大輔|daisuke 田中|tanaka 佐藤|sato 鈴木|suzuki 渡辺|watanabe 伊藤|ito
SE 46 Åsa|asa Göran|goran Linnéa|linnea Erik Maja Sjöberg|sjoberg Öberg|oberg Lind Nyström|nystrom Ek
BR 55 João|joao Beatriz Antônio|antonio Inês|ines Caio Silva Conceição|conceicao Araújo|araujo Souza Costa
ES 34 Íñigo|inigo Lucía|lucia Pablo Begoña|begona Hugo Muñoz|munoz Núñez|nunez Ibáñez|ibanez Vidal Ortega
IN 91 Ananya Rahul Diya Arjun Meera Sharma Iyer Reddy Banerjee Kapoor
"""
_PEOPLE = [line.split() for line in _NAMES.strip().splitlines()]
# 25 heads and 12 tails have no common divisor, so n % 25 and n % 12 name 300 companies before a number is needed.
_HEADS = """
Northwind Bluefin Acorn Harbour Copper Quartz Lumen Ærø|aero Juniper Basalt Falcon Ember Żubr|zubr Meadow Orbit Pioneer
Saffron Tidal Umbra Vela O'Malley|omalley Willow Zephyr Cobalt Südwind|sudwind
"""
_TAILS = "Labs Systems Foods Logistics Health Robotics Energy Studios Textiles Finance Marine Software"


def _sql_list(items: Iterable[str]) -> str:
    return "[" + ", ".join("'" + item.replace("'", "''") + "'" for item in items) + "]"


_POOLS = {
    "countries": len(_PEOPLE),
    "codes": _sql_list(words[0] for words in _PEOPLE),
    "prefixes": _sql_list(words[1] for words in _PEOPLE),
    "first_names": _sql_list(name for words in _PEOPLE for name in words[2:7]),
    "last_names": _sql_list(name for words in _PEOPLE for name in words[7:12]),
    "heads": _sql_list(_HEADS.split()),
    "tails": _sql_list(_TAILS.split()),
    "companies": len(_HEADS.split()) * len(_TAILS.split()),
}

# dice: the 32-bit finaliser known as lowbias32. It never overflows a UBIGINT, which DuckDB would refuse.
_DICE = """
CREATE TEMP MACRO fold(x, bits) AS xor(x, x >> bits);
CREATE TEMP MACRO times(x, odd) AS (x * odd::UBIGINT) & 4294967295::UBIGINT;
CREATE TEMP MACRO mixed(x) AS fold(times(fold(times(fold(x, 16), 2146121005), 15), 2221713035), 16);
CREATE TEMP MACRO dice(id, draw) AS
    mixed(xor(mixed(xor(times({seed}::UBIGINT, 2654435761), draw::UBIGINT)), id::UBIGINT))::BIGINT;
CREATE TEMP MACRO fraction(id, draw) AS dice(id, draw) / 4294967296;
CREATE TEMP MACRO picked(pool, n) AS pool[n % len(pool) + 1];
"""

# Sign-ups grow quadratically over four years, so that the newest customers are many, as in a growing company.
_MACROS = """
CREATE TEMP MACRO key(letter, id) AS letter || lpad(id::VARCHAR, 8, '0');
CREATE TEMP MACRO written(name) AS split_part(name, '|', 1);
CREATE TEMP MACRO slug(name) AS lower(split_part(name, '|', -1));
CREATE TEMP MACRO email(first, last, id, domain) AS slug(first) || '.' || slug(last) || '.' || id || '@' || domain;
CREATE TEMP MACRO country_of(id, draw) AS least(dice(id, draw) % {countries}, dice(id, draw + 1) % {countries});
CREATE TEMP MACRO first_name(country, n) AS {first_names}[country * 5 + n % 5 + 1];
CREATE TEMP MACRO last_name(country, n) AS {last_names}[country * 5 + n % 5 + 1];
CREATE TEMP MACRO company_name(n) AS written(picked({heads}, n)) || ' ' || picked({tails}, n)
    || CASE WHEN n < {companies} THEN '' ELSE ' ' || (n // {companies} + 1) END;
CREATE TEMP MACRO company_domain(n) AS slug(picked({heads}, n)) || '-' || lower(picked({tails}, n))
    || CASE WHEN n < {companies} THEN '' ELSE '-' || (n // {companies} + 1) END || '.example.com';
CREATE TEMP MACRO company_of(id) AS floor({customers} // 10 * fraction(id, 11) * fraction(id, 11))::BIGINT;
CREATE TEMP MACRO signed_up(id) AS {today} - to_seconds(
    (126144000 * (1 - (id + 1) / {customers}) * (1 - (id + 1) / {customers}))::BIGINT);
CREATE TEMP MACRO later(start, share) AS start + to_seconds((date_diff('second', start, {today}) * share)::BIGINT);
CREATE TEMP MACRO plan_of(id) AS CASE WHEN dice(id, 10) % 100 < 55 THEN 'free'
    WHEN dice(id, 10) % 100 < 80 THEN 'starter' WHEN dice(id, 10) % 100 < 94 THEN 'growth' ELSE 'enterprise' END;
CREATE TEMP MACRO trial_customer(lead) AS
    CASE WHEN lead % 5 < 2 THEN {customers} - 1 - 2 * (lead // 5 * 2 + lead % 5) END;
"""

_TABLES = """
CREATE OR REPLACE TABLE raw.customers AS
WITH drawn AS (
    SELECT range AS id, country_of(range, 1) AS country, dice(range, 3) AS first, dice(range, 4) AS last,
           CASE WHEN dice(range, 5) % 100 >= 6 THEN company_of(range) END AS company, signed_up(range) AS signed_up_at
    FROM range({customers})
), named AS (
    SELECT *, first_name(country, first) AS first_form, last_name(country, last) AS last_form FROM drawn
)
SELECT key('C', id) AS customer_id,
       email(first_form, last_form, id, coalesce(company_domain(company), 'example.net')) AS email,
       written(first_form) AS first_name, written(last_form) AS last_name,
       company_name(company) AS company, {codes}[country + 1] AS country,
       CASE WHEN dice(id, 6) % 100 >= 15
            THEN '+' || {prefixes}[country + 1] || '555' || lpad((dice(id, 6) // 100 % 10000000)::VARCHAR, 7, '0')
       END AS phone,
       plan_of(id) AS plan, signed_up_at,
       CASE WHEN dice(id, 7) % 10 > 0 THEN signed_up_at::DATE + 14 END AS trial_ends_on,
       CASE WHEN dice(id, 8) % 100 < 62 THEN true WHEN dice(id, 8) % 100 < 97 THEN false END AS marketing_opt_in,
       later(signed_up_at, fraction(id, 9)) AS updated_at
FROM named;
CREATE OR REPLACE TABLE raw.orders AS
WITH drawn AS (
    SELECT range AS id, floor({customers} * fraction(range, 20) * fraction(range, 20))::BIGINT AS customer,
           dice(range, 21) % 1000 AS size, greatest(fraction(range, 22), fraction(range, 23)) AS share
    FROM range({customers} * 3 // 2)
)
SELECT key('O', id) AS order_id, key('C', customer) AS customer_id,
       ((900 + size * size * size // 8000) * CASE plan_of(customer)
            WHEN 'free' THEN 1 WHEN 'starter' THEN 1 WHEN 'growth' THEN 2 ELSE 5 END / 100)::DECIMAL(12, 2) AS amount,
       later(signed_up(customer), share) AS ordered_at,
       CASE WHEN dice(id, 24) % 100 < 92 THEN 'completed' WHEN dice(id, 24) % 100 < 97 THEN 'refunded'
            ELSE 'cancelled' END AS status
FROM drawn;
CREATE OR REPLACE TABLE raw.leads AS
WITH drawn AS (
    SELECT range AS id, trial_customer(range) AS customer, country_of(range, 30) AS country,
           dice(range, 34) % {companies} AS company
    FROM range({customers} // 5)
), named AS (
    SELECT *, first_name(country, dice(id, 32)) AS first_form, last_name(country, dice(id, 33)) AS last_form FROM drawn
)
SELECT key('L', id) AS lead_id,
       coalesce(customers.email, email(first_form, last_form, 'l' || id, company_domain(named.company))) AS email,
       coalesce(first_name || ' ' || last_name, written(first_form) || ' ' || written(last_form)) AS name,
       CASE WHEN customer IS NULL THEN company_name(named.company) ELSE customers.company END AS company,
       picked(['website', 'webinar', 'referral', 'event', 'partner'], dice(id, 35)) AS source,
       coalesce(customers.signed_up_at, {today} - to_days(30)) - to_seconds(dice(id, 36) % 2592000) AS created_at
FROM named LEFT JOIN raw.customers AS customers ON customers.customer_id = key('C', customer)
ORDER BY lead_id;
CREATE OR REPLACE TABLE raw.page_views AS
WITH drawn AS (SELECT range AS id, dice(range, 40) % ({customers} // 5) AS lead FROM range({customers} // 5 * 2))
SELECT key('V', id) AS view_id, key('L', lead) AS lead_id, key('C', trial_customer(lead)) AS customer_id,
       picked(['/pricing', '/docs', '/demo', '/blog', '/customers', '/integrations'], dice(id, 41)) AS page,
       {today}::DATE - 1 - (dice(id, 42) % 45)::INTEGER AS viewed_on,
       (1 + least(dice(id, 43) % 12, dice(id, 44) % 12))::INTEGER AS views
FROM drawn;
CREATE OR REPLACE TABLE raw.product_events AS
WITH drawn AS (
    SELECT range AS id, range // 8 AS pair, range % 8 AS week FROM range({customers} // 40 * 24)
    WHERE dice(range // 8, 50) % 10 < 7
), used AS (
    SELECT *, greatest(1, 20 + dice(pair, 51) % 60 + (dice(pair, 52) % 7 - 3) * week - dice(id, 53) % 10) AS users
    FROM drawn
)
SELECT key('A', pair // 3) AS account_id, company_name(pair // 3) AS company,
       picked(['analytics', 'automation', 'inbox'], pair) AS product,
       {today}::DATE - (1 + week * 7 + dice(id, 54) % 7)::INTEGER AS day,
       users::INTEGER AS active_users, users * (3 + dice(id, 55) % 20) AS events
FROM used;
"""


@dataclass(frozen=True)
class ChangeSummary:
    """What `change` did: how many customers it changed, and how many of them in each column of `customer_traits`."""

    rows: int
    fields: dict[str, int]


@contextmanager
def _open(warehouse: Path, seed: int, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can throw dice, in one transaction: readers see all of the work or nothing of it."""
    with duckdb.connect(str(warehouse), config={"memory_limit": "1GB"}) as con:
        if threads is not None:
            con.execute(f"SET threads = {threads:d}")
        con.execute(_DICE.format(seed=seed % 2**32))
        con.execute("BEGIN")
        yield con
        con.execute("COMMIT")


def generate(
    warehouse: Path, customers: int, seed: int = 7, *, today: date = TODAY, threads: int | None = None
) -> None:
    """Write the tables of schema `raw`, replacing what is there.

    10,000,000 customers took 41 s and 1.1 GB of memory on 2 cores.
    Raises ValueError when `customers` is outside 100 to 10,000,000.
    """
    if not MIN_CUSTOMERS <= customers <= MAX_CUSTOMERS:
        raise ValueError(f"customers must be between {MIN_CUSTOMERS} and {MAX_CUSTOMERS}, got {customers}")
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    values = _POOLS | {"customers": customers, "today": f"TIMESTAMP '{today.isoformat()}'"}
    with _open(warehouse, seed, threads) as con:
        con.execute("CREATE SCHEMA IF NOT EXISTS raw")
        con.execute(_MACROS.format_map(values))
        con.execute(_TABLES.format_map(values))


def _choose(con: duckdb.DuckDBPyConnection, rows: int, draw: int) -> list[str]:
    """Put exactly `rows` customers, drawn by the seed, into the temporary table `chosen`, and return their ids."""
    existing = con.sql("SELECT count(*) FROM raw.customers").fetchall()[0][0]
    if not 0 <= rows <= existing:
        raise ValueError(f"rows must be between 0 and the {existing} customers in the warehouse, got {rows}")
    con.execute(
        """CREATE TEMP TABLE chosen AS
        WITH drawn AS (
            SELECT customer_id, dice(substr(customer_id, 2)::BIGINT, $draw) AS roll FROM raw.customers
            ORDER BY roll, customer_id LIMIT $rows
        )
        SELECT customer_id, row_number() OVER (ORDER BY roll, customer_id) AS nth FROM drawn""",
        {"rows": rows, "draw": draw},
    )
    return [key for (key,) in con.sql("SELECT customer_id FROM chosen ORDER BY nth").fetchall()]


# The kind of change is nth % 4; each also raises lifetime_value.
_KINDS = ("plan", "country", "company", "marketing_opt_in")
_CHANGE = """
UPDATE raw.customers SET
    plan = CASE WHEN nth % 4 <> 0 THEN plan WHEN plan = 'free' THEN 'starter' WHEN plan = 'starter' THEN 'growth'
                WHEN plan = 'growth' THEN 'enterprise' ELSE 'free' END,
    country = CASE WHEN nth % 4 <> 1 THEN country
                   ELSE picked({codes}, coalesce(list_position({codes}, country), 0)) END,
    company = CASE WHEN nth % 4 <> 2 THEN company
                   WHEN company LIKE '% Group' THEN regexp_replace(company, ' Group$', '')
                   ELSE coalesce(company, 'Self-employed') || ' Group' END,
    marketing_opt_in = CASE WHEN nth % 4 <> 3 THEN marketing_opt_in ELSE NOT coalesce(marketing_opt_in, false) END,
    updated_at = greatest(updated_at, {now})
FROM chosen WHERE chosen.customer_id = customers.customer_id;

INSERT INTO raw.orders
SELECT 'O' || lpad((last_order + nth)::VARCHAR, 8, '0'), customer_id, 49 + nth % 50, {now}, 'completed'
FROM chosen, (SELECT coalesce(max(substr(order_id, 2)::BIGINT), 0) AS last_order FROM raw.orders);
"""


def change(warehouse: Path, rows: int, seed: int = 7, *, today: date = TODAY) -> ChangeSummary:
    """Change exactly `rows` customers, in columns that `customer_traits` shows.

    Each places an order today; in turn they change plan, country, the company's name or the marketing consent.
    Raises ValueError when there are fewer customers than that.
    """
    with _open(warehouse, seed) as con:
        _choose(con, rows, draw=60)
        con.execute(_CHANGE.format(codes=_POOLS["codes"], now=f"TIMESTAMP '{today.isoformat()} 12:00:00'"))
    fields = {name: sum(1 for nth in range(1, rows + 1) if nth % 4 == kind) for kind, name in enumerate(_KINDS)}
    return ChangeSummary(rows, fields | {"lifetime_value": rows})


def remove(warehouse: Path, rows: int, seed: int = 7) -> list[str]:
    """Delete exactly `rows` customers with their orders, and return their ids.

    Raises ValueError when there are fewer customers than that.
    """
    with _open(warehouse, seed) as con:
        removed = _choose(con, rows, draw=61)
        con.execute("DELETE FROM raw.orders WHERE customer_id IN (SELECT customer_id FROM chosen)")
        con.execute("DELETE FROM raw.customers WHERE customer_id IN (SELECT customer_id FROM chosen)")
    return removed


# In the order of nth, from 1. The last customer keeps the address that the one before takes in upper case.
_DEFECTS = ("null_email", "invalid_email", "first_name_too_long", "last_name_too_long", "unknown_country")
_SPOIL = """
UPDATE raw.customers SET
    email = CASE nth WHEN 1 THEN NULL WHEN 2 THEN replace(email, '@', ' at ') WHEN 6 THEN (
        SELECT upper(email) FROM raw.customers JOIN chosen USING (customer_id) WHERE nth = 7) ELSE email END,
    first_name = CASE nth WHEN 3 THEN repeat('Zoë', 70) ELSE first_name END,
    last_name = CASE nth WHEN 4 THEN repeat('Müller', 40) ELSE last_name END,
    country = CASE nth WHEN 5 THEN 'XX' ELSE country END
FROM chosen WHERE chosen.customer_id = customers.customer_id;

UPDATE raw.leads SET lead_id = NULL WHERE lead_id = (
    SELECT lead_id FROM raw.leads WHERE lead_id IS NOT NULL
    ORDER BY dice(substr(lead_id, 2)::BIGINT, 63), lead_id LIMIT 1) RETURNING email;
"""


def plant_bad_rows(warehouse: Path, seed: int = 7) -> dict[str, list[str]]:
    """Spoil rows at the source the way real data is spoiled. All of them reach the marts.

    Returns the keys by defect: customer ids, and for `null_key` the e-mail address of the lead that lost its id.
    """
    with _open(warehouse, seed) as con:
        keys = _choose(con, 7, draw=62)
        nameless = con.execute(_SPOIL).fetchall()
    planted = {defect: [key] for defect, key in zip(_DEFECTS, keys, strict=False)}
    return planted | {"same_email_in_other_case": keys[5:7], "null_key": [email for (email,) in nameless]}


def main() -> None:
    """Command line: `--customers`, `--seed` and the path of the warehouse file."""
    parser = argparse.ArgumentParser(prog="python -m demo.data", description="Make demo data.")
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("warehouse", type=Path, help="DuckDB file; its schema raw is replaced")
    arguments = parser.parse_args()
    try:
        generate(arguments.warehouse, arguments.customers, arguments.seed)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
