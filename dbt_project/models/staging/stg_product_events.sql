select
    account_id,
    company,
    product,
    day,
    active_users,
    events
from {{ source('raw', 'product_events') }}
