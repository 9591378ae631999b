-- ten people who do not exist: for a first sync to a vendor's test account
select
    'first-day-' || i::varchar as id,
    'first-day-' || i::varchar || '@example.com' as email,
    'Test ' || i::varchar as full_name,
    date '2026-01-01' + i::integer as since
from range(10) as numbers(i)
