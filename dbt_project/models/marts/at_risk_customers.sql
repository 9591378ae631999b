select
    customer_id,
    email,
    reason,
    since
from {{ ref('customer_segments') }}
where segment = 'high_value_at_risk'
