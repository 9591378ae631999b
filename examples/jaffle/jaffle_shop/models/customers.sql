select
    customer_id,
    first_name,
    last_name,
    email,
    min(ordered_on) as first_order,
    count(ordered_on) as number_of_orders,
    coalesce(sum(amount), 0) / 100.0 as lifetime_value
from {{ ref('stg_customers') }}
left join (select customer_id as id, ordered_on, amount from {{ ref('raw_orders') }}) as orders on orders.id = customer_id
group by all
