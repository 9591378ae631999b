select
    customer_id,
    email,
    first_name,
    last_name,
    country,
    marketing_opt_in
from {{ ref('customer_traits') }}
-- consent that was never asked for is none; and an ad platform finds nobody by what is no address
where marketing_opt_in and regexp_full_match(email, '[^@\s]+@[^@\s]+\.[^@\s.]+')
