with periods as (
    select
        account_id,
        product,
        max(company) as company,
        max(day) as usage_date,
        max(active_users) filter (where day >= {{ today() }} - 30) as active_users,
        coalesce(sum(events) filter (where day >= {{ today() }} - 30), 0) as events_30d,
        coalesce(sum(events) filter (where day < {{ today() }} - 30), 0) as events_before
    from {{ ref('stg_product_events') }}
    where day >= {{ today() }} - 60 and day < {{ today() }}
    group by account_id, product
)

select
    account_id,
    product,
    company,
    cast(coalesce(active_users, 0) as integer) as active_users,
    cast(events_30d as bigint) as events_30d,
    usage_date,
    case
        when events_before = 0 then 'new'
        when events_30d * 100 >= events_before * 120 then 'growing'
        when events_30d * 100 <= events_before * 80 then 'declining'
        else 'stable'
    end as trend
from periods
