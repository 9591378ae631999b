select
    customer_id,
    email,
    first_name,
    last_name,
    company,
    upper(country) as country,
    phone,
    plan,
    signed_up_at,
    trial_ends_on,
    marketing_opt_in,
    updated_at
from {{ source('raw', 'customers') }}
