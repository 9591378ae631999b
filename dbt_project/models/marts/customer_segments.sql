select
    customers.customer_id,
    customers.email,
    health.segment,
    health.reason,
    health.since
from {{ ref('stg_customers') }} as customers
inner join {{ ref('int_customer_health') }} as health using (customer_id)
