select
    customers.customer_id,
    customers.email,
    customers.first_name,
    customers.last_name,
    customers.company,
    customers.country,
    regions.region,
    customers.plan,
    health.lifetime_value,
    health.orders_count,
    health.last_order_date,
    health.churn_risk,
    cast(customers.trial_ends_on as timestamp) as trial_ends_at,
    customers.marketing_opt_in,
    health.segment,
    customers.updated_at
from {{ ref('stg_customers') }} as customers
inner join {{ ref('int_customer_health') }} as health using (customer_id)
left join {{ ref('country_regions') }} as regions on regions.country = customers.country
