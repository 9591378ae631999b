select
    customer_id,
    email,
    trim(concat_ws(' ', first_name, last_name)) as full_name,
    plan,
    lifetime_value,
    segment,
    last_order_date,
    trial_ends_at
from {{ ref('customer_traits') }}
-- a help desk knows a person by the address, so two customers who share one would take turns there
qualify row_number() over (partition by coalesce(lower(email), customer_id) order by customer_id) = 1
