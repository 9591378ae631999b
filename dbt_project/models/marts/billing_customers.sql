select
    customer_id,
    email,
    company,
    plan,
    segment,
    region,
    lifetime_value
from {{ ref('customer_traits') }}
where plan <> 'free'
